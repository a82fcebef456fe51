import dataclasses
import datetime
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from annotator.cli import main
from annotator.lasair.filters import load_filter
from annotator.ledger import Ledger
from annotator.models.distribution import Distribution, bin_of
from annotator.monitor.drift import (
    FALSE_ALARM_RATE,
    MIN_OBJECTS,
    MIN_STABILITY_INDEX,
    drift_text,
    ks,
    ks_p_value,
    population_stability,
    shifts,
    stability_p_value,
)
from annotator.monitor.status import read_status, status_text
from annotator.nights import date_of, night_of
from annotator.passes.run import run_pass
from annotator.sandbox.kafka import filter_rows
from annotator.surveys.ztf.columns import FEATURE_NAMES
from annotator.surveys.ztf.parse import parse
from tests.conftest import copy_features_model, of_the_long_suite
from training.data.table import read_table
from training.metrics.distributions import distributions_of

Observed = Mapping[str, float | None]

N_WATCHED = 20
N_TRAINED = 3000
NIGHT_SIZES = (MIN_OBJECTS, 1000, *of_the_long_suite(60, 100, 300))


def counted(objects: Sequence[Observed], distributions: Sequence[Distribution]) -> dict[str, list[int]]:
    counts = {item.name: [0] * (len(item.shares) + 1) for item in distributions}
    for observed in objects:
        for item in distributions:
            counts[item.name][bin_of(item, observed[item.name])] += 1
    return counts


def population(rng: np.random.Generator, n: int, moved_by: float = 0.0) -> list[Observed]:
    """Draw objects whose numbers go with one another; q0 is missing in a tenth, and moves by so many deviations."""
    common = rng.normal(size=(n, 1))
    values = (common + rng.normal(size=(n, N_WATCHED))) / 2**0.5
    values[:, 0] += moved_by
    is_there = rng.uniform(size=n) > 0.1
    return [
        {f"q{number}": value if number or there else None for number, value in enumerate(row)}
        for row, there in zip(values.tolist(), is_there, strict=True)
    ]


@pytest.fixture(scope="module")
def trained() -> tuple[Distribution, ...]:
    return distributions_of("features", population(np.random.default_rng(1), N_TRAINED))


# --- the measures


DISTRIBUTIONS = st.builds(
    lambda values: distributions_of("features", [{"x": value} for value in values])[0],
    st.lists(st.none() | st.floats(-1e3, 1e3), min_size=1, max_size=80),
)
VALUES = st.none() | st.floats(allow_nan=False)


@given(DISTRIBUTIONS, VALUES)
def test_every_value_is_in_one_bin_between_its_edges(distribution, value):
    number = bin_of(distribution, value)
    if value is None:
        assert number == len(distribution.shares) == len(distribution.edges) + 1
    else:
        bounds = [-np.inf, *distribution.edges, np.inf]
        assert bounds[number] <= value and (value < bounds[number + 1] or value == np.inf)


@given(DISTRIBUTIONS, st.lists(VALUES, min_size=1, max_size=50))
def test_the_index_is_never_negative_and_d_is_a_share(distribution, values):
    counts = counted([{"x": value} for value in values], [distribution])["x"]
    index, d = population_stability(counts, distribution), ks(counts, distribution)
    assert index >= 0 and -1e-9 <= d <= 1 + 1e-9
    for p_value in (stability_p_value(index, len(values), distribution), ks_p_value(d, len(values), distribution)):
        assert 0 <= p_value <= 1


def test_a_night_distributed_exactly_as_in_training_has_neither_index_nor_d():
    distribution = Distribution("x", "features", (0.0, 1.0), (0.25, 0.5, 0.25), 0.2, 1000)
    assert population_stability([20, 40, 20, 20], distribution) < 1e-4
    assert ks([20, 40, 20, 20], distribution) < 1e-12


def test_the_index_is_the_published_formula_where_no_bin_is_small():
    distribution = Distribution("x", "features", (0.0,), (0.1, 0.9), 0.0, 10**9)
    expected = (0.5 - 0.1) * np.log(0.5 / 0.1) + (0.5 - 0.9) * np.log(0.5 / 0.9)
    assert population_stability([10**9, 10**9, 0], distribution) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("n", NIGHT_SIZES)
def test_d_is_scipys_of_the_two_samples_bins_and_its_p_value_is_not_below_scipys(n, trained):
    rng = np.random.default_rng(n)
    training = [bin_of(trained[0], item["q0"]) for item in population(np.random.default_rng(1), N_TRAINED)]
    night = population(rng, n, moved_by=0.3)
    d = ks(counted(night, trained)["q0"], trained[0])
    expected = stats.ks_2samp(training, [bin_of(trained[0], item["q0"]) for item in night], method="asymp")
    assert d == pytest.approx(expected.statistic, abs=1e-9)
    assert ks_p_value(d, n, trained[0]) >= expected.pvalue * 0.9


@pytest.mark.parametrize("n_bins", [2, 5, 11])
def test_the_tail_of_the_index_is_scipys_chi_squared(n_bins):
    distribution = Distribution("x", "features", tuple(range(n_bins - 2)), (1 / (n_bins - 1),) * (n_bins - 1), 0.0, 500)
    for p_value in (0.5, 0.1, 0.01, 1e-3):
        index = stats.chi2.isf(p_value, n_bins - 1) * (1 / 100 + 1 / 500)
        assert stability_p_value(index, 100, distribution) == pytest.approx(p_value, rel=0.25)


@pytest.mark.parametrize("n", NIGHT_SIZES)
def test_on_nights_like_training_neither_p_value_is_small_more_often_than_it_says(n, trained):
    rng = np.random.default_rng(n)
    n_nights, level = 2000, 0.05
    nights = rng.multinomial(n, trained[0].all_shares(), size=n_nights).tolist()
    # The training sample varies too: it is drawn anew from the same shares.
    samples = rng.multinomial(N_TRAINED, trained[0].all_shares(), size=n_nights) / N_TRAINED
    small = np.zeros(2)
    for counts, shares in zip(nights, samples.tolist(), strict=True):
        present = 1 - shares[-1]
        drawn = msgspec.structs.replace(
            trained[0], shares=tuple(share / present for share in shares[:-1]), missing_share=shares[-1]
        )
        index = population_stability(counts, drawn)
        small += [stability_p_value(index, n, drawn) <= level, ks_p_value(ks(counts, drawn), n, drawn) <= level]
    assert max(small) <= stats.binom.ppf(0.9999, n_nights, level)
    assert min(small) > 0


# --- the decision


@pytest.mark.parametrize("n", NIGHT_SIZES)
def test_pseudo_nights_of_the_trained_population_stay_silent_at_the_stated_rate(n, trained):
    rng = np.random.default_rng(10 + n)
    pool = population(rng, 50_000)
    bins = {item.name: np.array([bin_of(item, observed[item.name]) for observed in pool]) for item in trained}
    n_nights = 1000
    alarms = beyond_the_usual_rule = 0
    for _ in range(n_nights):
        drawn = rng.integers(len(pool), size=n)
        counts = {
            item.name: np.bincount(bins[item.name][drawn], minlength=len(item.shares) + 1).tolist() for item in trained
        }
        alarms += bool(shifts(counts, trained))
        beyond_the_usual_rule += any(
            population_stability(counts[item.name], item) >= MIN_STABILITY_INDEX for item in trained
        )
    assert stats.binomtest(alarms, n_nights).proportion_ci(0.98, "exact").high <= FALSE_ALARM_RATE
    if n == MIN_OBJECTS:  # without regard to the sample's size it would be an alarm on most nights
        assert beyond_the_usual_rule > n_nights / 2


@pytest.mark.parametrize(("n", "moved_by"), [(MIN_OBJECTS, 1.8), (100, 1.0), (1000, 0.7)])
def test_what_has_moved_is_found_and_nothing_else(n, moved_by, trained):
    rng = np.random.default_rng(n)
    found = [
        [shift.name for shift in shifts(counted(population(rng, n, moved_by), trained), trained)] for _ in range(100)
    ]
    assert sum(names == ["q0"] for names in found) >= 95


def test_a_trifle_is_no_drift_however_many_objects_prove_it(trained):
    rng = np.random.default_rng(3)
    proved = msgspec.structs.replace(trained[0], n=10**7)
    night = counted(population(rng, 50_000, moved_by=0.2), trained)
    index = population_stability(night["q0"], proved)
    assert stability_p_value(index, 50_000, proved) < 1e-9 and index < MIN_STABILITY_INDEX
    assert shifts(night, [proved]) == []


def test_values_that_have_gone_missing_are_drift(trained):
    night = [{**item, "q3": None} for item in population(np.random.default_rng(4), 50)]
    assert [shift.name for shift in shifts(counted(night, trained), trained)] == ["q3"]


def test_what_is_not_there_or_in_too_few_objects_is_not_judged(trained):
    night = population(np.random.default_rng(5), MIN_OBJECTS - 1, moved_by=10.0)
    counts = counted(night, trained)
    assert shifts(counts, trained) == [] and shifts({}, trained) == []
    counts["q0"][-2] += 1
    assert [shift.name for shift in shifts(counts, trained)] == ["q0"]


# --- in words


def test_each_modality_is_said_of_its_last_night_with_enough_objects():
    rng = np.random.default_rng(6)
    trained = [
        Distribution(name, modality, (0.0,), (0.5, 0.5), 0.0, 3000)
        for name, modality in (("gmag", "features"), ("rmag", "features"), ("triplet_peak", "triplet"))
    ] + [Distribution("lightcurve_days", "lightcurve", (0.0,), (0.5, 0.5), 0.0, 3000)]
    night = night_of(datetime.datetime(2026, 11, 20, 23, tzinfo=datetime.UTC).timestamp())
    as_trained = rng.multinomial(200, [0.5, 0.5]).tolist()
    nights = {
        night - 1: {"gmag": [500], "rmag": [500], "triplet_peak": as_trained, "lightcurve_days": [20]},
        night: {"gmag": [10, 190], "rmag": [180, 20], "triplet_peak": [20], "lightcurve_days": [15]},
    }
    features, triplet, lightcurve = drift_text(nights, trained)
    assert re.fullmatch(
        r"gmag, rmag have moved \(gmag most: PSI \d\.\d\d, KS 0\.45 of 200 objects on the night of 2026-11-20\); "
        r"scores of features are not comparable with the card",
        features,
    )
    assert triplet == "triplet: as in training (200 objects on the night of 2026-11-19)"
    assert lightcurve == "lightcurve: too few objects to tell, 30 in a night are needed"


def test_what_was_counted_in_other_bins_is_not_taken_for_what_is_counted_now():
    trained = [Distribution("gmag", "features", (0.0,), (0.5, 0.5), 0.0, 3000)]
    assert drift_text({1: {"gmag": [0, 0, 0, 500]}}, trained) == [
        "features: too few objects to tell, 30 in a night are needed"
    ]


# --- real objects


@dataclass(frozen=True)
class Databank:
    """What is observed of real objects."""

    trained: tuple[Distribution, ...]
    """Inputs of bins 0 to 7, on which the shipped model was trained; scores and errors of bin 8, since of what it was
    trained on they are lower: that alone is told as a drift by some nights of 100 objects."""
    held_out: list[Observed]
    """Bins 8 and 9."""
    unseen: list[Observed]
    """Bin 9."""


@pytest.fixture(scope="module")
def databank(shared, models) -> Databank:
    table = read_table(shared / "data" / "object_features.csv", "ztf")
    scores = models.score([parse(row) for row in table.rows])
    of_bins: list[list[Observed]] = [[] for _ in range(10)]
    for number, item in zip(table.folds.tolist(), scores, strict=True):
        of_bins[number].append(item.modalities["features"].observed)
    inputs = [{name: item[name] for name in FEATURE_NAMES} for part in of_bins[:8] for item in part]
    verdicts = [{name: item[name] for name in ("features_score", "features_error")} for item in of_bins[8]]
    trained = distributions_of("features", inputs) + distributions_of("features", verdicts)
    return Databank(trained, of_bins[8] + of_bins[9], of_bins[9])


@pytest.mark.parametrize("n", NIGHT_SIZES)
def test_pseudo_nights_of_held_out_real_objects_stay_silent(n, databank):
    rng = np.random.default_rng(n)
    inputs = [item for item in databank.trained if item.name in FEATURE_NAMES]
    for objects, watched in ((databank.held_out, inputs), (databank.unseen, databank.trained)):
        alarms = [
            shifts(counted([objects[number] for number in rng.integers(len(objects), size=n)], watched), watched)
            for _ in range(100)
        ]
        assert alarms == [[]] * 100


@pytest.mark.parametrize(
    ("name", "passes"),
    [("rmag", lambda item: item["rmag"] < 18.5), ("dmdt_g", lambda item: (item["dmdt_g"] or -1) > 0.1)],
    ids=["rmag", "dmdt_g"],
)
def test_a_filter_that_has_shifted_is_told_by_the_feature_it_selects_on(name, passes, databank):
    kept = [item for item in databank.held_out if passes(item)]
    rng = np.random.default_rng(7)
    told = 0
    for _ in range(100):
        night = counted([kept[number] for number in rng.integers(len(kept), size=60)], databank.trained)
        moved = shifts(night, databank.trained)
        told += name in [item.name for item in moved[:2]]  # the 2-day mean of a magnitude says nearly the same
    assert told >= 99


# --- the whole job


def test_a_pass_counts_the_night_and_the_status_says_what_has_moved(sandbox, configure, models, tmp_path):
    rows = filter_rows(sandbox.database, load_filter("input_ztf"))
    observed = [item.modalities["features"].observed for item in models.score([parse(row) for row in rows])]
    faster = [
        {**item, "dmdt_g": None if item["dmdt_g"] is None else item["dmdt_g"] + 1.0, "lightcurve_days": 10.0}
        for item in observed
    ]
    moment = time.time()
    evening = date_of(night_of(moment))
    for of_training, said in (
        (observed, rf"features: as in training \({len(rows)} objects on the night of {evening}\)"),
        (
            faster,
            rf"dmdt_g has moved \(PSI \d+\.\d\d, KS 0\.\d\d of {len(rows)} objects on the night of {evening}\); "
            "scores of features are not comparable with the card",
        ),
    ):
        folder = tmp_path / ("as_trained" if of_training is observed else "moved")
        folder.mkdir()
        trained = distributions_of("features", of_training)
        copied = copy_features_model(folder, distributions=[msgspec.to_builtins(item) for item in trained])
        config = configure(sandbox, models=str(copied), ledger=str(folder / "ledger.sqlite"))
        run_pass(config, dataclasses.replace(models, distributions=trained), clock=lambda: moment)
        with Ledger(config.ledger) as ledger:
            (counts,) = ledger.counts.of_bins(models.version).values()
        by_hand = counted(observed, [item for item in trained if item.name in observed[0]])
        assert {name: sum(of_name) for name, of_name in counts.items()} == dict.fromkeys(by_hand, len(rows))
        assert all(of_name == by_hand[name][: len(of_name)] for name, of_name in counts.items())
        status = read_status(config, moment + 60)
        (sentence,) = status.models.drift
        assert re.fullmatch(said, sentence)
        assert f"drift      {sentence}" in status_text(status).splitlines()
        assert status.attention == () and status.to_dict()["drift"] == (sentence,)


def test_models_without_distributions_are_said_to_have_none(sandbox, configure, models, tmp_path, capsys):
    config = configure(sandbox, models=str(copy_features_model(tmp_path, distributions=[])))
    run_pass(config, dataclasses.replace(models, distributions=()))
    with Ledger(config.ledger) as ledger:
        assert ledger.counts.of_bins(models.version) == {}
    assert main(["status", "-c", str(tmp_path / "aha.yaml")]) == 0
    assert "drift      unknown, there is no training to compare with" in capsys.readouterr().out
    assert main(["status", "-c", str(tmp_path / "aha.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["drift"] == []
