"""The simulated stamps, against astropy and against what they were made of."""

import functools
import io
import math
from collections import Counter

import numpy as np
import pytest
import requests
from astropy.io import fits

from annotator.preprocess.fits import read_stamp
from annotator.sandbox import Sandbox, simulate_night
from annotator.sandbox.sky.stamps import KINDS, SIDE, ZERO_POINT_MAG, render, simulate, to_fits
from annotator.surveys.ztf.parse import PIXEL_ARCSEC


@functools.cache
def simulated():
    return simulate_night(seed=11, n_objects=300, now_jd=2461000.5)


CENTRE = SIDE // 2


def brightest(item):
    seen = [e for e in item.epochs if e.isdiffpos == "t"]
    return min(seen, key=lambda e: e.magpsf, default=None)


def of_kind(*kinds):
    return [(o, brightest(o)) for o in simulated().objects if o.kind in kinds and brightest(o)]


def flux(magnitude):
    return 10 ** (-0.4 * (magnitude - ZERO_POINT_MAG))


@pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
def test_astropy_and_our_own_reader_read_the_same_pixels_from_a_file_without_a_fault():
    item, epoch = of_kind("SN Ia")[0]
    stamps = simulate(item, epoch, simulated().seed)
    for kind, stamp in stamps.items():
        content = to_fits(stamp, kind)
        with fits.open(io.BytesIO(content)) as file:
            file.verify("exception")
            assert len(file) == 1 and file[0].header["OBJECT"] == "SIMULATED"
            assert np.array_equal(file[0].data, stamp)
        assert np.array_equal(read_stamp(content), stamp) and len(content) % 2880 == 0


def test_stamps_are_the_same_every_time_and_of_the_size_of_ztf_s():
    item, epoch = of_kind("SN II")[0]
    assert render(item, epoch, 3) == render(item, epoch, 3) != render(item, epoch, 4)
    for stamp in simulate(item, epoch, 3).values():
        assert stamp.shape == (63, 63) and stamp.dtype == np.float32 and np.isfinite(stamp).all()


def test_the_difference_holds_the_measured_flux_at_the_middle():
    ratios = []
    for item, epoch in of_kind("SN Ia", "hostless", "far from host"):
        difference = simulate(item, epoch, simulated().seed)["Difference"]
        ratios.append(difference[CENTRE - 5 : CENTRE + 6, CENTRE - 5 : CENTRE + 6].sum() / flux(epoch.magpsf))
        rows, columns = np.unravel_index(difference[25:38, 25:38].argmax(), (13, 13))
        if epoch.magpsf < 17.5:
            assert math.hypot(rows - 6, columns - 6) <= 1.5
    assert np.median(ratios) == pytest.approx(0.95, abs=0.08)  # a Moffat profile has wings


def test_an_object_fainter_than_its_template_is_dark_in_the_difference():
    item, epoch = next((o, e) for o in simulated().objects if o.kind == "AGN" for e in o.epochs if e.isdiffpos == "f")
    middle = slice(CENTRE - 2, CENTRE + 3)
    assert simulate(item, epoch, simulated().seed)["Difference"][middle, middle].sum() < 0


def test_the_host_is_in_science_and_template_where_sherlock_says_and_a_hostless_object_has_none():
    misses = []
    for item, epoch in of_kind("SN Ia", "SN II"):
        host = item.sherlock
        right, up = -float(host["eastSeparationArcsec"]), float(host["northSeparationArcsec"])
        column, row = CENTRE - right / PIXEL_ARCSEC, CENTRE - up / PIXEL_ARCSEC
        if not host["Mag"] or host["Mag"] > 17.5 or not (8 < column < 54 and 8 < row < 54):
            continue
        template = simulate(item, epoch, simulated().seed)["Template"]
        first = round(row) - 6, round(column) - 6
        around = template[first[0] : first[0] + 13, first[1] : first[1] + 13]
        peak = np.unravel_index(around.argmax(), around.shape)
        misses.append(math.hypot(peak[0] + first[0] - row, peak[1] + first[1] - column))
    assert len(misses) > 20 and np.quantile(misses, 0.9) < 2.5  # now and then a brighter star is as near
    for item, epoch in of_kind("hostless"):
        stamps = simulate(item, epoch, simulated().seed)
        template = stamps["Template"] - np.median(stamps["Template"])
        around = template[CENTRE - 2 : CENTRE + 3, CENTRE - 2 : CENTRE + 3]
        assert np.abs(around).max() < 6 * 1.4826 * np.median(np.abs(template))


def test_noise_grows_as_the_limit_gets_shallower():
    limits, noises = [], []
    for item, epoch in of_kind("SN Ia", "hostless"):
        corner = simulate(item, epoch, simulated().seed)["Difference"][:12, :12]
        limits.append(epoch.diffmaglim)
        noises.append(math.log10(np.std(corner)))
    assert np.corrcoef(limits, noises)[0, 1] < -0.6
    assert 4 < 10 ** np.median(noises) < 20


def test_artefacts_come_in_several_kinds():
    peaks = Counter()
    for item, epoch in of_kind("artefact"):
        difference = simulate(item, epoch, simulated().seed)["Difference"]
        around = difference[CENTRE - 6 : CENTRE + 7, CENTRE - 6 : CENTRE + 7]
        sharpness = np.sort(np.abs(around).ravel())[::-1]
        peaks[round(float(np.log10(sharpness[0])))] += 1
    assert len(peaks) > 1


def test_the_sandbox_serves_them_at_the_addresses_of_its_object_answers():
    with Sandbox(simulated()) as sandbox:
        item, epoch = of_kind("SN Ia")[0]
        folder = f"{sandbox.root_url}/lasair/static/fits/{int(epoch.jd - 2400000.5)}"
        expected = render(item, epoch, simulated().seed)
        for kind in KINDS:
            answer = requests.get(f"{folder}/{epoch.candid}_cutout{kind}.fits", timeout=60)
            assert answer.status_code == 200 and answer.content == expected[kind]
            assert answer.headers["Content-Type"] == "application/fits"


def test_now_and_then_a_stamp_is_missing_or_cut_by_the_detector_s_edge():
    empty = edge = count = 0
    for item in simulated().objects:
        for epoch in [e for e in item.epochs if e.candid is not None][:2]:
            stamps = render(item, epoch, simulated().seed)
            count += 1
            empty += stamps["Template"] == b""
            edge += np.isnan(read_stamp(stamps["Difference"])).any()
    assert 0 < empty < 0.03 * count and 0 < edge < 0.06 * count
