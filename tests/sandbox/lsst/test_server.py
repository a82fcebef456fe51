"""Lasair for Rubin over HTTP, asked by its real client; answers are those that were measured."""

import json
import math
from pathlib import Path

import lasair
import pytest
import requests

from annotator.preprocess.fits import read_stamp
from annotator.sandbox import LsstSandbox, simulate_rubin_night

BIGGEST = 2**63 - 1


def refusal(function, *args, **kwargs):
    with pytest.raises(lasair.LasairError) as caught:
        function(*args, **kwargs)
    return caught.value.message


def post(sandbox, endpoint, token="power", **kwargs):
    headers = {"Authorization": f"Token {token}"}
    return requests.post(f"{sandbox.url}/{endpoint}/", headers=headers, timeout=60, **kwargs)


def test_ids_keep_all_their_digits(power, rubin_night):
    rows = power.query("objects.diaObjectId, objects.nDiaSources", "objects", "", limit=1000)
    assert {row["diaObjectId"]: row["nDiaSources"] for row in rows} == {
        item.object_id: len(item.source_ids) for item in rubin_night.objects
    }
    one = rubin_night.objects[0].object_id
    assert one > 2**53 and power.query("diaObjectId", "objects", f"objects.diaObjectId={one}") == [{"diaObjectId": one}]
    assert power.query("diaObjectId", "objects", f"objects.diaObjectId={one + 1}") == []


def test_an_id_of_63_bits_is_loaded_and_found(sandbox, power):
    sandbox.load([{"diaObjectId": BIGGEST, "nDiaSources": 3}])
    (row,) = power.query("diaObjectId, lastDiaSourceMjdTai", "objects", f"diaObjectId={BIGGEST}")
    assert row["diaObjectId"] == BIGGEST and row["lastDiaSourceMjdTai"] == pytest.approx(61400.4)


def test_its_sql_has_functions_of_its_own(power):
    rows = power.query(
        "diaObjectId, latest_psfFlux, flux2mag(latest_psfFlux) AS mag, mjdnow() - lastDiaSourceMjdTai AS age",
        "objects",
        "mjdnow() - lastDiaSourceMjdTai < 2",
    )
    assert len(rows) == 24 and all(0 < row["age"] < 1.5 for row in rows)
    for row in rows:
        flux = row["latest_psfFlux"]
        assert row["mag"] == (pytest.approx(31.4 - 2.5 * math.log10(flux)) if flux > 0 else None)
    assert "jdnow" in refusal(power.query, "jdnow()", "objects", "")


def test_tables_join_by_the_id_and_another_spelling_of_watchlists_is_ignored(power, rubin_night):
    looked_at = {item.object_id for item in rubin_night.objects if item.sherlock}
    rows = power.query("objects.diaObjectId, classification", "objects, sherlock_classifications", "")
    assert {row["diaObjectId"] for row in rows} == looked_at
    named = {item.object_id for item in rubin_night.objects if item.tns}
    rows = power.query("objects.diaObjectId, crossmatch_tns.tns_name", "objects, crossmatch_tns", "")
    assert {row["diaObjectId"] for row in rows} == named and named
    assert power.query("objects.diaObjectId", "objects, watchlist:5", "") == []
    assert len(power.query("objects.diaObjectId", "objects, watchlists:5", "")) == 24


def test_the_name_in_tns_is_not_in_objects(power):
    assert {row["tns_name"] for row in power.query("objects.tns_name", "objects", "")} == {None}


def test_an_object_has_four_shapes(power, rubin_night):
    item = max(rubin_night.objects, key=lambda item: len(item.forced_ids) * (len(item.source_ids) < 60))
    shapes = {
        (added, short): power.object(item.object_id, lite=short, lasair_added=added)
        for added in (True, False)
        for short in (True, False)
    }
    lists = ["diaSourcesList", "diaForcedSourcesList"]
    assert list(shapes[False, True]) == ["diaObjectId", *lists]
    assert list(shapes[False, False]) == ["diaObjectId", "diaObject", *lists]
    assert list(shapes[True, True]) == list(shapes[True, False]) == ["diaObjectId", "lasairData", "diaObject", *lists]
    assert len(shapes[True, False]["lasairData"]) == 152 and len(shapes[False, False]["diaObject"]) == 82
    for (added, short), answer in shapes.items():
        assert answer["diaObjectId"] == str(item.object_id)
        assert [len(answer[name]) for name in lists] == [len(item.source_ids), len(item.forced_ids)]
        assert {len(row) for row in answer["diaSourcesList"]} == {6 if short else 98}
        assert {len(row) for row in answer["diaForcedSourcesList"]} == {4 if short else 14}
        dates = [row["midpointMjdTai"] for row in answer["diaSourcesList"]]
        assert dates == sorted(dates, reverse=added)
        assert ("NaN" in json.dumps(answer)) != short
        assert all(abs(row["psfFlux"] / row["psfFluxErr"]) >= 4.99 for row in answer["diaSourcesList"])


def test_an_unknown_object_is_not_found_or_empty(power):
    assert "404" in refusal(power.object, 5)
    assert power.object(5, lasair_added=False) == {
        "diaObjectId": "5",
        "diaSourcesList": [],
        "diaForcedSourcesList": [],
    }
    assert power.object(5, lasair_added=False, lite=False)["diaObject"] is None


def test_additions_fail_once_a_source_is_older_than_cutouts_are_kept(sandbox, power, clock, rubin_night):
    item = rubin_night.objects[0]
    clock.now += 364 * 86400  # the newest source is still younger than a year
    assert "'image_urls'" in refusal(power.object, item.object_id)
    assert power.object(item.object_id, lasair_added=False)["diaSourcesList"]


def test_json_without_flags_asks_for_everything_and_a_form_for_the_light_curve(sandbox, rubin_night):
    object_id = rubin_night.objects[0].object_id
    assert "lasairData" in post(sandbox, "object", json={"objectId": object_id}).json()
    assert list(post(sandbox, "object", data={"objectId": object_id}).json()) == [
        "diaObjectId",
        "diaObject",
        "diaSourcesList",
        "diaForcedSourcesList",
    ]


def test_an_object_that_main_lacks_is_in_no_answer_until_it_is_there(sandbox, power, rubin_night):
    object_id = rubin_night.objects[0].object_id
    sandbox.hide([object_id])
    assert power.query("diaObjectId", "objects", f"diaObjectId={object_id}") == []
    assert "404" in refusal(power.object, object_id)
    assert power.object(object_id, lasair_added=False)["diaSourcesList"]  # another database, which has it
    sandbox.show()
    assert power.object(object_id)["lasairData"]


def test_a_cone_answers_in_one_of_three_shapes(power, rubin_night):
    item = rubin_night.objects[0]
    ra, dec = item.position_deg
    whole = power.cone(ra, dec, 5)
    assert whole["count"] == 1 and whole["nearest"]["object"] == item.object_id and len(whole["objects"]) == 1
    assert power.cone(ra, dec, 5, "count") == {"count": 1}
    assert power.cone(ra, -dec, 5, "nearest") == {}
    assert "dec must be between" in refusal(power.cone, ra, 91.0)


def test_the_hours_calls_are_counted_as_at_lasair_for_ztf(sandbox):
    client = lasair.lasair_client("user", endpoint=sandbox.url)
    for _ in range(50):
        client.query("diaObjectId", "objects", "", limit=1)
    assert "Request limit exceeded" in refusal(client.query, "diaObjectId", "objects", "")


# Cutouts


def test_a_cutout_lies_behind_a_slash(sandbox, rubin_night):
    item = next(item for item in rubin_night.objects if item.kind == "SN Ia")
    url = f"{sandbox.root_url}/fits/{item.source_ids[-1]}_cutout"
    answer = requests.get(f"{url}Science", timeout=60, allow_redirects=False)
    assert answer.status_code == 301 and answer.headers["Location"].endswith("_cutoutScience/")
    for kind in ("Science", "Template", "Difference"):
        answer = requests.get(f"{url}{kind}/", timeout=60)
        stamp = read_stamp(answer.content)
        assert answer.headers["Content-Type"] == "image/fits"
        assert stamp.shape[0] == stamp.shape[1] >= 30


def test_a_cutout_that_is_not_there_is_the_word_none(sandbox, clock, rubin_night):
    url = f"{sandbox.root_url}/fits/{rubin_night.objects[0].source_ids[-1]}_cutoutScience/"
    for where in (f"{sandbox.root_url}/fits/5_cutoutScience/", url.replace("Science", "Nothing")):
        answer = requests.get(where, timeout=60)
        assert (answer.status_code, answer.content) == (200, b"None")
    clock.now += 366 * 86400
    assert requests.get(url, timeout=60).content == b"None"


def test_recorded_messages_are_loaded_with_their_light_curves(sandbox, power):
    source = {"diaSourceId": 8, "midpointMjdTai": 61390.0, "band": "g", "psfFlux": 5e3, "psfFluxErr": 1e2}
    source |= {"reliability": 0.9}
    sandbox.load([{"diaObjectId": 7, "nDiaSources": 1, "alert": {"diaSourcesList": [source]}}])
    assert power.object(7, lasair_added=False)["diaSourcesList"] == [source]


def test_it_says_that_it_is_no_lasair(sandbox):
    answer = requests.get(f"{sandbox.root_url}/", timeout=60)
    assert "SIMULATED Lasair-LSST" in answer.text and "Lasair-LSST" in answer.headers["Server"]


def test_empty_it_is_up_at_once():
    with LsstSandbox() as sandbox:
        client = lasair.lasair_client("sandbox-token", endpoint=sandbox.url)
        assert client.query("diaObjectId", "objects", "") == []


def test_too_small_a_night_is_refused():
    with pytest.raises(ValueError, match="at least 20 objects"):
        simulate_rubin_night(1, 19)


def test_nothing_of_a_recorded_object_is_in_the_sandbox():
    sources = Path(__import__("annotator.sandbox").sandbox.__file__).parent
    text = "".join(path.read_text() for path in sources.rglob("*.py"))
    assert "1693423" not in text and "1700196" not in text
