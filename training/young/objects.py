"""Objects that were seen from their first detection on, with all that was seen of them: real ones and simulated."""

import csv
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from annotator.preprocess.triplet import CHANNELS
from annotator.sandbox.sky.night import NORMAL_KINDS, SimulatedObject, simulate_kinds
from annotator.sandbox.sky.stamps import simulate
from annotator.surveys.values import number, sign_of
from annotator.surveys.ztf.tables import DETECTION, PHOTOMETRY, SURROUNDINGS
from annotator.transient import Transient, Triplet
from training.data.detections import OTHER_TELESCOPES
from training.data.folds import fold_of
from training.data.given import read_arrays
from training.data.table import RECENT_JD, Table
from training.stream_night.objects import CURVES, EARLIER_REAL_BOGUS, STAMPS

AGN = "AGN"
"""Among AHA's exotics, and meant to be variable."""

MIN_RISE_DAYS, MIN_RISE_MAG = 2.0, 0.2
"""By so much later and brighter than its first detection is the brightest of an object that was caught rising. Of
others the first detection at hand is that of the catalogue, and no beginning."""
DISTANCE = ("distance", "physical_separation_kpc")
"""Known of every row before 2022, and of a third of the later ones."""

SIMULATED_EXOTICS = ("SLSN", "TDE", "fast blue")
SIMULATED_COUNTS: Mapping[str, int] = {
    "SN Ia": 450,
    "SN II": 120,
    "SN Ib/c": 30,
    **dict.fromkeys(SIMULATED_EXOTICS, 60),
}
SIMULATED_SEED, SIMULATED_JD = 4100, 2461369.2

Stamped = Callable[[float], tuple[Triplet, str] | None]
"""Stamps of the detection at a Julian date, with the id of their candidate; None where there are none."""


@dataclass(frozen=True, eq=False)
class YoungObject:
    """One object, and all that was seen of it."""

    object_id: str
    name: str
    """Of the transient, which several ids can share."""
    type: str
    is_exotic: bool
    source: str
    """The catalogue that most of its detections are from."""
    surroundings: Mapping[str, object]
    """Columns that do not change while it evolves."""
    candidates: tuple[Mapping[str, object], ...]
    """Detections and upper limits as Lasair gives them, in time order."""
    stamped: Stamped

    @functools.cached_property
    def first_jd(self) -> float:
        """Of its first positive detection."""
        return next(jd for jd, _ in positive(self.candidates))

    @functools.cached_property
    def is_rising(self) -> bool:
        """Whether it was caught rising, so that its first detection here is its beginning."""
        return is_caught_rising(self.candidates)

    @property
    def is_recent(self) -> bool:
        """Whether it was first seen from 2022 on."""
        return self.first_jd >= RECENT_JD


def positive(candidates: Sequence[Mapping[str, object]]) -> list[tuple[float, float]]:
    """Return date and magnitude of the positive detections among candidates in time order."""
    return [
        (item[DETECTION.time_jd], item[DETECTION.magnitude])
        for item in candidates
        if item.get(DETECTION.candidate_id) is not None and sign_of(item[DETECTION.sign]) is True
    ]


def is_caught_rising(candidates: Sequence[Mapping[str, object]]) -> bool:
    """Tell whether detections begin while the object rises."""
    seen = positive(candidates)
    if not seen:
        return False
    (first_jd, first_mag), (peak_jd, peak_mag) = seen[0], min(seen, key=lambda item: item[1])
    return peak_jd - first_jd >= MIN_RISE_DAYS and first_mag - peak_mag >= MIN_RISE_MAG


def real_objects(table: Table, data: Path) -> list[YoungObject]:
    """Return the objects of a databank of which there are light curves, without the AGN.

    Distances are known of every row before 2022, by the making of the databank: of these as many are left out, at
    random, as later rows lack.

    Parameters
    ----------
    table
        The databank.
    data
        Folder with :data:`CURVES` and :data:`STAMPS`, and the table of the latter.

    Raises
    ------
    ConfigError
        If one of them cannot be read.
    """
    place_of = {object_id: place for place, object_id in enumerate(table.object_ids.tolist())}
    kinds, names = table.column("type"), table.tns_names
    try:
        curves, sources = _curves(data / CURVES, place_of)
        stamps, own = _stamps(data / STAMPS)
    except (OSError, ValueError, KeyError) as failure:
        raise ConfigError(f"--data {data}: expected {CURVES} and {STAMPS}, found {failure!r}") from failure
    share_known = np.mean(["distance_mpc" in item.extras for item in _recent(table)])
    found = []
    for object_id, seen in sorted(curves.items()):
        place = place_of[object_id]
        candidates = _with_own(seen, own.get(object_id, {}))
        if not positive(candidates) or kinds[place] == AGN:
            continue
        row = table.rows[place]
        around = {name: row.get(name) for name in SURROUNDINGS}
        is_old = positive(candidates)[0][0] < RECENT_JD
        if is_old and _drawn(object_id) >= share_known:
            around |= dict.fromkeys(DISTANCE)
        found.append(
            YoungObject(
                object_id=object_id,
                name=names[place],
                type=str(kinds[place]),
                is_exotic=bool(table.is_exotic[place]),
                source=sources[object_id],
                surroundings=around,
                candidates=tuple(candidates),
                stamped=_lookup(stamps.get(object_id, {})),
            )
        )
    return found


def _recent(table: Table) -> list[Transient]:
    return [item for item, is_recent in zip(table.transients, table.is_recent, strict=True) if is_recent]


def _drawn(object_id: str) -> float:
    """Draw a number from 0 to 1 by a name, the same in every run and of every table."""
    rng = np.random.default_rng([fold_of(object_id), *object_id.encode()])
    return float(rng.random())


def _curves(path: Path, wanted: Mapping[str, int]) -> tuple[dict[str, list[dict[str, object]]], dict[str, str]]:
    """Return the detections of objects, each as a candidate, in time order, and the catalogue most are from."""
    import pandas  # only this command needs it

    rows = pandas.read_parquet(path)
    rows = rows[rows[OBJECT_ID_KEY].isin(set(wanted)) & (rows[DETECTION.magnitude] > 0)]
    rows = rows[~rows["source"].isin(OTHER_TELESCOPES)]
    curves, sources = {}, {}
    for object_id, part in rows.groupby(OBJECT_ID_KEY):
        items = part.sort_values(DETECTION.time_jd)[list(PHOTOMETRY)].to_dict("records")
        curves[object_id] = [
            {**item, DETECTION.candidate_id: place, DETECTION.deep_real_bogus: EARLIER_REAL_BOGUS}
            for place, item in enumerate(items, 1)
        ]
        sources[object_id] = str(part["source"].mode()[0])
    return curves, sources


def _stamps(path: Path) -> tuple[dict[str, dict], dict[str, dict]]:
    """Return the stamps of objects by date, and their candidates by date, each by object id."""
    with open(path.with_suffix(".csv"), newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    channels = read_arrays("--data", path, CHANNELS, "name the folder of the training data")
    stamps: dict[str, dict] = {}
    own: dict[str, dict] = {}
    for place, row in enumerate(rows):
        jd = number(row[DETECTION.time_jd])
        if jd is None:
            continue
        is_negative = sign_of(row[DETECTION.sign]) is False
        triplet = Triplet(*(part[place] for part in channels), is_negative=is_negative)
        stamps.setdefault(row[OBJECT_ID_KEY], {})[jd] = triplet, row[DETECTION.candidate_id]
        own.setdefault(row[OBJECT_ID_KEY], {})[jd] = {
            **{name: number(row[name]) for name in PHOTOMETRY if name != DETECTION.sign},
            DETECTION.sign: row[DETECTION.sign],
            **{name: number(row[name]) for name in (DETECTION.real_bogus, DETECTION.deep_real_bogus)},
            DETECTION.candidate_id: int(row[DETECTION.candidate_id]),
            "image_urls": _URLS,
        }
    return stamps, own


_URLS = dict.fromkeys(("Science", "Template", "Difference"), "https://stamps.invalid/")
SAME_EXPOSURE_DAYS = 1e-3


def _with_own(seen: Sequence[Mapping[str, object]], own: Mapping[float, Mapping[str, object]]) -> list:
    """Put the candidates that stamps are of in the place of the same detections of a light curve."""
    others = [item for item in seen if not any(abs(item[DETECTION.time_jd] - jd) < SAME_EXPOSURE_DAYS for jd in own)]
    return sorted([*others, *own.values()], key=lambda item: item[DETECTION.time_jd])


def _lookup(stamps: Mapping[float, tuple[Triplet, str]]) -> Stamped:
    def stamped(jd: float) -> tuple[Triplet, str] | None:
        near = [found for own_jd, found in stamps.items() if abs(own_jd - jd) < SAME_EXPOSURE_DAYS]
        return near[0] if near else None

    return stamped


def simulated_objects(
    counts: Mapping[str, int] = SIMULATED_COUNTS, seed: int = SIMULATED_SEED, has_stamps: bool = True
) -> list[YoungObject]:
    """Return simulated objects, their upper limits and, if wanted, stamps with them."""
    simulated = simulate_kinds(seed, counts, SIMULATED_JD).objects
    found = []
    for item in simulated:
        candidates = [
            dict(vars(epoch)) | ({"image_urls": _URLS} if getattr(epoch, DETECTION.candidate_id) else {})
            for epoch in item.epochs
        ]
        if not positive(candidates):
            continue
        row = {**item.columns, **item.sherlock}
        found.append(
            YoungObject(
                object_id=item.object_id,
                name=item.object_id,
                type=item.kind,
                is_exotic=item.kind not in NORMAL_KINDS,
                source="simulated",
                surroundings={name: row.get(name) for name in SURROUNDINGS},
                candidates=tuple(candidates),
                stamped=_simulated_stamps(item, seed) if has_stamps else _lookup({}),
            )
        )
    return found


def _simulated_stamps(item: SimulatedObject, seed: int) -> Stamped:
    @functools.cache
    def stamped(jd: float) -> tuple[Triplet, str] | None:
        epoch = next((one for one in item.detections if abs(one.jd - jd) < SAME_EXPOSURE_DAYS), None)
        if epoch is None:
            return None
        made = simulate(item, epoch, seed)
        return Triplet(*(made[name.capitalize()] for name in CHANNELS)), str(getattr(epoch, DETECTION.candidate_id))

    return stamped
