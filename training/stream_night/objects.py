"""The real objects of a stream, put together as Lasair would answer for them."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from numpy.typing import NDArray

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError, RecordError
from annotator.preprocess.triplet import CHANNELS
from annotator.surveys import SURVEYS
from annotator.surveys.values import number
from annotator.surveys.ztf.tables import DETECTION, PAN_STARRS, PHOTOMETRY, STREAM
from annotator.transient import Transient, Triplet
from training.data.given import read_arrays
from training.recipe import SURVEY

TABLE, CURVES, STAMPS = "real_stream.csv", "lightcurves.parquet", "cutouts.npz"
GROUP = "alerts"
"""Of the light curves: from packets."""
EARLIER_REAL_BOGUS = 0.9
"""Of detections whose score a packet's history does not have; what was bogus was never alerted."""
EXOTIC = "exotic SLSN/TDE"
SUPERNOVAE = ("SN (spec)", "other (spec)")
HOSTLESS = 'no PS1 source <8"'
ASTEROID = "asteroid"
NO_NIGHT = ("variable star", "star-like", "AGN", "CV", ASTEROID)
"""Beginnings of the kinds that are known to vary or to move, of which none may lead a night."""


@dataclass(frozen=True)
class StreamObject:
    """One object, and what it is."""

    transient: Transient
    kind: str
    type: str
    """Spectroscopic class; empty where it has none."""
    candidate_id: str
    """Of its stamps."""
    passes: bool
    """Whether the input filter lets it through: no variable star of Sherlock's, no asteroid that was seen once."""
    record: Mapping[str, object]

    @property
    def is_exotic(self) -> bool:
        """Whether it is a known SLSN or TDE."""
        return self.kind == EXOTIC

    @property
    def is_supernova(self) -> bool:
        """Whether a spectrum says that it is a supernova, or something as brief, but no known exotic."""
        return self.kind in SUPERNOVAE

    @property
    def is_hostless(self) -> bool:
        """Whether no Pan-STARRS1 source is near."""
        return self.kind == HOSTLESS

    def without_pan_starrs(self) -> "StreamObject":
        """Return it as a record without Pan-STARRS1's columns has it."""
        record = {name: value for name, value in self.record.items() if name not in PAN_STARRS}
        bare = SURVEYS[SURVEY].parse(record)
        return replace(self, transient=replace(bare, triplet=self.transient.triplet), record=record)


def read_stream(data: Path) -> list[StreamObject]:
    """Read the objects of a real stream.

    Columns are computed from the light curve, as Lasair computes them; Sherlock's class and the Pan-STARRS1 source are
    the table's; stamps are served as Lasair serves them. Real-bogus scores are known of the detection
    that the stamps are of, and taken as :data:`EARLIER_REAL_BOGUS` for all others.

    Parameters
    ----------
    data
        Folder with :data:`TABLE`, :data:`CURVES` and :data:`STAMPS`, and the table of the latter.

    Raises
    ------
    ConfigError
        If one of them cannot be read.
    """
    try:
        rows = _rows(data / TABLE)
        stamps_of = _rows((data / STAMPS).with_suffix(".csv"))
        stamps = read_arrays("--data", data / STAMPS, CHANNELS, "name the folder of the training data")
        curves = _curves(data / CURVES, {row[OBJECT_ID_KEY] for row in rows})
        places = [int(row[STREAM.row_of_stamps]) for row in rows]
    except (OSError, ValueError, KeyError) as failure:
        raise ConfigError(f"--data {data}: expected {TABLE}, {CURVES} and {STAMPS}, found {failure!r}") from failure
    return [
        _object(row, stamps_of[place], [part[place] for part in stamps], curves.get(row[OBJECT_ID_KEY], []))
        for row, place in zip(rows, places, strict=True)
    ]


def stream_names(data: Path) -> frozenset[str]:
    """Return the ids of the real stream's objects; none where the data has no such stream."""
    path = data / TABLE
    return frozenset(row[OBJECT_ID_KEY] for row in _rows(path)) if path.is_file() else frozenset()


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _curves(path: Path, object_ids: set[str]) -> dict[str, list[dict[str, object]]]:
    """Return the detections of objects, each as a candidate."""
    import pandas

    table = pandas.read_parquet(path)
    table = table[(table["group"] == GROUP) & table[OBJECT_ID_KEY].isin(object_ids)]
    return {object_id: part[list(PHOTOMETRY)].to_dict("records") for object_id, part in table.groupby(OBJECT_ID_KEY)}


def _object(
    row: Mapping[str, str],
    of_stamps: Mapping[str, str],
    stamps: Sequence[NDArray],
    curve: Sequence[Mapping[str, object]],
) -> StreamObject:
    record = _record(row, of_stamps, curve)
    try:
        transient = SURVEYS[SURVEY].parse(record)
    except RecordError:  # all that was detected is a known solar-system object
        transient = Transient(row[OBJECT_ID_KEY], SURVEY)
    if (reference := transient.cutouts) is not None:
        stamps_seen = Triplet(*stamps, time_mjd=reference.time_mjd, is_negative=reference.is_negative)
        transient = replace(transient, triplet=stamps_seen)
    is_seen_once = row["kind"].startswith(ASTEROID) and int(row[STREAM.detections]) == 1
    return StreamObject(
        transient=transient,
        kind=row["kind"],
        type=row["type"],
        candidate_id=of_stamps[DETECTION.candidate_id],
        passes=row[STREAM.sherlock_class] != "VS" and not is_seen_once,
        record=record,
    )


def _record(
    row: Mapping[str, str], of_stamps: Mapping[str, str], curve: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """Lay an object out as Lasair answers for it."""
    own_jd = number(of_stamps[DETECTION.time_jd])
    own = {name: of_stamps.get(name) for name in (*PHOTOMETRY, DETECTION.ra_deg, DETECTION.dec_deg)}
    own |= {
        DETECTION.candidate_id: int(of_stamps[DETECTION.candidate_id]),
        DETECTION.real_bogus: number(row[DETECTION.real_bogus]),
        DETECTION.deep_real_bogus: number(row[DETECTION.deep_real_bogus]),
        DETECTION.asteroid_separation: number(row[DETECTION.asteroid_separation]),
        "image_urls": dict.fromkeys(("Science", "Template", "Difference"), "https://stamps.invalid/"),
    }
    others = [
        {**item, DETECTION.candidate_id: place, DETECTION.deep_real_bogus: EARLIER_REAL_BOGUS}
        for place, item in enumerate(curve, 1)
        if own_jd is not None and abs(item[DETECTION.time_jd] - own_jd) > 1e-3
    ]
    return {**STREAM.as_answer(row), "candidates": [own, *others] if own_jd is not None else []}
