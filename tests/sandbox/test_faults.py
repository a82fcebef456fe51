"""What the sandbox does when it is told to misbehave, as a client sees it that asks with patience or without."""

import math
import socket
import threading
import time
from email.utils import parsedate_to_datetime

import pytest
import requests

from annotator.sandbox import Sandbox
from tests.sandbox.conftest import NIGHT

IDS = [simulated.object_id for simulated in NIGHT.objects]
QUERY = {"selected": "objects.objectId", "tables": "objects", "conditions": "", "limit": "100"}
HELD = QUERY | {"tables": "objects, annotator:aha_ztf"}
JUST_ONE = {"objectId": IDS[0], "lasair_added": "True"}


def post(sandbox, endpoint="query", fields=QUERY, timeout_s=60.0, **kwargs):
    headers = {"Authorization": "Token power"}
    return requests.post(f"{sandbox.url}/{endpoint}/", fields, headers=headers, timeout=timeout_s, **kwargs)


def annotate(sandbox, classification="anomaly", object_id=IDS[0], timeout_s=60.0):
    fields = {"topic": "aha_ztf", "objectId": object_id, "classification": classification, "version": "1"}
    return post(sandbox, "annotate", fields | {"explanation": "", "classdict": "{}", "url": ""}, timeout_s)


def held(sandbox):
    return {row["objectId"]: row["classification"] for row in sandbox.annotations()}


@pytest.mark.parametrize("content", [None, 5, "text", [], {}, [[1]], {"objectId": {}}, True])
def test_an_answer_has_whatever_shape_it_is_told(sandbox, content):
    sandbox.misbehave("object", "answer", content=content)
    answer = post(sandbox, "object", JUST_ONE)
    assert answer.status_code == 200
    assert (answer.text if isinstance(content, str) else answer.json()) == content


def test_an_answer_may_be_no_number_which_is_no_json(sandbox):
    sandbox.misbehave("query", "answer", content=float("nan"))
    assert math.isnan(post(sandbox).json())


@pytest.mark.parametrize("status", [200, 403, 404, 502])
def test_a_page_of_html_comes_with_any_status(sandbox, status):
    sandbox.misbehave("cutout", "page", status=status)
    answer = requests.get(f"{sandbox.root_url}/lasair/static/fits/1/2_cutoutScience.fits", timeout=60)
    assert answer.status_code == status
    assert answer.headers["Content-Type"].startswith("text/html") and "<h1>" in answer.text


def test_a_redirection_leads_where_it_is_told(sandbox):
    with Sandbox() as elsewhere:
        sandbox.misbehave("query", "redirect", content=f"{elsewhere.url}/query/")
        answer = post(sandbox, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (302, f"{elsewhere.url}/query/")


def test_an_error_repeats_the_token_of_the_caller(sandbox):
    sandbox.misbehave("*", "repeat_token")
    for endpoint in ("query", "object", "annotate"):
        answer = post(sandbox, endpoint)
        assert answer.status_code == 400 and "Token power" in answer.json()["error"]


def test_without_its_databases_object_is_a_bad_request_and_all_else_a_server_error(sandbox):
    sandbox.misbehave("*", "no_database")
    answer = post(sandbox, "object", JUST_ONE)
    assert (answer.status_code, answer.json()) == (400, {"error": "Unable to connect to any servers"})
    assert post(sandbox).status_code == 500
    assert annotate(sandbox).status_code == 500
    assert held(sandbox) == {}


@pytest.mark.parametrize(("kind", "stored"), [("hang", 0), ("hang_after", 1)])
def test_who_hangs_says_nothing_until_the_client_gives_up(sandbox, kind, stored):
    sandbox.misbehave("annotate", kind, times=1)
    with pytest.raises(requests.Timeout):
        annotate(sandbox, timeout_s=0.1)
    assert len(sandbox.annotations()) == stored
    assert annotate(sandbox, object_id=IDS[1]).status_code == 200


@pytest.mark.parametrize("kind", ["slow_headers", "slow_body"])
def test_slow_bytes_come_one_by_one_and_the_whole_takes_its_time(sandbox, kind):
    sandbox.misbehave("query", kind, seconds=0.001, times=1)
    begun = time.monotonic()
    answer = post(sandbox, fields=QUERY | {"limit": "3"})
    assert len(answer.json()) == 3
    assert time.monotonic() - begun > 0.001 * len(answer.content)


def test_an_endless_body_has_as_many_bytes_as_it_is_told_and_no_length(sandbox):
    sandbox.misbehave("query", "endless", size_bytes=1_000_000)
    answer = post(sandbox)
    assert len(answer.content) == 1_000_000 and "Content-Length" not in answer.headers
    assert len(answer.json()) == len(IDS)


@pytest.mark.parametrize("kind", ["hang", "hang_after", "slow_headers", "slow_body", "endless", "delay"])
def test_a_sandbox_that_closes_keeps_nobody_waiting(kind):
    with Sandbox(NIGHT) as sandbox:
        sandbox.misbehave("page", kind, seconds=3600.0, size_bytes=10**15)
        address = sandbox.root_url.removeprefix("http://").split(":")
        client = socket.create_connection((address[0], int(address[1])), timeout=120)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while not sandbox.calls:
            time.sleep(0.01)
    while client.recv(1 << 20):  # the connection's end, else a timeout
        pass
    client.close()


def test_the_date_is_that_of_the_sandboxs_clock_or_ahead_of_it(sandbox, clock):
    def date(answer):
        return parsedate_to_datetime(answer.headers["Date"]).timestamp()

    assert date(post(sandbox)) == pytest.approx(clock.now, abs=1)
    sandbox.misbehave("query", "skew", seconds=-86400.0, times=1)
    assert date(post(sandbox)) == pytest.approx(clock.now - 86400.0, abs=1)
    clock.now += 3600.0
    assert date(post(sandbox)) == pytest.approx(clock.now, abs=1)


def test_a_late_annotation_is_stored_when_its_time_comes_even_over_a_newer_one(sandbox, clock):
    sandbox.misbehave("annotate", "late", seconds=60.0, times=1)
    assert annotate(sandbox, "watch").json()["status"] == "success"
    assert held(sandbox) == {}
    annotate(sandbox, "anomaly")
    assert held(sandbox) == {IDS[0]: "anomaly"}
    clock.now += 61.0
    assert held(sandbox) == {IDS[0]: "watch"}


def test_a_lost_update_leaves_the_older_annotation(sandbox):
    annotate(sandbox, "watch")
    sandbox.misbehave("annotate", "lie", times=1)
    assert annotate(sandbox, "anomaly").json()["status"] == "success"
    assert held(sandbox) == {IDS[0]: "watch"}


def test_an_object_that_main_lacks_can_be_annotated_and_is_not_found_until_it_is_there(sandbox):
    sandbox.hide(IDS[:2])
    assert annotate(sandbox).status_code == 200
    assert {row["objectId"] for row in post(sandbox).json()} == set(IDS[2:])
    assert post(sandbox, fields=HELD).json() == []
    assert post(sandbox, "object", JUST_ONE).status_code == 500
    assert held(sandbox) == {IDS[0]: "anomaly"}
    sandbox.update([{"objectId": IDS[1], "gmag": 17.0}])
    sandbox.show()
    assert len(post(sandbox).json()) == len(IDS)
    assert post(sandbox, fields=HELD).json() == [{"objectId": IDS[0]}]


def test_many_who_are_kept_waiting_leave_no_thread_behind(sandbox):
    before = threading.active_count()
    sandbox.misbehave("query", "hang")
    for _ in range(5):
        with pytest.raises(requests.Timeout):
            post(sandbox, timeout_s=0.05)
    deadline = time.monotonic() + 120
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
