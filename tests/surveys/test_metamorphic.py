"""Changes of a record that have no meaning change nothing of what is read, for any survey and any record there is.

What a survey's fields mean stands in MEANINGS: a survey that is added has its own entry, and the same statements hold.
"""

import copy
import csv
import dataclasses
import datetime
import itertools
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from annotator.errors import RecordError
from annotator.sandbox.lasair.answers import candidate
from annotator.surveys import SURVEYS
from annotator.surveys.json_values import decode, undecoded
from annotator.surveys.lsst import shapes
from annotator.surveys.ztf import parse as ztf_parse
from annotator.transient import LightCurve, Transient
from tests import lsst_recorded, lsst_records
from tests.hostile_records import hostile_records, texts

SHARED = Path(__file__).resolve().parents[3] / "shared"
ABSENCES = (None, math.nan, "", " ", "None", "null", "NaN", "nan", -999, -999.0, "-999", -9999.0, -99.0)
LIMITS = ("limit_time_mjd", "limit_band", "limit_flux_njy")


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What the fields of a survey's records mean."""

    holders: tuple[str, ...]
    """Parts of a record that hold lists of measurements, beside the record itself."""
    lists: tuple[str, ...]
    """Where measurements are."""
    earlier: str
    """The one of them that stands beside a single one."""
    one: str
    """Where a single one is."""
    numbers: tuple[str, ...]
    """Fields of a measurement."""
    band: str
    bands: tuple[tuple[object, ...], ...]
    """Spellings of each."""
    sign: str
    signs: tuple[tuple[object, ...], ...]
    detection: tuple[str, ...]
    """Fields of which a detection has one; none where all measurements are of one kind."""
    dates: tuple[tuple[str, float], ...]
    """The field, and the days by which it is more than the first."""
    jd_less_first: float
    """Days by which a Julian date is more than the first of them."""
    may_lack: tuple[str, ...]
    """Fields of a detection that another spelling of "none" leaves as they are where they say none."""
    of_detections: tuple[str, ...]
    """Fields that upper limits lack."""
    limit: Mapping[str, object]
    """An upper limit that says nothing."""
    row_numbers: tuple[str, ...]
    """Fields of a flat row."""


MEANINGS = {
    "ztf": Meaning(
        holders=(),
        earlier="prv_candidates",
        detection=("candid", "sigmapsf"),
        jd_less_first=0.0,
        lists=("candidates", "prv_candidates"),
        one="candidate",
        numbers=("jd", "magpsf", "sigmapsf", "ra", "dec", "rb", "drb", "diffmaglim", "ssdistnr", "ssmagnr"),
        band="fid",
        bands=(
            (1, "1", 1.0, "1.0", "g", "G", "ztfg", "ZTF_g", "zg", "g-ZTF", "ZTF g"),
            (2, "2", 2.0, "2.0", "r", "R", "ztfr", "ZTF_r", "zr", "r-ZTF", " r "),
            (3, "3", 3.0, "3.0", "i", "I", "ztfi", "ztf-i", "zi", "i-ZTF", "ztfI"),
        ),
        sign="isdiffpos",
        signs=(
            ("t", "T", "true", "True", " TRUE ", "1", 1, 1.0, "+", True, "positive"),
            ("f", "F", "false", "False", " f ", "0", 0, -1, "-1", "-", False, "negative"),
        ),
        dates=(("jd", 0.0), ("mjd", -2400000.5)),
        may_lack=("rb", "drb", "ssdistnr", "ssmagnr", "ssnamenr", "sigmapsf", "xpos", "ypos"),
        of_detections=("candid", "sigmapsf", "isdiffpos", "rb", "drb", "ra", "dec", "ssdistnr"),
        limit={"jd": 2458000.7, "fid": 1},
        row_numbers=(*(feature.name for feature in SURVEYS["ztf"].features), "ncand", "jdmin", "jdmax", "ramean"),
    ),
    "lsst": Meaning(
        holders=("alert",),
        earlier="prvDiaSources",
        detection=(),
        jd_less_first=2400000.5,
        lists=(*shapes.DETECTED, *shapes.FORCED),
        one="diaSource",
        numbers=("midpointMjdTai", "psfFlux", "psfFluxErr", "ra", "dec", "decl", "reliability", "timeWithdrawnMjdTai"),
        band="band",
        bands=tuple(
            (letter, letter.upper(), f"lsst{letter}", f"LSST_{letter}", f"{letter}-LSST", f"LSSTCam.{letter}")
            for letter in "ugrizy"
        ),
        sign="isNegative",
        signs=((False, True),),  # the flux has a sign itself
        dates=(("midpointMjdTai", 0.0), ("midpointMjdTai", 2400000.5)),
        may_lack=("psfFluxErr", "reliability", "ssObjectId", "timeWithdrawnMjdTai"),
        of_detections=(),
        limit={"midpointMjdTai": 61000.7, "band": "r"},
        row_numbers=(*(feature.name for feature in SURVEYS["lsst"].features), "nDiaSources", "latestR", "ra", "decl"),
    ),
}


def test_every_survey_says_what_its_fields_mean():
    assert MEANINGS.keys() == SURVEYS.keys()


# Records


def simulated(night) -> Iterator[dict]:
    for item in night.objects[:25]:
        answer = {"objectId": item.object_id, "sherlock": dict(item.sherlock)}
        yield answer | {"candidates": [candidate(epoch, "https://host") for epoch in item.epochs]}
    for item in night.objects[25:35]:
        epochs = [dict(vars(epoch)) for epoch in item.epochs if epoch.jd > item.columns["jdmax"] - 30]
        last = max((epoch for epoch in epochs if epoch["candid"]), key=lambda epoch: epoch["jd"])
        yield {"objectId": item.object_id, "candidate": last, "prv_candidates": epochs[:-1]}
    yield from night.rows()[35:50]


def recorded() -> Iterator[dict]:
    """Every record of Lasair-ZTF's recorded traffic."""

    def records(found: object) -> Iterator[dict]:
        if isinstance(found, dict) and isinstance(found.get("objectId"), str):
            yield found
        elif isinstance(found, dict):
            yield from (
                {"objectId": name, "candidates": part} for name, part in found.items() if isinstance(part, list)
            )
        elif isinstance(found, list):
            for part in found:
                yield from records(part)

    for path in sorted((SHARED / "fixtures" / "lasair_ztf").glob("*.json")):
        yield from records(decode(path.read_bytes()))


def of_real_data() -> Iterator[dict]:
    """Some light curves, stamps' detections and rows of ZTF."""
    pandas = pytest.importorskip("pandas")
    curves = pandas.read_parquet(SHARED / "data" / "lightcurves.parquet")
    names = curves["objectId"].unique()[::400]
    for name, curve in curves[curves["objectId"].isin(names)].groupby("objectId"):
        fields = ["jd", "fid", "magpsf", "sigmapsf", "isdiffpos"]
        yield {"objectId": name, "candidates": curve[fields].to_dict("records")}
    with (SHARED / "data" / "cutouts.csv").open(encoding="utf-8", newline="") as file:
        for row in itertools.islice(csv.DictReader(file), 0, None, 60):
            yield {"objectId": row["objectId"], "candidates": [row], "distpsnr1": row["distpsnr1"]}
    with (SHARED / "data" / "object_features.csv").open(encoding="utf-8", newline="") as file:
        for row in itertools.islice(csv.DictReader(file), 0, None, 200):
            yield {name: value for name, value in row.items() if value != ""}


def of_rubin_s_data() -> Iterator[dict]:
    """Light curves of deep fields, forced photometry and all, and of a filter's stream."""
    pandas = pytest.importorskip("pandas")
    for name in ("rubin_lightcurves.parquet", "rubin_lvra_lightcurves.parquet"):
        curves = pandas.read_parquet(SHARED / "data" / "rubin" / name)
        for object_id in curves["diaObjectId"].unique()[::30]:
            curve = curves[curves["diaObjectId"] == object_id].rename(columns=OF_RUBIN_S_TABLES)
            is_detected = curve["kind"] == "diaSource"
            of_kind = {"diaSourcesList": curve[is_detected], "diaForcedSourcesList": curve[~is_detected]}
            lists = {name: rows.drop(columns=["kind"]).to_dict("records") for name, rows in of_kind.items()}
            yield {"diaObjectId": object_id, **lists}


OF_RUBIN_S_TABLES = {"id": "diaSourceId", "mjd": "midpointMjdTai"}


def simulated_of_rubin(_: object) -> Iterator[dict]:
    yield from lsst_records.records(12)


KINDS = {
    ("ztf", "simulated"): simulated,
    ("ztf", "recorded"): recorded,
    ("ztf", "real data"): of_real_data,
    ("lsst", "simulated"): simulated_of_rubin,
    ("lsst", "recorded"): lsst_recorded.recorded,
    ("lsst", "real data"): of_rubin_s_data,
}


@pytest.fixture(params=KINDS, ids=" ".join)
def records(request, night) -> tuple[str, list[dict]]:
    survey, kind = request.param
    if kind == "simulated":
        return survey, list(KINDS[request.param](night))
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}: these tests run where it is laid beside the checkout")
    return survey, list(KINDS[request.param]())


# Changes without meaning


def measurements(record: Mapping, meaning: Meaning) -> list[dict]:
    """Return the measurements of a record, to be changed in place."""
    found = [item for part in parts(record, meaning) for name in meaning.lists for item in part.get(name) or ()]
    return [item for item in [*found, record.get(meaning.one)] if isinstance(item, dict)]


def parts(record: Mapping, meaning: Meaning) -> list[dict]:
    """Return what of a record has lists of measurements."""
    return [record, *(part for name in meaning.holders if isinstance(part := record.get(name), dict))]


def is_none(value: object) -> bool:
    return value in ABSENCES or value != value


def is_detection(item: Mapping, meaning: Meaning) -> bool:
    return not meaning.detection or any(not is_none(item.get(name)) for name in meaning.detection)


def lists_of(record, meaning):
    return [part[name] for part in parts(record, meaning) for name in meaning.lists if isinstance(part.get(name), list)]


def other_order(record, meaning, draw):
    for items in lists_of(record, meaning):
        draw.shuffle(items)
    keys = list(record)
    draw.shuffle(keys)
    return {key: record[key] for key in keys}


def repeated(record, meaning, draw):
    for items in lists_of(record, meaning):
        items += copy.deepcopy(draw.choices(items, k=5)) if items else []
    if isinstance(record.get(meaning.one), dict):
        record[meaning.earlier] = [*(record.get(meaning.earlier) or []), copy.deepcopy(record[meaning.one])]
    return record


def further_keys(record, meaning, draw):
    for item in [record, *measurements(record, meaning)]:
        item |= {"another": draw.random(), "": None, "éè": "x", "nested": {"jd": [1]}, "ztf_fid": 9}
    return record


def limits_added(record, meaning, draw):
    for items in lists_of(record, meaning):
        absences = [dict.fromkeys(meaning.of_detections, draw.choice(ABSENCES)) for _ in range(3)]
        items += [dict(meaning.limit), *(meaning.limit | absent for absent in absences)]
    return record


def limits_spelt(record, meaning, draw):
    for item in measurements(record, meaning):
        if not is_detection(item, meaning):
            item |= {name: draw.choice(ABSENCES) for name in meaning.of_detections}
    return record


def spelt(value: object, draw: random.Random) -> object:
    """Write a number in another way."""
    if isinstance(value, bool) or not isinstance(value, int | float) or is_none(value):
        return value
    ways = [repr(value), f" {value!r} ", f"{value:.17g}", f"{value:.17e}", float(value)]
    return draw.choice(ways + ([int(value)] if value == int(value) else []))


def numbers_spelt(record, meaning, draw):
    for item in measurements(record, meaning):
        item |= {name: spelt(item[name], draw) for name in meaning.numbers if name in item}
    return record | {name: spelt(record[name], draw) for name in meaning.row_numbers if name in record}


def as_json(record, meaning, draw):
    return decode(json.dumps(record, ensure_ascii=draw.random() < 0.5))


def one_of(spellings, value, draw):
    for same in spellings:
        if any(type(value) is type(way) and value == way for way in same):
            return draw.choice(same)
    return value


def bands_spelt(record, meaning, draw):
    for item in measurements(record, meaning):
        if meaning.band in item:
            item[meaning.band] = one_of(meaning.bands, item[meaning.band], draw)
    return record


def signs_spelt(record, meaning, draw):
    for item in measurements(record, meaning):
        if meaning.sign in item:
            item[meaning.sign] = one_of(meaning.signs, item[meaning.sign], draw)
    return record


def absences_spelt(record, meaning, draw):
    for item in measurements(record, meaning):
        if is_detection(item, meaning):
            for name in meaning.may_lack:
                if is_none(item.get(name)):
                    item[name] = draw.choice(ABSENCES)
    for name in meaning.row_numbers:
        if not measurements(record, meaning) and is_none(record.get(name)):
            record[name] = draw.choice(ABSENCES)
    return record


def dates_spelt(record, meaning, draw):
    (first, _), *others = meaning.dates
    for item in measurements(record, meaning):
        if first not in item or is_none(item[first]):
            continue
        days = float(item[first])
        seconds = (days + meaning.jd_less_first - 2440587.5) * 86400
        written = datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat()
        name, offset = draw.choice(others)
        without = {key: value for key, value in item.items() if key not in dict(meaning.dates) and key != "utc"}
        item.clear()
        item |= without | draw.choice([{name: days + offset}, {name: str(days + offset)}, {first: written}])
        item |= draw.choice([{}, {first: item.get(first, draw.choice(ABSENCES))}])
    return record


EXACT = (
    *(other_order, repeated, further_keys, limits_added, limits_spelt, numbers_spelt, as_json, bands_spelt),
    *(signs_spelt, absences_spelt),
)


def read(survey: str, record: Mapping) -> Transient | str:
    try:
        return SURVEYS[survey].parse(record)
    except RecordError as refusal:
        return str(refusal).split(":")[0]


def said(transient: Transient | str) -> object:
    """Lay what was read out to be compared; upper limits are in no score, and counts of copies in no view."""
    if isinstance(transient, str):
        return transient
    values = dict(vars(transient))
    curve = values.pop("light_curve")
    del values["left_out"]
    if curve is not None:
        values |= {
            name: getattr(curve, name).tolist() for name in LightCurve.__dataclass_fields__ if name not in LIMITS
        }
        values["flux_error_njy"] = np.nan_to_num(curve.flux_error_njy, nan=-1.0).tolist()
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


@pytest.mark.parametrize("change", EXACT, ids=lambda change: change.__name__)
def test_a_change_without_meaning_changes_nothing(records, change: Callable):
    survey, originals = records
    meaning, n_read = MEANINGS[survey], 0
    for number, record in enumerate(originals):
        expected = said(read(survey, record))
        changed = change(copy.deepcopy(record), meaning, random.Random(number))
        assert said(read(survey, changed)) == expected, (number, change.__name__)
        n_read += not isinstance(expected, str)
    assert n_read > 5


def test_all_of_them_together_change_nothing(records):
    survey, originals = records
    for number, record in enumerate(originals):
        changed, draw = copy.deepcopy(record), random.Random(number)
        for change in draw.sample(EXACT, len(EXACT)):
            changed = change(changed, MEANINGS[survey], draw)
        assert said(read(survey, changed)) == said(read(survey, record)), number


def test_a_date_is_a_date_in_all_its_spellings_to_the_digits_that_it_has(records):
    survey, originals = records
    for number, record in enumerate(originals):
        expected = read(survey, record)
        found = read(survey, dates_spelt(copy.deepcopy(record), MEANINGS[survey], random.Random(number)))
        if isinstance(expected, str):
            assert found == expected
            continue
        if expected.light_curve is not None:
            assert found.light_curve.time_mjd == pytest.approx(expected.light_curve.time_mjd, abs=1e-8)
            assert found.light_curve.flux_njy.tolist() == expected.light_curve.flux_njy.tolist()
        assert dict(found.features) == pytest.approx(dict(expected.features), rel=1e-3, abs=1e-4)
        assert (found.n_det, found.n_det_good) == (expected.n_det, expected.n_det_good)


# Two ways of decoding


def all_of(transient: Transient) -> object:
    """Lay out all that was read, upper limits and words included."""
    limits = [getattr(transient.light_curve, name).tolist() for name in LIMITS] if transient.light_curve else None
    return said(transient), transient.left_out, limits


def outcome(survey: str, record: object) -> object:
    try:
        return repr(all_of(SURVEYS[survey].parse(record)))
    except Exception as fault:
        return type(fault), str(fault)


def require_one_outcome(survey: str, text: str) -> None:
    """Ask for the same of a text whose known fields are decoded alone, and of all that it says."""
    for written in (text, text.encode(errors="replace")):
        assert outcome(survey, undecoded(written)) == outcome(survey, decode(written)), text[:300]


def test_what_is_read_does_not_depend_on_how_it_was_decoded(records):
    survey, originals = records
    for number, record in enumerate(originals):
        require_one_outcome(survey, json.dumps(record))
        draw = random.Random(number)
        for change in draw.sample(EXACT, 3):
            require_one_outcome(survey, json.dumps(change(copy.deepcopy(record), MEANINGS[survey], draw)))


def test_what_is_read_of_hostile_records_does_not_depend_on_how_they_were_decoded(night):
    n_read = 0
    for text in texts(hostile_records(night, 600)):
        require_one_outcome("ztf", text)
        n_read += isinstance(outcome("ztf", decode(text)), str)
    assert n_read > 400


class Asked(dict):
    """A record that hears what is asked of it."""

    names: set[object]

    def get(self, name, default=None):
        self.names.add(name)
        return super().get(name, default)

    __contains__ = get
    __getitem__ = get


def test_all_that_is_asked_of_a_record_is_decoded(night):
    Asked.names = set()
    stamps = {"cutouts": {}}
    for record in (*simulated(night), *night.rows()[:5], night.rows()[0] | stamps):
        SURVEYS["ztf"].parse(Asked(record))
    assert len(Asked.names) > 40
    assert Asked.names <= {"candidates", *ztf_parse.READ}


def test_what_a_record_says_of_its_own_stamps_is_read_alike_whichever_way(night):
    stamps = {"cutouts": {kind: f"{kind}.fits" for kind in ("science", "template", "difference")}}
    for record in (*simulated(night), *night.rows()[:5]):
        require_one_outcome("ztf", json.dumps(record | stamps | {"xpos": 31.5, "ypos": 400}))
    found = SURVEYS["ztf"].parse(undecoded(json.dumps({"objectId": "a", "xpos": 31.5, "ypos": 400} | stamps)))
    assert (found.cutouts.x_pixel, found.cutouts.y_pixel) == (31.5, 400.0)


ODD = (
    "NaN",
    "Infinity",
    "-1e400",
    "9" * 5000,
    "9" * 30,
    "true",
    "false",
    '"\\ud800"',
    '"18.2"',
    "null",
    "[]",
    "{}",
    "0",
    "1",
)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "field", [*MEANINGS["ztf"].numbers, "candid", "fid", "isdiffpos", "utc", "another", "image_urls"]
)
def test_one_odd_value_is_read_alike_whichever_way(night, field, odd):
    record = next(simulated(night))
    record["candidates"][0][field] = "HERE"
    require_one_outcome("ztf", json.dumps(record).replace('"HERE"', odd))


@pytest.mark.parametrize("odd", [*ODD, '"NaN, null"', '"r"', "170000000000000002", "12.0"])
@pytest.mark.parametrize("shape", ["row", "full", "object, added", "packet"])
def test_one_odd_value_of_rubin_s_is_read_alike_whichever_way(shape, odd):
    whole = lsst_records.shapes(lsst_records.rubin_object(3, n_nights=4))[shape]
    meaning = MEANINGS["lsst"]
    for field in (*meaning.numbers, "diaSourceId", "ssObjectId", "diaObjectId", "band", "another"):
        record = copy.deepcopy(whole)
        measured = measurements(record, meaning)
        (measured[0] if measured else record)[field] = "HERE"
        require_one_outcome("lsst", json.dumps(record).replace('"HERE"', odd))
    for field in (*whole, "sherlock", "diaSourcesList", "alert"):
        require_one_outcome("lsst", json.dumps(whole | {field: "HERE"}).replace('"HERE"', odd))


def test_scores_are_the_same_as_well(night, all_models):
    draw = random.Random(1)
    originals = list(simulated(night))[::5]
    changed = []
    for record in originals:
        other = copy.deepcopy(record)
        for change in EXACT:
            other = change(other, MEANINGS["ztf"], draw)
        changed.append(SURVEYS["ztf"].parse(other))
    before = all_models.score([SURVEYS["ztf"].parse(record) for record in originals])
    after = all_models.score(changed)
    assert [item.score for item in after] == [item.score for item in before]
