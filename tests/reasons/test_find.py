import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotator.annotation import MAX_EXPLANATION
from annotator.bands import BANDS
from annotator.models import ModalityScore, load_models
from annotator.preprocess.lightcurve import GRID_DAYS, grid, peak, usable_detections
from annotator.preprocess.quantities import QUANTITY_NAMES
from annotator.preprocess.triplet import CENTRE, SIDE
from annotator.reasons.features import WORDS
from annotator.reasons.find import reasons_of
from annotator.reasons.reason import MAX_REASONS, Reason, from_json, to_json
from annotator.reasons.sentence import explain
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.columns import FEATURES
from annotator.surveys.ztf.parse import parse
from annotator.transient import LightCurve, Transient, Triplet
from tests.benchmarks import known_causes as causes
from tests.conftest import examples

MODELS = load_models(Path(__file__).parents[2] / "onnx_models", "ztf")
SAFE = re.compile(r"[A-Za-z0-9 .,:;+\-_/()=<>]+")
KEYS = {
    "features": {"quantity", "value", "percentile"},
    "lightcurve": {"band", "first_mjd", "last_mjd", "difference_mag", "detections"},
    "triplet": {"stamp", "row", "column", "radius", "kind"},
}


def reasons(transient: Transient) -> dict[str, tuple[Reason, ...]]:
    (scores,) = MODELS.score([transient])
    return reasons_of(transient, scores, MODELS)


def of_features(**changes) -> tuple[Reason, ...]:
    return reasons(parse(causes.ORDINARY | changes))["features"]


# Features


def test_a_share_is_the_part_of_the_oddity_that_goes_away_where_the_column_is_missing():
    """By a second way: the columns that only this quantity is made of are taken out of the record."""
    far = parse(causes.ORDINARY | {"separationArcsec": 900.0})
    named = reasons(far)["features"][0]
    assert named.where == {"quantity": "host_separation", "value": 900.0, "percentile": 99.8}
    without = dataclasses.replace(far, features={k: v for k, v in far.features.items() if k != "separationArcsec"})
    before, after = (scores.modalities["features"].numbers["oddity"] for scores in MODELS.score([far, without]))
    assert named.share == pytest.approx((before - after) / before, abs=1e-4) and named.share > 0.2


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("dmdt_r", 1.2, "r brightened 1.2 mag/day, beyond the 99.8th percentile of normals"),
        ("dmdt_r", -1.2, "r faded 1.2 mag/day, beyond the 99.8th percentile of normals"),
        ("rmag", 16.0, "latest r 16.0 mag, beyond the 0.2th percentile of normals"),
        ("rmag", 22.0, "r 3.1 mag fainter than its 28-day mean, beyond the 99.8th percentile of normals"),
        ("separationArcsec", 41.0, "41 arcsec from the host that Sherlock found"),
        ("separationArcsec", 0.04, "0.04 arcsec from the host that Sherlock found"),
    ],
)
def test_what_is_said_has_the_direction_the_unit_and_the_place_among_normals(column, value, words):
    assert any(reason.words.startswith(words) for reason in of_features(**{column: value}))


def test_every_feature_and_quantity_has_words_with_the_value_that_survive_lasair_s_sql():
    for name in (*(feature.quantity for feature in FEATURES), *QUANTITY_NAMES):
        for value in (1234.5, 0.3, 0.0, -2.0):
            assert SAFE.fullmatch(WORDS[name](value)), name
    assert WORDS["host_separation_kpc"](1236.0) == "1236 kpc in projection from the host that Sherlock found"
    assert WORDS["fade_r"](0.0) == "r has not faded since its peak"


def test_a_rare_class_by_sherlock_is_named():
    assert any(reason.words == "class AGN by Sherlock" for reason in of_features(classification="AGN"))


@pytest.mark.parametrize("move", causes.MOVES, ids=lambda move: move.column)
def test_a_feature_that_was_moved_in_simulated_rows_is_among_what_is_said(move, night):
    found = [
        any(reason.where["quantity"] in move.names for reason in causes.feature_reasons(transient, MODELS))
        for transient in causes.moved(night.rows(), move)
    ]
    assert len(found) >= 40 and causes.share(found).value >= 0.95


@pytest.mark.parametrize("move", causes.MOVES, ids=lambda move: move.column)
def test_a_feature_that_was_moved_in_real_rows_is_among_what_is_said(move, shared):
    found = [
        any(reason.where["quantity"] in move.names for reason in causes.feature_reasons(transient, MODELS))
        for transient in causes.moved(causes.real_rows(100), move)
    ]
    assert len(found) >= 60 and causes.share(found).value >= 0.95


# Light curves


def light_curve(**changes: tuple[float, float, float]) -> LightCurve:
    """A supernova as the model knows one, every second day; magnitudes of some days of a band are changed."""
    days = np.arange(-12.0, 60.0, 2.0)
    n = len(days)
    curve = LightCurve.of_magnitudes(
        time_mjd=np.concatenate([61000.0 + days, 61000.01 + days]),
        band=np.array(["zg"] * n + ["zr"] * n),
        magnitude=np.concatenate([18.0 + np.where(days < 0, 0.012 * days**2, slope * days) for slope in (0.05, 0.03)]),
        magnitude_error=np.full(2 * n, 0.05),
        sign=np.ones(2 * n),
    )
    for _ in range(3):  # what it makes of it, what it makes of that, and so on, is ever more as it expects
        detections = usable_detections(curve)
        about = peak(detections)
        (shown,) = MODELS.models["lightcurve"].reconstruct({"lightcurve": grid([detections], [about])})[
            "reconstruction"
        ]
        phase = curve.time_mjd - about[0]
        magnitude = about[1] - np.where(curve.band == "zg", *(np.interp(phase, GRID_DAYS, values) for values in shown))
        curve = with_magnitude(curve, magnitude)
    day = np.floor(curve.time_mjd - 61000.0)
    magnitude = curve.magnitude
    for letter, (first, last, shift_mag) in changes.items():
        magnitude[(curve.band == f"z{letter}") & (day >= first) & (day <= last)] += shift_mag
    return with_magnitude(curve, magnitude)


def with_magnitude(curve: LightCurve, magnitude: np.ndarray) -> LightCurve:
    return LightCurve.of_magnitudes(curve.time_mjd, curve.band, magnitude, curve.magnitude_error, np.ones(len(curve)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"r": (20, 20, -1.5)}, r"r 1\.[3-7] mag brighter than expected on 2025-12-11"),
        ({"g": (20, 20, 1.5)}, r"g 1\.[3-7] mag fainter than expected on 2025-12-11"),
        (
            {"g": (30, 40, -1.5)},
            r"g 1\.[1-9] mag brighter than expected from 2025-12-21 to 2025-12-31 \(6 detections\)",
        ),
    ],
)
def test_epochs_that_were_moved_are_named_with_their_band_direction_size_and_dates(change, words):
    found = reasons(Transient("x", "ztf", light_curve=light_curve(**change)))["lightcurve"][0]
    assert re.fullmatch(words, found.words)
    ((band, (first, last, shift_mag)),) = change.items()
    where = found.where
    assert (where["band"], where["detections"]) == (band, (last - first) // 2 + 1)
    assert math.floor(where["first_mjd"]) == 61000 + first and math.floor(where["last_mjd"]) == 61000 + last
    assert where["difference_mag"] == pytest.approx(shift_mag, rel=0.3) and found.share > 0.3


def test_runs_that_are_named_share_no_detection():
    transient = Transient("x", "ztf", light_curve=light_curve(g=(20, 24, -1.5), r=(40, 46, 1.0)))
    seen: dict[str, list[tuple[float, float]]] = {"g": [], "r": []}
    for reason in reasons(transient)["lightcurve"]:
        where = reason.where
        assert all(where["first_mjd"] > last or where["last_mjd"] < first for first, last in seen[where["band"]])
        seen[where["band"]].append((where["first_mjd"], where["last_mjd"]))


@pytest.fixture(scope="module")
def real_curves(shared):
    return causes.real_curves(1800)


@pytest.mark.parametrize(("n_bands", "floor"), [(1, 0.88), (2, 0.88)])
def test_a_second_peak_in_a_real_light_curve_is_the_strongest_reason(n_bands, floor, real_curves):
    cases = causes.with_second_peaks(real_curves, n_bands)
    found = [causes.curve_reasons(curve, MODELS)[:1] for curve, _ in cases]
    named = causes.share(
        bool(first) and causes.names_epochs(first[0], *case) for first, case in zip(found, cases, strict=True)
    )
    assert named.n >= 200 and named.value >= floor


# Stamps


FLOORS = {
    "source shifted": (0.80, 0.90),
    "dipole": (0.75, 0.82),
    "host removed": (0.48, 0.55),  # where it was the only light within 5 pixels
    "streak": (0.90, 0.95),
    "second source": (0.75, 0.85),
    "saturation": (0.68, 0.70),
}
"""Of real and of simulated stamps: in how many the cause is among the first three reasons (of a source that was
shifted: with its place within 1.5 pixels)."""


def named(cause: str, triplets: list[Triplet]) -> causes.Share:
    found = causes.named(cause, triplets, MODELS)
    return causes.share(item.is_in_place if cause == "source shifted" else item.is_in_three for item in found)


@pytest.fixture(scope="module")
def real_triplets(shared):
    return causes.real_triplets(150)


@pytest.fixture(scope="module")
def simulated_triplets():
    return causes.simulated_triplets(150)


@pytest.mark.parametrize("cause", causes.CAUSES)
def test_what_was_done_to_real_stamps_is_named(cause, real_triplets):
    found = named(cause, real_triplets)
    assert found.n >= 50 and found.value >= FLOORS[cause][0]


@pytest.mark.parametrize("cause", causes.CAUSES)
def test_what_was_done_to_simulated_stamps_is_named(cause, simulated_triplets):
    found = named(cause, simulated_triplets)
    assert found.n >= 30 and found.value >= FLOORS[cause][1]


def test_a_place_in_the_stamps_is_told_in_arcsec_of_the_survey_s_pixels(simulated_triplets):
    transient, shift = next(
        (Transient("x", "ztf", triplet=case[0]), case[1])
        for triplet in simulated_triplets
        if (case := causes.shifted(triplet, np.random.default_rng(4)))
    )
    first = reasons(transient)["triplet"][0]
    distance = math.hypot(first.where["row"] - CENTRE, first.where["column"] - CENTRE)
    assert distance == pytest.approx(math.hypot(*shift), abs=1.5)
    arcsec = int(re.fullmatch(r"source in the difference (\d+) arcsec off centre", first.words)[1])
    assert arcsec == pytest.approx(distance * SURVEYS["ztf"].pixel_arcsec, abs=0.51)


# Any object


def test_reasons_are_the_same_after_json(night):
    for row in night.rows()[:20]:
        found = reasons(parse(row))
        assert from_json(to_json(found)) == found
        assert json.loads(to_json(found)).keys() == found.keys()


_FLOATS = st.floats(allow_nan=True, allow_infinity=True, width=64) | st.floats(-1e6, 1e6)


@st.composite
def _light_curves(draw) -> LightCurve:
    n = draw(st.integers(0, 14))
    start = draw(st.sampled_from([0.0, 61000.0, -3e5, 1e9]))
    return LightCurve(
        time_mjd=start + np.array(draw(st.lists(st.floats(0, 90), min_size=n, max_size=n)), dtype=np.float64),
        band=np.array(draw(st.lists(st.sampled_from([*BANDS]), min_size=n, max_size=n)), dtype="<U2"),
        flux_njy=np.array(draw(st.lists(_FLOATS, min_size=n, max_size=n)), dtype=np.float64),
        flux_error_njy=np.array(
            draw(st.lists(st.floats(1.0, 1e4) | st.just(math.nan), min_size=n, max_size=n)), dtype=np.float64
        ),
        is_forced=np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool),
    )


@st.composite
def _triplets(draw) -> Triplet:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stamps = rng.normal(0.0, 10.0, (3, draw(st.sampled_from([SIDE, SIDE, 40])), SIDE))
    for _ in range(draw(st.integers(0, 4))):
        stamp, row, column = draw(st.tuples(st.integers(0, 2), st.integers(0, 38), st.integers(0, SIDE - 1)))
        height = draw(st.sampled_from([math.nan, -1e4, -100.0, 100.0, 1e4, 1e9, 1e31]))
        stamps[stamp, row : row + draw(st.integers(1, 5)), column : column + draw(st.integers(1, 60))] = height
    return Triplet(*stamps.astype(np.float32))


_TRANSIENTS = st.builds(
    Transient,
    st.just("ZTF99aaaaaaa"),
    st.just("ztf"),
    features=st.fixed_dictionaries({}, optional={f.name: st.floats(f.low, f.high) for f in FEATURES}),
    sherlock_class=st.none() | st.sampled_from(["SN", "AGN", "ORPHAN", "NEW"]),
    light_curve=st.none() | _light_curves(),
    triplet=st.none() | _triplets(),
    extras=st.fixed_dictionaries(
        {},
        optional={
            "age_days": st.floats(0, 60),
            "distance_mpc": st.floats(1e-3, 1e6),
            "physical_separation_kpc": st.floats(0, 1e6),
        },
    ),
)


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])
@given(_TRANSIENTS)
def test_whatever_the_object_is_its_reasons_are_safe_and_its_sentence_is_short(transient):
    (scores,) = MODELS.score([transient])
    found = reasons_of(transient, scores, MODELS)
    assert found.keys() == {n for n, item in scores.modalities.items() if isinstance(item, ModalityScore)}
    for modality, items in found.items():
        assert len(items) <= MAX_REASONS
        for item in items:
            assert SAFE.fullmatch(item.words) and len(item.words) <= 120 and not item.words.endswith(".")
            assert 0 <= item.share <= 1 and item.where.keys() == KEYS[modality]
            assert all(isinstance(v, str) or math.isfinite(v) for v in item.where.values())
    assert from_json(to_json(found)) == found
    for classification in ("anomaly", "watch", "normal", "artefact"):
        sentence = explain(transient, scores, classification, found)
        assert SAFE.fullmatch(sentence) and len(sentence) <= MAX_EXPLANATION and "..." not in sentence
