import numpy as np
import pytest

from annotator.bands import BANDS
from annotator.errors import ConfigError
from annotator.preprocess.evolution import EVOLUTION_NAMES, evolution
from annotator.transient import LightCurve
from training.data.carried import PEAK_RANGE_MAG, QUIET_DAYS, Visits, carried, read_cadence


def ztf_supernova(colour=-1.0, n=60):
    """A made-up supernova as ZTF sees it: up in 20 days, down by 0.03 mag a day, of one colour."""
    rng = np.random.default_rng(0)
    phase = np.sort(rng.uniform(-20, 80, n))
    band = np.resize(["zg", "zr"], n)
    x = np.log(np.array([BANDS[name].wavelength_nm for name in band]) / 620)
    magnitude = 18.0 + colour * x + np.where(phase < 0, -phase * 0.08, phase * 0.03) + rng.normal(0, 0.02, n)
    return LightCurve.of_magnitudes(58000.0 + phase, band, magnitude, np.full(n, 0.03), np.ones(n, np.int8))


def cadence():
    rng = np.random.default_rng(1)
    time = np.sort(rng.uniform(60000, 61000, 3000))
    return (Visits(time, rng.choice(list("ugrizy"), 3000), np.full(3000, 24.0)),)


def test_it_is_seen_on_the_other_dates_in_the_bands_of_both_and_for_no_longer():
    curve = ztf_supernova()
    (found,) = carried([curve], cadence(), [(1, 2)])
    assert set(found.band) == {"g", "r"}
    assert set(found.time_mjd) <= set(cadence()[0].time_mjd.tolist())
    assert np.ptp(found.time_mjd) <= 1.5 * (np.ptp(curve.time_mjd) + QUIET_DAYS)
    assert found.flux_error_njy == pytest.approx(10 ** (-0.4 * (24.0 - 31.4)) / 5)
    assert (found.is_forced == (found.flux_njy < 5 * found.flux_error_njy)).all()


def test_colour_stays_and_it_is_as_faint_as_the_other_survey_sees_things():
    for colour in (-2.0, 1.0):
        curves = [ztf_supernova(colour)] * 20
        found = carried(curves, cadence(), [(3, n) for n in range(20)])
        kept = evolution([item for item in found if item is not None])
        seen = kept.values[:, EVOLUTION_NAMES.index("colour")]
        assert np.nanmedian(seen) == pytest.approx(colour, abs=0.4)
        brightest = [item.magnitude[item.flux_njy > 0].min() for item in found if item is not None]
        assert min(brightest) > PEAK_RANGE_MAG[0] - 1 and np.median(brightest) > 21


def test_it_is_the_same_for_the_same_seeds_and_what_has_no_form_is_not_carried():
    one_point = LightCurve.of_magnitudes(
        np.array([58000.0]), np.array(["zr"]), np.array([18.0]), np.array([0.03]), np.array([1], np.int8)
    )
    first, nothing = carried([ztf_supernova(), one_point], cadence(), [(1,), (2,)])
    again, _ = carried([ztf_supernova(), one_point], cadence(), [(1,), (2,)])
    assert nothing is None
    np.testing.assert_array_equal(first.flux_njy, again.flux_njy)


def test_a_cadence_that_is_none_is_refused_by_name(tmp_path):
    path = tmp_path / "cadence.parquet"
    path.write_text("no table", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected a table of visits"):
        read_cadence(path)
    import pandas as pd

    pd.DataFrame({"position": [0], "mjd": [60000.0], "band": ["r"]}).to_parquet(path)
    with pytest.raises(ConfigError, match="found no m5"):
        read_cadence(path)
