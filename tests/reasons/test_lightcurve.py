import numpy as np
import pytest

from annotator.models import ModalityScore
from annotator.preprocess.lightcurve import Detections
from annotator.reasons.lightcurve import MAX_GAP_DAYS, candidate_runs, find
from annotator.transient import LightCurve, Transient
from tests.benchmarks import known_causes as causes


def runs(days: list[float], deviation: list[float], band: list[int] | None = None) -> list[list[int]]:
    """Places of each run, among ten more detections as expected, which a run may not outnumber."""
    more = np.arange(10) + 1000.0
    curve = Detections(
        time_days=np.concatenate([days, more]),
        band=np.array((band or [0] * len(days)) + [1] * len(more)),
        magnitude=np.full(len(days) + len(more), 19.0),
        error_mag=np.full(len(days) + len(more), 0.1),
    )
    found = candidate_runs(curve, np.concatenate([deviation, np.zeros(len(more))]))
    return sorted(np.flatnonzero(run).tolist() for run in found)


def test_a_run_is_of_one_direction_and_one_band():
    assert runs([0, 2, 4, 6], [3, 2, -2, -3]) == [[0, 1], [2, 3]]
    assert runs([0, 2, 4, 6], [3, 2, 2, 3], band=[0, 1, 0, 1]) == [[0, 2], [1, 3]]


def test_a_run_goes_on_over_one_detection_that_stands_out_in_no_direction_and_over_no_second():
    assert runs([0, 2, 4], [3, 0.1, 3]) == [[0, 1, 2]]
    assert runs([0, 2, 4, 6], [3, 0.1, 0.1, 3]) == [[0], [3]]


def test_a_run_ends_at_a_gap():
    assert runs([0, MAX_GAP_DAYS], [3, 3]) == [[0, 1]]
    assert runs([0, MAX_GAP_DAYS + 0.1], [3, 3]) == [[0], [1]]


def test_what_is_as_expected_and_what_is_most_of_the_curve_is_no_run():
    assert runs([0, 2, 4], [0.5, -0.5, 0.9]) == []
    assert runs(list(range(0, 22, 2)), [3] * 11) == []


def test_a_curve_without_the_bands_of_the_grid_has_no_reason(all_models):
    time_mjd = np.arange(61000.0, 61008.0)
    curve = LightCurve(time_mjd, np.array(["i", "z"] * 4), np.full(8, 5e3), np.full(8, 1e2), np.zeros(8, dtype=bool))
    scored = ModalityScore(2.0, 1.0, (), (), numbers={"error": 1.0})
    assert find(Transient("1", "ztf", {}, light_curve=curve), scored, all_models.models["lightcurve"]) == ()


@pytest.mark.parametrize(("cause", "floor"), [("outlier", 0.85), ("plateau", 0.70)])
def test_what_was_done_to_a_real_light_curve_is_the_strongest_reason(cause, floor, all_models, shared):
    cases = causes.with_cause(causes.real_curves(400), cause)
    found = [causes.curve_reasons(curve, all_models)[:1] for curve, _ in cases]
    named = causes.share(
        bool(first) and causes.names_epochs(first[0], *case) for first, case in zip(found, cases, strict=True)
    )
    assert named.n >= 80 and named.value >= floor
