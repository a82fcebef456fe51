"""Every fault that the laboratory knows."""

from tests.faults import clock_faults, memory_faults, process_faults, server_faults

FAULTS = (*process_faults.FAULTS, *clock_faults.FAULTS, *server_faults.FAULTS, *memory_faults.FAULTS)
