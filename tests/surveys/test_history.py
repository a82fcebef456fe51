"""What a record tells of an object's past, and that no model hears of it."""

import dataclasses

import numpy as np
import pytest

from annotator.models.load import load_models
from annotator.sandbox.sky.night import simulate_night
from annotator.surveys import SURVEYS
from annotator.surveys.history import history, joined
from annotator.transient import History, LightCurve

MJD_2026 = 61041.0
"""The first of January."""


def curve(*seasons: tuple[float, int, float], band: str = "r", sign: bool = True) -> LightCurve:
    """Seasons, each a first epoch, a number of detections three days apart, and their median magnitude."""
    times = np.concatenate([start + 3.0 * np.arange(n) for start, n, _ in seasons])
    # 0.1 mag of scatter
    wobble = [level + 0.1 * np.sin(2.4 * np.arange(n)) for _, n, level in seasons]
    n = len(times)
    return LightCurve.of_magnitudes(
        times, np.full(n, f"z{band}"), np.concatenate(wobble), np.full(n, 0.1), np.full(n, sign)
    )


def compared(seen: LightCurve) -> History:
    """What is known of a past of which these very measurements tell how bright it was."""
    return history(seen, compared=seen)


def bands(*curves: LightCurve) -> LightCurve:
    parts = {name: np.concatenate([getattr(item, name) for item in curves]) for name in vars(curves[0])}
    order = np.argsort(parts["time_mjd"], kind="stable")
    return LightCurve(**{name: values[order] if len(values) else values for name, values in parts.items()})


def yearly(n_years: int, level: float = 19.0) -> list[tuple[float, int, float]]:
    return [(MJD_2026 - 365.0 * back, 20, level) for back in range(n_years, 0, -1)]


def test_an_object_s_name_tells_the_year_of_its_first_alert():
    row = {"objectId": "ZTF18abcdefg", "jdmax": MJD_2026 + 2400000.5, "ncand": 4, "gmag": 19.0}
    found = SURVEYS["ztf"].parse(row).history
    assert found.first_year == 2018
    assert found.years == pytest.approx(7.0, abs=0.01)  # from the end of 2018: at least so long
    assert found.n_earlier_seasons is None
    young = SURVEYS["ztf"].parse(row | {"objectId": "ZTF26abcdefg"}).history
    assert young.years == 0.0


def test_a_name_of_a_year_that_has_not_come_says_nothing():
    row = {"objectId": "ZTF99aaaaaaa", "jdmax": MJD_2026 + 2400000.5, "gmag": 19.0}
    assert SURVEYS["ztf"].parse(row).history == History()


def test_a_packet_tells_how_often_something_was_detected_there_and_since_when():
    packet = {
        "objectId": "ZTF20abcdefg",
        "candidate": {
            **{"candid": 10**17, "jd": MJD_2026 + 2400000.5, "fid": 2, "magpsf": 18.0, "sigmapsf": 0.1},
            **{"isdiffpos": "t", "ndethist": 412, "jdstarthist": MJD_2026 - 2922 + 2400000.5},
            **{"distpsnr1": 0.4, "sgscore1": 0.98},
        },
    }
    found = SURVEYS["ztf"].parse(packet)
    assert (found.history.n_detections, found.history.n_negative) == (412, 0)
    assert found.history.first_year == 2018
    assert found.history.years == pytest.approx(8.0, abs=0.01)
    assert (found.extras["nearest_arcsec"], found.extras["nearest_star_score"]) == (0.4, 0.98)


def test_seasons_are_counted_by_their_positive_detections():
    whole = [*yearly(3), (MJD_2026, 10, 19.0)]
    assert history(curve(*whole)).n_earlier_seasons == 3
    sparse = [(MJD_2026 - 1460.0, 2, 19.0), *whole]
    assert history(curve(*sparse)).n_earlier_seasons == 3
    of_negatives = bands(curve(*yearly(2), sign=False), curve((MJD_2026, 10, 19.0)))
    assert history(of_negatives).n_earlier_seasons == 0
    assert history(of_negatives).n_negative == 40
    assert history(curve((MJD_2026, 10, 19.0))).n_earlier_seasons == 0


def test_a_light_curve_of_this_season_says_nothing_of_earlier_ones_where_there_were_alerts_years_ago():
    now = curve((MJD_2026, 10, 19.0))
    assert history(now, first_year=2018).n_earlier_seasons is None
    assert history(now, first_year=2025).n_earlier_seasons == 0
    assert history(curve((MJD_2026 - 2000.0, 1, 19.0), (MJD_2026, 10, 19.0)), first_year=2020).n_earlier_seasons == 0


def test_a_season_without_an_end_is_no_earlier_one():
    fading = bands(curve(*yearly(1)), curve((MJD_2026, 10, 19.0), sign=False))
    assert history(fading).n_earlier_seasons == 1
    assert history(curve(*yearly(1))).n_earlier_seasons == 0


@pytest.mark.parametrize(("level", "brighter"), [(19.0, 0.0), (18.6, 0.4), (17.5, 1.5)])
def test_the_present_is_compared_with_the_past_in_each_band(level, brighter):
    found = compared(curve(*yearly(4), (MJD_2026, 20, level)))
    assert found.brighter_mag == pytest.approx(brighter, abs=0.11)
    assert found.scatter_mag == pytest.approx(0.1, abs=0.03)


def test_one_bright_detection_is_nothing_new():
    one = bands(curve(*yearly(4), (MJD_2026, 20, 19.0)), curve((MJD_2026 + 10, 1, 15.0)))
    assert compared(one).brighter_mag < 0.3


def test_what_was_ever_as_bright_before_is_nothing_new():
    burst = curve(*yearly(4), (MJD_2026 - 1600.0, 3, 16.0), (MJD_2026, 20, 16.5))
    order = np.argsort(burst.time_mjd)
    burst = LightCurve(
        **{name: values[order] if len(values) == len(order) else values for name, values in vars(burst).items()}
    )
    assert compared(burst).brighter_mag <= 0


def test_a_source_that_is_never_behind_the_sun_has_a_past_too():
    times = MJD_2026 + np.arange(0.0, 1000.0, 5.0)
    magnitudes = np.where(times < times[-1] - 20, 19.0 + 0.1 * np.sin(times), 17.0)
    n = len(times)
    found = compared(LightCurve.of_magnitudes(times, np.full(n, "zr"), magnitudes, np.full(n, 0.1), np.ones(n)))
    assert found.n_earlier_seasons == 0
    assert found.brighter_mag == pytest.approx(2.0, abs=0.15)


def test_a_colour_that_was_never_as_blue_is_told():
    red = curve(*yearly(4), (MJD_2026, 20, 19.0))
    blue = curve(*yearly(4, 20.0), (MJD_2026, 20, 18.8), band="g")
    found = compared(bands(red, blue))
    assert found.bluer_mag == pytest.approx(1.2, abs=0.15)
    assert found.colour_scatter_mag >= 0.1
    assert compared(red).bluer_mag is None


def test_where_no_light_is_known_that_can_be_compared_nothing_is_said_of_it():
    seen = curve(*yearly(4), (MJD_2026, 20, 17.5))
    assert compared(seen).brighter_mag > 1 and history(seen).brighter_mag is None
    assert history(seen).n_earlier_seasons == 4


def test_two_records_of_an_object_know_together_what_either_knows():
    row, answer = History(2018, 5.0, 412), History(2019, 4.0, 300, 7, 3, 0.2, 0.1)
    assert joined(row, answer) == History(2018, 5.0, 412, 7, 3, 0.2, 0.1)


def test_no_score_and_no_head_hears_of_an_object_s_past():
    """The gate: the year would tell a class of the databank by itself, and so would how often a place was seen."""
    models = load_models(None, "ztf")
    night = simulate_night(seed=4, n_objects=30, now_jd=2461000.5)
    plain = [SURVEYS["ztf"].parse(row) for row in night.rows()]
    past = History(2018, 7.5, 1400, 30, 6, 2.0, 0.1, 1.0, 0.1)
    beside = {"nearest_arcsec": 0.1, "nearest_star_score": 1.0}
    with_past = [dataclasses.replace(item, history=past, extras=dict(item.extras) | beside) for item in plain]
    bare = [
        dataclasses.replace(
            item,
            history=History(),
            extras={name: value for name, value in item.extras.items() if name not in beside},
        )
        for item in plain
    ]
    scored, unscored = models.score(with_past), models.score(bare)
    assert any(item.n_present for item in scored)
    assert scored == unscored
    told = {name for item in scored for name in item.numbers} | models.head_inputs
    assert not {name for name in told if name in {*vars(past), *beside, "years"}}
