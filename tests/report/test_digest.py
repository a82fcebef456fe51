"""The digest, and its way to people: over real HTTP, to a webhook that can fail."""

import contextlib
import dataclasses
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from annotator.errors import ConfigError, WebhookError
from annotator.ledger import Ledger
from annotator.report import digest
from annotator.report.night import Candidate, Judgement, ModalityResult, Night, NightSummary

NOW = 1.8e9


def candidate(rank: int, object_id: str, classification: str, score: float, **changes) -> Candidate:
    values = {
        "rank": rank,
        "object_id": object_id,
        "classification": classification,
        "score": score,
        "modalities": {"features": ModalityResult(score, 0.1, ""), "triplet": ModalityResult(None, None, "no cutouts")},
        "prior": None,
        "exotic": None,
        "explanation": f"Odd since {object_id} is.",
        "reasons": {},
        "n_det": 4,
        "mjd": 61_000.0,
        "first_flagged_mjd": 61_000.0,
        "is_new": False,
        "is_newly_flagged": False,
        "tns_name": "",
        "tns_type": "",
        "judgement": None,
        "transient": None,
        "history": (),
    }
    return Candidate(**values | changes)


def a_night(*candidates: Candidate, attention: tuple[str, ...] = ()) -> Night:
    classes = {item.classification: 1 for item in candidates}
    summary = NightSummary(40, 41, {"features": 40}, classes, 3, 2, 0, 1, (), 30, 20, 0, 0, 0, attention)
    return Night(61_000, "2025-11-21", "ztf", "aha-ztf-1.1", "", 3.0, 2.0, None, summary, candidates, 0)


NIGHT = a_night(
    candidate(1, "ZTF20watch", "watch", 5.0),
    candidate(2, "ZTF20first", "anomaly", 4.0, is_newly_flagged=True, exotic=0.4),
    candidate(3, "ZTF20other", "anomaly", 3.5, tns_name="SN 2020abc", tns_type="SLSN-I"),
    candidate(4, "ZTF20bogus", "artefact", 3.2),
    candidate(5, "ZTF20usual", "normal", 0.1),
)


class Webhook(ThreadingHTTPServer):
    """Answers as it is told to, the last answer again and again; keeps what it was sent."""

    daemon_threads = True

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.received = list(answers), []
        self.url = f"http://127.0.0.1:{self.server_port}/services/SECRET"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append(body)
        answers = self.server.answers
        status, headers = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in (headers | {"Content-Length": "0"}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def webhook(*answers: tuple[int, dict[str, str]]) -> Iterator[Webhook]:
    with Webhook(*(answers or ((200, {}),))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


def test_what_is_flagged_is_named_in_the_order_of_attention_and_nothing_else():
    assert [item.object_id for item in digest.flagged(NIGHT)] == ["ZTF20watch", "ZTF20first", "ZTF20other"]


def test_the_text_names_each_with_why_and_where():
    text = digest.to_text(NIGHT, digest.flagged(NIGHT))
    assert text.index("ZTF20first, anomaly 4.00, exotic 0.40, first flagged tonight") < text.index(
        "Odd since ZTF20first is."
    )
    assert "https://lasair-ztf.lsst.ac.uk/objects/ZTF20first/" in text
    assert "SN 2020abc SLSN-I" in text and "https://www.wis-tns.org/object/2020abc" in text
    assert "40 objects scored (features 40)" in text and "ZTF20bogus" not in text


def test_no_more_than_the_top_are_named_and_the_rest_counted():
    text = digest.to_text(NIGHT, digest.flagged(NIGHT), top=1)
    assert "ZTF20watch" in text and "ZTF20other" not in text and "and 2 more, in the report." in text


def test_a_quiet_night_says_so_and_what_needs_a_person_is_said():
    quiet = a_night(attention=("the stream is a day behind",))
    for write in (digest.to_text, digest.to_markdown):
        assert "Nothing is flagged" in write(quiet, []) and "ATTENTION: the stream" in write(quiet, [])
        assert "Provisional models: of few." in write(dataclasses.replace(quiet, provisional="of few"), [])


def test_signs_of_markdown_in_a_text_from_outside_are_shown_as_they_are():
    hostile = dataclasses.replace(
        NIGHT.candidates[1], tns_name="[x](javascript:alert(1))", judgement=Judgement("anomaly", "A", "", "")
    )
    written = digest.to_markdown(NIGHT, [hostile])
    assert "[x](javascript" not in written and r"\[x\](javascript:alert(1))" in written
    assert "[Lasair](https://lasair-ztf.lsst.ac.uk/objects/ZTF20first/)" in written and "judged anomaly" in written


def test_news_are_posted_once_and_again_only_when_there_is_more_to_them(ledger):
    with webhook() as server:
        assert digest.post_news(NIGHT, ledger, server.url, 0.5, NOW) == 3
        assert digest.post_news(NIGHT, ledger, server.url, 0.5, NOW) == 0
        risen = [dataclasses.replace(item, score=item.score + 0.6) for item in NIGHT.candidates[1:2]]
        joined = dataclasses.replace(
            NIGHT.candidates[2],
            modalities={"features": ModalityResult(3.5, 0.1, ""), "triplet": ModalityResult(1.0, 0.1, "")},
        )
        assert digest.post_news(a_night(NIGHT.candidates[0], *risen, joined), ledger, server.url, 0.5, NOW) == 2
    first, second = (body["text"] for body in server.received)
    assert all(name in first for name in ("ZTF20first", "ZTF20other", "ZTF20watch"))
    assert "ZTF20watch" not in second and "ZTF20first" in second and "ZTF20other" in second


def test_what_does_not_fit_into_one_digest_is_in_the_next(ledger):
    with webhook() as server:
        assert [digest.post_news(NIGHT, ledger, server.url, 0.5, NOW, top=2) for _ in range(3)] == [2, 1, 0]


def test_signs_of_slack_are_escaped(ledger):
    item = candidate(1, "ZTF20first", "anomaly", 4.0, tns_name="<!channel> & co")
    with webhook() as server:
        digest.post_news(a_night(item), ledger, server.url, 0.5, NOW)
    assert "&lt;!channel&gt; &amp; co" in server.received[0]["text"]


@pytest.fixture
def pauses(monkeypatch) -> list[float]:
    """Nobody waits, and what would have been waited is noted."""
    noted: list[float] = []
    monkeypatch.setattr(digest.time, "sleep", noted.append)
    return noted


def test_a_webhook_that_fails_is_tried_again_with_longer_pauses(ledger, pauses):
    with webhook((503, {}), (429, {"Retry-After": "7"}), (500, {}), (200, {})) as server:
        assert digest.post_news(NIGHT, ledger, server.url, 0.5, NOW) == 3
    assert pauses == [2.0, 7.0, 8.0] and len(server.received) == 4


@pytest.mark.parametrize(("asked", "pause"), [("86400", 60.0), ("0", 2.0), ("soon", 2.0), ("-5", 2.0)])
def test_a_webhook_that_asks_for_a_pause_gets_it_within_bounds(ledger, pauses, asked, pause):
    with webhook((503, {"Retry-After": asked}), (200, {})) as server:
        assert digest.post_news(NIGHT, ledger, server.url, 0.5, NOW) == 3
    assert pauses == [pause]


def test_an_answer_that_is_no_use_to_try_again_is_taken_even_if_it_asks_for_a_pause(ledger, pauses):
    with webhook((413, {"Retry-After": "1"})) as server, pytest.raises(WebhookError, match="it answered 413"):
        digest.post_news(NIGHT, ledger, server.url, 0.5, NOW)
    assert pauses == [] and len(server.received) == 1


@pytest.mark.parametrize(("answer", "tries"), [(404, 1), (403, 1), (302, 1), (500, digest.TRIES)])
def test_a_webhook_that_refuses_is_an_error_without_its_address_and_nothing_counts_as_posted(
    ledger, pauses, caplog, answer, tries
):
    caplog.set_level(logging.DEBUG)
    with webhook((answer, {"Location": "http://127.0.0.1/"})) as server:
        with pytest.raises(WebhookError, match=f"it answered {answer}") as failure:
            digest.post_news(NIGHT, ledger, server.url, 0.5, NOW)
        assert len(server.received) == tries == len(pauses) + 1
    assert "SECRET" not in str(failure.value) + caplog.text
    assert digest.news(NIGHT, ledger, 0.5) == digest.flagged(NIGHT)


def test_a_webhook_that_is_not_there_is_an_error_without_its_address(pauses, caplog):
    caplog.set_level(logging.DEBUG)
    with webhook() as server:
        url = server.url
    with pytest.raises(WebhookError, match=r"no answer \(ConnectionError\)") as failure:
        digest.post("text", url)
    assert pauses == [2.0, 4.0, 8.0, 16.0]
    assert "SECRET" not in str(failure.value) + caplog.text


@pytest.mark.parametrize("url", ["http://hooks.example.org/SECRET", "ftp://x/SECRET", "SECRET"])
def test_a_webhook_without_https_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError, match="AHA_WEBHOOK_URL must be an https URL") as failure:
        digest.check_webhook(url)
    assert "SECRET" not in str(failure.value)
