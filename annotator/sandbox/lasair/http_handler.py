"""The sandbox's wire: requests in, answers out, and what can go wrong between them.

On the standard library's server, and not on a web framework: the faults are of the socket (an answer that breaks off, a
connection that is dropped before or after the work), and frameworks keep it to themselves.
"""

import json
import select
import socket
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from annotator.sandbox.lasair.faults import WITHOUT_WORK, Fault, first_half, without_work
from annotator.sandbox.lasair.wire import Answer, Request, SlowWriter, encoded

_PAGE = (
    "<!doctype html><title>Sandbox</title><h1>SIMULATED {name}</h1>"
    "<p>The sandbox of aha-annotator. Its objects are simulated or were loaded by a test; nothing here is an "
    "observation. The API is under <code>/api/</code>.</p>"
)
_CONNECTION_LOST = 0
_LOOK_S = 0.05
"""How often a thread that keeps a client waiting looks whether it still does."""


class Handler(BaseHTTPRequestHandler):
    """Hands requests to the sandbox that its server belongs to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer a page, a cutout or a call of the API."""
        self._handle("GET")

    def do_POST(self) -> None:
        """Answer a call of the API."""
        self._handle("POST")

    def do_PUT(self) -> None:
        """Refuse what only a web framework would take."""
        self._handle("PUT")

    def do_PATCH(self) -> None:
        """Refuse it, too."""
        self._handle("PATCH")

    def do_DELETE(self) -> None:
        """Refuse it, too."""
        self._handle("DELETE")

    def version_string(self) -> str:
        """Write what the header `Server` says."""
        return f"aha-sandbox (SIMULATED {self.server.sandbox.name})"

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the sandbox keeps its own log of calls."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Write what the sandbox's clock says into the header `Date`."""
        return super().date_time_string(self.server.sandbox.clock() + self._ahead_s)

    _ahead_s = 0.0

    def send_header(self, keyword: str, value: str) -> None:
        """Send a header, the date only where the sandbox tells it."""
        if keyword != "Date" or self.server.sandbox.tells_time:
            super().send_header(keyword, value)

    def _handle(self, method: str) -> None:
        sandbox = self.server.sandbox
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        endpoint = self._endpoint(url.path)
        request = self._request(method, dict(parse_qsl(url.query, keep_blank_values=True)), body)
        fault = sandbox.fault(endpoint)
        kind = fault.kind if fault else None
        if fault and kind in WITHOUT_WORK:
            answer = without_work(fault, endpoint, request.token)
        elif endpoint in sandbox.endpoints.names and not url.path.endswith("/"):
            answer = Answer(301, "", location=self.path.replace(url.path, f"{url.path}/", 1))
        elif endpoint == "page":
            answer = Answer(200, _PAGE.format(name=sandbox.name))
        elif endpoint == "cutout":
            answer = Answer(200, b"") if kind == "lie" else sandbox.cutout(url.path)
        else:
            delay_s = None if kind == "lie" else fault.seconds if fault and kind == "late" else 0.0
            answer = sandbox.endpoints.answer(endpoint, first_half(request) if kind == "half" else request, delay_s)
        if kind == "half":
            answer = Answer(fault.status, fault.content)
        if kind == "duplicate" and isinstance(answer.content, list):
            answer = Answer(answer.status, [row for row in answer.content for _ in range(2)])
        lost = kind in ("drop", "drop_after", "hang", "hang_after")
        sandbox.record(endpoint, _CONNECTION_LOST if lost else answer.status, request.token)
        if kind in ("hang", "hang_after"):
            self._wait_for_the_client_to_go()
        if lost:
            self._hang_up()
        else:
            self._send(answer, fault)

    def _endpoint(self, path: str) -> str:
        if path == "/":
            return "page"
        if self.server.sandbox.is_cutout(path):
            return "cutout"
        return path.removeprefix("/api/").removesuffix("/") if path.startswith("/api/") else path

    def _request(self, method: str, fields: dict[str, object], body: bytes) -> Request:
        """Put together what the URL and the body say."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "token" else str(fields.pop("token", ""))
        is_form = self.headers.get_content_type() != "application/json" or not body
        if is_form:
            return Request(method, token, fields | dict(parse_qsl(body.decode(errors="replace"), True)))
        try:
            content = json.loads(body)
        except ValueError as error:
            return Request(method, token, fields, is_form, fault=f"JSON parse error - {error}")
        return Request(method, token, fields | content if isinstance(content, dict) else content, is_form)

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        closing = self.server.sandbox.closing
        content, content_type = encoded(answer)
        kind, seconds = (fault.kind, fault.seconds) if fault else (None, 0.0)
        self._ahead_s = seconds if kind == "skew" else 0.0
        if kind == "delay":
            closing.wait(seconds)
        sent = content[: len(content) // 2] if kind in ("truncate", "garble") else content
        quick = self.wfile
        try:
            if kind == "slow_headers":
                self.wfile = SlowWriter(quick, seconds, closing)
            self.send_response(answer.status)
            self.send_header("Content-Type", content_type)
            if answer.location:
                self.send_header("Location", answer.location)
            if kind != "endless":
                self.send_header("Content-Length", str(len(sent if kind == "garble" else content)))
            self.send_header("X-Simulated", "not Lasair, not observations")
            self.end_headers()
            if kind == "slow_body":
                self.wfile = SlowWriter(quick, seconds, closing)
            self.wfile.write(sent)
            self.wfile.flush()
            if fault and kind == "endless":
                self._write_on(fault.size_bytes - len(sent))
        except ConnectionError:  # the client did not wait
            self.close_connection = True
        finally:
            self.wfile = quick
        if kind in ("truncate", "endless"):
            self._hang_up()

    def _write_on(self, n_bytes: int) -> None:
        """Write blanks, which JSON allows after everything else, until the client or the sandbox has had enough."""
        blanks = b" " * 65_536
        while n_bytes > 0 and not self.server.sandbox.closing.is_set():
            n_bytes -= self.wfile.write(blanks[:n_bytes])

    def _wait_for_the_client_to_go(self) -> None:
        while not self.server.sandbox.closing.wait(_LOOK_S):
            if select.select([self.connection], [], [], 0)[0]:  # it has closed its end; else it had nothing to say
                return

    def _hang_up(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
