import contextlib
import datetime
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from apscheduler.schedulers.background import BackgroundScheduler

from annotator.config import ScheduleConfig
from annotator.errors import LedgerError
from annotator.ledger import Ledger
from annotator.passes import schedule
from annotator.passes.run import run_pass
from annotator.passes.schedule import follow_clock, run_on_schedule, stopped_by_signals
from annotator.schedule import trigger
from tests.conftest import TOKEN, copy_features_model, of_the_long_suite


def wait_until(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def start(config_path, *options) -> subprocess.Popen:
    command = [sys.executable, "-m", "annotator", "run", "-c", str(config_path), *options]
    return subprocess.Popen(command, env=os.environ | {"LASAIR_TOKEN": TOKEN}, stdout=-1, stderr=-1)


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *of_the_long_suite(signal.SIGINT, signal.SIGHUP)],
)
def test_a_signal_ends_the_job_with_what_is_in_hand_finished(sandbox, configure, tmp_path, number):
    config = configure(sandbox, schedule__every_minutes=60, models=str(copy_features_model(tmp_path)))
    sandbox.misbehave("annotate", "delay", seconds=0.3)
    with start(tmp_path / "aha.yaml") as job:
        wait_until(lambda: len(sandbox.annotations()) >= 2)
        job.send_signal(number)
        assert job.wait(timeout=120) == 0
        assert b"Traceback" not in job.stderr.read()
    with Ledger(config.ledger) as ledger:
        counts = ledger.outbox.counts()
        assert counts["sent"] == len(sandbox.annotations()) >= 2
        assert counts["waiting"] > 0
        assert ledger.passes.last().outcome == "done"


def test_passes_repeat_and_pick_up_what_is_new(sandbox, configure, models, night):
    config = configure(sandbox, schedule__every_minutes=0.02)
    stop = threading.Event()

    def add_an_object_then_stop():
        wait_until(lambda: sandbox.annotations())
        newest = max(row["jdmax"] for row in night.rows())
        sandbox.load([dict(night.rows()[0]) | {"objectId": "ZTF99zzzzzzz", "jdmax": newest}])
        with Ledger(config.ledger) as ledger:
            wait_until(lambda: ledger.scores.states(["ZTF99zzzzzzz"]))
        stop.set()

    helper = threading.Thread(target=add_an_object_then_stop)
    helper.start()
    run_on_schedule(config, models, stop=stop)
    helper.join()


def test_a_pass_that_fails_does_not_end_the_job(sandbox, configure, models):
    config = configure(sandbox, schedule__every_minutes=0.02)
    sandbox.misbehave("query", "refuse", times=2)
    stop = threading.Event()
    helper = threading.Thread(target=lambda: (wait_until(lambda: sandbox.annotations()), stop.set()))
    helper.start()
    run_on_schedule(config, models, stop=stop)
    helper.join()


def test_a_dry_run_prints_and_sends_nothing(sandbox, configure, tmp_path):
    configure(sandbox, schedule__every_minutes=60, models=str(copy_features_model(tmp_path)))
    with start(tmp_path / "aha.yaml", "--dry-run") as job:
        assert job.stdout.readline().startswith(b'{"object_id": "ZTF99')
        job.send_signal(signal.SIGTERM)
        job.stdout.read()
        assert job.wait(timeout=120) == 0
        job.stderr.read()
    assert sandbox.annotations() == []


def end_by_more_signals(job: subprocess.Popen) -> None:
    """Send signals until the job has ended: on a busy machine two are heard as one where the first still waits."""
    deadline = time.monotonic() + 120
    while job.poll() is None and time.monotonic() < deadline:
        job.send_signal(signal.SIGTERM)
        time.sleep(0.3)


def test_a_second_signal_ends_a_pass_that_hangs_at_once_and_loses_nothing(sandbox, configure, models, tmp_path):
    config = configure(sandbox, schedule__every_minutes=60, models=str(copy_features_model(tmp_path)))
    sandbox.misbehave("annotate", "delay", seconds=20.0)
    with start(tmp_path / "aha.yaml") as job:
        wait_until(lambda: _writes(config))
        job.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert job.poll() is None  # the annotation in hand is waited for
        end_by_more_signals(job)
        assert job.returncode == 128 + signal.SIGTERM
        assert b"ended at once" in job.stderr.read()
    sandbox.behave()
    report = run_pass(config, models, clock=lambda: time.time() + 86_400)
    assert report.waiting == 0
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.counts()["sent"] == len(sandbox.annotations())


def _writes(config) -> bool:
    """Say whether a call that writes has begun."""
    with Ledger(config.ledger) as ledger:
        return ledger.calls.last_hour_to("annotate", time.time()) > 0


def one_pass(config, models, say) -> None:
    """Make the first pass of a schedule, and end it."""
    stop = threading.Event()

    def say_and_stop(text: str) -> None:
        stop.set()
        say(text)

    run_on_schedule(config, models, stop=stop, say=say_and_stop)


def to_announce(config) -> int:
    with Ledger(config.ledger) as ledger:
        return len(ledger.announcements.to_announce())


def test_each_pass_says_one_line_and_announces_what_it_names(sandbox, configure, models):
    config = configure(sandbox, schedule__every_minutes=60, decision__anomaly_score=1.5)
    said: list[str] = []
    one_pass(config, models, said.append)
    line, *announced = said[0].splitlines()
    assert re.fullmatch(
        r"....-..-.. ..:..:.. UTC  read (\d+), scored \1, flagged \d+, sent \d+, waiting \d+; \d+ s", line
    )
    assert announced and all(words.startswith("  announced: ZTF99") for words in announced)
    assert to_announce(config) == 0
    sandbox.misbehave("query", "refuse", times=9, status=502)
    one_pass(config, models, said.append)
    assert "; ATTENTION: " in said[1] and "\n" not in said[1]


@pytest.mark.parametrize(
    ("error", "ends"),
    [(BrokenPipeError(), True), (OSError(28, "No space left"), False)],
    ids=["nobody reads", "a full disk"],
)
def test_what_could_not_be_said_stays_to_be_announced(sandbox, configure, models, error, ends):
    config = configure(sandbox, schedule__every_minutes=60, decision__anomaly_score=1.5)

    def refuse(_text: str) -> None:
        raise error

    with pytest.raises(BrokenPipeError) if ends else contextlib.nullcontext():
        one_pass(config, models, refuse)
    assert to_announce(config) > 0


def test_a_reader_that_goes_away_ends_the_job_politely(sandbox, configure, tmp_path):
    configure(sandbox, schedule__every_minutes=0.02, models=str(copy_features_model(tmp_path)))
    with start(tmp_path / "aha.yaml") as job:
        assert b"UTC  read " in job.stdout.readline()
        job.stdout.close()
        assert job.wait(timeout=120) == 0
        assert b"Traceback" not in job.stderr.read()


def test_a_pass_longer_than_its_limit_says_so(sandbox, configure, models):
    config = configure(sandbox, schedule__every_minutes=60, schedule__pass_limit_minutes=0.01)
    sandbox.misbehave("query", "delay", times=1, seconds=1.0)
    said: list[str] = []
    run_on_schedule(
        config, models, stop=(stop := threading.Event()), say=lambda text: (said.append(text), _end(said, stop))
    )
    assert "ATTENTION: at work for 0.01 minutes" in said[0]
    assert "longer than its limit of 0.01" in said[1]
    with Ledger(config.ledger) as ledger:
        assert "longer than its limit" in ledger.passes.last().outcome


def _end(said: list[str], stop: threading.Event) -> None:
    if len(said) == 2:
        stop.set()


@pytest.mark.parametrize(
    "error",
    [LedgerError("gone"), ValueError("\ud800"), MemoryError(), SystemError("C")],
    ids=lambda e: type(e).__name__,
)
def test_whatever_a_pass_raises_the_next_one_is_made(configure, sandbox, models, monkeypatch, error):
    config = configure(sandbox, schedule__every_minutes=0.01)
    said: list[str] = []
    stop = threading.Event()

    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(schedule, "run_pass", fail)
    monkeypatch.setattr(schedule.log, "disabled", True)  # half a pair in what is logged would end xdist itself
    run_on_schedule(config, models, stop=stop, say=lambda text: (said.append(text), _end(said, stop)))
    assert len(said) == 2 and all("ATTENTION: " in text for text in said)


def test_a_hangup_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = threading.Event()
        with stopped_by_signals(stop):
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.is_set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.wait(10.0)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("options", [{"every_minutes": 10.0}, {"cron": "*/10 * * * *"}])
def test_after_a_clock_was_set_back_passes_go_on_at_their_pace(options):
    config = ScheduleConfig(**options)
    scheduler = BackgroundScheduler(timezone=datetime.UTC)
    job = scheduler.add_job(print, trigger(config))
    scheduler.start(paused=True)
    try:
        on_time = job.next_run_time
        follow_clock(job, config)
        assert job.next_run_time == on_time
        job.modify(next_run_time=on_time + datetime.timedelta(days=365))  # planned by a clock that was a year ahead
        follow_clock(job, config)
        assert job.next_run_time <= datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=10)
    finally:
        scheduler.shutdown(wait=False)


def test_a_cron_expression_replaces_the_interval_and_is_in_utc():
    cron = trigger(ScheduleConfig(cron="30 4 * * *"))
    after = datetime.datetime(2026, 11, 23, 5, 0, tzinfo=datetime.UTC)
    assert cron.get_next_fire_time(None, after) == datetime.datetime(2026, 11, 24, 4, 30, tzinfo=datetime.UTC)
