"""Everything the project says of the real data and of one demo night, to compare two commits by.

    python tests/benchmarks/same_results.py --out FILE [--every N]

A refactoring must change none of it: run this on the commit before and on the one after, and compare what is printed;
where a digest differs, compare the files. The same script has to run on commits whose modules have other names, so it
knows the project by its command line, its configuration and its ledger alone, and imports nothing of it.

Of each row, light curve and triplet of the real data FILE holds the line of `aha-annotator score`, and what a pass of
`aha-annotator once` leaves in a ledger of its own. There everything is watched, so that everything has reasons, and
each record has a name of its own, so that it is scored whatever was scored before. Of the demo FILE holds the ledger,
and the table of the night.

Left out is when something was scored, queued, sent or looked up, and a table made; the numbers of the scorings, since
Kafka's partitions decide which comes first; an object's evidence and the digest of its state, which go by the names of
attributes.
"""

import argparse
import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas
from astropy.io import fits

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
COMMAND = str(Path(sys.executable).with_name("aha-annotator"))
DETECTION = ["jd", "fid", "magpsf", "sigmapsf", "isdiffpos"]
REAL_BOGUS = 0.9
"""Of detections whose own nobody knows; without one they would all be artefacts."""
SAME_EXPOSURE_DAYS = 0.001
"""Detections of the light curve so close before that of the stamps are it once more."""
STAMPS = ("science", "template", "difference")

SAID = {
    "scores": "object_id, classification, score, modalities, explanation, reasons, n_det, last_mjd",
    "outbox": "annotation",
    "objects": "object_id, last_mjd, first_flagged_mjd, numbers",
    "tns": "object_id, name, type",
}
"""What is compared of each table of a ledger."""
AS_JSON = ("modalities", "reasons", "annotation", "numbers")

CONFIGURATION = """
survey: ztf
lasair: {{endpoint: "http://127.0.0.1:9/api"}}  # nobody answers: the annotations stay in the outbox
source: {{kind: file, path: {path}}}
annotation: {{topic: aha_ztf}}
decision: {{watch_score: 0}}
ledger: {path}.sqlite
"""

DEMO_TIME = 1_795_464_000
"""2026-11-23 20:00 UTC, in the middle of a night."""
AT_DEMO_TIME = f"""
import runpy, sys, time
clock, began = time.time, time.time()
time.time = lambda: {DEMO_TIME} + clock() - began
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a command at that time: a demo's night is the one before, and of another night it would draw other stamps."""


def main() -> None:
    """Write the file, and print a digest of each part and of all."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, required=True, metavar="FILE", help="where all that is said goes")
    arguments.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="the real data (%(default)s)")
    arguments.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth record, for a quick look")
    options = arguments.parse_args()
    whole = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder, options.out.open("wb") as out:
        for name, lines in parts(options.data, Path(folder), options.every):
            text = "".join(f"{line}\n" for line in lines).encode()
            said = f"# {name}\n".encode() + text
            out.write(said)
            whole.update(said)
            print(f"{hashlib.sha256(text).hexdigest()}  {name}: {len(lines)} lines", flush=True)
    print(f"{whole.hexdigest()}  all, as sha256sum has it of the file")


def parts(data: Path, folder: Path, every: int) -> Iterator[tuple[str, list[str]]]:
    """Yield each part's name and lines."""
    for write in (write_rows, write_curves, write_triplets):
        path = write(data, folder, every)
        scored = run("score", path).splitlines()
        passed = after_pass(path)
        n_scored = sum("refused" not in json.loads(line) for line in scored)
        rows = [json.loads(line) for line in passed]
        n_known = sum(row.get("classification") == "variable" for row in rows)  # sent only over an earlier flag
        if sum(row["table"] == "outbox" for row in rows) != n_scored - n_known:
            sys.exit(f"{path.stem}: expected an annotation for each of the {n_scored - n_known} that are no variable")
        yield f"{path.stem}, score", scored
        yield f"{path.stem}, once", passed
    yield "demo, ledger", after_demo(folder)
    yield "demo, table", night_table(folder)


# The records


def write_rows(data: Path, folder: Path, every: int) -> Path:
    """Write the rows of the databank, as the text that they are."""
    path = folder / "rows.csv"
    rows = pandas.read_csv(data / "object_features.csv", dtype=str, keep_default_na=False)
    rows[::every].to_csv(path, index=False)
    return path


def write_curves(data: Path, folder: Path, every: int) -> Path:
    """Write the light curves, one of each object in each group, as Lasair answers for an object."""
    curves = list(pandas.read_parquet(data / "lightcurves.parquet").groupby(["objectId", "group"]))[::every]
    records = [{"objectId": name, "candidates": candidates(curve)} for (name, _), curve in curves]
    return write_records(folder / "curves.jsonl", records)


def write_triplets(data: Path, folder: Path, every: int) -> Path:
    """Write the stamps, each with its detection and the object's earlier ones."""
    curves = dict(
        list(pandas.read_parquet(data / "lightcurves.parquet").query("group == 'alerts'").groupby("objectId"))
    )
    with np.load(data / "cutouts.npz") as file:
        pixels = {kind: file[kind] for kind in STAMPS}
    detections = pandas.read_csv(data / "cutouts.csv").to_dict("records")
    records = []
    for number in range(0, len(detections), every):
        detection = detections[number]
        name, earlier = detection["objectId"], []
        if name in curves:
            earlier = candidates(curves[name][curves[name].jd < detection["jd"] - SAME_EXPOSURE_DAYS])
        records.append(
            {
                "objectId": name,
                "distpsnr1": detection["distpsnr1"],
                "candidates": [*earlier, detection],
                "cutouts": {
                    kind: write_stamp(folder, f"{number}_{kind}.fits", pixels[kind][number]) for kind in STAMPS
                },
            }
        )
    return write_records(folder / "triplets.jsonl", records)


def candidates(curve: pandas.DataFrame) -> list[dict[str, object]]:
    """Return detections as Lasair gives them."""
    return curve[DETECTION].assign(rb=REAL_BOGUS, drb=REAL_BOGUS).to_dict("records")


def write_stamp(folder: Path, name: str, pixels: np.ndarray) -> str:
    """Write one stamp beside the records; return its name."""
    fits.PrimaryHDU(pixels).writeto(folder / name)
    return name


def write_records(path: Path, records: Iterable[Mapping[str, object]]) -> Path:
    """Write JSON lines under names that can be annotated, letters and digits, and each its own."""
    times: Counter[str] = Counter()
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            name = re.sub("[^A-Za-z0-9]", "", record["objectId"])
            again = f"x{times[name]}" if times[name] else ""
            times[name] += 1
            file.write(json.dumps({**record, "objectId": name + again}) + "\n")
    return path


# What is said of them


def run(*arguments: object, status: int = 0, by: tuple[str, ...] = ()) -> str:
    """Run the command and return what it prints; exit where it ends with another status."""
    command = [*by, COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LASAIR_TOKEN": "none"})
    if done.returncode != status:
        sys.exit(f"{' '.join(command[-3:])}: expected exit status {status}, found {done.returncode}\n{done.stderr}")
    return done.stdout


def after_pass(path: Path) -> list[str]:
    """Make a pass over a file of records; return what it leaves in its ledger."""
    configuration = path.with_suffix(".yaml")
    configuration.write_text(CONFIGURATION.format(path=path.name), encoding="utf-8")
    run("once", "-c", configuration, status=1)  # nobody took the annotations
    return ledger_lines(Path(f"{path}.sqlite"))


def after_demo(folder: Path) -> list[str]:
    """Make a demo; return what it leaves in its ledger."""
    # Its clock is held and its Kafka's is not, which it tells.
    run("demo", "--out", folder / "demo", status=1, by=(sys.executable, "-c", AT_DEMO_TIME))
    return ledger_lines(folder / "demo" / "ledger.sqlite")


def night_table(folder: Path) -> list[str]:
    """Return the demo's night as the table that `report` makes of it."""
    table = json.loads(run("report", "-c", folder / "demo" / "aha.yaml", "--format", "json"))
    head = {name: value for name, value in table.items() if name not in ("made_at", "objects")}
    return [sorted_json(head), *map(sorted_json, table["objects"])]


def ledger_lines(path: Path) -> list[str]:
    """Return what is compared of a ledger, a line for each row, by object and in the order of its scorings."""
    lines = []
    with closing(sqlite3.connect(path)) as ledger:
        ledger.row_factory = sqlite3.Row
        for table, columns in SAID.items():
            order = "object_id, score_id" if table == "scores" else "object_id"
            for row in ledger.execute(f"SELECT {columns} FROM {table} ORDER BY {order}"):
                said = {name: decoded(name, row[name]) for name in row.keys()}  # noqa: SIM118
                lines.append(sorted_json({"table": table, **said}))
    return lines


def decoded(column: str, value: object) -> object:
    """Decode what the ledger keeps as JSON."""
    return json.loads(value) if column in AS_JSON and value is not None else value


def sorted_json(value: object) -> str:
    """Return JSON that does not depend on the order of keys."""
    return json.dumps(value, sort_keys=True)


if __name__ == "__main__":
    main()
