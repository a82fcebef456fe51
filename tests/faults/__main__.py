"""Try every fault many times; print the table.

    python -m tests.faults --seed 1 [--only FAULT] [--tries-scale 0.1] [--first 17]

The status is 1 where a fault has done harm. A try is repeated alone by its number:
``--only "power lost" --first 17 --tries-scale 0`` makes the seventeenth and no other.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from tests.faults.catalogue import FAULTS
from tests.faults.laboratory import complaints, table
from tests.faults.running import run_all


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, make the tries, print the table; return the status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Try every fault many times.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", metavar="FAULT", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--tries-scale", type=float, default=1.0, help="1 for all tries, 0 for one of each fault")
    parser.add_argument("--first", type=int, default=0, help="the number of the first try of each")
    chosen = parser.parse_args(arguments)
    begun = time.monotonic()
    faults = [fault for fault in FAULTS if not chosen.only or fault.name in chosen.only]
    lines = run_all(faults, chosen.seed, float(round(time.time())), chosen.tries_scale, chosen.first)
    print(table(list(lines.values())))
    n_tries, cpu = sum(line.tries for line in lines.values()), os.times()
    cpu_s = cpu.children_user + cpu.children_system
    print(f"seed {chosen.seed}: {n_tries} tries in {time.monotonic() - begun:.0f} s, {cpu_s:.0f} s of them computing")
    said = complaints(lines)
    print(*said, sep="\n", end="\n" if said else "")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
