"""Seconds for the report of a night, and the size of its list: `python tests/benchmarks/bench_report.py`.

Every object is simulated, with a light curve and stamps, and different from all others; making the night is not
counted. Pages are written by two processes, which load the models themselves, as `aha-annotator report` does.
"""

import argparse
import cProfile
import dataclasses
import os
import pstats
import tempfile
import time
from pathlib import Path

from annotator.report.night import Night
from annotator.report.pages.write import write_pages
from tests.report.report_nights import MODELS_FOLDER, make_night

OBJECTS = 1000
PROCESSES = 2
PROFILED_OBJECTS = 100
SHOWN_FUNCTIONS = ("show_curve", "show_stamps", "show_quantities", "_nearest", "svg", "_write_pictures", "render")


def main() -> None:
    """Write the report, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=OBJECTS)
    options = parser.parse_args()
    night = make_night(options.objects, with_gaps=False)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        index = write_pages(night, MODELS_FOLDER, night.survey, Path(folder) / "report", PROCESSES)
        seconds = time.perf_counter() - began
        files = [path for path in index.parent.rglob("*") if path.is_file()]
        print(f"{len(night.candidates)} objects, {PROCESSES} processes, {os.cpu_count()} cores: {seconds:.1f} s")
        print(f"index.html {index.stat().st_size / 1e6:.2f} MB, ", end="")
        print(f"{len(files)} files of {sum(path.stat().st_size for path in files) / 1e6:.0f} MB")
    _print_shares(night)


def _print_shares(night: Night) -> None:
    """Say where the time goes, in one process."""
    some = dataclasses.replace(night, candidates=night.candidates[:PROFILED_OBJECTS])
    with tempfile.TemporaryDirectory() as folder:
        profile = cProfile.Profile()
        profile.runcall(write_pages, some, MODELS_FOLDER, some.survey, Path(folder) / "report", 1)
    print("share of the time in one process, under a profiler:")
    functions = pstats.Stats(profile).stats
    whole = max(times[3] for times in functions.values())
    for name in SHOWN_FUNCTIONS:
        spent = max(times[3] for (_, _, function), times in functions.items() if function == name)
        print(f"  {name:16} {spent / whole:4.0%}")


if __name__ == "__main__":
    main()
