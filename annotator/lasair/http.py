"""HTTP with an end: one deadline for name, connection, headers and the whole body, and a limit on its size.

requests' own timeouts are for each part by itself: a server that sends a byte a second would hold a call for ever. So
a timer shuts the call's connections down when its time is over, wherever it hangs: in the handshake, in a header or in
the body. What is read is counted as it comes.
"""

import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError, NewConnectionError

from annotator.errors import NoAnswerError

MAX_REDIRECTS = 3
_CHUNK_BYTES = 65_536
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Reply:
    """What a server answered, whole."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes
    url: str
    """Where it came from, after redirects."""


class Http:
    """Makes calls that end; safe to share between threads.

    Parameters
    ----------
    timeout_s
        Seconds without a sign of life; a whole call, redirects included, has twice as many.
    max_bytes
        Of one answer's body.
    keep_alive
        Whether connections stay open for the next call.
    """

    def __init__(self, timeout_s: float, max_bytes: int, keep_alive: bool = False) -> None:
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._keep_alive = keep_alive
        self._of_thread = threading.local()

    def call(
        self,
        method: str,
        url: str,
        follow: Callable[[str, str], bool] = lambda url, next_url: False,
        **request: object,
    ) -> Reply:
        """Make one call.

        Parameters
        ----------
        method, url
            As in `GET`, and where to.
        follow
            Asked whether to go from a URL on to another; the method and what is sent stay the same. A redirect that is
            not followed is returned.
        request
            What else requests' `Session.request` takes.

        Raises
        ------
        NoAnswerError
            If there is no whole answer within the time and the size; the message does not name the URL.
        """
        with _end_after(2 * self._timeout_s) as end:
            try:
                for _ in range(MAX_REDIRECTS + 1):
                    reply = self._one(method, url, end, request)
                    if not self._keep_alive:
                        self._session().close()  # the server is about to close it: the next call would run into that
                    next_url = _next(reply)
                    if next_url is None or not follow(url, next_url):
                        return reply
                    url = next_url
                return reply
            except _FAILURES as error:
                words = f"none within {2 * self._timeout_s:g} s" if end.is_over else _kind(error)
                raise NoAnswerError(words) from error

    def _one(self, method: str, url: str, end: "_End", request: Mapping[str, object]) -> Reply:
        with self._session().request(
            method, url, timeout=self._timeout_s, stream=True, allow_redirects=False, **request
        ) as response:
            body = bytearray()
            while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                body += chunk
                if len(body) > self._max_bytes:
                    raise NoAnswerError(f"it has more than {self._max_bytes} bytes")
            if end.is_over:  # a connection that was shut down looks like one that has ended
                raise NoAnswerError(f"none within {2 * self._timeout_s:g} s")
            return Reply(response.status_code, response.headers, bytes(body), url)

    def _session(self) -> requests.Session:
        # One a thread: a session is not made for several.
        if not hasattr(self._of_thread, "session"):
            session = self._of_thread.session = requests.Session()
            session.headers["Accept-Encoding"] = "identity"
            if not self._keep_alive:
                session.headers["Connection"] = "close"
            session.auth = lambda request: request  # what stands in ~/.netrc would take the token's place
            for scheme in ("http://", "https://"):
                session.mount(scheme, _Adapter())
        return self._of_thread.session


def is_same_origin(url: str, next_url: str) -> bool:
    """Say whether a URL leads to the same host and port, over the same scheme or from http to https."""
    here, there = urlsplit(url), urlsplit(next_url)
    if here.hostname != there.hostname or there.username is not None:
        return False
    if (here.scheme, there.scheme) == ("http", "https"):
        return (here.port or 80, there.port or 443) == (80, 443)
    ports = [parts.port or _DEFAULT_PORTS.get(parts.scheme) for parts in (here, there)]
    return here.scheme == there.scheme and ports[0] == ports[1]


_FAILURES = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError)
"""All that the libraries raise at what a server does: of addresses that are none, ValueError."""


def _kind(error: BaseException) -> str:
    """Name what went wrong; what the libraries say of it names the URL."""
    return type(error).__name__


def _next(reply: Reply) -> str | None:
    place = reply.headers.get("Location")
    return urljoin(reply.url, place) if place and 300 <= reply.status < 400 else None


class _End:
    """When a call has to end, and the connections that are shut down then."""

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.is_over = False
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []

    def watch(self, connection: socket.socket) -> None:
        """Shut a connection down at the end, whatever is laid over it meanwhile."""
        with self._lock:
            same = socket.socket(fileno=os.dup(connection.fileno()))
            self._connections.append(same)
            if self.is_over:
                _shut_down(same)

    def come(self) -> None:
        """Let it be over."""
        with self._lock:
            self.is_over = True
            for connection in self._connections:
                _shut_down(connection)

    def forget(self) -> None:
        """Let go of the connections as they are."""
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    @property
    def left_s(self) -> float:
        """Seconds that are left, a moment at the least."""
        return max(0.001, self.ends_at - time.monotonic())


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return


_of_thread = threading.local()


@contextmanager
def _end_after(seconds: float) -> Iterator[_End]:
    end = _of_thread.end = _End(time.monotonic() + seconds)
    timer = threading.Timer(seconds, end.come)
    timer.daemon = True
    timer.start()
    try:
        yield end
    finally:
        timer.cancel()
        end.forget()
        del _of_thread.end


class _Ending:
    """What a connection of urllib3's does otherwise here."""

    def _new_conn(self) -> socket.socket:
        end: _End = _of_thread.end
        failure: OSError = OSError("no address")
        for family, kind, protocol, _, address in self._addresses(end):
            connection = socket.socket(family, kind, protocol)
            try:
                end.watch(connection)
                for option in self.socket_options or ():
                    connection.setsockopt(*option)
                connection.settimeout(min(self.timeout, end.left_s))
                connection.connect(address)
            except OSError as error:
                failure = error
                connection.close()
            else:
                connection.settimeout(self.timeout)
                return connection
        raise NewConnectionError(self, str(failure)) from failure

    def _addresses(self, end: _End) -> list[tuple]:
        """Look the host's name up, for no longer than there is time: a resolver cannot be interrupted."""
        answers: queue.SimpleQueue[list[tuple] | OSError | UnicodeError] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                answers.put(socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.put(error)

        threading.Thread(target=resolve, daemon=True, name="resolve").start()
        try:
            answer = answers.get(timeout=end.left_s)
        except queue.Empty:
            answer = socket.gaierror("no answer from the resolver in time")
        if isinstance(answer, Exception):
            raise NameResolutionError(self.host, self, answer) from answer
        return answer

    def request(self, *arguments: object, **options: object) -> None:
        if self.sock is not None:  # it stayed open since another call
            _of_thread.end.watch(self.sock)
        super().request(*arguments, **options)


class _HttpConnection(_Ending, HTTPConnection):
    pass


class _HttpsConnection(_Ending, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS = MappingProxyType({"http": _HttpPool, "https": _HttpsPool})


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: object, **options: object) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: object, **options: object) -> urllib3.ProxyManager:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
