"""An embedded Lasair-ZTF: its REST interface over HTTP, on this machine, for trying and testing.

It answers as Lasair-ZTF was measured to answer in 2026, its faults included, and says in every header that it is a
simulation. A cutout that is not there is answered with status 200 and an empty body, as Lasair answers.

Of 104 requests that were put to Lasair's own views, these are answered otherwise, since no client goes by it: the words
of MariaDB's errors and of Django's pages; the order of the columns of `*`; forced photometry, of which there is none;
`id` and `cone_id` of the block of the Transient Name Server. A NaN that was loaded is answered by `query`, which
Lasair's database could not hold: clients must bear it.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Self

from annotator.sandbox.lasair.answers import candidate
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.endpoints import Account, Endpoints, Topic
from annotator.sandbox.lasair.faults import REFUSED, STATUSES, Fault, FaultKind, Faults
from annotator.sandbox.lasair.http_handler import Handler
from annotator.sandbox.sky.night import Night, SimulatedObject
from annotator.sandbox.sky.observe import Epoch
from annotator.sandbox.sky.stamps import KINDS, render


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
        Returns Unix seconds: the present of jdnow(), NOW(), timestamps, quotas and the header `Date`.
    batch_annotate
        Whether `annotatelist` exists; on Lasair-ZTF it doesn't (404).
    tells_time
        Whether answers have the header `Date`; without it a pass goes by its own clock.
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
        tells_time: bool = True,
    ) -> None:
        self.tells_time = tells_time
        self.database = Database(clock)
        self.clock = clock
        self.closing = threading.Event()
        self._candidates: dict[str, list[Mapping[str, object]]] = {}
        self.endpoints = Endpoints(self.database, self._candidates, accounts, topics, clock, batch_annotate)
        self._detections: dict[str, tuple[SimulatedObject, Epoch, int]] = {}
        self._rendered: dict[str, dict[str, bytes]] = {}
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
        self.closing.set()
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
        self.endpoints.settle()
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

    def hide(self, object_ids: Iterable[str]) -> None:
        """Let Lasair's main database lack objects, as it does for a while after a stream has told of them.

        Queries and `object` don't find them, nor their annotations, which are stored all the same.
        """
        self.database.hide(object_ids)

    def show(self) -> None:
        """Let the main database have every object that was hidden."""
        self.database.show()

    def misbehave(
        self,
        endpoint: str,
        kind: FaultKind,
        *,
        times: int | None = None,
        share: float = 1.0,
        status: int | None = None,
        seconds: float = 1.0,
        content: object = REFUSED,
        size_bytes: int = 500_000_000,
    ) -> None:
        """Let calls to an endpoint go wrong, until :meth:`behave`.

        Parameters
        ----------
        endpoint
            "query", "object", "annotate", "annotatelist", "cone", "cutout", or "*" for all.
        kind
            What goes wrong: see :data:`~annotator.sandbox.lasair.faults.FaultKind`.
        times
            How many calls; None for no end.
        share
            The share of calls, at random, to which it happens.
        status
            What `refuse`, `answer`, `page`, `redirect` and `repeat_token` answer; None for what `FaultKind` says.
        seconds
            How long `delay` and `late` wait, what `skew` adds to the date, and what passes between two bytes of
            `slow_headers` and `slow_body`.
        content
            What `refuse` and `answer` answer: bytes, text for HTML, or anything that JSON can say, NaN included; where
            `redirect` leads.
        size_bytes
            How long the body of `endless` is.
        """
        status = STATUSES.get(kind, 503) if status is None else status
        self._faults.add(Fault(endpoint, kind, times, share, status, seconds, content, size_bytes))

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
