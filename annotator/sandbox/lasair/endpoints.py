"""What each endpoint of Lasair-ZTF's API answers, its faults included, as measured in 2026."""

import contextlib
import functools
import hmac
import math
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from annotator.errors import RejectedError
from annotator.sandbox.lasair.answers import object_answer
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.lasair.wire import NOT_FOUND, SERVER_ERROR, Answer
from annotator.sandbox.sky.coordinates import separation_arcsec

Level = Literal["dummy", "user", "power"]

HOURLY_CALLS: Mapping[Level, int] = MappingProxyType({"dummy": 10, "user": 100, "power": 10_000})
"""As documented; every call is counted twice, so that half of them get through."""

MAX_ROWS: Mapping[Level, int] = MappingProxyType({"dummy": 1000, "user": 10_000, "power": 1_000_000})
"""Rows that one query returns at most."""

_COUNTED_PER_CALL = 2
_MAX_CONE_ARCSEC = 1000.0
_FIELD_LENGTHS = MappingProxyType(
    {"topic": 256, "objectId": 256, "classification": 256, "version": 256}
    | {"explanation": 1024, "classdict": 4096, "url": 1024}
)
_MAY_BE_BLANK = ("explanation", "url")
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
        self._batch_annotate = batch_annotate
        self._counted: dict[str, list[float]] = defaultdict(list)
        self._late: list[tuple[float, Callable[[], Answer]]] = []
        self._lock = threading.Lock()

    def answer(
        self, endpoint: str, method: str, token: str, fields: Mapping[str, object], delay_s: float | None = 0.0
    ) -> Answer:
        """Answer one call to the API.

        Parameters
        ----------
        endpoint, method, token, fields
            What was called, how, by whom and with what.
        delay_s
            After how many seconds by the clock annotations are stored that are acknowledged now; None for never, and
            then a query finds nothing, either.
        """
        self.settle()
        handlers = {"query": self._query, "object": self._object, "cone": self._cone, "annotate": self._annotate}
        if self._batch_annotate:
            handlers["annotatelist"] = self._annotate_list
        if endpoint not in handlers:
            return NOT_FOUND
        account = next((a for t, a in self._accounts.items() if hmac.compare_digest(t.encode(), token.encode())), None)
        if account is None:
            detail = "Invalid token." if token else "Authentication credentials were not provided."
            return Answer(401, {"detail": detail})
        if self._throttled(account):
            return Answer(429, {"message": _THROTTLED})
        handler = functools.partial(handlers[endpoint], account, fields)
        if endpoint.startswith("annotate"):
            if method != "POST":
                return Answer(405, {"detail": f'Method "{method}" not allowed.'})
            if delay_s:
                with self._lock:
                    self._late.append((self._clock() + delay_s, handler))
            if delay_s != 0.0:
                return Answer(200, {"status": "success"})
        elif delay_s is None:
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

    def _query(self, account: Account, fields: Mapping[str, object]) -> Answer:
        missing = {
            name: ["This field is required."] for name in ("selected", "tables", "conditions") if name not in fields
        }
        if missing:
            return Answer(400, missing)
        try:
            limit, offset = int(fields.get("limit", 1000)), int(fields.get("offset", 0))
        except (TypeError, ValueError):
            return Answer(400, {"limit": ["A valid integer is required."]})
        if limit > MAX_ROWS["power"]:
            return Answer(400, {"limit": [f"Ensure this value is less than or equal to {MAX_ROWS['power']}."]})
        selected, tables, conditions = (str(fields[name]).strip() for name in ("selected", "tables", "conditions"))
        limit = min(limit, MAX_ROWS[account.level])
        return Answer(200, self._database.query(selected, tables, conditions, limit, offset))

    def _object(self, account: Account, fields: Mapping[str, object]) -> Answer:
        object_id = str(fields.get("objectId", ""))
        added = str(fields.get("lasair_added", "True")).lower() not in ("false", "0")
        now_jd = UNIX_EPOCH_JD + self._clock() / 86400
        answer = object_answer(self._database, object_id, self._candidates.get(object_id, ()), now_jd, added)
        if answer is None:  # Lasair-ZTF looks for 'error' in None
            return SERVER_ERROR
        return Answer(200, answer)

    def _cone(self, account: Account, fields: Mapping[str, object]) -> Answer:
        try:
            ra_deg, dec_deg, radius_arcsec = (float(fields[name]) for name in ("ra", "dec", "radius"))
        except (KeyError, TypeError, ValueError):
            return Answer(400, {"ra": ["A valid number is required."]})
        if not (math.isfinite(ra_deg + dec_deg) and radius_arcsec <= _MAX_CONE_ARCSEC):
            return Answer(400, {"error": "Max radius is 1000 arcsec."})
        near = sorted(
            (distance, name)
            for name, ra, dec in self._database.positions()
            if (distance := separation_arcsec(ra_deg, dec_deg, ra, dec)) <= radius_arcsec
        )
        if not near:
            where = f"ra={ra_deg:.5f} dec={dec_deg:.5f} radius={radius_arcsec:.2f}"
            return Answer(400, {"error": f"No object found {where}"})
        found = [{"object": name, "separation": distance} for distance, name in near]
        request = fields.get("requestType", "all")
        return Answer(200, {"nearest": found[0], "count": {"count": len(found)}}.get(request, found))

    def _annotate(self, account: Account, fields: Mapping[str, object]) -> Answer:
        problems = {}
        for name, longest in _FIELD_LENGTHS.items():
            if name not in fields:
                problems[name] = ["This field is required."]
            elif not str(fields[name]).strip() and name not in _MAY_BE_BLANK:
                problems[name] = ["This field may not be blank."]
            elif len(str(fields[name]).strip()) > longest:
                problems[name] = [f"Ensure this field has no more than {longest} characters."]
        if problems:
            return Answer(400, problems)
        annotation = {name: str(fields[name]).strip() for name in _FIELD_LENGTHS}
        topic = self._topics.get(annotation["topic"].lower())
        if topic is None:
            raise RejectedError(f"Annotator error: topic {annotation['topic']} does not exist")
        if topic.owner_token != account.token:
            raise RejectedError(f"Annotator error: {account.name} is not allowed to submit to topic {topic.name}")
        if topic.active == 0:
            raise RejectedError(f"Annotator error: topic {topic.name} is not active -- ask Lasair team")
        return Answer(200, {"status": "success", "query": self._database.annotate(annotation)})

    def _annotate_list(self, account: Account, fields: Mapping[str, object]) -> Answer:
        """Store one by one; what stands before the first error stays stored."""
        annotations = fields.get("annotations")
        if not isinstance(annotations, list):
            return Answer(400, {"annotations": ["This field is required."]})
        for annotation in annotations:
            answer = self._annotate(account, annotation)
            if answer.status != 200:
                return answer
        return Answer(200, {"status": "success", "count": len(annotations)})
