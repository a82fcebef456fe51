import msgspec
import numpy as np
import pytest
from scipy import stats

from annotator.models.calibration import Calibration, Sampling
from training.metrics.calibrate import (
    LEVELS,
    MIN_PER_LEVEL,
    ONE_LEVEL,
    SHAPE_RANGE,
    calibrated,
    cross_scores,
    false_alarms,
    fit_tail,
    level_places,
    share_of,
    uniform_calibrated,
)

YOUNG, MIDDLE, OLD = Sampling(3, 2.0), Sampling(10, 30.0), Sampling(40, 50.0)


def normals(n, seed=0):
    """Exchangeable normals of all levels in ten bins; a level's values have its own scale."""
    rng = np.random.default_rng(seed)
    samplings = [(YOUNG, MIDDLE, OLD)[i] for i in rng.integers(3, size=n)]
    scale = np.array([{YOUNG: 5.0, MIDDLE: 2.0, OLD: 1.0}[sampling] for sampling in samplings])
    return scale * rng.exponential(size=n), samplings, rng.integers(10, size=n)


def exact_interval(above, n):
    """Clopper and Pearson (1934) by the beta distribution."""
    low = stats.beta.ppf(0.025, above, n - above + 1) if above else 0.0
    high = stats.beta.ppf(0.975, above + 1, n - above) if above < n else 1.0
    return low, high


# The tail


@pytest.mark.parametrize(("shape", "scale"), [(0.0, 2.0), (0.2, 0.5), (0.4, 3.0)])
def test_a_tail_recovers_the_shape_and_the_scale_that_the_values_were_drawn_with(shape, scale):
    values = np.sort(stats.genpareto.rvs(shape, scale=scale, size=40_000, random_state=1))
    tail = fit_tail(values)
    # What exceeds a threshold u of a Pareto distribution has the same shape, and the scale grows by shape * u.
    assert tail.shape == pytest.approx(shape, abs=0.06)
    assert tail.scale == pytest.approx(scale + shape * tail.threshold, rel=0.08)
    assert np.mean(values > tail.threshold) == pytest.approx(0.1, abs=1e-3)


def test_a_tail_s_survival_is_that_of_scipy_s_distribution():
    tail = fit_tail(np.sort(stats.genpareto.rvs(0.3, size=5000, random_state=2)))
    for value in (tail.threshold, tail.threshold + 1, tail.threshold + 30):
        expected = stats.genpareto.sf(value, tail.shape, loc=tail.threshold, scale=tail.scale)
        assert tail.survival(value) == pytest.approx(expected, rel=1e-4)


def test_values_that_end_somewhere_still_have_a_tail_without_an_end():
    values = np.sort(np.random.default_rng(3).uniform(size=4000))
    assert stats.genpareto.fit(values[-400:] - values[-401], floc=0)[0] < -0.5
    tail = fit_tail(values)
    assert tail.shape == SHAPE_RANGE[0] and tail.survival(1.5) > 0


def test_a_shape_is_never_so_heavy_that_one_value_decides():
    values = np.sort(stats.genpareto.rvs(1.5, size=4000, random_state=4))
    assert fit_tail(values).shape == SHAPE_RANGE[1]


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0, 1.0], [0.5, 1.0, 2.0, 3.0], list(np.ones(300))])
def test_few_or_equal_values_have_a_tail_of_positive_scale_among_them(values):
    tail = fit_tail(np.array(values))
    assert tail.scale > 0 and values[0] <= tail.threshold <= values[-1] and tail.shape >= 0


# The levels


def test_each_level_holds_the_normals_of_its_sampling_rounded_up_in_order():
    values, samplings, _ = normals(6000)
    table = calibrated("oddity", values, samplings)
    assert table.output == "oddity" and [level.name for level in table.levels] == [rule.name for rule in LEVELS]
    for level, sampling in zip(table.levels, (YOUNG, MIDDLE, OLD), strict=True):
        members = np.sort(values[[s == sampling for s in samplings]])
        assert len(level.values) == len(members)
        assert (np.array(level.values) >= members).all()
        np.testing.assert_allclose(level.values, members, rtol=1e-5)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((MIN_PER_LEVEL - 1, MIN_PER_LEVEL, MIN_PER_LEVEL), [1, 2]),
        ((MIN_PER_LEVEL, MIN_PER_LEVEL - 1, MIN_PER_LEVEL), [0, 2]),
        ((MIN_PER_LEVEL, MIN_PER_LEVEL, MIN_PER_LEVEL - 1), [0, 2]),
        ((10, 10, 10), [2]),
        ((MIN_PER_LEVEL,) * 3, [0, 1, 2]),
    ],
)
def test_a_level_of_too_few_normals_is_joined_with_the_next_and_none_is_lost(counts, expected):
    samplings = [s for s, n in zip((YOUNG, MIDDLE, OLD), counts, strict=True) for _ in range(n)]
    values = np.random.default_rng(0).exponential(size=len(samplings))
    levels = calibrated("error", values, samplings).levels
    assert [level.name for level in levels] == [LEVELS[i].name for i in expected]
    assert sum(len(level.values) for level in levels) == len(values)
    assert len(levels) == 1 or min(len(level.values) for level in levels) >= MIN_PER_LEVEL


def test_an_object_is_placed_where_the_annotator_finds_it():
    values, samplings, _ = normals(6000)
    calibration = Calibration(calibrated("oddity", values, samplings).levels)
    ages, counts = (None, 0.0, 14.9, 15.0, 15.1, 60.0), (None, 1, 5, 6, 15, 16, 300)
    asked = [Sampling(n, age) for n in counts for age in ages]
    found = [LEVELS[place].name for place in level_places(asked)]
    assert found == [calibration.level_of(sampling).name for sampling in asked]
    by_hand = [
        0 if n is not None and n <= 5 else 1 if (n is not None and n <= 15) or (age is not None and age <= 15) else 2
        for n in counts
        for age in ages
    ]
    assert level_places(asked).tolist() == by_hand


def test_a_level_is_written_and_read_back_the_same():
    """Whole numbers in place of fractions would be read back as others are written."""
    values, samplings, _ = normals(3000)
    for level in calibrated("oddity", values, samplings).levels:
        assert isinstance(level.up_to_age_days, float) and isinstance(level.up_to_detections, int)
        assert all(isinstance(value, float) for value in (*level.values, *msgspec.structs.astuple(level.tail)))


def test_a_table_of_one_level_takes_every_sampling():
    table = uniform_calibrated("error", np.arange(1.0, 21.0))
    assert [level.name for level in table.levels] == ["any"] and len(table.levels[0].values) == 20
    assert level_places([YOUNG, OLD, Sampling()], ONE_LEVEL).tolist() == [0, 0, 0]


# Scores of normals by other normals


def test_exchangeable_normals_keep_the_promised_share_level_by_level():
    values, samplings, bins = normals(9000)
    scores = cross_scores(values, samplings, bins, np.ones(len(values), bool))
    for number in range(3):
        of_level = scores[level_places(samplings) == number]
        for level in (1.0, 2.0):
            low, high = exact_interval(int((of_level >= level).sum()), len(of_level))
            assert low <= 10**-level <= high


def test_a_level_s_normals_are_not_compared_with_another_s():
    """Young objects' values are five times the old ones'; in one table their false alarms would be as many times."""
    values, samplings, bins = normals(9000)
    is_normal, young = np.ones(len(values), bool), np.array([s == YOUNG for s in samplings])
    apart = (cross_scores(values, samplings, bins, is_normal)[young] >= 2).mean()
    together = (cross_scores(values, samplings, bins, is_normal, ONE_LEVEL)[young] >= 2).mean()
    assert apart < 0.015 < 0.02 < together


def test_no_object_s_score_depends_on_its_own_bin():
    values, samplings, bins = normals(3000)
    before = cross_scores(values, samplings, bins, np.ones(len(values), bool))
    moved = values.copy()
    moved[np.flatnonzero(bins == 4)[1:]] *= 100
    after = cross_scores(moved, samplings, bins, np.ones(len(values), bool))
    first = np.flatnonzero(bins == 4)[0]
    assert after[first] == before[first]


def test_what_is_not_normal_is_scored_and_scores_nobody():
    values, samplings, bins = normals(3000)
    is_normal = np.arange(3000) % 10 != 0
    values[~is_normal] += 1000
    scores = cross_scores(values, samplings, bins, is_normal)
    assert scores[~is_normal].min() > 2
    np.testing.assert_array_equal(
        scores[is_normal],
        cross_scores(
            values[is_normal],
            [s for s, n in zip(samplings, is_normal, strict=True) if n],
            bins[is_normal],
            np.ones(int(is_normal.sum()), bool),
        ),
    )


def test_scores_never_fall_as_values_rise_also_beyond_the_largest_normal():
    values, samplings, _ = normals(6000)
    calibration = Calibration(calibrated("oddity", values, samplings).levels)
    for sampling in (YOUNG, MIDDLE, OLD):
        level = calibration.level_of(sampling)
        beyond = np.linspace(0, 10 * level.values[-1], 4000)
        scores = np.array([calibration.score(value, sampling) for value in beyond])
        assert (np.diff(scores) >= 0).all()
        above = scores[beyond > level.values[-1]]
        assert above[0] >= level.extrapolated_above - 1e-9 and above[-1] > above[0]
        assert above[-1] <= level.extrapolated_above + 2 + 1e-9


# False alarms


def test_shares_come_with_exact_intervals():
    for above, n in ((0, 50), (3, 50), (50, 50)):
        found = share_of(np.arange(n) < above)
        assert (found["n"], found["above"]) == (n, above)
        assert found["share"] == pytest.approx([above / n, *exact_interval(above, n)], abs=1e-5)


def test_false_alarms_of_exchangeable_values_keep_the_promise_with_exact_intervals():
    values, samplings, bins = normals(6000, seed=1)
    found = false_alarms(values, samplings, bins, np.ones(6000, bool))
    assert set(found["shares"]) == {"1", "2", "3"}
    for level in ("1", "2", "3"):
        part = found["shares"][level]["all_bins"]
        value, low, high = part["share"]
        assert value <= 10 ** -float(level) * 1.2
        assert low <= 10 ** -float(level) <= high
        assert [low, high] == pytest.approx(exact_interval(part["above"], part["n"]), abs=1e-5)
    assert found["shares"]["1"]["held_out"]["n"] == int((bins == 9).sum())
    assert set(found["groups"]) == set(found["two_sample"]) == {rule.name for rule in LEVELS}
    assert min(test["p_corrected"] for test in found["two_sample"].values()) > 0.01


def test_values_that_are_larger_in_the_held_out_bin_show_as_false_alarms_and_in_the_two_sample_test():
    values, samplings, bins = normals(6000, seed=1)
    young = np.array([s == YOUNG for s in samplings])
    values[(bins == 9) & young] *= 5
    found = false_alarms(values, samplings, bins, np.ones(6000, bool))
    assert found["shares"]["1"]["held_out"]["share"][1] > 0.1
    tests = [found["two_sample"][rule.name]["p_corrected"] for rule in LEVELS]
    assert tests[0] < 1e-3 and min(tests[1:]) > 0.01


def test_p_values_are_corrected_by_holm_s_method():
    """Holm (1979): the smallest times the number of tests, the next times one fewer, and never less than before."""
    values, samplings, bins = normals(3000, seed=8)
    found = false_alarms(values, samplings, bins, np.ones(3000, bool))["two_sample"]
    place, first = level_places(samplings), bins == 9
    raw = [stats.ks_2samp(values[first & (place == i)], values[~first & (place == i)]).pvalue for i in range(3)]
    smallest, middle, largest = sorted(range(3), key=raw.__getitem__)
    expected = {smallest: min(1, 3 * raw[smallest])}
    expected[middle] = max(expected[smallest], min(1, 2 * raw[middle]))
    expected[largest] = max(expected[middle], raw[largest])
    assert len(set(raw)) == 3
    for number, rule in enumerate(LEVELS):
        assert found[rule.name]["p_corrected"] == pytest.approx(expected[number], abs=1e-4)


def test_groups_are_reported_by_their_own_normals_and_empty_ones_left_out():
    values, samplings, bins = normals(3000)
    is_normal = np.arange(3000) % 5 != 0
    group = np.arange(3000) < 1000
    found = false_alarms(values, samplings, bins, is_normal, groups={"first": group, "none": group & ~group})
    assert found["groups"]["first"]["n"] == int((group & is_normal).sum()) and "none" not in found["groups"]
    expected = (cross_scores(values, samplings, bins, is_normal)[group & is_normal] >= 2).sum()
    assert found["groups"]["first"]["above"] == expected


def test_bright_normals_whose_values_are_larger_score_no_higher_where_brightness_counts():
    """Of each brightness one in ten at 1 or more, within an exact interval of 99.9 %; without it most of the bright."""
    rng = np.random.default_rng(5)
    n = 4000
    peak_mag, error_mag = rng.uniform(15.0, 20.5, n), np.exp(rng.uniform(np.log(0.02), np.log(0.2), n))
    values = np.exp(0.5 * (19 - peak_mag) - 0.6 * np.log(error_mag) + rng.normal(0.0, 0.7, n))
    samplings = [Sampling(20, 40.0, *pair) for pair in zip(peak_mag.tolist(), error_mag.tolist(), strict=True)]
    folds, everything = rng.integers(0, 10, n), np.ones(n, bool)
    corrected, plain = (
        cross_scores(values, samplings, folds, everything, by_brightness=by_brightness)
        for by_brightness in (True, False)
    )
    for rows in (peak_mag < 17, peak_mag > 19, error_mag < 0.03, error_mag > 0.1):
        interval = stats.binomtest(int((corrected[rows] >= 1).sum()), int(rows.sum())).proportion_ci(0.999, "exact")
        assert interval.low < 0.1 < interval.high
    assert np.mean(plain[peak_mag < 16] >= 1) > 0.25
    shares = false_alarms(values, samplings, folds, everything, by_brightness=True)["shares"]
    assert shares["1"]["all_bins"]["above"] == int((corrected >= 1).sum())


def test_the_table_that_ships_gives_the_same_scores_as_the_one_that_was_measured():
    rng = np.random.default_rng(6)
    n = 700
    values, peak_mag = rng.exponential(size=n) + 0.1, rng.uniform(15.0, 20.5, n)
    samplings = [Sampling(20, 40.0, mag, 0.05) for mag in peak_mag.tolist()]
    item = calibrated("error", values, samplings, by_brightness=True)
    table = Calibration(item.levels, item.brightness)
    scores = np.array([table.score(value, sampling) for value, sampling in zip(values, samplings, strict=True)])
    assert np.sort(10**-scores) == pytest.approx((np.arange(n) + 2) / (n + 1), abs=3 / n)
