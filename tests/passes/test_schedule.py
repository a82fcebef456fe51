import datetime
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from annotator.config import ScheduleConfig
from annotator.errors import ConfigError
from annotator.ledger import Ledger
from annotator.passes.schedule import run_on_schedule, trigger
from tests.conftest import TOKEN


def wait_until(condition, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def start(config_path, *options) -> subprocess.Popen:
    command = [sys.executable, "-m", "annotator", "run", "-c", str(config_path), *options]
    return subprocess.Popen(command, env=os.environ | {"LASAIR_TOKEN": TOKEN}, stdout=-1, stderr=-1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_job_with_what_is_in_hand_finished(sandbox, configure, tmp_path, number):
    config = configure(sandbox, schedule__every_minutes=60)
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
    configure(sandbox, schedule__every_minutes=60)
    with start(tmp_path / "aha.yaml", "--dry-run") as job:
        assert job.stdout.readline().startswith(b'{"object_id": "ZTF99')
        job.send_signal(signal.SIGTERM)
        job.stdout.read()
        assert job.wait(timeout=120) == 0
        job.stderr.read()
    assert sandbox.annotations() == []


def test_a_cron_expression_replaces_the_interval_and_is_in_utc():
    cron = trigger(ScheduleConfig(cron="30 4 * * *"))
    after = datetime.datetime(2026, 11, 23, 5, 0, tzinfo=datetime.UTC)
    assert cron.get_next_fire_time(None, after) == datetime.datetime(2026, 11, 24, 4, 30, tzinfo=datetime.UTC)
    with pytest.raises(ConfigError, match="five fields"):
        trigger(ScheduleConfig(cron="every day"))


@pytest.mark.parametrize(("level", "left"), [(logging.WARNING, True), (logging.INFO, False)])
def test_what_the_log_leaves_out_stays_to_be_announced(sandbox, configure, models, caplog, level, left):
    config = configure(sandbox, schedule__every_minutes=60, decision__anomaly_score=2.6)
    stop = threading.Event()

    def stop_after_a_pass():
        with Ledger(config.ledger) as ledger:
            wait_until(ledger.passes.last)
        stop.set()

    helper = threading.Thread(target=stop_after_a_pass)
    helper.start()
    with caplog.at_level(level, logger="annotator"):
        run_on_schedule(config, models, stop=stop)
    helper.join()
    with Ledger(config.ledger) as ledger:
        assert (len(ledger.announcements.to_announce()) > 0) is left
    assert ("to announce" in caplog.text) is not left
