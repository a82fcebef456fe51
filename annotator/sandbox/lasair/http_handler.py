"""The sandbox's wire: requests in, answers out, and what can go wrong between them.

On the standard library's server, and not on a web framework: the faults are of the socket (an answer that breaks off, a
connection that is dropped before or after the work), and frameworks keep it to themselves.
"""

import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qsl, urlsplit

from annotator.sandbox.lasair.faults import Fault

_PAGE = (
    "<!doctype html><title>Sandbox</title><h1>SIMULATED Lasair-ZTF</h1>"
    "<p>The sandbox of aha-annotator. Its objects are simulated or were loaded by a test; nothing here is an "
    "observation. The API is under <code>/api/</code>.</p>"
)
_CONNECTION_LOST = 0


@dataclass(frozen=True)
class Answer:
    """A status, and text, the bytes of an image, or something to be written as JSON."""

    status: int
    content: object


class Handler(BaseHTTPRequestHandler):
    """Hands requests to the sandbox that its server belongs to."""

    protocol_version = "HTTP/1.1"
    server_version = "aha-sandbox (SIMULATED Lasair-ZTF)"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a page, a cutout or a call of the API."""
        self._handle("GET")

    def do_POST(self) -> None:
        """Answer a call of the API."""
        self._handle("POST")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: the sandbox keeps its own log of calls."""

    def _handle(self, method: str) -> None:
        sandbox = self.server.sandbox
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        endpoint = self._endpoint(url.path)
        fields = dict(parse_qsl(url.query, keep_blank_values=True))
        token = self._token(fields)
        fault = sandbox.fault(endpoint)
        kind = fault.kind if fault else None
        if kind == "drop":
            answer = Answer(_CONNECTION_LOST, "")
        elif kind == "refuse":
            answer = Answer(fault.status, {"detail": "refused by the sandbox, as it was told to"})
        elif endpoint == "page":
            answer = Answer(200, _PAGE)
        elif endpoint == "cutout":
            answer = Answer(200, b"" if kind == "lie" else sandbox.cutout(url.path))
        else:
            answer = sandbox.endpoints.answer(
                endpoint, method, token, fields | self._body_fields(body), store=kind != "lie"
            )
        if kind == "duplicate" and isinstance(answer.content, list):
            answer = Answer(answer.status, [row for row in answer.content for _ in range(2)])
        lost = kind in ("drop", "drop_after")
        sandbox.record(endpoint, _CONNECTION_LOST if lost else answer.status, token)
        if lost:
            self._hang_up()
        else:
            self._send(answer, fault)

    def _endpoint(self, path: str) -> str:
        if path == "/":
            return "page"
        if path.endswith(".fits") and "/fits/" in path:
            return "cutout"
        # Without the slash at the end Django has no such page for POST.
        return path[len("/api/") : -1] if path.startswith("/api/") and path.endswith("/") else path

    def _token(self, fields: dict[str, str]) -> str:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "token" else fields.pop("token", "")

    def _body_fields(self, body: bytes) -> Mapping[str, object]:
        try:
            text = body.decode()
            if self.headers.get_content_type() == "application/json":
                parsed = json.loads(text) if text else {}
                return parsed if isinstance(parsed, dict) else {}
            return dict(parse_qsl(text, keep_blank_values=True))
        except ValueError:
            return {}

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        content, kind = _encoded(answer.content)
        sent = content
        if fault and fault.kind == "delay":
            time.sleep(fault.seconds)
        if fault and fault.kind in ("truncate", "garble"):
            sent = content[: len(content) // 2]
        promised = len(sent) if fault and fault.kind == "garble" else len(content)
        try:
            self.send_response(answer.status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(promised))
            self.send_header("X-Simulated", "not Lasair, not observations")
            self.end_headers()
            self.wfile.write(sent)
            self.wfile.flush()
        except ConnectionError:  # the client did not wait
            self.close_connection = True
        if len(sent) < promised:
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _encoded(content: object) -> tuple[bytes, str]:
    """Return a body and its type."""
    if isinstance(content, bytes):
        return content, "application/fits"
    if isinstance(content, str):
        return content.encode(), "text/html; charset=utf-8"
    return json.dumps(content).encode(), "application/json"
