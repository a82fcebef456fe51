"""Every fault that the laboratory knows."""

from tests.faults import (
    clock_faults,
    hostile_faults,
    ledger_faults,
    memory_faults,
    process_faults,
    rubin_faults,
    server_faults,
    stream_faults,
    web_faults,
)

FAULTS = (
    *process_faults.FAULTS,
    *clock_faults.FAULTS,
    *server_faults.FAULTS,
    *memory_faults.FAULTS,
    *stream_faults.FAULTS,
    *hostile_faults.FAULTS,
    *ledger_faults.FAULTS,
    *rubin_faults.FAULTS,
    *web_faults.FAULTS,
)
