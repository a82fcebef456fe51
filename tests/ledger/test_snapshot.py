import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from annotator.bands import BANDS
from annotator.errors import LedgerError
from annotator.ledger.snapshot import (
    model_scores_json,
    read_model_scores,
    read_snapshot,
    stamps_bytes,
    transient_json,
)
from annotator.models import ModalityScore
from annotator.surveys import SURVEYS
from annotator.transient import CutoutReference, LightCurve, Transient, Triplet

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def kept(transient: Transient) -> Transient:
    return read_snapshot(transient_json(transient), stamps_bytes(transient))


def assert_same(found: object, expected: object) -> None:
    """Compare to the last bit, arrays and their types included."""
    if isinstance(expected, np.ndarray):
        assert found.dtype.kind == expected.dtype.kind
        np.testing.assert_array_equal(found, expected)
    elif dataclasses.is_dataclass(expected):
        assert type(found) is type(expected)
        for field in dataclasses.fields(expected):
            assert_same(getattr(found, field.name), getattr(expected, field.name))
    else:
        assert found == expected


def curve(n: int, limits: int = 0) -> LightCurve:
    random = np.random.default_rng(n)
    return LightCurve(
        time_mjd=60_000 + random.random(n).cumsum(),
        band=random.choice([*BANDS], n),
        flux_njy=random.normal(0, 1e4, n),
        flux_error_njy=np.where(random.random(n) < 0.3, np.nan, random.random(n)),
        is_forced=random.random(n) < 0.8,
        limit_time_mjd=59_990 + random.random(limits),
        limit_band=np.array(["zg"] * limits, dtype="<U2"),
        limit_flux_njy=np.full(limits, 2291.0),
    )


@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_light_curve_comes_back_as_it_was(n):
    transient = Transient("ZTF99aaaaaaa", "ztf", light_curve=curve(n, limits=n))
    assert_same(kept(transient), transient)


@given(
    hnp.arrays(np.float32, (3, 5, 4), elements=st.floats(width=32)),
    st.one_of(st.none(), FINITE),
    st.dictionaries(st.text(), FINITE),
)
def test_stamps_and_numbers_come_back_to_the_bit(pixels, time_mjd, features):
    transient = Transient(
        "ZTF99aaaaaaa",
        "ztf",
        features=features,
        n_det=3,
        triplet=Triplet(*pixels, time_mjd=time_mjd, is_negative=time_mjd is not None),
        cutouts=CutoutReference("a", "b", "c", 60_000.25, is_negative=True),
        why_missing={"lightcurve": "none"},
        extras={"rb": 0.5},
    )
    assert_same(kept(transient), transient)


def test_stamps_of_different_shapes_are_not_kept_and_the_rest_is():
    stamps = [np.zeros((63, 63), np.float32), np.zeros((63, 63), np.float32), np.zeros((63, 40), np.float32)]
    found = kept(Transient("ZTF99aaaaaaa", "ztf", n_det=4, triplet=Triplet(*stamps)))
    assert found.triplet is None and found.n_det == 4


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"light_curve": None})])
def test_what_cannot_be_read_is_said(text):
    with pytest.raises(LedgerError, match="cannot be read"):
        read_snapshot(text, None)


def test_a_simulated_night_comes_back_with_the_same_scores(night, all_models):
    transients = [
        SURVEYS["ztf"].parse(item.columns | {"classification": item.sherlock["classification"]})
        for item in night.objects[:40]
    ]
    assert all_models.score([kept(item) for item in transients]) == all_models.score(transients)


NUMBERS = st.dictionaries(st.text(max_size=5), FINITE, max_size=3)
SCORES = st.builds(
    ModalityScore,
    score=FINITE,
    error=FINITE,
    residual=st.lists(FINITE, max_size=4).map(tuple),
    latent=st.lists(FINITE, max_size=4).map(tuple),
    is_extrapolated=st.booleans(),
    prior=st.none() | FINITE,
    numbers=NUMBERS,
)


@given(st.dictionaries(st.sampled_from(["features", "lightcurve", "triplet"]), SCORES))
def test_what_the_models_said_is_read_back_to_the_last_bit(said):
    assert read_model_scores(model_scores_json(said)) == said


@pytest.mark.parametrize("text", ["[]", "{", '{"features": {}}', '{"features": 1}'])
def test_what_no_model_said_is_refused(text):
    with pytest.raises(LedgerError, match="cannot be read"):
        read_model_scores(text)
