"""Lasair-LSST: every shape of a record, values that are none, ids of 19 digits, and whose a detection is."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.decision.changes import state_digest
from annotator.decision.classify import decide
from annotator.decision.config import DecisionConfig
from annotator.errors import RecordError, SolarSystemObjectError
from annotator.models import Scores
from annotator.passes.scoring.enrich import _joined
from annotator.preprocess.evolution import evolution
from annotator.surveys import SURVEYS
from annotator.surveys.json_values import JsonObject, decode, text_of, undecoded
from annotator.surveys.lsst.shapes import DETECTED
from annotator.surveys.lsst.sources import SAME_EXPOSURE_DAYS
from annotator.surveys.values import TAI_MINUS_UTC_DAYS
from annotator.transient import BEST_REAL_BOGUS, Modality, Transient
from tests import lsst_recorded, lsst_records
from tests.lsst_records import at_lasair, rubin_object, shapes

LSST = SURVEYS["lsst"]
parse = LSST.parse
MJD = 61000.3
SHAPES_WITH_A_LIGHT_CURVE = ("lite", "full", "object", "object, full", "object, added", "object of 2025", "packet")


def source(mjd=MJD, band="r", flux=2000.0, **fields):
    return {"midpointMjdTai": mjd, "band": band, "psfFlux": flux, "psfFluxErr": 150.0, **fields}


def found(*sources, forced=(), **fields) -> Transient:
    answer = {
        "diaObjectId": "170000000000000001",
        "diaSourcesList": list(sources),
        "diaForcedSourcesList": list(forced),
    }
    return parse(answer | fields)


def points(transient):
    curve = transient.light_curve
    return [
        *zip(
            curve.time_mjd.tolist(), curve.band.tolist(), curve.flux_njy.tolist(), curve.is_forced.tolist(), strict=True
        )
    ]


# Shapes


@pytest.mark.parametrize("seed", range(12))
def test_an_object_is_the_same_in_whichever_shape_it_comes(seed):
    item = rubin_object(seed, fades=seed % 3 == 0)
    read = {name: parse(undecoded(json.dumps(record))) for name, record in shapes(item).items()}
    assert {transient.object_id for transient in read.values()} == {str(item.object_id)}
    assert len({transient.last_mjd for transient in read.values()}) == 1
    curves = [points(read[name]) for name in SHAPES_WITH_A_LIGHT_CURVE]
    assert all(curve == curves[0] for curve in curves) and len(curves[0]) >= len(item.sources)
    assert {read[name].n_det for name in SHAPES_WITH_A_LIGHT_CURVE} == {len(item.sources)}
    assert {read[name].fades for name in SHAPES_WITH_A_LIGHT_CURVE} == {seed % 3 == 0}
    positions = {(transient.ra_deg, transient.dec_deg) for name, transient in read.items() if name != "object"}
    assert positions == {(item.ra_deg, item.dec_deg)}


def test_a_row_has_no_light_curve_and_what_its_columns_say():
    item = rubin_object(2)
    for name in ("row", "row without UTC", "small letters"):
        transient = parse(shapes(item)[name])
        assert transient.light_curve is None and not transient.why_missing
        assert transient.n_det == len(item.sources)
        assert transient.sherlock_class == item.sherlock["classification"]
        assert transient.features["jump1"] == 0.0 and "BBBTemp" not in transient.features


def test_dates_are_tai_in_the_record_and_utc_here():
    transient = found(source(), forced=[source(MJD + 1)], lastDiaSourceMjdTai=MJD + 5)
    assert transient.light_curve.time_mjd.tolist() == [MJD - TAI_MINUS_UTC_DAYS, MJD + 1 - TAI_MINUS_UTC_DAYS]
    assert transient.last_mjd == MJD - TAI_MINUS_UTC_DAYS
    row = parse({"diaObjectId": 5, "lastDiaSourceMjdTai": MJD, "firstDiaSourceMjdTai": MJD - 3})
    assert row.last_mjd == MJD - 37 / 86400 and row.extras["age_days"] == pytest.approx(3)
    assert LSST.epoch_scale == "tai" and LSST.epoch_minus_mjd == 0.0


def test_sherlock_and_tns_may_be_empty():
    answer = shapes(rubin_object(1))["object, added"]
    answer["lasairData"] |= {"sherlock": {}, "TNS": {}, "sherlock_classifications": None}
    assert parse(answer).sherlock_class is None


def test_sherlock_s_word_is_read_wherever_it_stands():
    alert = {"diaSourcesList": [source()], "annotations": {"sherlock": [{"classification": "NT"}]}}
    assert parse({"diaObjectId": 7, "alert": alert}).sherlock_class == "NT"
    assert parse({"diaObjectId": 7, "classification": "SN"}).sherlock_class == "SN"
    assert parse({"diaObjectId": 7, "lasairData": {"sherlock": {"classification": "AGN"}}}).sherlock_class == "AGN"


def test_an_empty_or_absent_list_of_forced_photometry_is_none():
    for lists in ({"diaForcedSourcesList": []}, {"diaForcedSourcesList": None}, {}):
        assert len(parse({"diaObjectId": 7, "diaSourcesList": [source()], **lists}).light_curve) == 1


# Measurements


def test_one_visit_counts_once_and_its_detection_before_its_forced_measurement():
    seen, forced = source(flux=2000.0), source(flux=1900.0)
    alone = source(MJD + 33 / 1440, flux=-40.0)
    transient = found(seen, forced=[forced, alone])
    assert [point[2:] for point in points(transient)] == [(2000.0, False), (-40.0, True)]
    assert transient.n_det == 1
    at_half = source(MJD + SAME_EXPOSURE_DAYS / 2, flux=1900.0)
    assert len(found(seen, forced=[at_half]).light_curve) == 1
    of_other_band = source(band="i", flux=1900.0)
    assert len(found(seen, forced=[of_other_band]).light_curve) == 2


def test_overlapping_detections_of_one_visit_are_one_the_best_known():
    measured = [
        source(flux=flux, psfFluxErr=error) for flux, error in ((1900.0, 160.0), (2000.0, 150.0), (2100.0, None))
    ]
    for order in (measured, measured[::-1]):
        assert [point[2] for point in points(found(*order))] == [2000.0]


def test_a_dipole_or_a_glint_by_the_survey_s_own_flags_is_no_good_detection():
    plain, flagged = source(reliability=0.7), source(mjd=MJD + 1, reliability=0.95)
    assert found(plain, flagged).n_det_good == 2
    for flag in ("isDipole", "glint_trail"):
        item = found(plain, flagged | {flag: True})
        assert item.n_det_good == 1 and item.extras[BEST_REAL_BOGUS] == 0.7
    assert found(plain, flagged | {"isDipole": False}).extras[BEST_REAL_BOGUS] == 0.95


def test_what_the_survey_withdrew_is_in_no_view():
    transient = found(source(), source(MJD + 1, timeWithdrawnMjdTai=MJD + 2), forced=[source(MJD + 2)])
    assert transient.n_det == 1 and transient.left_out == ("1 of 2 sources, withdrawn by the survey",)
    assert found(source(timeWithdrawnMjdTai=math.nan)).n_det == 1


def test_a_source_that_is_mostly_negative_fades_as_it_is_scored():
    negative = [source(MJD + day, flux=-2000.0) for day in range(3)]
    assert found(*negative, source(MJD + 9)).fades
    assert found(*negative, forced=[source(MJD - day, flux=500.0) for day in range(1, 9)]).fades
    for positive in (
        [source(MJD + 5 + day) for day in range(4)],
        [source(MJD + 5, flux=9000.0)],  # brighter by far than all that it ever was fainter
    ):
        transient = found(*negative, *positive)
        assert not transient.fades and not evolution([transient.light_curve]).is_mirrored[0]
    transient = found(*(item | {"diaSourceId": 170000000000000001 + i} for i, item in enumerate(negative)))
    assert transient.cutouts.is_negative and evolution([transient.light_curve]).is_mirrored[0]
    assert found(source(flux=-200.0)).fades  # of nothing that is scored, by its sign


@given(
    st.lists(st.tuples(st.sampled_from((1, -1)), st.sampled_from((0.3, 0.5, 0.51, 0.95))), min_size=1, max_size=6),
    st.sampled_from(("SN", "VS", "ORPHAN")),
)
def test_row_stream_answer_and_packet_agree_on_what_is_real_whatever_its_sign(seen, sherlock_class):
    item = rubin_object(3, n_nights=12)
    sources = [
        visit | {"psfFlux": sign * abs(visit["psfFlux"]), "reliability": reliability}
        for visit, (sign, reliability) in zip(item.sources, seen, strict=False)
    ]
    sherlock = item.sherlock | {"classification": sherlock_class}
    records = shapes(dataclasses.replace(item, sources=sources, forced=[], sherlock=sherlock))
    n_good = sum(visit["reliability"] > 0.5 for visit in sources)
    counted = {"nsourcesgood": n_good, "ndiasources": len(sources)}
    for name, record in records.items():
        records[name] = parse(record | {key: counted[key.lower()] for key in record if key.lower() in counted})
    assert {(found.n_det, found.n_good_either_sign) for found in records.values()} == {(len(sources), n_good)}
    with_curve = [found for found in records.values() if found.light_curve is not None]
    joined = _joined(records["row"], records["object"], LSST)
    scores = Scores(3.5, {})
    # Without what a light curve alone tells, which a row has not, and of which it is not scored.
    alike = DecisionConfig(artefact_reliability=0.0, variable_alternations=1000)
    classes = {decide(found, scores, alike) for found in (records["row"], records["full"], joined)}
    # What lies on a catalogued star is variable, brighter or fainter than in its template, where it is real.
    expected = "artefact" if n_good == 0 and len(sources) > 1 else "variable" if sherlock_class == "VS" else "anomaly"
    assert classes == {expected}
    assert len({(found.fades, found.extras["reliability"]) for found in (*with_curve, joined)}) == 1


def test_visits_without_a_detection_are_upper_limits_where_nothing_was_measured():
    limits = [
        {"ccdVisitId": 5, "midpointMjdTai": MJD - 3, "band": "i", "diaNoise": 30.0},
        {"ccdVisitId": 4, "midpointMjdTai": MJD - 9, "band": "g", "diaNoise": 20.0},
        {"ccdVisitId": 3, "midpointMjdTai": MJD, "band": "r", "diaNoise": 20.0},  # where it was detected
        {"ccdVisitId": 2, "midpointMjdTai": MJD - 5, "band": "r", "diaNoise": math.nan},
        {
            "ccdVisitId": 1,
            "midpointMjdTai": MJD - 6,
            "band": "g",
            "diaNoise": 25.0,
        },  # where it was measured all the same
    ]
    forced = [source(MJD - 6, band="g", flux=20.0)]
    records = (
        {"diaSourcesList": [source()], "diaForcedSourcesList": forced, "diaNondetectionLimitsList": limits},
        {"alert": {"diaSourcesList": [source()], "diaForcedSourcesList": forced, "diaNondetectionLimitsList": limits}},
        {"diaSource": source(), "prvDiaForcedSources": forced, "prvDiaNondetectionLimits": limits[::-1]},
    )
    for record in records:
        for written in (record | {"diaObjectId": 7}, undecoded(json.dumps(record | {"diaObjectId": 7}))):
            transient = parse(written)
            curve = transient.light_curve
            assert curve.limit_flux_njy.tolist() == [100.0, 150.0] and curve.limit_band.tolist() == ["g", "i"]
            assert curve.limit_time_mjd.tolist() == [MJD - 9 - TAI_MINUS_UTC_DAYS, MJD - 3 - TAI_MINUS_UTC_DAYS]
            assert transient.left_out == ("1 of 5 upper limits lack a date, a band or a noise",)
    assert len(found(diaNondetectionLimitsList=limits).light_curve.limit_flux_njy) == 0  # of what was never detected
    with_later = parse(records[0] | {"diaObjectId": 7}, latest_mjd=MJD - 4)
    assert with_later.dates_ahead == ("diaSources",)


def test_the_present_is_compared_with_the_past_by_all_light_and_not_by_what_differs_from_a_template():
    template = 9000.0
    days = [*np.arange(0.0, 60.0, 6.0), *np.arange(400.0, 430.0, 6.0)]
    fluxes = [(-1) ** number * 1500.0 for number in range(10)] + [11000.0] * 5
    bare = [source(MJD + day, flux=flux) for day, flux in zip(days, fluxes, strict=True)]
    assert found(*bare).history.brighter_mag is None
    with_template = [item | {"templateFlux": template} for item in bare]
    past = found(*with_template).history
    # From 9000 to 20000 nJy; the differences alone would have been brighter by 2.2 mag.
    assert past.brighter_mag == pytest.approx(2.5 * math.log10(20000 / 9000), abs=0.2)
    whole = [item | {"scienceFlux": template + item["psfFlux"]} for item in bare]
    assert found(*whole).history.brighter_mag == past.brighter_mag
    assert found(*whole[:-1], bare[-1]).history.brighter_mag is None  # one does not tell


def test_signal_to_noise_is_flux_over_its_error_and_not_the_survey_s_own():
    transient = found(source(flux=300.0, snr=50.0))
    assert transient.light_curve.flux_njy[0] / transient.light_curve.flux_error_njy[0] == 2.0


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("psfFlux", None, "psfFlux is missing in 1 of 2 sources"),
        ("psfFlux", math.nan, "psfFlux is missing in 1 of 2 sources"),
        ("psfFlux", 1e300, "psfFlux is no flux within 1e+09 nJy of 0 (1e+300) in 1 of 2 sources"),
        ("midpointMjdTai", -1, "midpointMjdTai is no date from 1990 to 2100 (-1) in 1 of 2 sources"),
        ("band", "H", "band is none of u, g, r, i, z, y ('H') in 1 of 2 sources"),
    ],
)
def test_a_measurement_without_flux_date_or_band_is_left_out_by_name(field, value, reason):
    transient = found(source(), source(MJD + 1) | {field: value})
    assert transient.n_det == 1 and transient.left_out == (reason,)


def test_an_error_that_is_none_is_unknown_and_its_measurement_counts():
    transient = found(source(psfFluxErr=-1.0), source(MJD + 1))
    assert transient.n_det == 2 and math.isnan(transient.light_curve.flux_error_njy[0])
    assert transient.left_out == ("psfFluxErr is no error above 0 and up to 1e+09 nJy (-1.0) in 1 of 2 sources",)


def test_a_measurement_of_a_later_date_than_now_is_left_out_and_told():
    transient = parse({"diaObjectId": 7, "diaSourcesList": [source(), source(MJD + 9)]}, latest_mjd=MJD + 1)
    assert transient.n_det == 1 and transient.dates_ahead == ("diaSources",)


def test_stamps_are_those_of_the_brightest_positive_detection_with_the_slash():
    items = [
        source(MJD + day, flux=flux, diaSourceId=170000000000000001 + day) for day, flux in enumerate((1e3, 3e3, 2e3))
    ]
    cutouts = found(*items).cutouts
    assert cutouts.science == "https://lasair.lsst.ac.uk/fits/170000000000000002_cutoutScience/"
    assert cutouts.time_mjd == pytest.approx(MJD + 1, abs=1e-3)


def test_an_object_of_which_nothing_is_left_has_no_view():
    transient = found(source(psfFlux=None), separationArcsec=0.5)
    assert set(transient.why_missing) == {Modality.FEATURES, Modality.LIGHTCURVE} and not transient.features
    assert "psfFlux is missing" in transient.why_missing[Modality.LIGHTCURVE]


# Whose it is


@pytest.mark.parametrize("nobody", [0, None, "0", "", math.nan])
def test_an_alert_of_no_object_is_of_the_solar_system_and_refused_as_that(nobody):
    for record in (
        {"diaObjectId": nobody},
        {"diaSource": source(diaObjectId=nobody), "diaObject": None, "ssSource": {}},
    ):
        with pytest.raises(SolarSystemObjectError, match="solar-system object"):
            parse(record)


@pytest.mark.parametrize("value", [1.7e17, -3, 2**63, "12a", True, [], {}, "1_000", str(2**63), "9" * 400])
def test_an_id_that_is_none_is_refused_by_name(value):
    with pytest.raises(RecordError, match=r"expected diaObjectId to be a whole number between 0 and 2\*\*63, found"):
        parse({"diaObjectId": value})


@pytest.mark.parametrize("record", [None, 5, "x", [], {}, {"objectId": "ZTF99aaaaaaa"}])
def test_what_is_no_record_of_rubin_s_is_refused_by_name(record):
    with pytest.raises(RecordError, match="expected"):
        parse(record)


def test_detections_put_down_to_an_asteroid_are_none_of_the_object_s_own():
    apart = [source(MJD + day, ra=10.0 + day / 100, dec=-30.0, ssObjectId=day and 23133931615303) for day in range(2)]
    transient = found(*apart)
    assert (transient.n_det, transient.n_solar_system) == (1, 1)
    assert transient.left_out == ("1 of 2 detections, at the known solar-system object 23133931615303",)
    with pytest.raises(SolarSystemObjectError, match="no detection is the object's own"):
        found(apart[1])


def test_a_source_that_stays_keeps_the_detection_that_an_asteroid_passed_by():
    passing = source(MJD, ra=10.0, dec=-30.0, ssObjectId=23133931615303)
    assert found(passing, source(MJD + 1, ra=10.0, dec=-30.0)).n_det == 2


@given(st.integers(1, 2**63 - 1) | st.integers(2**53, 2**53 + 9) | st.integers(2**63 - 9, 2**63 - 1))
def test_an_id_keeps_all_its_digits_in_every_shape(number):
    for name, record in shapes(rubin_object(7, n_nights=2, object_id=number)).items():
        texts = json.dumps(record), json.dumps(record).encode()
        for written in (record, *map(undecoded, texts), decode(texts[0])):
            assert parse(written).object_id == str(number), name
            assert LSST.object_id(written) == str(number), name
        assert parse(undecoded(text_of(record))).object_id == str(number)


# Bad input


FUZZ = {
    "null": None,
    "NaN": math.nan,
    "text": "quite something",
    "list": [1, "a"],
    "1e300": 1e300,
    "-1": -1,
}


def changed_fields(record, path=()):
    """Give each place of a record, as deep as there are mappings; of a list its first item alone."""
    for key, value in record.items() if isinstance(record, dict) else enumerate(record[:1]):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from changed_fields(value, (*path, key))


def replaced(record, path, value):
    changed = copy.copy(record)
    if len(path) > 1:
        changed[path[0]] = replaced(record[path[0]], path[1:], value)
    elif value is changed_fields:
        del changed[path[0]]
    else:
        changed[path[0]] = value
    return changed


def require_sound(record):
    """Ask for a sound transient or a refusal by name, alike whichever way a record is decoded."""
    outcomes = []
    for written in (record, undecoded(json.dumps(record))):
        try:
            outcomes.append(parse(written))
        except RecordError as refusal:
            outcomes.append(refusal)
    first, second = outcomes
    if isinstance(first, RecordError):
        assert (type(first), str(first)) == (type(second), str(second))
        return False
    assert state_digest(first) == state_digest(second)
    assert 0 < int(first.object_id) < 2**63
    assert all(math.isfinite(value) for value in (*first.features.values(), *first.extras.values()))
    if first.light_curve is not None:
        assert np.all(np.diff(first.light_curve.time_mjd) >= 0)
        assert np.isfinite(first.light_curve.flux_njy).all() and np.isfinite(first.light_curve.time_mjd).all()
        assert set(first.light_curve.band.tolist()) <= set("ugrizy")
    return True


@pytest.mark.parametrize("shape", shapes(rubin_object(3)))
def test_each_field_replaced_or_removed_gives_a_refusal_by_name_or_a_sound_transient(shape):
    record = shapes(rubin_object(3, n_nights=3))[shape]
    sound = [
        require_sound(replaced(record, path, value))
        for path in changed_fields(record)
        for value in (*FUZZ.values(), changed_fields)
    ]
    assert sum(sound) > 0.8 * len(sound)


# Real records


@pytest.fixture(scope="module")
def messages():
    if not lsst_recorded.STREAM.is_dir():
        pytest.skip(f"no real data at {lsst_recorded.SHARED}: these tests run where it is laid beside the checkout")
    return lsst_recorded.stream_messages()


def test_every_real_message_and_answer_is_parsed_and_no_object_lost(messages):
    read = [parse(undecoded(json.dumps(message))) for message in messages]
    assert len(read) == 108 and len({item.object_id for item in read}) == 75
    assert sum(item.light_curve is not None for item in read) == 76
    assert not any(item.left_out or item.why_missing for item in read)
    for answer in lsst_recorded.answers():
        assert parse(answer).object_id == answer["diaObjectId"]


def test_a_real_message_with_nan_is_decoded_no_further_than_it_is_read(messages):
    for message in messages:
        record = undecoded(json.dumps(message).encode())
        assert isinstance(record, JsonObject)
        parse(record)
        assert record._values is None


def test_each_field_of_a_real_message_replaced_gives_a_refusal_by_name_or_a_sound_transient(messages):
    smallest = min(
        (message for message in messages if "alert" in message), key=lambda message: len(json.dumps(message))
    )
    paths = list(changed_fields(smallest))
    sound = [
        require_sound(replaced(smallest, path, value)) for path in paths for value in (*FUZZ.values(), changed_fields)
    ]
    assert len(paths) > 200 and len(sound) - sum(sound) <= 7


def test_lasair_s_names_of_lists_are_those_that_a_transient_is_read_from():
    assert all(parse({"diaObjectId": 7, name: [at_lasair(source())]}).n_det == 1 for name in DETECTED)
    assert lsst_records.BANDS == "ugrizy"
