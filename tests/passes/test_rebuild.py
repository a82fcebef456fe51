"""Either side lost, the two are equal within a day; and what is rebuilt writes nothing that Lasair has."""

import dataclasses

import pytest

from annotator.ledger import Ledger
from annotator.monitor.status import read_status
from annotator.passes.rebuild import rebuild
from annotator.passes.run import run_pass
from annotator.reasons.sentence import explain_verdict, verdict_in
from annotator.sandbox import Account, Sandbox, Topic
from annotator.verdicts import Verdict
from tests.conftest import TOKEN

HOUR_S, DAY_S = 3600.0, 86_400.0


@pytest.fixture
def now(night) -> list[float]:
    return [(max(row["jdmax"] for row in night.rows()) - 2440587.5) * 86_400 + HOUR_S]


@pytest.fixture
def server(night, now):
    with Sandbox(accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], clock=lambda: now[0]) as sandbox:
        sandbox.load(night.rows())
        yield sandbox


def lasting(server) -> dict[str, dict]:
    volatile = ("annotationID", "timestamp")
    return {
        row["objectId"]: {name: value for name, value in row.items() if name not in volatile}
        for row in server.annotations()
    }


def writes(server) -> int:
    return sum(call.endpoint == "annotate" for call in server.calls)


def test_all_that_lasair_lost_is_there_again_within_a_day(server, configure, models, now):
    config = configure(server)
    run_pass(config, models, clock=lambda: now[0])
    before = lasting(server)
    with server.database._lock:
        server.database._connection.execute("DELETE FROM annotations")
    now[0] += DAY_S
    report = run_pass(config, models, clock=lambda: now[0])
    assert report.delivery.lost == report.delivery.sent == len(before)
    assert lasting(server) == before and len(before) > 5


def test_a_ledger_that_was_lost_is_rebuilt_and_writes_nothing_again(server, configure, models, now):
    config = configure(server)
    run_pass(config, models, clock=lambda: now[0])
    before, made = lasting(server), writes(server)
    with Ledger(config.ledger) as ledger:
        outbox = ledger.outbox.last_sent(list(before))
    config.ledger.unlink()
    now[0] += 600
    rebuilt = rebuild(config, clock=lambda: now[0])
    assert (rebuilt.adopted, rebuilt.known, rebuilt.unusable, rebuilt.pause) == (len(before), 0, 0, "")
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.last_sent(list(before)) == outbox
        assert ledger.outbox.states()["stored"] == len(before)
    report = run_pass(config, models, clock=lambda: now[0])
    assert report.scored > 80 and report.queued == 0 and report.announcement.to_announce == ()
    assert writes(server) == made and lasting(server) == before
    assert rebuild(config, clock=lambda: now[0]).known == len(before)


def test_strangers_are_a_reason_for_attention_until_they_are_adopted(server, configure, models, now):
    config = configure(server)
    for _ in range(2):
        run_pass(config, models, clock=lambda: now[0])
    with Ledger(config.ledger) as ledger:
        ledger.database.execute("DELETE FROM outbox")  # as a ledger that was restored from before
    now[0] += DAY_S
    report = run_pass(config, models, clock=lambda: now[0])
    assert report.sweep.counts["strangers"] == len(lasting(server))
    assert any("aha-annotator rebuild" in words for words in read_status(config, now[0]).attention)
    rebuild(config, clock=lambda: now[0])
    assert not any("rebuild" in words for words in read_status(config, now[0]).attention)


def test_a_damaged_annotation_is_adopted_as_lasair_holds_it(server, configure, models, now):
    config = configure(server)
    run_pass(config, models, clock=lambda: now[0])
    with Ledger(config.ledger) as ledger:
        ledger.database.execute("UPDATE outbox SET annotation = '{'")
    assert rebuild(config, clock=lambda: now[0]).adopted == len(lasting(server)) > 0
    with Ledger(config.ledger) as ledger:
        assert set(ledger.outbox.last_sent(list(lasting(server)))) == set(lasting(server))


def test_where_no_call_is_left_another_try_goes_on(server, configure, models, now, monkeypatch):
    from annotator.passes import rebuild as rebuilding

    run_pass(configure(server), models, clock=lambda: now[0])
    monkeypatch.setattr(rebuilding, "PAGE_ROWS", 3)
    monkeypatch.setattr(rebuilding, "SURE_ROWS", 3)
    config = configure(server, ledger="other.sqlite", lasair__calls_per_hour=8)  # two of them to read
    adopted = 0
    for _ in range(99):
        rebuilt = rebuild(config, clock=lambda: now[0])
        adopted += rebuilt.adopted
        if not rebuilt.pause:
            break
        now[0] += HOUR_S + 1
    assert adopted == len(lasting(server)) > 6 and rebuilt.known == 0


@pytest.mark.parametrize("kind", ["regular", "artefact"])
def test_what_a_person_had_judged_is_read_from_what_lasair_holds(kind, now):
    import datetime

    said = Verdict("ZTF99aaaaaaa", kind, "Ada", datetime.datetime(2099, 3, 1, tzinfo=datetime.UTC))
    found = verdict_in("ZTF99aaaaaaa", explain_verdict(said))
    assert found == dataclasses.replace(said, person="a person") and found.override == said.override
    assert verdict_in("ZTF99aaaaaaa", "Rarer than 1 in 1000.") is None
