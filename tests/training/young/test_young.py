"""Young objects, replayed: what a night knew, what is counted, and how sure of it one is."""

import csv
import io

import numpy as np
import pytest

from annotator.models.load import load_models
from annotator.surveys.values import number
from annotator.surveys.ztf.columns import Detection, lasair_columns
from training.data.table import read_table
from training.metrics.intervals import exact_share
from training.report import young as report_young
from training.young import measure
from training.young.card import young_card
from training.young.measure import by_age, chain, like_sources, n_effective, recall_at, share
from training.young.objects import is_caught_rising, real_objects, simulated_objects
from training.young.replay import AGES_DAYS, night_of, replayed
from training.young.write import as_table
from training.young.young import judged, young

COUNTS = {"SN Ia": 30, "SN II": 12, "SN Ib/c": 3, "SLSN": 10, "TDE": 10}


@pytest.fixture(scope="module")
def models():
    return load_models(None, "ztf")


@pytest.fixture(scope="module")
def sky():
    return simulated_objects(COUNTS)


@pytest.fixture(scope="module")
def of_sky(sky, models):
    return judged(sky, lambda states: models.score([state.transient for state in states]), models)


@pytest.fixture
def cheap_measures(quick_measures, monkeypatch):
    monkeypatch.setattr(measure, "N_BOOTSTRAP", 20)
    monkeypatch.setattr(measure, "N_TREES", 5)


@pytest.fixture(scope="module")
def real(shared):
    data = shared / "data"
    return real_objects(read_table(data / "object_features.csv", "ztf", data / "lightcurves.parquet"), data)


def test_a_night_knows_nothing_of_later_ones(sky):
    item = next(one for one in sky if one.is_rising)
    states = replayed([item])
    assert states[0].age_days == 0 and states[-1].age_days <= AGES_DAYS[-1]
    first = night_of(item.first_jd)
    for state in states:
        seen = [one for one in item.candidates if one["candid"] and night_of(one["jd"]) <= first + state.age_days]
        expected = lasair_columns(
            [
                Detection(one["jd"], one["fid"] == 1, one["magpsf"], one["sigmapsf"], one["isdiffpos"] == "t")
                for one in seen
            ]
        )
        assert state.transient.features["maggmin" if expected["maggmin"] else "magrmin"] == pytest.approx(
            expected["maggmin"] or expected["magrmin"]
        )
        curve = state.transient.light_curve
        assert len(curve.time_mjd) == len(seen)
        limits = [one for one in item.candidates if not one["candid"] and night_of(one["jd"]) <= first + state.age_days]
        assert len(curve.limit_time_mjd) == len(limits)


def test_stamps_are_of_the_brightest_detection_so_far(sky):
    item = next(one for one in sky if one.is_rising)
    for state in replayed([item]):
        positive = state.transient.light_curve.is_positive
        brightest = state.transient.light_curve.magnitude[positive].min()
        (epoch,) = [one for one in item.candidates if str(one["candid"]) == state.candidate_id]
        assert epoch["magpsf"] == pytest.approx(brightest)
        assert state.transient.triplet.science.shape == (63, 63)


@pytest.mark.parametrize(
    ("magnitudes", "is_rising"), [((19.5, 19.0, 18.4), True), ((18.4, 19.0, 19.5), False), ((19.0, 18.9, 18.9), False)]
)
def test_what_only_fades_or_stays_was_not_caught_rising(magnitudes, is_rising):
    candidates = [
        {"candid": number, "jd": 2460000.5 + 2 * number, "magpsf": magnitude, "isdiffpos": "t"}
        for number, magnitude in enumerate(magnitudes, 1)
    ]
    assert is_caught_rising(candidates) is is_rising


def test_a_flag_stays_once_it_was_raised(sky):
    item = sky[:1]
    states = [state for state in replayed(item) if state.age_days <= 2] * 2
    said = ["anomaly"] + ["normal"] * (len(states) - 1)
    found = chain(item, states, said, [0.9] + [0.1] * (len(states) - 1))
    assert found.is_anomaly.all() and found.is_flagged.all()
    assert not found.is_flagged_now.any()
    assert (found.exotic == 0.9).all() and (found.exotic_now == 0.1).all()


def test_shares_are_weighed_and_their_intervals_are_over_transients():
    is_so, names = np.array([True, False, False, False]), np.array(list("abcd"))
    assert share(is_so, names).value == 0.25
    assert share(is_so, names, np.array([3.0, 1.0, 1.0, 1.0])).value == 0.5
    alone = share(np.repeat(is_so, 50), np.repeat(names, 50))
    many = share(np.repeat(is_so, 50), np.arange(200).astype(str))
    assert alone.high - alone.low > 3 * (many.high - many.low)
    none = share(np.zeros(74, dtype=bool), np.arange(74).astype(str))
    assert none == exact_share(0, 74)
    assert n_effective(np.array([1.0, 1.0, 0.0])) == pytest.approx(2)
    assert share(np.zeros(0, dtype=bool), names[:0]) is None


def test_weights_make_normals_like_the_exotics_in_how_they_were_observed(of_sky):
    found, states = of_sky.chain, of_sky.states
    nights = np.bincount([state.place for state in states], minlength=len(found.objects))
    rows = ~found.is_exotic | (nights <= np.median(nights))
    weights = like_sources(found, states, rows)
    exotic = nights[rows & found.is_exotic].mean()
    before = nights[~found.is_exotic].mean()
    after = np.average(nights[~found.is_exotic], weights=weights[~found.is_exotic])
    assert abs(after - exotic) < 0.75 * abs(before - exotic)
    assert weights[~found.is_exotic].sum() == pytest.approx((~found.is_exotic).sum())
    assert (weights[found.is_exotic] == rows[found.is_exotic]).all()


def test_recall_is_at_the_value_that_so_many_normals_exceed(of_sky):
    found = of_sky.chain
    rows, ones = np.ones(len(found.objects), dtype=bool), np.ones(len(found.objects))
    perfect = recall_at(found.is_exotic.astype(float), found, rows, ones)
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)
    chance = recall_at(np.linspace(0, 1, len(rows)), found, ~found.is_exotic, ones)
    assert chance is None


def test_more_is_flagged_the_older_objects_are_and_the_simulated_exotics_before_the_normals(of_sky):
    found = of_sky.chain
    measured = by_age(found, found.is_rising, np.ones(len(found.objects)))
    for name in ("flagged_exotics", "flagged_normals", "anomaly_exotics"):
        values = [row[name].value for row in measured]
        assert values == sorted(values)
    assert measured[-1]["flagged_exotics"].value > measured[-1]["flagged_normals"].value


def test_real_objects_are_those_of_the_databank_from_their_first_detection_on(real):
    rising = [item for item in real if item.is_rising]
    recent_exotics = [item for item in rising if item.is_exotic and item.is_recent]
    assert len(recent_exotics) == 23
    assert sum(not item.is_exotic for item in rising) >= 300
    assert not any(item.type == "AGN" for item in real)
    old = [item for item in rising if not item.is_recent]
    known = sum(bool(number(item.surroundings["distance"])) for item in old) / len(old)
    assert 0.2 < known < 0.5  # a third of the rows from 2022 on have one
    assert any(state.candidate_id for state in replayed(recent_exotics))


def test_card_and_table_name_no_object_and_the_report_prints_the_table(real, of_sky, models, cheap_measures):
    some = [item for item in real if item.object_id[-1] < "k"]
    found = young(judged(some, lambda states: models.score([state.transient for state in states]), models), of_sky)
    card, rows = young_card(found, models), list(csv.DictReader(io.StringIO(as_table(found).decode())))
    assert "ZTF1" not in card and "ZTF2" not in card
    assert {row["population"] for row in rows} == {"recent", "eras", "like", "simulated", "any"}
    headline = next(
        row for row in rows if (row["population"], row["days"], row["figure"]) == ("recent", "5", "flagged_exotics")
    )
    assert float(headline["low"]) <= float(headline["value"]) <= float(headline["high"])
    blocks = report_young.blocks(rows)
    grids = [block for block in blocks if hasattr(block, "rows")]
    assert len(grids) == 5
    assert f"{100 * float(headline['value']):.0f} [" in grids[0].rows[0][3]
    assert report_young.blocks([]) == []
