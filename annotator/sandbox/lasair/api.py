"""The API of one Lasair, as all of them are: who may call, how often, and what becomes of a call."""

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
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.forms import Field, read_form
from annotator.sandbox.lasair.wire import NOT_FOUND, SERVER_ERROR, Answer, Request
from annotator.sandbox.sky.coordinates import separation_arcsec

Level = Literal["dummy", "user", "power"]

HOURLY_CALLS: Mapping[Level, int] = MappingProxyType({"dummy": 10, "user": 100, "power": 10_000})
"""As documented; every call is counted twice, so that half of them get through."""

MAX_ROWS: Mapping[Level, int] = MappingProxyType({"dummy": 1000, "user": 10_000, "power": 1_000_000})
"""Rows that one query returns at most."""

_COUNTED_PER_CALL = 2
_MAX_CONE_ARCSEC = 1000.0
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
    """0: refused, 1: stored, 2: stored and passed on to filters at once; Lasair for Rubin takes 1 for 2."""


Handler = Callable[[Account, Request], Answer]


class Api:
    """The API of one Lasair.

    Parameters
    ----------
    handlers
        What answers each endpoint; those that write begin with `annotate`.
    database
        What its tables hold.
    forms
        The fields of each endpoint.
    accounts
        Who may call.
    topics
        The registered annotators.
    clock
        Returns Unix seconds.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        database: Database,
        forms: Mapping[str, Mapping[str, Field]],
        accounts: Sequence[Account],
        topics: Sequence[Topic],
        clock: Callable[[], float],
    ) -> None:
        self._handlers = {"query": self._query, **handlers}
        self._database = database
        self._forms = forms
        self._accounts = {account.token: account for account in accounts}
        self._topics = {topic.name.lower(): topic for topic in topics}
        self._clock = clock
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
        form, problems = read_form(self._forms["query"], request)
        if problems:
            return Answer(400, problems)
        form["limit"] = min(form["limit"], MAX_ROWS[account.level])
        return Answer(200, self._database.query(**form))

    def _near(self, ra_deg: float, dec_deg: float, radius_arcsec: float) -> list[dict[str, object]]:
        """Return the objects around a place, the nearest first; raise RejectedError where the radius is too large."""
        if radius_arcsec > _MAX_CONE_ARCSEC:
            raise RejectedError("Max radius is 1000 arcsec.")
        near = sorted(
            (distance, name)
            for name, ra, dec in self._database.positions()
            if (distance := separation_arcsec(ra_deg, dec_deg, ra, dec)) <= radius_arcsec
        )
        return [{"object": name, "separation": distance} for distance, name in near]

    def _annotate_list(self, account: Account, request: Request) -> Answer:
        """Take one by one; what stands before the first error stays taken."""
        annotations = request.content.get("annotations") if isinstance(request.content, dict) else None
        if not isinstance(annotations, list):
            return Answer(400, {"annotations": ["This field is required."]})
        for annotation in annotations:
            answer = self._handlers["annotate"](account, dataclasses.replace(request, content=annotation))
            if answer.status != 200:
                return answer
        return Answer(200, {"status": "success", "count": len(annotations)})

    def _may_annotate(self, account: Account, name: str) -> Topic:
        """Return a registered annotator that is this account's and awake; raise RejectedError else."""
        topic = self._topics.get(name.lower())
        if topic is None:
            raise RejectedError(f"Annotator error: topic {name} does not exist")
        if topic.owner_token != account.token:
            raise RejectedError(f"Annotator error: {account.name} is not allowed to submit to topic {topic.name}")
        if topic.active == 0:
            raise RejectedError(f"Annotator error: topic {topic.name} is not active -- ask Lasair team")
        return topic
