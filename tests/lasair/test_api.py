"""The API's door over HTTP: what is believed of an answer, and where the token goes."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from annotator.annotation import Annotation
from annotator.clock import Clock
from annotator.errors import LasairUnreachableError, QuotaError, RejectedError, UnauthorizedError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.parse import parse
from tests.conftest import TOKEN

ITEM = Annotation("ZTF99aaaaaaa", "aha_ztf", "watch", "aha-ztf-1.0", "why", {"score": 2.0})
START = 1.8e9


def api_at(url, ledger, clock=lambda: START, token=TOKEN, timeout_s=30.0) -> LasairApi:
    return LasairApi(SURVEYS["ztf"], url, token, timeout_s, CallBudget(ledger, 10_000, 0.5, clock))


@pytest.fixture
def ledger():
    with Ledger(":memory:") as ledger:
        yield ledger


@pytest.fixture
def elsewhere():
    """Another host, which answers all that it is asked and keeps the headers."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append(dict(self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api/query/", seen
    server.shutdown()
    server.server_close()


def ask(api):
    return api.query("objects.objectId", "objects", "", 1)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RejectedError),
        (401, UnauthorizedError),
        (403, RejectedError),
        (404, RejectedError),
        (405, RejectedError),
        (408, LasairUnreachableError),
        (413, RejectedError),
        (418, RejectedError),
        (429, QuotaError),
        (500, RejectedError),
        (502, LasairUnreachableError),
        (503, LasairUnreachableError),
        (504, LasairUnreachableError),
        (204, LasairUnreachableError),
        (304, LasairUnreachableError),
    ],
)
def test_a_status_tells_a_refusal_from_no_answer(sandbox, ledger, status, error):
    sandbox.misbehave("query", "refuse", status=status)
    with pytest.raises(error) as failure:
        ask(api_at(sandbox.url, ledger))
    assert type(failure.value) is error


@pytest.mark.parametrize("kind", ["hang", "slow_headers", "slow_body", "endless", "truncate", "garble", "drop", "page"])
@pytest.mark.parametrize("endpoint", ["query", "object", "annotate"])
def test_what_is_no_answer_of_lasairs_ends_as_an_unreachable_one(sandbox, ledger, night, endpoint, kind):
    sandbox.misbehave(endpoint, kind, status=200 if kind == "page" else None, seconds=0.05)
    api = api_at(sandbox.url, ledger, timeout_s=0.4)
    name = night.objects[0].object_id
    call = {
        "query": lambda: ask(api),
        "object": lambda: api.transient(name, parse),
        "annotate": lambda: api.annotate([ITEM]),
    }
    with pytest.raises(LasairUnreachableError):
        call[endpoint]()


def test_a_redirect_to_another_host_is_not_followed_and_the_token_goes_nowhere(sandbox, ledger, elsewhere):
    url, seen = elsewhere
    sandbox.misbehave("query", "redirect", content=url)
    with pytest.raises(LasairUnreachableError, match="another host"):
        ask(api_at(sandbox.url, ledger))
    assert seen == []


def test_a_redirect_on_the_same_host_is_followed_with_all_that_was_sent(sandbox, ledger):
    sandbox.misbehave("query", "redirect", status=301, content="/api/query/", times=1)
    assert len(ask(api_at(sandbox.url, ledger))) == 1
    sandbox.misbehave("query", "redirect", content="/api/query/")
    with pytest.raises(LasairUnreachableError, match="without end"):
        ask(api_at(sandbox.url, ledger))


def test_what_stands_in_netrc_does_not_take_the_tokens_place(sandbox, ledger, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert len(ask(api_at(sandbox.url, ledger))) == 1


def test_a_value_that_is_not_a_number_is_read_as_lasair_writes_it(sandbox, ledger):
    sandbox.misbehave("query", "answer", content=b'[{"objectId": "ZTF99aaaaaaa", "gmag": NaN, "rmag": -Infinity}]')
    (row,) = ask(api_at(sandbox.url, ledger))
    assert row["gmag"] != row["gmag"] and row["rmag"] == -float("inf")


def test_half_a_pair_of_surrogates_ends_no_page_of_a_query(sandbox, ledger):
    sandbox.misbehave("query", "answer", content=b'[{"objectId": "\\ud800"}, {"objectId": "ZTF99aaaaaaa"}]')
    first, second = ask(api_at(sandbox.url, ledger))
    first["objectId"].encode()
    assert second["objectId"] == "ZTF99aaaaaaa"


def test_lasairs_clock_is_heard_with_its_answers_and_not_with_a_proxys(sandbox, ledger):
    clock, sandbox.tells_time = Clock(), True
    sandbox.misbehave("*", "skew", seconds=7200.0)
    ask(api_at(sandbox.url, ledger, clock))
    assert 7100.0 < clock.ahead_s["Lasair"] < 7300.0
    other = Clock()
    sandbox.behave()
    sandbox.misbehave("query", "page", status=503)
    with pytest.raises(LasairUnreachableError):
        ask(api_at(sandbox.url, ledger, other))
    assert other.ahead_s == {}


def test_an_answer_of_more_values_than_there_can_be_is_not_read(sandbox, ledger, monkeypatch):
    monkeypatch.setattr("annotator.lasair.client.MAX_VALUES", 10)
    sandbox.misbehave("query", "answer", content=b"[" + b"{}," * 20 + b"{}]")
    with pytest.raises(LasairUnreachableError, match="more than 10 values"):
        ask(api_at(sandbox.url, ledger))


def test_calls_that_the_breaker_forbids_are_not_counted(sandbox, ledger):
    api = api_at(sandbox.url, ledger)
    sandbox.misbehave("query", "refuse", status=503)
    for _ in range(6):
        with pytest.raises(LasairUnreachableError):
            ask(api)
    assert len(sandbox.calls) == 3 and ledger.calls.last_hour(START) == (3, 0)
    assert "query" in ledger.breakers.pauses()


@pytest.mark.parametrize("escaped", [False, True], ids=["as it is", "escaped"])
def test_a_server_that_repeats_the_token_gets_it_nowhere(sandbox, ledger, escaped):
    token = "".join(f"\\u{ord(sign):04x}" for sign in TOKEN) if escaped else TOKEN
    sandbox.misbehave("query", "answer", content=f'[{{"objectId": "a {token} b"}}]'.encode())
    (row,) = ask(api_at(sandbox.url, ledger))
    assert row["objectId"] == "a (hidden) b"
    sandbox.misbehave("query", "repeat_token")
    with pytest.raises(RejectedError) as failure:
        ask(api_at(sandbox.url, ledger))
    assert TOKEN not in str(failure.value) and "(hidden)" in str(failure.value)
