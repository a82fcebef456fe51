"""The sandbox answers as Lasair-ZTF's own views do, which were run unmodified on MariaDB in November 2026."""

import json
from dataclasses import dataclass, field

import pytest
import requests

from annotator.sandbox import Account, Sandbox, Topic, simulate_night

NIGHT = simulate_night(7, 30)
FIRST = NIGHT.objects[0].object_id
BARE = "ZTF99bare"
TNS = {"tns_name": "2026abc", "type": "", "disc_date": "2026-11-01 12:13:14.000000", "disc_mag_filter": "g-ZTF"}

SELECT = {"selected": "objects.objectId", "tables": "objects", "conditions": "", "limit": "3"}
CONE = {"ra": "1.0", "dec": "89.9", "radius": "5", "requestType": "all"}
ADDED = {"objectId": FIRST, "lite": "True", "lasair_added": "True"}
NOT_ADDED = ADDED | {"lasair_added": "False"}
WRITTEN = {"topic": "plain", "objectId": FIRST, "classification": "anomaly", "version": "aha-1", "explanation": "blue"}
WRITTEN |= {"classdict": '{"score": 2.5}', "url": ""}
REQUIRED, BLANK = "This field is required.", "This field may not be blank."
ANYTHING = object()


@dataclass(frozen=True)
class Case:
    """A request, and what Lasair answers."""

    words: str
    endpoint: str
    fields: object
    status: int
    answer: object = ANYTHING
    method: str = "POST"
    kwargs: dict = field(default_factory=dict)
    """Of the request: json instead of a form, or a body as it is."""


def by_json(words, endpoint, fields, status, answer=ANYTHING):
    return Case(words, endpoint, None, status, answer, kwargs={"json": fields})


CASES = (
    Case("a query by GET", "query", SELECT, 200, method="GET"),
    by_json("a query in JSON", "query", SELECT, 200),
    Case("blank columns", "query", SELECT | {"selected": " "}, 400, {"selected": [BLANK]}),
    Case("blank tables", "query", SELECT | {"tables": ""}, 400, {"tables": [BLANK]}),
    Case("a limit in words", "query", SELECT | {"limit": "x"}, 400, {"limit": ["A valid integer is required."]}),
    Case("no rows wanted", "query", SELECT | {"limit": "0"}, 200, []),
    Case(
        "conditions too long",
        "query",
        SELECT | {"conditions": "a" * 4097},
        400,
        {"conditions": ["Ensure this field has no more than 4096 characters."]},
    ),
    Case(
        "columns too long",
        "query",
        SELECT | {"selected": "a" * 4097},
        400,
        {"selected": ["Ensure this field has no more than 4096 characters."]},
    ),
    Case("an area", "query", SELECT | {"tables": "objects, area:1"}, 200, []),
    Case(
        "an empty class in TNS",
        "query",
        {
            "selected": "objects.objectId, type",
            "tables": "objects, crossmatch_tns",
            "conditions": 'type = "" AND tns_name = "2026abc"',
        },
        200,
        [{"objectId": FIRST, "type": ""}],
    ),
    Case(
        "a date of TNS",
        "query",
        {"selected": "disc_date", "tables": "crossmatch_tns", "conditions": "tns_name = '2026abc'"},
        200,
        [{"disc_date": "2026-11-01T12:13:14"}],
    ),
    Case("a text that equals zero", "query", SELECT | {"conditions": "objects.objectId = 0", "limit": "99"}, 200),
    Case(
        "blanks after a text", "query", SELECT | {"conditions": f'objectId = "{FIRST}  "'}, 200, [{"objectId": FIRST}]
    ),
    Case("too large an integer", "query", SELECT | {"selected": "9223372036854775807 + 1 AS big"}, 400),
    Case("too large a float", "query", SELECT | {"selected": "1e308*10 AS big"}, 400),
    Case("an object with Lasair's additions", "object", ADDED, 200),
    Case("an object by a form without boxes", "object", {"objectId": FIRST}, 200),
    by_json("an object in JSON without flags", "object", {"objectId": FIRST}, 500),
    by_json("an object in JSON with flags", "object", {"objectId": FIRST, "lite": True, "lasair_added": True}, 200),
    Case("no object", "object", {}, 500),
    Case("no object by GET", "object", {}, 400, {"objectId": [REQUIRED]}, "GET"),
    Case("an unknown object", "object", ADDED | {"objectId": "ZTF00none"}, 500),
    Case(
        "an unknown object without additions",
        "object",
        NOT_ADDED | {"objectId": "ZTF00none"},
        200,
        {"objectId": "ZTF00none", "candidates": [], "forcedphot": []},
    ),
    Case("an object without a light curve", "object", ADDED | {"objectId": BARE}, 500),
    Case("an object in lower case", "object", ADDED | {"objectId": FIRST.lower()}, 500),
    Case("an object with an apostrophe", "object", ADDED | {"objectId": "O'Neill"}, 500),
    Case("an object with a quote", "object", ADDED | {"objectId": 'a"b'}, 400),
    Case("an empty cone", "cone", CONE, 200, []),
    Case("the nearest of nothing", "cone", CONE | {"requestType": "nearest"}, 200, {}),
    Case("the number of nothing", "cone", CONE | {"requestType": "count"}, 200, {"count": 0}),
    Case("too wide a cone", "cone", CONE | {"radius": "2000"}, 400, {"error": "Max radius is 1000 arcsec."}),
    Case(
        "a cone of no kind",
        "cone",
        {"ra": "1", "dec": "x", "radius": "2"},
        400,
        {"dec": ["A valid number is required."], "requestType": [REQUIRED]},
    ),
    by_json("an annotation in JSON", "annotate", WRITTEN, 200),
    by_json(
        "a dict for classdict", "annotate", WRITTEN | {"classdict": {}}, 400, {"classdict": ["Not a valid string."]}
    ),
    by_json(
        "null for a version", "annotate", WRITTEN | {"version": None}, 400, {"version": ["This field may not be null."]}
    ),
    Case("no url", "annotate", {k: v for k, v in WRITTEN.items() if k != "url"}, 400, {"url": [REQUIRED]}),
    Case("a blank version", "annotate", WRITTEN | {"version": ""}, 400, {"version": [BLANK]}),
    Case("a topic in capitals", "annotate", WRITTEN | {"topic": "PLAIN"}, 200),
    Case("a class of 17", "annotate", WRITTEN | {"classification": "a" * 17}, 500),
    Case("an accent", "annotate", WRITTEN | {"explanation": "caf\u00e9"}, 500),
    Case("an emoji", "annotate", WRITTEN | {"explanation": "\U0001f52d"}, 500),
    Case(
        "a NUL",
        "annotate",
        WRITTEN | {"explanation": "a\0b"},
        400,
        {"explanation": ["Null characters are not allowed."]},
    ),
    by_json(
        "half a character",
        "annotate",
        WRITTEN | {"explanation": "\ud800"},
        400,
        {"explanation": ["Surrogate characters are not allowed: U+D800."]},
    ),
    Case("a number for classdict", "annotate", WRITTEN | {"classdict": "5"}, 200),
    Case("blanks around everything", "annotate", {k: f" {v} " for k, v in WRITTEN.items()}, 200),
    Case("an old list of objects", "objects", {"objectIds": FIRST}, 200),
    Case("an old list of light curves", "lightcurves", {"objectIds": f"{FIRST}, {BARE}"}, 200),
    Case(
        "Sherlock",
        "sherlock/object",
        {"objectId": FIRST},
        400,
        {"error": "This Lasair cluster does not have a Sherlock service"},
    ),
    Case("an unknown endpoint", "nothing", {}, 404),
    Case("a list of annotations", "annotatelist", {}, 404),
    Case("PUT", "query", SELECT, 405, {"detail": 'Method "PUT" not allowed.'}, "PUT"),
    Case("DELETE", "annotate", WRITTEN, 405, {"detail": 'Method "DELETE" not allowed.'}, "DELETE"),
    Case("an annotation by GET", "annotate", WRITTEN, 405, {"detail": 'Method "GET" not allowed.'}, "GET"),
    Case(
        "broken JSON",
        "query",
        '{"selected": }',
        400,
        {"detail": "JSON parse error - Expecting value: line 1 column 14 (char 13)"},
        kwargs={"headers": {"Content-Type": "application/json"}},
    ),
    by_json(
        "a list in JSON",
        "query",
        [1],
        400,
        {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]},
    ),
)


@pytest.fixture(scope="module")
def sandbox():
    topics = [Topic("plain", "token"), Topic("fast", "token", active=2)]
    with Sandbox(NIGHT, accounts=[Account("token", "power")], topics=topics) as running:
        running.load([{"objectId": BARE, "gmag": 18.0}])
        running.database.put_tns(FIRST, TNS)
        yield running


def ask(sandbox, case, slash="/"):
    headers = {"Authorization": "Token token"} | case.kwargs.get("headers", {})
    where = "params" if case.method == "GET" else "data"
    options = {where: case.fields, "timeout": 60, "allow_redirects": False} | case.kwargs | {"headers": headers}
    return requests.request(case.method, f"{sandbox.url}/{case.endpoint}{slash}", **options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
def test_a_request_is_answered_as_lasair_answers_it(sandbox, case):
    answer = ask(sandbox, case)
    assert answer.status_code == case.status, answer.text
    if case.answer is not ANYTHING:
        assert answer.json() == case.answer


def test_without_the_slash_at_the_end_it_sends_the_caller_on(sandbox):
    answer = ask(sandbox, Case("", "query", SELECT, 301), slash="")
    assert (answer.status_code, answer.text, answer.headers["Location"]) == (301, "", "/api/query/")
    assert ask(sandbox, Case("", "nothing", {}, 404), slash="").status_code == 404


def test_who_may_not_call_is_told_so_before_a_body_is_read(sandbox):
    answer = requests.post(f"{sandbox.url}/query/", data="{", headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 401


def test_a_text_is_a_number_where_it_is_compared_with_one(sandbox):
    for conditions, n_rows in (("objects.objectId = 0", 31), ("objects.objectId > 0", 0), ("tns_name = 2026", 1)):
        tables = "objects, crossmatch_tns" if "tns" in conditions else "objects"
        rows = ask(
            sandbox, Case("", "query", SELECT | {"tables": tables, "conditions": conditions, "limit": "99"}, 200)
        )
        assert len(rows.json()) == n_rows


def test_a_cone_of_all_is_a_list_nearest_first(sandbox):
    columns = NIGHT.objects[0].columns
    found = ask(sandbox, Case("", "cone", CONE | {"ra": columns["ramean"], "dec": columns["decmean"]}, 200)).json()
    assert found[0]["object"] == FIRST and found[0]["separation"] < 0.01


def test_the_bare_light_curve_is_oldest_first_and_the_other_newest_first(sandbox):
    bare, added = (ask(sandbox, Case("", "object", fields, 200)).json() for fields in (NOT_ADDED, ADDED))
    assert bare.keys() == {"objectId", "candidates", "forcedphot"}
    times = [item["jd"] for item in bare["candidates"]]
    assert times == sorted(times) == [item["jd"] for item in reversed(added["candidates"])]


def test_the_block_of_tns_has_its_dates_in_words(sandbox):
    block = ask(sandbox, Case("", "object", ADDED, 200)).json()["TNS"]
    assert block["disc_date"] == "1st November 2026 at 12:13:14"
    assert block["disc_date_mjd"] == pytest.approx(61345.509190)
    assert {"arcsec", "cone_id", "id", "lasairmodified_date"} <= block.keys()
    assert not {"ext_catalogs", "hostz", "htm16", "lastmodified_date"} & block.keys()


def test_a_candidate_with_no_number_cannot_be_said(sandbox):
    sandbox.load([{"objectId": "ZTF99nan", "candidates": [{"jd": 2461000.5, "magpsf": float("nan")}]}])
    for fields in (ADDED, NOT_ADDED):
        assert ask(sandbox, Case("", "object", fields | {"objectId": "ZTF99nan"}, 500)).status_code == 500


def test_a_fast_topic_says_what_it_passes_on(sandbox):
    answer = ask(sandbox, Case("", "annotate", WRITTEN | {"topic": "fast"}, 200)).json()
    assert answer.keys() == {"status", "query", "annotation_topic", "message"}
    assert answer["message"] == {"objectId": FIRST, "annotator": "fast"}
    assert ask(sandbox, Case("", "annotate", WRITTEN, 200)).json().keys() == {"status", "query"}


def test_a_light_curve_of_an_old_list_has_no_additions(sandbox):
    objects = ask(sandbox, Case("", "objects", {"objectIds": FIRST}, 200)).json()
    curves = ask(sandbox, Case("", "lightcurves", {"objectIds": f"{FIRST}, {BARE}"}, 200)).json()
    assert [set(item) for item in curves] == [{"objectId", "candidates", "forcedphot"}] * 2
    assert "objectData" in objects[0]
    assert json.dumps(curves[0]["candidates"]) == json.dumps(
        ask(sandbox, Case("", "object", NOT_ADDED, 200)).json()["candidates"]
    )


def test_every_endpoint_of_the_views_is_there(sandbox):
    assert sandbox.endpoints.names == {
        *("query", "object", "cone", "annotate", "objects", "lightcurves", "sherlock/object", "sherlock/position")
    }
