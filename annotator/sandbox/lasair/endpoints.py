"""What each endpoint of Lasair-ZTF's API answers, its faults included, as measured in 2026."""

import contextlib
import dataclasses
import functools
import hmac
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from annotator.errors import RejectedError
from annotator.sandbox.lasair.answers import object_answer
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.forms import FORMS, read_form
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.lasair.wire import NOT_FOUND, SERVER_ERROR, Answer, Request
from annotator.sandbox.sky.coordinates import separation_arcsec

Level = Literal["dummy", "user", "power"]

HOURLY_CALLS: Mapping[Level, int] = MappingProxyType({"dummy": 10, "user": 100, "power": 10_000})
"""As documented; every call is counted twice, so that half of them get through."""

MAX_ROWS: Mapping[Level, int] = MappingProxyType({"dummy": 1000, "user": 10_000, "power": 1_000_000})
"""Rows that one query returns at most."""

_COUNTED_PER_CALL = 2
_MAX_CONE_ARCSEC = 1000.0
_NO_SHERLOCK = Answer(400, {"error": "This Lasair cluster does not have a Sherlock service"})
_FAST_TOPIC = "ztf_annotations"
_THROTTLED = "Request limit exceeded. Either wait an hour, or see API documentation to increase your limits."


@dataclass(frozen=True)
class Account:
    """Somebody with a token."""

    token: str
    level: Level = "user"
    name: str = "Sandbox User"


@dataclass(frozen=True)
class Topic:
    """A registered annotator."""

    name: str
    owner_token: str
    active: int = 1
    """0: refused, 1: stored, 2: stored and passed on to filters at once."""


class Endpoints:
    """The API of one Lasair.

    Parameters
    ----------
    database
        What its tables hold.
    candidates
        The light curve of each object, in the form of `object`'s answer.
    accounts
        Who may call.
    topics
        The registered annotators.
    clock
        Returns Unix seconds.
    batch_annotate
        Whether `annotatelist` exists.
    """

    def __init__(
        self,
        database: Database,
        candidates: Mapping[str, Sequence[Mapping[str, object]]],
        accounts: Sequence[Account],
        topics: Sequence[Topic],
        clock: Callable[[], float],
        batch_annotate: bool,
    ) -> None:
        self._database = database
        self._candidates = candidates
        self._accounts = {account.token: account for account in accounts}
        self._topics = {topic.name.lower(): topic for topic in topics}
        self._clock = clock
        self._handlers: dict[str, Callable[[Account, Request], Answer]] = {
            "query": self._query,
            "object": self._object,
            "cone": self._cone,
            "annotate": self._annotate,
            "objects": functools.partial(self._objects, True),
            "lightcurves": functools.partial(self._objects, False),
            "sherlock/object": lambda account, request: _NO_SHERLOCK,
            "sherlock/position": lambda account, request: _NO_SHERLOCK,
        }
        if batch_annotate:
            self._handlers["annotatelist"] = self._annotate_list
        self._counted: dict[str, list[float]] = defaultdict(list)
        self._late: list[tuple[float, Callable[[], Answer]]] = []
        self._lock = threading.Lock()

    @property
    def names(self) -> Set[str]:
        """The endpoints that there are."""
        return self._handlers.keys()

    def answer(self, endpoint: str, request: Request, delay_s: float | None = 0.0) -> Answer:
        """Answer one call to the API.

        Parameters
        ----------
        endpoint, request
            What was called, and with what.
        delay_s
            After how many seconds by the clock annotations are stored that are acknowledged now; None for never, and
            then a query finds nothing, either.
        """
        self.settle()
        if endpoint not in self._handlers:
            return NOT_FOUND
        token = request.token.encode()
        account = next((a for t, a in self._accounts.items() if hmac.compare_digest(t.encode(), token)), None)
        if account is None:
            detail = "Invalid token." if token else "Authentication credentials were not provided."
            return Answer(401, {"detail": detail})
        if self._throttled(account):
            return Answer(429, {"message": _THROTTLED})
        writes = endpoint.startswith("annotate")
        if request.method not in (("POST",) if writes else ("GET", "POST")):
            return Answer(405, {"detail": f'Method "{request.method}" not allowed.'})
        if request.fault:
            return Answer(400, {"detail": request.fault})
        handler = functools.partial(self._handlers[endpoint], account, request)
        if writes and delay_s:
            with self._lock:
                self._late.append((self._clock() + delay_s, handler))
        if writes and delay_s != 0.0:
            return Answer(200, {"status": "success"})
        if delay_s is None:
            return Answer(200, [])
        try:
            return handler()
        except RejectedError as error:
            return Answer(400, {"error": str(error)})
        except sqlite3.Error:  # Lasair-ZTF doesn't catch its database's errors here
            return SERVER_ERROR

    def settle(self) -> None:
        """Store what was acknowledged to be stored later, and is due by now; what can't be stored is gone."""
        with self._lock:
            now = self._clock() if self._late else 0.0
            due = sorted((item for item in self._late if item[0] <= now), key=lambda item: item[0])
            self._late = [item for item in self._late if item[0] > now]
        for _, store in due:
            with contextlib.suppress(RejectedError, sqlite3.Error):
                store()

    def _throttled(self, account: Account) -> bool:
        now = self._clock()
        with self._lock:
            counted = [moment for moment in self._counted[account.token] if moment > now - 3600]
            self._counted[account.token] = counted + [now] * _COUNTED_PER_CALL  # a refused call counts, too
            return len(counted) + _COUNTED_PER_CALL > HOURLY_CALLS[account.level]

    def _query(self, account: Account, request: Request) -> Answer:
        form, problems = read_form(FORMS["query"], request)
        if problems:
            return Answer(400, problems)
        form["limit"] = min(form["limit"], MAX_ROWS[account.level])
        return Answer(200, self._database.query(**form))

    def _object(self, account: Account, request: Request) -> Answer:
        form, problems = read_form(FORMS["object"], request)
        if problems:  # of a POST that is not right the view forgets to say so
            return Answer(400, problems) if request.method == "GET" else SERVER_ERROR
        if '"' in form["objectId"] and form["lasair_added"]:  # it stands between such quotes in Lasair's SQL
            raise RejectedError("1064 (42000): You have an error in your SQL syntax")
        answer = self._object_answer(form["objectId"], form["lasair_added"])
        return SERVER_ERROR if answer is None else Answer(200, answer)  # Lasair-ZTF looks for 'error' in None

    def _objects(self, lasair_added: bool, account: Account, request: Request) -> Answer:
        """Answer `objects` and `lightcurves`, which Lasair keeps for old clients."""
        form, problems = read_form(FORMS["objects"], request)
        if problems:
            return Answer(400, problems)
        answers = [self._object_answer(name.strip(), lasair_added) for name in str(form["objectIds"]).split(",")]
        return Answer(200, answers)

    def _object_answer(self, object_id: str, lasair_added: bool) -> dict[str, object] | None:
        now_jd = UNIX_EPOCH_JD + self._clock() / 86400
        return object_answer(self._database, object_id, self._candidates.get(object_id, ()), now_jd, lasair_added)

    def _cone(self, account: Account, request: Request) -> Answer:
        form, problems = read_form(FORMS["cone"], request)
        if problems:
            return Answer(400, problems)
        if form["radius"] > _MAX_CONE_ARCSEC:
            return Answer(400, {"error": "Max radius is 1000 arcsec."})
        near = sorted(
            (distance, name)
            for name, ra, dec in self._database.positions()
            if (distance := separation_arcsec(form["ra"], form["dec"], ra, dec)) <= form["radius"]
        )
        found = [{"object": name, "separation": distance} for distance, name in near]
        nearest = found[0] if found else {}
        return Answer(200, {"nearest": nearest, "count": {"count": len(found)}}.get(form["requestType"], found))

    def _annotate(self, account: Account, request: Request) -> Answer:
        annotation, problems = read_form(FORMS["annotate"], request)
        if problems:
            return Answer(400, problems)
        topic = self._topics.get(annotation["topic"].lower())
        if topic is None:
            raise RejectedError(f"Annotator error: topic {annotation['topic']} does not exist")
        if topic.owner_token != account.token:
            raise RejectedError(f"Annotator error: {account.name} is not allowed to submit to topic {topic.name}")
        if topic.active == 0:
            raise RejectedError(f"Annotator error: topic {topic.name} is not active -- ask Lasair team")
        answer = {"status": "success", "query": self._database.annotate(annotation)}
        if topic.active > 1:
            message = {"objectId": annotation["objectId"], "annotator": annotation["topic"]}
            answer |= {"annotation_topic": _FAST_TOPIC, "message": message}
        return Answer(200, answer)

    def _annotate_list(self, account: Account, request: Request) -> Answer:
        """Store one by one; what stands before the first error stays stored."""
        annotations = request.content.get("annotations") if isinstance(request.content, dict) else None
        if not isinstance(annotations, list):
            return Answer(400, {"annotations": ["This field is required."]})
        for annotation in annotations:
            answer = self._annotate(account, dataclasses.replace(request, content=annotation))
            if answer.status != 200:
                return answer
        return Answer(200, {"status": "success", "count": len(annotations)})
