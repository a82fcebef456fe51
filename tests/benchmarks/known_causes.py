"""How often a reason names its cause: causes are put into real objects, one each, and the reasons are read.

`python tests/benchmarks/known_causes.py` prints shares with their 95 % intervals (Wilson 1927) over the real data
beside the checkout, and over simulated stamps; then what the reasons cost. Tests hold floors under the same shares.
"""

import argparse
import csv
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.models import ModalityScore, ModelSet, load_models
from annotator.preprocess.fits import read_stamp
from annotator.preprocess.lightcurve import GRID_BANDS, Detections, peak, within_grid
from annotator.preprocess.triplet import CENTRE, SIDE, stamp_tensor
from annotator.reasons.find import reasons_of
from annotator.reasons.reason import Reason
from annotator.sandbox import simulate_night
from annotator.sandbox.lasair.answers import candidate, object_answer
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.sky.stamps import KINDS, render, simulate
from annotator.surveys.ztf.parse import parse
from annotator.transient import LightCurve, Transient, Triplet
from training.triplet.injection import ZTF, Scale, dipole, host_gone, noise, saturation, second_source, trail

SEED = 1
SHARED = Path(__file__).resolve().parents[3] / "shared"

MIN_CURVE_DETECTIONS = 12
MIN_REST_DETECTIONS = 5
MIN_OUTLIER_DETECTIONS = 8
MIN_DECLINE_MAG, MIN_PLATEAU_MAG = 0.7, 0.5
SHIFT_TOLERANCE_PIXELS = 1.5

_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    hits: int
    n: int

    @property
    def value(self) -> float:
        return self.hits / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of 95 %."""
        z = 1.96
        middle = (self.value + z * z / (2 * self.n)) / (1 + z * z / self.n)
        half = z / (1 + z * z / self.n) * math.sqrt(self.value * (1 - self.value) / self.n + z * z / (4 * self.n**2))
        return middle - half, middle + half

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f} to {high:.3f}) of {self.n}"


def share(hits: Iterable[bool]) -> Share:
    """Count."""
    hits = list(hits)
    return Share(sum(map(bool, hits)), len(hits))


# Features


ORDINARY = {
    "objectId": "ZTF99aaaaaaa",
    **{"gmag": 19.4, "maggmin": 18.9, "maggmean": 19.2, "maggmax": 19.6},
    **{"mag_g02": 19.4, "mag_g08": 19.3, "mag_g28": 19.2, "dmdt_g": -0.03, "dmdt_g_err": 0.03},
    **{"rmag": 19.0, "magrmin": 18.8, "magrmax": 19.2, "g_minus_r": 0.4},
    **{"mag_r02": 19.0, "mag_r08": 18.95, "mag_r28": 18.9, "dmdt_r": -0.02, "dmdt_r_err": 0.03},
    **{"distpsnr1": 2.5, "sgmag1": 17.9, "srmag1": 17.5, "separationArcsec": 3.0, "major_axis_arcsec": 12.0},
}
"""An ordinary supernova, made up by us: 19.4 mag in g, 19.0 in r, near a 17.5 mag galaxy."""


@dataclass(frozen=True)
class Move:
    """One column that is moved, and the quantities or features of which any names it."""

    column: str
    to: Callable[[float], float]
    names: tuple[str, ...]


MOVES = (
    Move("rmag", lambda value: value + 3, ("trend_28_r", "fade_r", "amplitude_r", "rmag")),
    Move("g_minus_r", lambda value: value - 2, ("colour_now", "g_minus_r")),
    Move("separationArcsec", lambda value: 300.0, ("host_separation", "separationArcsec")),
    Move("distpsnr1", lambda value: 0.02, ("ps1_separation", "distpsnr1")),
    Move("magrmax", lambda value: value + 3, ("amplitude_r", "magrmax")),
    Move("maggmin", lambda value: value - 3, ("colour_peak", "amplitude_g", "fade_g", "maggmin")),
    Move("dmdt_r", lambda value: 1.5, ("dmdt_r",)),
    Move("dmdt_g", lambda value: -1.5, ("dmdt_g",)),
)


def real_rows(n: int) -> list[dict[str, str]]:
    """Return rows of normal objects."""
    with (SHARED / "data" / "object_features.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source_label"] != "Exotic"]
    return [rows[i] for i in np.random.default_rng(SEED).permutation(len(rows))[:n]]


def moved(rows: Sequence[Mapping], move: Move) -> Iterator[Transient]:
    """Yield the objects that have the column, with it moved."""
    for row in rows:
        before = parse(row)
        if move.column not in before.features:
            continue
        after = parse({**row, move.column: move.to(before.features[move.column])})
        if move.column in after.features:
            yield after


def feature_reasons(transient: Transient, models: ModelSet) -> tuple[Reason, ...]:
    """Return what is said of an object's features."""
    return _reasons(transient, models, "features")


# Light curves


def real_curves(n: int) -> list[Detections]:
    """Return light curves of normal objects."""
    from training.data.curves import read_curves

    data = SHARED / "data"
    table = read_curves(data / "lightcurves.parquet", data / "lightcurve_labels.csv")
    normal = [curve.detections for curve in table.curves if curve.label != "Exotic"]
    return [normal[i] for i in np.random.default_rng(SEED).permutation(len(normal))[:n]]


def second_peak(
    curve: Detections, rng: np.random.Generator, bands: Sequence[int], is_fainter: bool = True
) -> tuple[Detections, NDArray[np.bool_]] | None:
    """Add a peak of 1 to 2 mag, 25 to 80 days after the first; return the curve and its detections within half of it.

    None where fewer than two detections see it, one of its bands does not, or too little else is there; and, with
    `is_fainter`, where it would be brighter than the first.
    """
    if len(curve) < MIN_CURVE_DETECTIONS:
        return None
    first_days, _ = peak(curve)
    phase = curve.time_days - first_days
    delay, width, height_mag = rng.uniform(25, 80), rng.uniform(4, 12), rng.uniform(1, 2)
    bump = np.where(np.isin(curve.band, bands), height_mag * np.exp(-0.5 * ((phase - delay) / width) ** 2), 0.0)
    touched = bump >= height_mag / 2
    after = replace(curve, magnitude=curve.magnitude - bump)
    is_seen = touched.sum() >= 2 and all((touched & (curve.band == band)).any() for band in bands)
    if not is_seen or (~touched).sum() < MIN_REST_DETECTIONS or not within_grid(after)[touched].all():
        return None
    if is_fainter and abs(peak(after)[0] - first_days) > 3:
        return None
    return after, touched


def outlier(curve: Detections, rng: np.random.Generator) -> tuple[Detections, NDArray[np.bool_]] | None:
    """Make one detection 1 to 2 mag brighter or fainter; None where there are fewer than eight."""
    if len(curve) < MIN_OUTLIER_DETECTIONS:
        return None
    touched = np.zeros(len(curve), dtype=bool)
    touched[rng.choice(np.flatnonzero(within_grid(curve)))] = True
    shift_mag = rng.choice([-1, 1]) * rng.uniform(1, 2)
    after = replace(curve, magnitude=curve.magnitude + shift_mag * touched)
    return (after, touched) if within_grid(after)[touched].all() else None


def plateau(curve: Detections, rng: np.random.Generator) -> tuple[Detections, NDArray[np.bool_]] | None:
    """Stop the decline for 25 to 50 days from 15 to 30 days after the peak; return the curve and what is 0.5 mag off.

    It goes on afterwards as if nothing had been. None where the curve was about as flat there, or too little else is.
    """
    first_days, _ = peak(curve)
    phase = curve.time_days - first_days
    start = rng.uniform(15, 30)
    end = start + rng.uniform(25, 50)
    magnitude = curve.magnitude.copy()
    for number in range(len(GRID_BANDS)):
        before, during = (
            (curve.band == number) & (phase > low) & (phase <= high)
            for low, high in ((start - 10, start), (start, end))
        )
        if before.any() and during.sum() >= 2:
            level_mag = np.median(curve.magnitude[before])
            if curve.magnitude[during].mean() - level_mag >= MIN_DECLINE_MAG:
                magnitude[during] = level_mag + rng.normal(0, curve.error_mag[during])
    touched = curve.magnitude - magnitude > MIN_PLATEAU_MAG
    after = replace(curve, magnitude=magnitude)
    if touched.sum() < 2 or (~touched).sum() < MIN_REST_DETECTIONS or abs(peak(after)[0] - first_days) > 3:
        return None
    return (after, touched) if within_grid(after)[touched].all() else None


CURVE_CAUSES: Mapping[str, Callable] = {"outlier": outlier, "plateau": plateau}


def with_cause(curves: Sequence[Detections], cause: str) -> list[tuple[Detections, NDArray[np.bool_]]]:
    """Put a cause into all light curves that lend themselves."""
    rng = np.random.default_rng(SEED)
    cases = [CURVE_CAUSES[cause](curve, rng) for curve in curves]
    return [case for case in cases if case is not None]


def with_second_peaks(
    curves: Sequence[Detections], n_bands: int, is_fainter: bool = True
) -> list[tuple[Detections, NDArray[np.bool_]]]:
    """Add a second peak in one band drawn, or in both, to all light curves that lend themselves."""
    rng = np.random.default_rng([SEED, n_bands])
    drawn = ([0, 1] if n_bands == 2 else [int(rng.integers(2))] for _ in curves)
    cases = [second_peak(curve, rng, bands, is_fainter) for curve, bands in zip(curves, drawn, strict=True)]
    return [case for case in cases if case is not None]


def as_transient(curve: Detections) -> Transient:
    """Return an object that has a light curve and nothing else."""
    bands = np.array(GRID_BANDS)[curve.band]
    light_curve = LightCurve.of_magnitudes(
        curve.time_days, bands, curve.magnitude, curve.error_mag, np.ones(len(curve), dtype=bool)
    )
    return Transient("ZTF99aaaaaaa", "ztf", light_curve=light_curve)


def curve_reasons(curve: Detections, models: ModelSet) -> tuple[Reason, ...]:
    """Return what is said of a light curve."""
    return _reasons(as_transient(curve), models, "lightcurve")


def names_epochs(reason: Reason, curve: Detections, touched: NDArray[np.bool_]) -> bool:
    """Say whether a reason is of a touched detection's band and epoch."""
    where = reason.where
    days = curve.time_days[touched & (curve.band == GRID_BANDS.index(f"z{where['band']}"))]
    return bool(((days >= where["first_mjd"]) & (days <= where["last_mjd"])).any())


# Stamps


def real_triplets(n: int) -> list[Triplet]:
    """Return stamps of real detections of objects that are not labelled exotic."""
    from training.data.stamps import read_stamps

    table = read_stamps(SHARED / "data" / "cutouts.npz")
    triplets = table.subset(table.is_normal & table.is_pick).triplets
    return [triplets[i] for i in np.random.default_rng(SEED).permutation(len(triplets))[:n]]


def simulated_triplets(n_objects: int) -> list[Triplet]:
    """Return simulated stamps of what is no artefact."""
    triplets = []
    for item in simulate_night(SEED, n_objects).objects:
        positive = [epoch for epoch in item.epochs if epoch.isdiffpos == "t"]
        if positive and item.kind != "artefact":
            stamps = simulate(item, min(positive, key=lambda epoch: epoch.magpsf), SEED)
            triplets.append(Triplet(*(stamps[kind] for kind in KINDS)))
    return triplets


def shifted(triplet: Triplet, rng: np.random.Generator, scale: Scale = ZTF) -> tuple[Triplet, tuple[int, int]] | None:
    """Move the new source 3 to 20 pixels away; return how far, in rows and columns. None where it is too faint."""
    if second_source(triplet, np.random.default_rng(SEED), scale) is None:
        return None
    distance, angle = rng.uniform(3, 20), rng.uniform(0, 2 * np.pi)
    shift = round(distance * np.sin(angle)), round(distance * np.cos(angle))
    disc = 1 / (1 + np.exp(2 * (np.hypot(_ROWS, _COLUMNS) - 5)))
    source = disc * np.nan_to_num(triplet.difference - np.nanmedian(triplet.difference))
    change = np.roll(source, shift, axis=(0, 1)) - source
    grain = disc * rng.normal(0, noise(triplet.difference), source.shape)
    science, difference = triplet.science + change, triplet.difference + change + grain
    return Triplet(science.astype(np.float32), triplet.template, difference.astype(np.float32)), shift


CAUSES: Mapping[str, tuple[Callable, tuple[str, str]]] = {
    "source shifted": (shifted, ("difference", "off-centre")),
    "dipole": (dipole, ("difference", "dipole")),
    "host removed": (host_gone, ("template", "host missing")),
    "streak": (trail, ("difference", "trail")),
    "second source": (second_source, ("difference", "neighbour")),
    "saturation": (saturation, ("science", "saturated")),
}
"""What is done to a triplet, and the stamp and kind of the reason that names it."""


@dataclass(frozen=True)
class Named:
    """Whether one cause is named."""

    is_first: bool
    is_in_three: bool
    is_in_place: bool
    """Within :data:`SHIFT_TOLERANCE_PIXELS`, of a source that was shifted."""


def named(cause: str, triplets: Sequence[Triplet], models: ModelSet) -> list[Named]:
    """Put a cause into all stamps that lend themselves."""
    change, wanted = CAUSES[cause]
    rng, found = np.random.default_rng(SEED), []
    for triplet in triplets:
        case = change(triplet, rng, ZTF)
        if case is None or not _is_scorable(case[0]):
            continue
        reasons = _reasons(Transient("ZTF99aaaaaaa", "ztf", triplet=case[0]), models, "triplet")
        kinds = [(reason.where["stamp"], reason.where["kind"]) for reason in reasons[:3]]
        is_in_place = False
        if cause == "source shifted" and wanted in kinds:
            where = reasons[kinds.index(wanted)].where
            away = where["row"] - CENTRE - case[1][0], where["column"] - CENTRE - case[1][1]
            is_in_place = math.hypot(*away) <= SHIFT_TOLERANCE_PIXELS
        found.append(Named(kinds[:1] == [wanted], wanted in kinds, is_in_place))
    return found


def _is_scorable(triplet: Triplet) -> bool:
    try:
        stamp_tensor(triplet)
    except MissingModalityError:
        return False
    return True


def _reasons(transient: Transient, models: ModelSet, modality: str) -> tuple[Reason, ...]:
    only = replace(models, models={modality: models.models[modality]}, heads={})
    (scores,) = only.score([transient])
    return reasons_of(transient, scores, only)[modality]


# Cost


def milliseconds(models: ModelSet, n_objects: int) -> dict[str, float]:
    """Return what the reasons of one simulated object take, the mean by modality."""
    night = simulate_night(SEED, n_objects)
    database = Database()
    database.put_rows(night.rows())
    transients = []
    for item in night.objects:
        answer = object_answer(
            database,
            item.object_id,
            [candidate(e, "https://stamps.simulated") for e in item.epochs],
            night.now_jd,
            True,
        )
        transient = parse(answer)
        positive = [epoch for epoch in item.epochs if epoch.isdiffpos == "t"]
        files = render(item, min(positive, key=lambda epoch: epoch.magpsf), SEED) if positive else {}
        if files and all(files.values()):
            transient = replace(transient, triplet=Triplet(*(read_stamp(files[kind]) for kind in KINDS)))
        transients.append(transient)
    database.close()
    taken: dict[str, float] = {}
    for modality, model in models.models.items():
        only = replace(models, models={modality: model}, heads={})
        scored = [
            pair for pair in zip(transients, only.score(transients), strict=True) if _is_scored(pair[1], modality)
        ]
        for _ in range(2):  # the first warms up
            start = time.process_time()
            for transient, scores in scored:
                reasons_of(transient, scores, only)
            taken[modality] = (time.process_time() - start) / len(scored) * 1e3
    return taken


def _is_scored(scores, modality: str) -> bool:
    return isinstance(scores.modalities[modality], ModalityScore)


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--models", type=Path, help="a folder of models; those that are shipped without it")
    arguments.add_argument("-n", type=int, default=900, help="real objects, and stamps")
    options = arguments.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    models = load_models(options.models, "ztf")
    for modality, taken_ms in milliseconds(models, 150).items():
        print(f"{modality}: {taken_ms:.1f} ms an object of 150 simulated ones, one core")
    rows = real_rows(options.n)
    for move in MOVES:
        found = [[r.where["quantity"] in move.names for r in feature_reasons(t, models)] for t in moved(rows, move)]
        print(f"{move.column} moved: first {share(any(f[:1]) for f in found)}; in all {share(map(any, found))}")
    curves = real_curves(10_000)  # all: a third lend themselves to a second peak, and less
    for n_bands, is_fainter in ((1, True), (2, True), (1, False), (2, False)):
        cases = with_second_peaks(curves, n_bands, is_fainter)
        found = [[names_epochs(r, *case) for r in curve_reasons(case[0], models)] for case in cases]
        words = (
            f"second peak in {n_bands} of 2 bands, {'fainter than the first' if is_fainter else 'of any brightness'}"
        )
        print(f"{words}: strongest {share(any(f[:1]) for f in found)}; in all {share(map(any, found))}")
    for cause in CURVE_CAUSES:
        cases = with_cause(curves, cause)
        found = [[names_epochs(r, *case) for r in curve_reasons(case[0], models)] for case in cases]
        print(f"{cause}: strongest {share(any(f[:1]) for f in found)}; in all {share(map(any, found))}")
    for kind, triplets in (("real", real_triplets(options.n)), ("simulated", simulated_triplets(300))):
        untouched = [
            _reasons(Transient("ZTF99aaaaaaa", "ztf", triplet=t), models, "triplet")
            for t in triplets
            if _is_scorable(t)
        ]
        for cause, (_, wanted) in CAUSES.items():
            found = (tuple(r.where[key] for key in ("stamp", "kind")) == wanted for rs in untouched for r in rs[:1])
            print(f"{kind} stamps, nothing done, what names {cause} is first: {share(found)}")
        for cause in CAUSES:
            found = named(cause, triplets, models)
            print(f"{kind} stamps, {cause}: first {share(f.is_first for f in found)}; ", end="")
            print(f"in three {share(f.is_in_three for f in found)}", end="")
            print(f"; in its place {share(f.is_in_place for f in found)}" if cause == "source shifted" else "")


if __name__ == "__main__":
    main()
