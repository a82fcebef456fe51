"""Light curves and references to cutouts, as Lasair-ZTF's object answers give them."""

import copy
import json
import math
import random

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import SolarSystemObjectError
from annotator.sandbox.lasair.answers import candidate
from annotator.surveys.values import JD_MINUS_MJD
from annotator.surveys.ztf.parse import parse
from annotator.transient import CutoutReference, LightCurve

ARRAYS = tuple(LightCurve.__dataclass_fields__)


def detection(jd=2461000.7, fid=1, magpsf=18.5, candid=1, **more) -> dict:
    return {"candid": candid, "jd": jd, "fid": fid, "magpsf": magpsf, "sigmapsf": 0.05, "isdiffpos": "t"} | more


def limit(jd=2460999.7, fid=1, **more) -> dict:
    return {"jd": jd, "fid": fid, "diffmaglim": 20.3, "magpsf": 20.3} | more


def urls(stem: str) -> dict:
    return {kind: f"https://host/{stem}_cutout{kind}.fits" for kind in ("Science", "Template", "Difference")}


def curve_of(*candidates) -> LightCurve:
    return parse({"objectId": "ZTF99aaaaaaa", "candidates": list(candidates)}).light_curve


def same(one: LightCurve, other: LightCurve) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=getattr(one, name).dtype.kind == "f")
        for name in ARRAYS
    )


def test_detections_and_upper_limits_are_told_apart_and_stand_in_time_order():
    curve = curve_of(detection(2461002.7, 2), limit(2460998.7, 3), detection(2461001.7, 1, isdiffpos="f"), limit())
    assert curve.time_mjd.tolist() == pytest.approx([61001.2, 61002.2])
    assert curve.band.tolist() == ["zg", "zr"] and curve.is_positive.tolist() == [False, True]
    assert curve.limit_band.tolist() == ["zi", "zg"] and curve.limit_magnitude.tolist() == [20.3, 20.3]
    assert np.all(np.diff(curve.limit_time_mjd) > 0)


def test_the_simulated_night_s_answers_are_read_as_they_were_observed(night):
    for item in night.objects[:20]:
        curve = curve_of(*(candidate(epoch, "https://host") for epoch in item.epochs))
        seen = [e for e in item.epochs if e.candid is not None]
        assert curve.time_mjd + JD_MINUS_MJD == pytest.approx([e.jd for e in seen], abs=1e-6)
        assert curve.magnitude.tolist() == pytest.approx([e.magpsf for e in seen], rel=0, abs=1e-12)
        assert curve.magnitude_error.tolist() == pytest.approx([e.sigmapsf for e in seen], rel=0, abs=1e-12)
        # The simulated survey sometimes looks twice within ten seconds.
        assert 0 <= len(item.epochs) - len(seen) - len(curve.limit_time_mjd) <= 2


def test_the_order_of_the_candidates_changes_nothing(night):
    for item in night.objects[:20]:
        candidates = [candidate(epoch, "https://host") for epoch in item.epochs]
        candidates += [c | {"sigmapsf": 0.3, "candid": 7} for c in candidates[:5] if "candid" in c]
        shuffled = random.Random(1).sample(candidates, len(candidates))
        assert same(curve_of(*candidates), curve_of(*shuffled))


def test_lasair_s_extras_may_be_absent():
    bare = {"jd": 2461000.7, "fid": 2, "magpsf": 18.5, "sigmapsf": 0.05, "isdiffpos": "t"}
    dated_by_mjd = {k: v for k, v in bare.items() if k != "jd"} | {"mjd": 61000.2}
    assert len(curve_of(bare).time_mjd) == 1
    assert curve_of(dated_by_mjd).time_mjd == pytest.approx([61000.2])


@pytest.mark.parametrize(
    "spelt",
    [lambda jd: jd - JD_MINUS_MJD, lambda jd: str(jd - JD_MINUS_MJD), lambda jd: Time(jd, format="jd").isot],
    ids=["mjd", "mjd as text", "in words"],
)
def test_a_row_s_dates_are_dates_in_any_spelling(night, spelt):
    for row in night.rows()[:20]:
        dates = {name: row[name] for name in ("jdmin", "jdmax", "jd_g_minus_r") if row[name] is not None}
        expected, found = parse(row), parse(row | {name: spelt(jd) for name, jd in dates.items()})
        assert found.last_mjd == pytest.approx(expected.last_mjd, abs=1e-7)
        assert dict(found.extras) == pytest.approx(dict(expected.extras), abs=1e-6)
        assert found.left_out == expected.left_out


@pytest.mark.parametrize("value", [1234.5, "last week"])
def test_what_is_no_date_in_a_row_is_missing_and_named(night, value):
    found = parse(night.rows()[0] | {"jdmax": value})
    assert found.last_mjd is None and any(words.startswith("jdmax is no date but ") for words in found.left_out)


@pytest.mark.parametrize(
    ("sign", "expected"),
    [
        *(("t", True), ("f", False), ("T", True), ("true", True), ("False", False), ("1", True), ("0", False)),
        *((1, True), (0, False), (True, True), (False, False)),
    ],
)
def test_the_sign_of_a_difference_is_read_in_all_its_spellings(sign, expected):
    assert curve_of(detection(isdiffpos=sign)).is_positive.tolist() == [expected]


def test_two_measurements_of_one_exposure_count_once_and_the_better_one():
    first, again = detection(), detection(candid=2, sigmapsf=0.02, magpsf=18.6)
    assert curve_of(first, again).magnitude.tolist() == [18.6]
    assert len(curve_of(first, detection(fid=2)).time_mjd) == 2
    assert len(curve_of(first, detection(jd=first["jd"] + 60 / 86400)).time_mjd) == 2
    curve = curve_of(first, limit(first["jd"] - 2 / 86400))
    assert len(curve.time_mjd) == 1 and len(curve.limit_time_mjd) == 0


@pytest.mark.parametrize(
    "damage",
    [
        *({"jd": value} for value in (None, "yesterday", 0, math.nan, 61000.2)),
        *({"fid": value} for value in (4, None, 10**5000)),
        *({"magpsf": value} for value in (-999.0, None, math.inf, 99.0)),
        *({"isdiffpos": value} for value in (None, "x", [1], 10**5000)),
    ],
    ids=lambda damage: next(iter(damage)),
)
def test_a_detection_that_lacks_what_it_needs_is_missing_and_the_rest_stays(damage):
    curve = curve_of(detection(), detection(jd=2461003.7) | damage)
    assert curve.time_mjd == pytest.approx([61000.2])


@pytest.mark.parametrize("error", [None, 0, -0.1, 99.0, math.nan, "?"])
def test_an_error_that_cannot_be_is_unknown(error):
    assert np.isnan(curve_of(detection(sigmapsf=error)).magnitude_error).all()


def extras_of(*candidates) -> dict:
    return real_bogus_of({"objectId": "a", "candidates": list(candidates)})


def real_bogus_of(record) -> dict:
    return {name: value for name, value in parse(record).extras.items() if name in ("rb", "drb")}


def test_real_bogus_scores_are_those_of_the_epoch_whose_stamps_are_scored():
    shown = detection(magpsf=18.0, rb=0.4, drb=0.1, image_urls=urls("shown"))
    fainter = detection(2461001.7, magpsf=18.5, rb=0.8, drb=0.99, image_urls=urls("fainter"))
    brighter_without_stamps = detection(2461002.7, magpsf=17.0, rb=0.9, drb=0.98)
    negative = detection(2461003.7, magpsf=16.0, isdiffpos="f", drb=1.0, image_urls=urls("negative"))
    assert extras_of(fainter, shown, brighter_without_stamps, negative) == {"rb": 0.4, "drb": 0.1}


def test_a_real_bogus_score_that_the_epoch_lacks_is_the_best_of_the_positive_detections():
    shown = detection(magpsf=18.0, drb=None, rb="0.45", image_urls=urls("shown"))
    others = detection(2461001.7, drb=0.7, rb=0.9), detection(2461002.7, drb=0.8), limit()
    negative = detection(2461003.7, isdiffpos="f", drb=1.0)
    assert extras_of(shown, *others, negative) == {"rb": 0.45, "drb": 0.8}
    assert extras_of(*others, negative) == {"rb": 0.9, "drb": 0.8}


@pytest.mark.parametrize("score", [None, math.nan, -999.0, 1.2, "none", [0.5]])
def test_a_real_bogus_score_that_cannot_be_is_absent(score):
    assert extras_of(detection(drb=score)) == {}
    assert real_bogus_of({"objectId": "a"}) == {}


def test_an_alert_s_real_bogus_scores_are_read(shared):
    packet = json.loads((shared / "fixtures/lasair_ztf/alert_no_prv_cand.json").read_text())
    packet["candidate"]["ssdistnr"] = -999.0  # it is an asteroid's
    assert real_bogus_of(packet) == {
        "rb": packet["candidate"]["rb"],
        "drb": packet["candidate"]["drb"],
    }


def test_a_record_without_candidates_has_no_light_curve_and_one_with_none_an_empty_one():
    assert parse({"objectId": "a"}).light_curve is None
    assert len(curve_of().time_mjd) == 0


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(
    ("candid", "jd", "mjd", "fid", "magpsf", "sigmapsf", "isdiffpos", "diffmaglim", "image_urls", "rb", "drb")
)


@given(st.lists(st.dictionaries(KEYS, ANY, max_size=6) | ANY, max_size=6), ANY, ANY)
def test_no_candidates_whatever_they_are_raise_or_let_nan_through(candidates, cutouts, image_urls):
    record = {"objectId": "a", "candidates": [detection(), *candidates], "cutouts": cutouts, "image_urls": image_urls}
    found = parse(record)
    curve = found.light_curve
    assert all(0 <= score <= 1 for score in found.extras.values())
    assert len({len(getattr(curve, name)) for name in ARRAYS[:5]}) == 1
    for name in ("time_mjd", "magnitude", "limit_time_mjd", "limit_magnitude"):
        assert np.isfinite(getattr(curve, name)).all()
    assert (curve.magnitude_error > 0).sum() + np.isnan(curve.magnitude_error).sum() == len(curve.magnitude_error)


def reference_of(**record) -> CutoutReference | None:
    return parse({"objectId": "a", **record}).cutouts


def test_the_stamps_are_those_of_the_brightest_positive_detection():
    faint = detection(magpsf=19.5, image_urls=urls("faint"))
    bright = detection(2461001.7, 2, 17.5, 2, image_urls=urls("bright"))
    negative = detection(2461002.7, 1, 16.0, 3, image_urls=urls("negative"), isdiffpos="f")
    without = detection(2461003.7, 1, 15.0, 4)
    found = reference_of(candidates=[faint, bright, negative, without], image_urls=urls("negative"))
    assert found.science == "https://host/bright_cutoutScience.fits"
    assert found.time_mjd == pytest.approx(61001.2)


def test_an_object_whose_positive_detections_have_no_stamps_has_none_and_says_so():
    negative = detection(image_urls=urls("negative"), isdiffpos="f")
    found = parse({"objectId": "a", "candidates": [negative, detection(2461002.7)], "image_urls": urls("negative")})
    assert found.cutouts is None and found.why_missing == {"triplet": "no positive detection has cutouts"}


def test_an_object_that_was_never_positive_is_scored_by_its_deepest_stamps_and_says_that_it_fades():
    faint = detection(2461001.7, magpsf=19.0, image_urls=urls("faint"), isdiffpos="f")
    deep = detection(2461002.7, magpsf=17.0, drb=0.99, image_urls=urls("deep"), isdiffpos="f")
    found = parse({"objectId": "a", "candidates": [faint, deep]})
    assert found.cutouts.science == urls("deep")["Science"] and found.cutouts.is_negative
    assert found.fades and (found.n_det_good, found.n_det_fading) == (0, 1) and found.extras["drb"] == 0.99
    assert not found.light_curve.is_positive.any()
    with_a_positive = parse({"objectId": "a", "candidates": [faint, deep, detection()]})
    assert not with_a_positive.fades and with_a_positive.n_det_fading == 1


def test_the_scores_of_a_packet_are_of_the_epoch_whose_stamps_it_carries():
    own = detection(2461003.7, candid=2000000000000000001, isdiffpos="f", drb=0.97)
    earlier = detection(2461001.7, candid=2000000000000000002, drb=0.3)
    stamps = {"science": "s", "template": "t", "difference": "d"}
    found = parse({"objectId": "a", "candidate": own, "prv_candidates": [earlier], "cutouts": stamps})
    assert found.cutouts.is_negative and found.extras["drb"] == 0.97 and not found.fades


def test_a_record_s_own_cutouts_come_before_its_detections():
    paths = {"science": "s.fits", "template": "t.fits", "difference": "d.fits"}
    found = reference_of(candidates=[detection(image_urls=urls("x"))], cutouts=paths)
    assert found == CutoutReference("s.fits", "t.fits", "d.fits")
    assert reference_of(image_urls=urls("x")).template == urls("x")["Template"]


def test_the_kinds_of_stamps_are_named_with_capitals_or_without():
    assert reference_of(cutouts=urls("x")) == reference_of(
        cutouts={kind.lower(): url for kind, url in urls("x").items()}
    )


def test_cutouts_that_are_not_all_named_are_missing_and_the_absent_one_is_said():
    found = parse({"objectId": "a", "cutouts": {"science": "s.fits", "difference": 5}})
    assert found.cutouts is None
    assert found.why_missing == {"triplet": "the record names no template, difference stamp"}
    assert parse({"objectId": "a"}).why_missing == {}


def test_recorded_answers_of_the_real_lasair_are_read(shared):
    answers = json.loads((shared / "fixtures" / "lasair_ztf" / "api_lightcurves.json").read_text())
    for object_id, candidates in answers.items():
        curve = parse({"objectId": object_id, "candidates": candidates}).light_curve
        with_candid = [c for c in candidates if "candid" in c]
        assert 5 < len(curve.time_mjd) <= len(with_candid)
        assert sorted({c["mjd"] for c in with_candid}) == pytest.approx(sorted(set(curve.time_mjd)), abs=1e-4)
        original = copy.deepcopy(candidates)
        assert same(curve, curve_of(*reversed(original)))


def test_an_alert_packet_is_read_as_the_object_answer_it_is_a_part_of(night):
    item = night.objects[0]
    detected = [{k: v for k, v in epoch.__dict__.items() if v is not None} for epoch in item.epochs]
    last = next(number for number in reversed(range(len(detected))) if "candid" in detected[number])
    ps1 = {name: item.columns[name] for name in ("distpsnr1", "sgmag1", "srmag1")}
    packet = {
        "objectId": item.object_id,
        "candidate": detected[last] | ps1,
        "prv_candidates": detected[:last],
        "annotations": {"sherlock": [dict(item.sherlock)]},
    }
    answer = {"objectId": item.object_id, "candidates": detected[: last + 1], "sherlock": dict(item.sherlock), **ps1}
    read, expected = parse(packet), parse(answer)
    assert read.features == expected.features != {}
    assert (read.n_det, read.last_mjd, read.sherlock_class) == (
        expected.n_det,
        expected.last_mjd,
        expected.sherlock_class,
    )
    assert len(read.light_curve.time_mjd) == len(expected.light_curve.time_mjd) > 0


def test_recorded_alert_packets_of_lasair_are_read(shared):
    paths = sorted((shared / "fixtures" / "lasair_ztf").glob("alert_*.json"))
    assert len(paths) >= 4
    for path in paths:
        packet = json.loads(path.read_text())
        if packet["candidate"]["ssdistnr"] == 0.0:  # two are of asteroids
            with pytest.raises(SolarSystemObjectError, match=packet["candidate"]["ssnamenr"]):
                parse(packet)
            continue
        transient = parse(packet)
        assert transient.object_id.startswith("ZTF") and transient.features
        assert transient.light_curve is not None and transient.n_det >= 1


@pytest.mark.parametrize("part", [None, 5, "x", [], {}, [None], [5]])
def test_a_packet_with_broken_parts_is_read_as_far_as_it_goes(part):
    packet = {"objectId": "ZTF99aaaaaaa", "candidate": {"candid": 1, "jd": 2461000.5, "fid": 1, "magpsf": 19.0}}
    for name in ("prv_candidates", "annotations"):
        assert parse(packet | {name: part}).features["gmag"] == 19.0
    assert parse(packet | {"annotations": {"sherlock": part}}).features["gmag"] == 19.0


@pytest.mark.parametrize(
    ("fid", "words"), [("V", "'V'"), (4, "4"), (math.nan, "missing"), ([1], "[1]"), ("", "missing")]
)
def test_a_band_that_nobody_knows_is_named_and_counts_as_no_other(fid, words):
    usual = [detection(2461000.7, 1, 18.0, 1), detection(2461003.7, 2, 19.0, 2)]
    record = {"objectId": "a", "candidates": [*usual, detection(2461005.7, fid, 15.0, 3)]}
    found, without = parse(record), parse(record | {"candidates": usual})
    assert found.features == without.features and found.n_det == without.n_det == 2
    (phrase,) = found.left_out
    assert phrase.startswith("fid is ") and phrase.endswith("in 1 of 3 detections") and words in phrase


def test_an_object_of_which_no_detection_can_be_read_has_no_view_whatever_surrounds_it():
    around = {"distpsnr1": 1.0, "sgmag1": 19.0, "srmag1": 18.5, "separationArcsec": 1.0, "major_axis_arcsec": 3.0}
    record = {"objectId": "a", **around, "candidates": [detection(fid="V"), detection(jd="yesterday")]}
    found = parse(record)
    assert found.features == {} and found.n_det is None
    assert found.why_missing["features"] == found.why_missing["lightcurve"] == "; ".join(found.left_out)
    assert "fid is none of 1, 2, 3" in found.why_missing["features"]
    assert "jd is no date" in found.why_missing["features"]
    assert parse(record | {"gmag": 18.0}).features.keys() == {*around, "gmag"}  # Lasair could read it


@pytest.mark.parametrize("candidates", [[], [limit()], {"0": detection()}, "[]", [None]])
def test_what_surrounds_an_object_without_detections_is_no_view_of_it(candidates):
    around = {"distpsnr1": 1.0, "sgmag1": 19.0, "srmag1": 18.5, "separationArcsec": 1.0}
    found = parse({"objectId": "a", **around, "candidates": candidates})
    assert found.features == {} and found.why_missing["features"]


@pytest.mark.parametrize("unsaid", [{"rb": None}, {"rb": 99}, {"rb": "good"}, {"isdiffpos": None}, {"isdiffpos": "?"}])
def test_detections_that_nobody_judged_are_not_counted_as_bad(unsaid):
    judged = [detection(2461000.7 + day, candid=day + 1, rb=0.2) for day in range(3)]
    assert parse({"objectId": "a", "candidates": judged}).n_det_good == 0
    unjudged = [item | unsaid for item in judged]
    assert parse({"objectId": "a", "candidates": unjudged}).n_det_good is None
    assert parse({"objectId": "a", "candidates": [*judged[:2], unjudged[2]]}).n_det_good is None
    good = detection(2461004.7, candid=9, rb=0.9)
    assert parse({"objectId": "a", "candidates": [*unjudged, good]}).n_det_good == 1
    assert parse({"objectId": "a", "ncandgp": None, "candidates": unjudged}).n_det_good == 0  # Lasair's own NULL


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"sigmapsf": 0}, "sigmapsf is no error above 0 and up to 2 mag (0)"),
        ({"sigmapsf": "0.1 mag"}, "sigmapsf is no error"),
        ({"ra": "10:00:24.0", "dec": "+20:12:00"}, "ra is no right ascension in degrees ('10:00:24.0')"),
        ({"dec": 200}, "dec is no declination in degrees (200)"),
        ({"rb": 90}, "rb is no score from 0 to 1 (90)"),
    ],
)
def test_a_value_that_cannot_be_is_missing_by_name_and_the_detection_stays(value, words):
    found = parse({"objectId": "a", "candidates": [detection() | value, detection(2461001.7, candid=2)]})
    assert found.n_det == 2 and len(found.light_curve.time_mjd) == 2
    assert found.left_out[0].startswith(words) and found.left_out[0].endswith("in 1 of 2 detections")


@pytest.mark.parametrize("value", [None, math.nan, -999.0, "", "null"])
def test_a_value_that_is_absent_is_missing_without_a_word(value):
    assert parse({"objectId": "a", "candidates": [detection() | {"rb": value, "sigmapsf": value}]}).left_out == ()


def test_entries_of_a_history_that_are_no_detections_are_counted():
    found = parse({"objectId": "a", "candidates": [detection(), None, "x"]})
    assert found.n_det == 1 and found.left_out == ("2 of 3 candidates have no named values",)


@pytest.mark.parametrize("unknown", [{"candidate": detection()}, {f"i:{k}": v for k, v in detection().items()}])
def test_entries_in_which_nothing_is_known_by_its_name_are_told(unknown):
    found = parse({"objectId": "a", "candidates": [detection(), unknown]})
    assert found.n_det == 1 and found.left_out == ("some candidates have neither candid nor a date (jd)",)


def test_a_mean_on_the_other_side_of_the_sky_gives_way_to_the_detections():
    places = [{"ra": 359.99997, "dec": 20.2}, {"ra": 3e-5, "dec": 20.2}]
    candidates = [detection(2461000.7 + n, candid=n + 1) | place for n, place in enumerate(places)]
    found = parse({"objectId": "a", "ramean": 180.0, "decmean": 20.2, "candidates": candidates})
    assert min(found.ra_deg, 360.0 - found.ra_deg) < 1e-4 and found.dec_deg == pytest.approx(20.2)
    own = parse({"objectId": "a", "ramean": 0.0001, "decmean": 20.2001, "candidates": candidates})
    assert (own.ra_deg, own.dec_deg) == (0.0001, 20.2001)


def test_a_packet_s_history_of_a_wrong_kind_is_named():
    found = parse({"objectId": "a", "candidate": detection(), "prv_candidates": {"0": detection(2461000.7)}})
    assert found.n_det == 1 and found.left_out[0].startswith("prv_candidates is no list but {")


def test_a_value_of_a_wrong_kind_is_missing_by_name_and_the_record_is_read():
    found = parse(
        {"objectId": "a", "gmag": [18.0], "rmag": "bright", "maggmin": 17.0, "candidates": "many", "sherlock": 3}
    )
    assert found.features == {"maggmin": 17.0}
    assert found.left_out == (
        "gmag is no number but [18.0]",
        "rmag is no number but 'bright'",
        "candidates is no list but 'many'",
        "sherlock is no mapping but 3",
    )


@pytest.mark.parametrize("candid", [None, math.nan, "", "nan", "None", -999, "abc", 0, [], True])
def test_what_names_no_candidate_makes_no_detection_of_an_upper_limit(candid):
    found = parse({"objectId": "a", "candidates": [detection(), limit(candid=candid, sigmapsf=math.nan)]})
    assert found.n_det == 1 and len(found.light_curve.limit_time_mjd) == 1


def test_copies_of_a_detection_are_one_and_have_what_any_of_them_has():
    first = detection(candid=3000000000000000001, drb=None, image_urls=urls("x"), ra=10.0, dec=20.0)
    again = first | {"candid": "3000000000000000001", "magpsf": 18.500001, "drb": 0.9, "image_urls": None}
    coarse = first | {"candid": 3000000000000000001, "jd": first["jd"] + 0.004, "sigmapsf": 0.06}
    for copies in ([first, again], [again, first], [coarse, again, first], [again, coarse, first, first]):
        found = parse({"objectId": "a", "candidates": copies})
        assert (found.n_det, found.n_det_good, len(found.light_curve.time_mjd)) == (1, 1, 1)
        assert found.extras["drb"] == 0.9 and found.cutouts.science == urls("x")["Science"]


def test_the_place_on_the_detector_goes_with_the_stamps():
    shown = detection(magpsf=18.0, image_urls=urls("x"), xpos=12.5, ypos="3070.25")
    other = detection(2461003.7, xpos=1000.0, ypos=1000.0, candid=2)
    found = parse({"objectId": "a", "candidates": [other, shown]}).cutouts
    assert (found.x_pixel, found.y_pixel) == (12.5, 3070.25)
    paths = {"science": "s.fits", "template": "t.fits", "difference": "d.fits"}
    of_packet = parse({"objectId": "a", "candidate": other, "prv_candidates": [shown], "cutouts": paths}).cutouts
    assert (of_packet.science, of_packet.x_pixel, of_packet.y_pixel) == ("s.fits", 1000.0, 1000.0)
    assert parse({"objectId": "a", "cutouts": paths, "xpos": 5, "ypos": -999}).cutouts.x_pixel == 5.0
