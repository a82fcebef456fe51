"""The sandbox's answers and streams have the keys, in the places and of the types, that Lasair for Rubin's had."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping

import pytest

from annotator.lasair.filters import parse_filter
from annotator.sandbox.lasair.lsst.stream import stream_messages

NEWER = {"nPosDiaSources", "nPosDiaSourcesNights"}
"""Columns that came after the answers were recorded."""

STREAM = parse_filter(
    "recorded",
    """-- As the filter whose stream was recorded.
SELECT
objects.diaObjectId, objects.lastDiaSourceMjdTai, objects.latestR, objects.nDiaSources, objects.ebv, objects.ra,
objects.decl, objects.tns_name, objects.absMag, objects.absMagMJD, objects.firstDiaSourceMjdTai, objects.raErr,
objects.decErr, objects.ra_dec_Cov, sherlock_classifications.separationArcsec,
sherlock_classifications.direct_distance, sherlock_classifications.distance, sherlock_classifications.z,
sherlock_classifications.photoZ, sherlock_classifications.photoZErr,
sherlock_classifications.physical_separation_kpc,
sherlock_classifications.classification AS sherlock_classifications
FROM
objects, sherlock_classifications
WHERE
objects.nDiaSources > 0""",
)


def kind(value: object) -> str:
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else "number"
    return {"int": "whole number", "NoneType": "null"}.get(type(value).__name__, type(value).__name__)


def kinds(rows: Iterable[Mapping[str, object]]) -> dict[str, set[str]]:
    found = defaultdict(set)
    for row in rows:
        for key, value in row.items():
            found[key].add(kind(value))
    return found


def assert_alike(ours, recorded, newer=frozenset()):
    """Compare keys, what values are where there are any, and what stands for none."""
    ours, recorded = kinds(ours), kinds(recorded)
    assert ours.keys() - newer == recorded.keys()
    for key in recorded:
        for absent in ({"null"}, {"NaN"}, {"null", "NaN"}):
            missing = ours[key] & absent, recorded[key] & absent
            assert not (all(missing) and missing[0] != missing[1] and len(absent) == 2), key
        here, there = (found[key] - {"null", "NaN"} for found in (ours, recorded))
        assert not here or not there or here == there, (key, here, there)


@pytest.fixture(scope="module")
def recorded_objects(shared):
    return [json.loads(path.read_text()) for path in sorted(shared.glob("data/rubin/lasair_objects/*.json"))]


@pytest.fixture(scope="module")
def recorded_messages(shared):
    return [
        message
        for path in sorted(shared.glob("fixtures/lasair_lsst/lvra_*.json"))
        for message in json.loads(path.read_text())
    ]


@pytest.fixture
def answers(power, rubin_night):
    return [power.object(item.object_id, lite=False) for item in rubin_night.objects]


def test_an_object_with_everything_is_as_recorded(answers, recorded_objects):
    assert {tuple(answer) for answer in answers} == {tuple(answer) for answer in recorded_objects}
    for block, newer in (("lasairData", NEWER), ("diaObject", set())):
        assert_alike((a[block] for a in answers), (a[block] for a in recorded_objects), newer)
    for name in ("diaSourcesList", "diaForcedSourcesList"):
        assert_alike(*([row for answer in side for row in answer[name]] for side in (answers, recorded_objects)))
    for name in ("sherlock", "imageUrls"):
        ours, recorded = ([answer["lasairData"][name] for answer in side] for side in (answers, recorded_objects))
        if name == "imageUrls":
            ours, recorded = ([url for urls in side for url in urls] for side in (ours, recorded))
        assert_alike([row for row in ours if row], [row for row in recorded if row])


def test_dates_and_places_are_written_as_recorded(answers, recorded_objects):
    for side in (answers, recorded_objects):
        for answer in side:
            data = answer["lasairData"]
            newest, oldest = answer["diaSourcesList"][0], answer["diaSourcesList"][-1]
            assert newest["midpointMjdTai"] >= oldest["midpointMjdTai"]
            assert data["latestMag"] == f"{newest['psfFlux']:.2f}\u00b1{newest['psfFluxErr']:.2f}"
            assert data["latestFilter"] == oldest["band"]  # so Lasair has it
            assert data["discUtc"][4::3][:2] == "--" and len(data["now_mjd"]) == 8 and "T" in data["timestamp"]
            assert data["rasex"].count(":") == data["decsex"].count(":") == 2


def test_a_stream_with_the_full_alert_is_as_recorded(sandbox, recorded_messages):
    ours = json.loads(json.dumps(stream_messages(sandbox.database, sandbox.records, STREAM, "full", duplicated=0.5)))
    for side in (ours, recorded_messages):
        assert 0 < sum("alert" in message for message in side) < len(side)
    assert_alike(*([{k: v for k, v in m.items() if k != "alert"} for m in side] for side in (ours, recorded_messages)))
    alerts = [[message["alert"] for message in side if "alert" in message] for side in (ours, recorded_messages)]
    assert_alike(alerts[0], [{k: v for k, v in alert.items() if k != "annotations"} for alert in alerts[1]])
    for name in ("diaObject",):
        assert_alike(*([alert[name] for alert in side] for side in alerts))
    assert_alike(*([row for alert in side for row in alert["diaSourcesList"]] for side in alerts))
    for side in alerts:
        for alert in side:
            dates = [source["midpointMjdTai"] for source in alert["diaSourcesList"]]
            assert dates == sorted(dates)
