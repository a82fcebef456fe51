"""The sandbox over HTTP, asked by the real client of Lasair; its answers are those measured on Lasair-ZTF."""

import json
import math
import threading

import lasair
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import RejectedError
from annotator.sandbox import Sandbox
from annotator.sandbox.lasair.query_rules import build_query, check_query
from annotator.sandbox.lasair.wire import Request
from tests.sandbox.conftest import NIGHT

FIRST = NIGHT.objects[0]


def client(sandbox, token="power", timeout=60.0):
    return lasair.lasair_client(token, endpoint=sandbox.url, timeout=timeout)


@pytest.fixture
def power(sandbox):
    return client(sandbox)


def refusal(function, *args, **kwargs):
    with pytest.raises(lasair.LasairError) as caught:
        function(*args, **kwargs)
    return caught.value.message


def annotate(power, object_id=FIRST.object_id, topic="aha_ztf", classification="anomaly", **fields):
    return power.annotate(topic, object_id, classification, **fields)


def post(sandbox, endpoint, data=None, token="power", **kwargs):
    headers = {"Authorization": f"Token {token}"} if token else {}
    return requests.post(f"{sandbox.url}/{endpoint}/", data=data, headers=headers, timeout=60, **kwargs)


# Queries


def test_a_query_returns_the_columns_asked_for_under_the_names_typed(power):
    (row,) = power.query("objects.objectId, GMAG, objects.jdmax", "objects", f"objectId='{FIRST.object_id}'")
    columns = FIRST.columns
    assert row == {"objectId": FIRST.object_id, "GMAG": columns["gmag"], "jdmax": columns["jdmax"]}


def test_everything_comes_back_as_it_was_simulated(power):
    rows = power.query("*", "objects, sherlock_classifications", "", limit=10_000)
    assert {row["objectId"]: row for row in rows} == {row["objectId"]: row for row in NIGHT.rows()}


def test_objects_is_implied_and_an_unknown_table_ignored(power):
    assert len(power.query("objectId", "nothing_of_the_kind", "")) == 60


def test_crossmatch_tns_is_an_inner_join(power):
    named = {o.object_id for o in NIGHT.objects if o.tns}
    rows = power.query("objects.objectId, crossmatch_tns.tns_name", "objects, crossmatch_tns", "")
    assert {row["objectId"] for row in rows} == named
    assert 0 < len(named) < 60


def test_annotators_join_by_their_topic_one_or_several(power):
    annotate(power)
    annotate(power, topic="second", classification="other")
    annotate(power, object_id=NIGHT.objects[1].object_id)
    assert len(power.query("objects.objectId", "annotator:aha_ztf", "")) == 2
    for tables in ("objects,annotator:aha_ztf&second", "annotator:aha_ztf,annotator:second"):
        rows = power.query("aha_ztf.classification AS a, second.classification AS b", tables, "")
        assert rows == [{"a": "anomaly", "b": "other"}]


def test_a_topic_in_capitals_is_asked_for_in_lower_case(power):
    annotate(power)
    assert len(power.query("aha_ztf.topic", "objects, annotator:AHA_ZTF", "")) == 1


def test_an_or_without_brackets_breaks_the_joins_as_on_lasair(power):
    annotate(power)
    condition = "aha_ztf.classification='anomaly' OR objects.gmag < 30"
    loose = power.query("objects.objectId", "objects, annotator:aha_ztf", condition)
    bracketed = power.query("objects.objectId", "objects, annotator:aha_ztf", f"({condition})")
    assert len(bracketed) == 1
    assert len(loose) > 50


def test_json_extract_compares_numbers_and_is_shown_as_text(power):
    annotate(power, classdict={"score": 10.5, "kind": "blue"})
    annotate(power, object_id=NIGHT.objects[1].object_id, classdict={"score": 9, "kind": "red"})
    select = 'JSON_EXTRACT(aha_ztf.classdict, "$.score")'
    (row,) = power.query(select, "annotator:aha_ztf", f"{select} > 9.5")
    assert row == {select: "10.5"}
    tables = "objects,annotator:aha_ztf"
    (row,) = power.query(f"{select} + 0 AS score", tables, "JSON_VALUE(aha_ztf.classdict,'$.kind')='blue'")
    assert row == {"score": 10.5}
    kind = 'JSON_EXTRACT(aha_ztf.classdict, "$.kind")'
    absent = 'JSON_EXTRACT(aha_ztf.classdict, "$.absent")'
    kinds = power.query(f"{kind} AS shown, JSON_UNQUOTE({kind}) AS k, {absent} AS absent", tables, "ORDER BY k")
    assert kinds[0] == {"shown": '"blue"', "k": "blue", "absent": None}


def test_a_text_that_is_ordered_orders_as_text_until_zero_is_added(power):
    for o, score in zip(NIGHT.objects, (9.5, 10.5, 2.5), strict=False):
        annotate(power, object_id=o.object_id, classdict={"score": score})
    select = 'JSON_EXTRACT(aha_ztf.classdict, "$.score")'
    as_text = power.query(f"{select} AS s", "annotator:aha_ztf", "ORDER BY s DESC")
    assert [row["s"] for row in as_text] == ["9.5", "2.5", "10.5"]
    as_number = power.query(f"{select} + 0 AS s", "annotator:aha_ztf", "ORDER BY s DESC")
    assert [row["s"] for row in as_number] == [10.5, 9.5, 2.5]


def test_a_label_of_select_is_unknown_in_where_and_known_in_order_by(power):
    assert "Unknown column 'colour'" in refusal(power.query, "g_minus_r AS colour", "objects", "colour < 0")
    assert "Unknown column 'colour'" in refusal(
        power.query, "g_minus_r colour", "objects", "g_minus_r < 0 and (Colour<0)"
    )
    rows = power.query("g_minus_r AS colour", "objects", 'g_minus_r < 0 AND objectId != "colour" ORDER BY colour DESC')
    assert [row["colour"] for row in rows] == sorted((row["colour"] for row in rows), reverse=True)


def test_integers_divide_to_fractions_as_in_mariadb(power):
    condition = f"objectId = '{FIRST.object_id}' && ncandgp_7/ncand < 1"
    (row,) = power.query("ncandgp_7 / ncand AS share, CONCAT(objectId, '/', ncand) AS label", "objects", condition)
    columns = FIRST.columns
    assert row["share"] == pytest.approx(columns["ncandgp_7"] / columns["ncand"])
    assert row["label"] == f"{FIRST.object_id}/{columns['ncand']}"


def test_an_absent_key_is_null_and_a_null_in_the_json_is_the_text_null(power):
    annotate(power, classdict={"nothing": None})
    for key, count in (("absent", 1), ("nothing", 0)):
        condition = f'JSON_EXTRACT(aha_ztf.classdict, "$.{key}") IS NULL'
        assert len(power.query("objects.objectId", "annotator:aha_ztf", condition)) == count


def test_strings_compare_without_case_and_either_quote_is_a_string(power):
    supernovae = {o.object_id for o in NIGHT.objects if o.sherlock["classification"] == "SN"}
    for condition in ("classification = 'sn'", 'classification = "SN"', "classification LIKE 'Sn'"):
        rows = power.query("objects.objectId", "sherlock_classifications", condition)
        assert {row["objectId"] for row in rows} == supernovae


def test_a_string_that_is_a_columns_name_stays_a_string(power):
    assert power.query("objectId", "objects", 'objectId = "objectId"') == []


def test_jdnow_and_now_go_by_the_sandboxs_clock(sandbox, power, clock):
    recent = "objects.jdmax > jdnow() - 3"
    assert len(power.query("objectId", "objects", recent)) == 60
    annotate(power)
    fresh = ("objectId", "annotator:aha_ztf", "aha_ztf.timestamp > NOW() - INTERVAL 1 DAY")
    assert len(power.query("aha_ztf.objectId", *fresh[1:])) == 1
    clock.now += 5 * 86400
    assert power.query("objectId", "objects", recent) == []
    assert power.query("aha_ztf.objectId", *fresh[1:]) == []


@pytest.mark.parametrize(
    ("selected", "conditions"),
    [
        ("objectId", "no_such_column > 1"),
        ("objectId", "gmag >"),
        ("no_such_function(gmag)", ""),
        ("classification", "objects.gmag < 20 AND"),
    ],
)
def test_bad_sql_is_a_bad_request_with_the_query_in_it(power, selected, conditions):
    message = refusal(power.query, selected, "objects", conditions)
    assert message.startswith("Bad Request")
    assert "Your query:" in message


def test_limit_and_offset_page_through_everything_once(power):
    pages = [power.query("objectId", "objects", "ORDER BY objectId", limit=25, offset=n) for n in (0, 25, 50)]
    assert [len(page) for page in pages] == [25, 25, 10]
    assert [row["objectId"] for page in pages for row in page] == sorted(o.object_id for o in NIGHT.objects)


def test_users_get_ten_thousand_rows_and_power_users_more(sandbox):
    sandbox.load({"objectId": f"ZTF99z{n:06d}"} for n in range(10_500))
    assert len(client(sandbox, "user").query("objectId", "objects", "", limit=20_000)) == 10_000
    assert len(client(sandbox).query("objectId", "objects", "", limit=20_000)) == 10_560
    assert len(client(sandbox).query("objectId", "objects", "")) == 1000
    assert "less than or equal to 1000000" in refusal(client(sandbox).query, "objectId", "objects", "", 1_000_001)
    assert refusal(client(sandbox).query, "objectId", "objects", "", -1).startswith("Bad Request")


def test_nan_in_the_data_is_a_literal_nan_in_the_answer(sandbox, power):
    sandbox.load([{"objectId": "ZTF99nan", "gmag": float("nan"), "rmag": 18.0}])
    answer = post(sandbox, "query", {"selected": "objectId, gmag, rmag", "tables": "objects", "conditions": "rmag=18"})
    assert '"gmag": NaN' in answer.text
    assert math.isnan(power.query("objectId, gmag", "objects", "rmag=18")[0]["gmag"])
    sandbox.update([{"objectId": "ZTF99nan", "gmag": 19.0}])
    assert power.query("objectId, gmag", "objects", "rmag=18") == [{"objectId": "ZTF99nan", "gmag": 19.0}]


# Lasair's rules as a pure function


@pytest.mark.parametrize(
    ("selected", "tables", "conditions", "reason"),
    [
        ("", "objects", "", "cannot be blank"),
        ("*, (select 1)", "objects", "", "the word SELECT"),
        ("sleep(5)", "objects", "", "the word SLEEP"),
        ("objectId", "objects", "objectId in (SELECT 1)", "the word SELECT"),
        ("objectId", "objects", "gmag < 20 UNION all", "the word UNION"),
        ("objectId", "objects", "gmag < 20 limit 5", "LIMIT"),
        ("objectId", "objects", "limit_mag < 20", "LIMIT"),
        ("objectId", "objects", "gmag < 20; drop", "Cannot use ;"),
        ("objectId || gmag", "objects", "", "Cannot use ||"),
        ("objectId", "objects", "gmag < 20 /* why */", "Cannot use /*"),
        ("objectId", "objects", "gmag < 20 # why", "Cannot use #"),
        ("objectId", "objects", r"gmag < '\n'", "Cannot use \\"),
        ("objectId", "watchlist:1, crossmatch_tns", "", "cannot have both"),
        ("objectId", "watchlist:one", "", "watchlist:nnn"),
        ("objectId", "annotator", "", "not of the form"),
    ],
)
def test_what_lasair_forbids_is_refused_with_the_reason(power, selected, tables, conditions, reason):
    with pytest.raises(RejectedError) as caught:
        check_query(selected, tables, conditions)
    assert reason in str(caught.value)
    if selected:  # the client would not send a blank one otherwise
        assert (
            reason
            in json.loads(refusal(power.query, selected, tables, conditions).removeprefix("Bad Request:"))["error"]
        )


@pytest.mark.parametrize("conditions", ["LIMIT", "selected = 1", "forty < 2", "ORDER BY unions", "gmag -- 1 < 3"])
def test_what_only_looks_forbidden_passes_the_rules(conditions):
    check_query("objectId, fromage", "objects", conditions)


def test_conditions_are_appended_with_and_and_without_brackets():
    sql = build_query("objectId", "sherlock_classifications", "gmag < 1 OR gmag > 2")
    assert sql.endswith("objects.objectId=sherlock_classifications.objectId AND\n gmag < 1 OR gmag > 2")
    assert "WHERE" not in build_query("objectId", "objects", "ORDER BY gmag")


# Objects, cones and cutouts


def test_object_has_the_light_curve_newest_first_and_no_features(power):
    answer = power.object(FIRST.object_id)
    seen = [e for e in FIRST.epochs if e.candid is not None]
    candidates = answer["candidates"]
    assert [c["jd"] for c in candidates] == [e.jd for e in reversed(FIRST.epochs)]
    assert [c["candid"] for c in candidates if "candid" in c] == [e.candid for e in reversed(seen)]
    assert all(c["magpsf"] == c["diffmaglim"] for c in candidates if "candid" not in c)
    assert not {"gmag", "dmdt_g", "mag_g02"} & answer["objectData"].keys()
    assert answer["objectData"]["ncand"] == FIRST.columns["ncand"]
    assert answer["sherlock"]["classification"] == FIRST.sherlock["classification"]
    assert "SIMULATED" in answer["message"]
    assert "annotations" not in answer


def test_object_without_lasairs_additions_is_the_light_curve_alone(power):
    assert power.object(FIRST.object_id, lasair_added=False).keys() == {"objectId", "candidates", "forcedphot"}


def test_an_unknown_object_is_a_server_error_as_on_lasair_ztf(power):
    assert refusal(power.object, "ZTF00nothing").startswith("Internal Server Error")


def test_a_cone_finds_the_object_in_its_middle(power):
    ra, dec = FIRST.columns["ramean"], FIRST.columns["decmean"]
    (found,) = power.cone(ra, dec, radius=2)
    assert found["object"] == FIRST.object_id
    assert found["separation"] < 0.01
    assert power.cone(ra, dec, 2, "nearest")["object"] == FIRST.object_id
    assert power.cone(ra, dec, 2, "count") == {"count": 1}
    assert power.cone(ra, -89.0, 1) == []
    assert "Max radius" in refusal(power.cone, ra, dec, 1001)


def test_a_missing_cutout_is_an_empty_success(power):
    latest = next(c for c in power.object(FIRST.object_id)["candidates"] if "candid" in c)
    for url in latest["image_urls"].values():
        for absent in (url.replace(str(latest["candid"]), "1"), url.replace("_cutout", "_other")):
            answer = requests.get(absent, timeout=60)
            assert (answer.status_code, answer.content) == (200, b"")


def test_the_front_page_and_every_header_say_simulated(sandbox):
    page = requests.get(sandbox.root_url, timeout=60)
    assert "SIMULATED" in page.text
    assert "SIMULATED" in page.headers["Server"]
    assert "not observations" in post(sandbox, "query").headers["X-Simulated"]


# Annotations


def test_an_annotation_is_stored_and_can_be_read_back(sandbox, power):
    answer = annotate(power, version="aha-ztf-1.0", explanation="very blue", classdict={"score": 3.2}, url="http://x")
    assert answer["status"] == "success"
    (stored,) = sandbox.annotations()
    assert stored["objectId"] == FIRST.object_id
    assert stored["classdict"] == {"score": 3.2}
    (row,) = power.query("aha_ztf.*", "annotator:aha_ztf", "")
    assert (row["version"], row["explanation"], row["url"]) == ("aha-ztf-1.0", "very blue", "http://x")


def test_a_second_annotation_replaces_the_first_under_a_new_number_and_date(sandbox, power, clock):
    annotate(power)
    (before,) = sandbox.annotations()
    clock.now += 60
    annotate(power, classification="watch")
    (after,) = sandbox.annotations()
    assert after["classification"] == "watch"
    assert after["annotationID"] > before["annotationID"]
    assert after["timestamp"] > before["timestamp"]


def test_an_annotation_of_an_object_that_lasair_has_not_is_accepted(sandbox, power):
    annotate(power, object_id="ZTF99never")
    assert sandbox.annotations()[0]["objectId"] == "ZTF99never"


@pytest.mark.parametrize(
    "fields",
    [
        {"explanation": "it's odd"},
        {"explanation": "3 \u03c3"},
        {"classification": "it's"},
        {"url": "http://x/'"},
        {"version": "it's"},
        {"classdict": {"host": "O'Neill"}},
        {"explanation": "ends in a backslash\\"},
        {"classdict": {"note": 'a "quoted" word'}},
        {"classdict": {"note": "two\nlines"}},
        {"classdict": {"score": float("nan")}},
        {"classdict": {"score": float("inf")}},
        {"classification": "seventeen letters"},
        {"object_id": "ZTF99aaaaaaaaaaaa"},
    ],
)
def test_what_lasair_ztfs_sql_does_not_survive_is_a_server_error_and_nothing_is_stored(sandbox, power, fields):
    assert refusal(annotate, power, **fields).startswith("Internal Server Error")
    assert sandbox.annotations() == []


def test_what_lasair_ztf_mangles_is_mangled(sandbox, power):
    annotate(power, explanation='a\\b 100% "q"', classdict={"sigma": "3\u03c3", "none": None, "yes": True})
    (stored,) = sandbox.annotations()
    assert stored["explanation"] == 'a\x08 100% "q"'
    assert stored["classdict"] == {"sigma": "3u03c3", "none": None, "yes": True}


@pytest.mark.parametrize(
    ("token", "fields", "reason"),
    [
        ("other", {}, "is not allowed to submit to topic aha_ztf"),
        ("power", {"topic": "asleep"}, "is not active -- ask Lasair team"),
        ("power", {"topic": "unheard_of"}, "topic unheard_of does not exist"),
        ("power", {"classification": "  "}, "may not be blank"),
        ("power", {"explanation": "x" * 1025}, "no more than 1024 characters"),
        ("power", {"classdict": {"x": "y" * 5000}}, "no more than 4096 characters"),
    ],
)
def test_what_lasair_refuses_is_a_bad_request_with_the_reason(sandbox, token, fields, reason):
    message = refusal(annotate, client(sandbox, token), **fields)
    assert message.startswith("Bad Request")
    assert reason in message
    assert sandbox.annotations() == []


def test_annotate_answers_only_post(sandbox):
    headers = {"Authorization": "Token power"}
    assert requests.get(f"{sandbox.url}/annotate/", headers=headers, timeout=60).status_code == 405


def test_a_list_of_annotations_is_unknown_on_lasair_ztf(power):
    batch = [{"objectId": FIRST.object_id, "topic": "aha_ztf", "classification": "watch"}]
    assert "404" in refusal(power.annotate_list, batch)


def test_where_lists_are_switched_on_what_precedes_the_first_error_is_stored():
    with Sandbox(NIGHT, batch_annotate=True) as sandbox:
        power = client(sandbox, "sandbox-token")
        names = [o.object_id for o in NIGHT.objects[:3]]
        batch = [{"objectId": name, "topic": "aha_ztf", "classification": "watch"} for name in names]
        assert power.annotate_list(batch)["status"] == "success"
        broken = [{**batch[0], "classification": "new"}, {**batch[1], "topic": "nobodys"}, batch[2]]
        assert refusal(power.annotate_list, broken).startswith("Bad Request")
        assert sorted(row["classification"] for row in sandbox.annotations()) == ["new", "watch", "watch"]


@pytest.fixture(scope="module")
def hourly():
    """A sandbox whose quota never runs out: every look at its clock is an hour later."""
    with Sandbox(clock=map(float, range(0, 10**9, 3600)).__next__) as running:
        yield running


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=8), st.floats() | st.text(max_size=20), max_size=4))
def test_any_text_gets_an_answer_and_what_is_acknowledged_is_there(hourly, explanation, classdict):
    """A straight look at the rules, without HTTP: hypothesis makes too many calls for the wire."""
    fields = {"topic": "aha_ztf", "objectId": "ZTF99aaaaaaa", "classification": "watch", "version": "1", "url": ""}
    fields |= {"explanation": explanation, "classdict": json.dumps(classdict)}
    before = len(hourly.annotations())
    answer = hourly.endpoints.answer("annotate", Request("POST", "sandbox-token", fields))
    assert answer.status in (200, 400, 500)
    if answer.status == 200 and not any(c in explanation for c in "\\\0"):
        assert hourly.annotations()[-1]["explanation"] == explanation.strip()
    if "\0" in explanation:
        assert answer.status == 400
    elif "'" in explanation.strip():
        assert answer.status == 500
    if answer.status != 200:
        assert len(hourly.annotations()) == before


# Tokens and quotas


def test_a_wrong_or_missing_token_is_unauthorised(sandbox):
    assert refusal(client(sandbox, "wrong").query, "objectId", "objects", "") == "Unauthorized"
    answer = post(sandbox, "query", token=None)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Authentication credentials were not provided.")


def test_a_token_in_the_url_is_accepted(sandbox):
    url = f"{sandbox.url}/query/?token=power&selected=objectId&tables=objects&conditions=&limit=1"
    assert len(requests.get(url, timeout=60).json()) == 1


def test_a_users_hundred_calls_are_fifty_and_refused_ones_count(sandbox, clock):
    user = client(sandbox, "user")
    for _ in range(50):
        user.query("objectId", "objects", "", limit=1)
    answer = post(sandbox, "query", {"selected": "objectId", "tables": "objects", "conditions": ""}, token="user")
    assert answer.status_code == 429
    assert answer.json()["message"].startswith("Request limit exceeded")
    assert "Retry-After" not in answer.headers
    clock.now += 3599
    assert refusal(user.query, "objectId", "objects", "").startswith("Request limit exceeded")
    clock.now += 2  # the first fifty-one are forgotten, the one that was refused a moment ago is not
    for _ in range(49):
        user.query("objectId", "objects", "", limit=1)
    assert refusal(user.query, "objectId", "objects", "").startswith("Request limit exceeded")
    assert client(sandbox).query("objectId", "objects", "", limit=1)  # somebody else's quota


# Misbehaviour


def test_it_refuses_as_often_as_told_and_then_behaves(sandbox, power):
    sandbox.misbehave("query", "refuse", times=2, status=503)
    for _ in range(2):
        assert "503" in refusal(power.query, "objectId", "objects", "")
    assert power.query("objectId", "objects", "", limit=1)
    assert [call.status for call in sandbox.calls] == [503, 503, 200]


def test_only_the_endpoint_that_was_named_misbehaves(sandbox, power):
    sandbox.misbehave("annotate", "refuse")
    assert power.query("objectId", "objects", "", limit=1)
    assert "503" in refusal(annotate, power)
    sandbox.behave()
    annotate(power)


def test_a_dropped_connection_leaves_nothing_and_one_dropped_after_leaves_the_annotation(sandbox, power):
    sandbox.misbehave("annotate", "drop", times=1)
    with pytest.raises(requests.ConnectionError):
        annotate(power)
    assert sandbox.annotations() == []
    sandbox.misbehave("annotate", "drop_after", times=1)
    with pytest.raises(requests.ConnectionError):
        annotate(power)
    assert len(sandbox.annotations()) == 1
    assert [call.status for call in sandbox.calls] == [0, 0]


def test_a_late_answer_is_too_late_for_an_impatient_client(sandbox):
    sandbox.misbehave("query", "delay", times=1, seconds=0.5)
    with pytest.raises(lasair.LasairError) as caught:
        client(sandbox, timeout=0.1).query("objectId", "objects", "")
    assert caught.value.message == "Request timed out"


def test_an_answer_can_break_off_or_be_no_json(sandbox, power):
    sandbox.misbehave("query", "truncate", times=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        power.query("objectId", "objects", "")
    sandbox.misbehave("query", "garble", times=1)
    assert "Cannot parse Json" in power.query("objectId", "objects", "")["error"]


def test_it_can_lie_about_success(sandbox, power):
    sandbox.misbehave("annotate", "lie", times=1)
    assert annotate(power)["status"] == "success"
    assert sandbox.annotations() == []


def test_rows_can_come_twice(sandbox, power):
    sandbox.misbehave("query", "duplicate", times=1)
    rows = power.query("objectId", "objects", "", limit=3)
    assert len(rows) == 6
    assert rows[0] == rows[1]


def test_a_share_of_the_calls_goes_wrong_at_random(sandbox):
    sandbox.misbehave("query", "refuse", share=0.3)
    fields = {"selected": "objectId", "tables": "objects", "conditions": "", "limit": "1"}
    refused = sum(post(sandbox, "query", fields).status_code == 503 for _ in range(100))
    assert 15 < refused < 45


# Loading


def test_rows_of_a_table_are_loaded_as_they_are_and_seen_just_now(sandbox, power, clock):
    rows = [
        {"objectId": "ZTF99real", "gmag": "19.5", "rmag": "", "classification": "NT", "major_axis_arcsec": "-999.0"}
        | {"tns_name": "2099xyz", "type": "SN Ia", "z": "0.05", "ra": "10.0", "decl": "1.0"}
    ]
    assert sandbox.load(rows, replace=True) == 1
    select = "objects.objectId, gmag, rmag, jdmax, classification, sherlock_classifications.z, major_axis_arcsec"
    (row,) = power.query(select, "sherlock_classifications", "jdmax > jdnow() - 0.01")
    assert (row["gmag"], row["rmag"], row["classification"]) == (19.5, None, "NT")
    assert row["major_axis_arcsec"] == -999.0
    assert row["z"] is None  # the table's z is the Transient Name Server's, not Sherlock's
    (row,) = power.query("crossmatch_tns.z, crossmatch_tns.type", "crossmatch_tns", "")
    assert row == {"z": 0.05, "type": "SN Ia"}


def test_an_update_changes_what_it_names_and_leaves_the_rest(sandbox, power):
    later = FIRST.columns["jdmax"] + 1
    sandbox.update([{"objectId": FIRST.object_id, "jdmax": later, "gmag": 16.25}])
    (row,) = power.query("*", "sherlock_classifications", f"objects.objectId='{FIRST.object_id}'")
    assert row == {**FIRST.columns, **FIRST.sherlock, "jdmax": later, "gmag": 16.25}


def test_a_value_that_is_no_number_is_served_as_it_came(sandbox, power):
    sandbox.load([{"objectId": "ZTF99odd", "gmag": "bright", "ncand": 10**25}])
    (row,) = power.query("gmag, ncand", "objects", "objectId='ZTF99odd'")
    assert row["gmag"] == "bright"


def test_many_clients_at_once_lose_nothing(sandbox):
    def work(part):
        mine = client(sandbox)
        for o in NIGHT.objects[part::6]:
            annotate(mine, object_id=o.object_id, classdict={"score": 1.0})
            mine.query("objectId", "objects", "gmag < 20")

    threads = [threading.Thread(target=work, args=(part,)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row["objectId"] for row in sandbox.annotations()} == {o.object_id for o in NIGHT.objects}
    assert len(sandbox.calls) == 120
    assert {call.status for call in sandbox.calls} == {200}


def test_it_is_silent(sandbox, power, capfd):
    power.query("objectId", "objects", "")
    refusal(power.query, "nonsense", "objects", "")
    sandbox.misbehave("query", "drop", times=1)
    with pytest.raises(requests.ConnectionError):
        power.query("objectId", "objects", "")
    assert capfd.readouterr() == ("", "")


def test_two_sandboxes_stand_side_by_side_and_a_port_can_be_chosen():
    with Sandbox() as one, Sandbox() as other:
        assert one.url != other.url
        assert one.url.endswith("/api")
        port = int(one.root_url.rpartition(":")[2])
    with Sandbox(port=port) as again:
        assert again.root_url == one.root_url
