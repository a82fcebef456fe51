"""What every embedded Lasair is: a server on this machine with a clock, a log of its calls and faults on order."""

import json
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import ClassVar, Self

from annotator.sandbox.lasair.api import Api
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.faults import REFUSED, STATUSES, Fault, FaultKind, Faults
from annotator.sandbox.lasair.http_handler import Handler
from annotator.sandbox.lasair.wire import Answer


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


class EmbeddedLasair(ABC):
    """A Lasair on 127.0.0.1, a context manager.

    Parameters
    ----------
    database
        What its tables hold.
    port
        0 for any free one.
    clock
        Returns Unix seconds.
    tells_time
        Whether answers have the header `Date`.
    """

    name: ClassVar[str]
    """What it stands in for."""
    endpoints: Api
    """Its API."""

    def __init__(self, database: Database, port: int, clock: Callable[[], float], tells_time: bool) -> None:
        self.database = database
        self.clock = clock
        self.tells_time = tells_time
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._faults = Faults()
        self._server = _Server(("127.0.0.1", port), Handler)
        self._server.sandbox = self  # type: ignore[attr-defined]
        self._thread: threading.Thread | None = None

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

    @abstractmethod
    def is_cutout(self, path: str) -> bool:
        """Say whether a path is one of a cutout, whatever there is at it."""

    @abstractmethod
    def cutout(self, path: str) -> Answer:
        """Answer a request for a cutout."""
