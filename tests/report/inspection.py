"""Nights to inspect, and servers to inspect them on: shared by the tests of the inspection page."""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType

import requests
from flask import Flask
from flask.testing import FlaskClient
from waitress import wasyncore

from annotator.ledger import Ledger
from annotator.models import ModelSet
from annotator.report.inspect.app import DOOR
from annotator.report.inspect.doors import Group
from annotator.report.inspect.night_at_hand import NightAtHand
from annotator.report.inspect.people import add_person, read_people
from annotator.report.inspect.serve import listen
from annotator.report.night import Candidate, Night, NightSummary

_SUMMARY = NightSummary(
    objects=3,
    scorings=3,
    by_modality={},
    classes={},
    new_objects=0,
    newly_flagged=0,
    refused=0,
    passes=1,
    drift=(),
    reads_left=0,
    writes_left=0,
    outbox_waiting=0,
    outbox_failed=0,
    incomplete=0,
    attention=(),
)


def small_night(object_ids: Sequence[str]) -> Night:
    """Make a night of which no more is known than the objects' names, ranked as they come."""
    candidates = tuple(
        Candidate(
            rank=rank,
            object_id=object_id,
            classification="anomaly",
            score=3.0,
            modalities={},
            prior=None,
            exotic=None,
            explanation="",
            reasons={},
            n_det=None,
            mjd=None,
            first_flagged_mjd=None,
            is_new=False,
            is_newly_flagged=False,
            tns_name="",
            tns_type="",
            judgement=None,
            transient=None,
            history=(),
        )
        for rank, object_id in enumerate(object_ids, 1)
    )
    return Night(61367, "2026-11-23", "ztf", "aha-ztf-1.1", "2026-11-24T08:00:00Z", 3, 2, None, _SUMMARY, candidates, 0)


def at_hand(read: Callable[[], Night]) -> NightAtHand:
    """Follow a night whose models are not asked anything."""
    return NightAtHand(read, ModelSet("aha-ztf-1.1", "ztf", MappingProxyType({})), None)


def begun_ledger(path: Path) -> Path:
    """Begin a ledger, as the first pass does."""
    Ledger(path).close()
    return path


def group_of(path: Path, *names: str) -> tuple[Group, dict[str, str]]:
    """Make a file of people; gives their door, and each one's secret."""
    secrets = {name: add_person(path, name) for name in names}
    return Group(read_people(path)), secrets


def come_in(app: Flask, url: str = "") -> FlaskClient | requests.Session:
    """Open the page by the address that the server prints; with a URL over HTTP."""
    client = requests.Session() if url else app.test_client()
    answer = client.get(url + app.extensions[DOOR].address, **({"allow_redirects": False} if url else {}))
    assert answer.status_code == 303
    return client


def hidden_in(page: str) -> dict[str, str]:
    """Return the hidden fields of the form that takes a verdict."""
    form = page.partition('action="verdict"')[2] or page.partition("verdict-bar")[2]
    names = ("csrf_token", "object_id", "seen")
    return {name: re.search(rf'name="{name}" value="([^"]*)"', form)[1] for name in names}


@contextlib.contextmanager
def answering(app: Flask, host: str = "127.0.0.1", clock: Callable[[], float] = time.monotonic) -> Iterator[str]:
    """Run the real server on a free port; gives its address."""
    server = listen(app, host, 0, clock)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))  # in the loop's thread
        thread.join()
        server.task_dispatcher.shutdown()
