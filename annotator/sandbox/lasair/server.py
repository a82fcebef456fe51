"""An embedded Lasair-ZTF: its REST interface over HTTP, on this machine, for trying and testing.

It answers as Lasair-ZTF was measured to answer in 2026, its faults included, and says in every header that it is a
simulation. A cutout that is not there is answered with status 200 and an empty body, as Lasair answers.
"""

import hmac
import json
import math
import sqlite3
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Literal, Self

from annotator.errors import RejectedError
from annotator.sandbox.lasair.answers import candidate, object_answer
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.faults import Fault, FaultKind, Faults
from annotator.sandbox.lasair.http_handler import Answer, Handler
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.sky.coordinates import separation_arcsec
from annotator.sandbox.sky.night import Night, SimulatedObject
from annotator.sandbox.sky.observe import Epoch
from annotator.sandbox.sky.stamps import KINDS, render

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


@dataclass(frozen=True)
class Call:
    """One call that the sandbox has answered."""

    endpoint: str
    status: int
    """0 where the connection was broken instead."""
    token: str


class _Server(ThreadingHTTPServer):
    """Says nothing on standard error when a client goes away in the middle of a request."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Sandbox:
    """Lasair-ZTF on 127.0.0.1, a context manager.

    Parameters
    ----------
    night
        What its tables hold at the start; None for empty tables.
    accounts
        Who may call.
    topics
        The registered annotators.
    port
        0 for any free one.
    clock
        Returns Unix seconds: the present of jdnow(), NOW(), timestamps and quotas.
    batch_annotate
        Whether `annotatelist` exists; on Lasair-ZTF it doesn't (404).
    """

    def __init__(
        self,
        night: Night | None = None,
        *,
        accounts: Sequence[Account] = (Account("sandbox-token", "power"),),
        topics: Sequence[Topic] = (Topic("aha_ztf", "sandbox-token"),),
        port: int = 0,
        clock: Callable[[], float] = time.time,
        batch_annotate: bool = False,
    ) -> None:
        self.database = Database(clock)
        self._clock = clock
        self._accounts = {account.token: account for account in accounts}
        self._topics = {topic.name.lower(): topic for topic in topics}
        self._batch_annotate = batch_annotate
        self._candidates: dict[str, list[Mapping[str, object]]] = {}
        self._detections: dict[str, tuple[SimulatedObject, Epoch, int]] = {}
        self._rendered: dict[str, dict[str, bytes]] = {}
        self._counted: dict[str, list[float]] = defaultdict(list)
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._faults = Faults()
        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.sandbox = self  # type: ignore[attr-defined]
        self._thread: threading.Thread | None = None
        if night is not None:
            self._load_night(night)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self.database.close()

    @property
    def root_url(self) -> str:
        """The server itself, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """The endpoint for Lasair's client, ending in /api."""
        return f"{self.root_url}/api"

    @property
    def calls(self) -> list[Call]:
        """Every call so far, in the order of the answers."""
        with self._lock:
            return list(self._calls)

    def annotations(self) -> list[dict[str, object]]:
        """Return every stored annotation, oldest first, `classdict` read from its JSON."""
        return [{**row, "classdict": json.loads(row["classdict"])} for row in self.database.annotations()]

    def load(self, rows: Iterable[Mapping[str, object]], replace: bool = False) -> int:
        """Add objects by flat rows, as a query or a stream gives them; return how many.

        Parameters
        ----------
        rows
            Each with `objectId` and any columns of the tables; with `candidates`, also a light curve. Where `jdmax` is
            absent the object was seen just now.
        replace
            Forget the objects that were there.
        """
        rows = list(rows)
        if replace:
            self.database.clear_objects()
            self._candidates.clear()
            self._detections.clear()
        for row in rows:
            if "candidates" in row:
                self._candidates[row["objectId"]] = list(row["candidates"])
        return self.database.put_rows(rows)

    def update(self, rows: Iterable[Mapping[str, object]]) -> int:
        """Change the named columns of objects that are there, as a new detection does; return how many."""
        return self.load(rows)

    def misbehave(
        self,
        endpoint: str,
        kind: FaultKind,
        *,
        times: int | None = None,
        share: float = 1.0,
        status: int = 503,
        seconds: float = 1.0,
    ) -> None:
        """Let calls to an endpoint go wrong, until :meth:`behave`.

        Parameters
        ----------
        endpoint
            "query", "object", "annotate", "annotatelist", "cone", "cutout", or "*" for all.
        kind
            What goes wrong: see :data:`~annotator.sandbox.faults.FaultKind`.
        times
            How many calls; None for no end.
        share
            The share of calls, at random, to which it happens.
        status
            What `refuse` answers.
        seconds
            How long `delay` waits.
        """
        self._faults.add(Fault(endpoint, kind, times, share, status, seconds))

    def behave(self) -> None:
        """End all misbehaviour."""
        self._faults.clear()

    # What follows is called by the HTTP handler.

    def fault(self, endpoint: str) -> Fault | None:
        """Return what has to go wrong with this call."""
        return self._faults.next_for(endpoint)

    def record(self, endpoint: str, status: int, token: str) -> None:
        """Note an answered call."""
        with self._lock:
            self._calls.append(Call(endpoint, status, token))

    def cutout(self, path: str) -> bytes:
        """Return the FITS file at a cutout's path; empty where there is none."""
        candid, _, kind = path.rpartition("/")[2].removesuffix(".fits").partition("_cutout")
        if candid not in self._detections or kind not in KINDS:
            return b""
        stamps = self._rendered.get(candid)
        if stamps is None:
            stamps = render(*self._detections[candid])
            self._rendered = {candid: stamps}  # the other two are mostly asked for next
        return stamps[kind]

    def answer(self, endpoint: str, method: str, token: str, fields: Mapping[str, object], store: bool) -> Answer:
        """Answer one call to the API; nothing is written unless `store`."""
        handlers = {"query": self._query, "object": self._object, "cone": self._cone, "annotate": self._annotate}
        if self._batch_annotate:
            handlers["annotatelist"] = self._annotate_list
        if endpoint not in handlers:
            return Answer(404, "<h1>Not Found</h1><p>The requested resource was not found on this server.</p>")
        account = next((a for t, a in self._accounts.items() if hmac.compare_digest(t.encode(), token.encode())), None)
        if account is None:
            detail = "Invalid token." if token else "Authentication credentials were not provided."
            return Answer(401, {"detail": detail})
        if self._throttled(account):
            return Answer(429, {"message": _THROTTLED})
        if endpoint.startswith("annotate"):
            if method != "POST":
                return Answer(405, {"detail": f'Method "{method}" not allowed.'})
            if not store:
                return Answer(200, {"status": "success"})
        elif not store:
            return Answer(200, [])
        try:
            return handlers[endpoint](account, fields)
        except RejectedError as error:
            return Answer(400, {"error": str(error)})
        except sqlite3.Error:  # Lasair-ZTF doesn't catch its database's errors here
            return Answer(500, "<h1>Server Error (500)</h1>")

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
        return Answer(200, self.database.query(selected, tables, conditions, limit, offset))

    def _object(self, account: Account, fields: Mapping[str, object]) -> Answer:
        object_id = str(fields.get("objectId", ""))
        added = str(fields.get("lasair_added", "True")).lower() not in ("false", "0")
        now_jd = UNIX_EPOCH_JD + self._clock() / 86400
        answer = object_answer(self.database, object_id, self._candidates.get(object_id, ()), now_jd, added)
        if answer is None:  # Lasair-ZTF looks for 'error' in None
            return Answer(500, "<h1>Server Error (500)</h1>")
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
            for name, ra, dec in self.database.positions()
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
        return Answer(200, {"status": "success", "query": self.database.annotate(annotation)})

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

    def _load_night(self, night: Night) -> None:
        self.load(night.rows())
        for simulated in night.objects:
            url = f"{self.root_url}/lasair/static/fits"
            self._candidates[simulated.object_id] = [candidate(epoch, url) for epoch in simulated.epochs]
            self._detections |= {
                str(epoch.candid): (simulated, epoch, night.seed)
                for epoch in simulated.epochs
                if epoch.candid is not None
            }
            if simulated.tns is not None:
                self.database.put_tns(simulated.object_id, simulated.tns)
