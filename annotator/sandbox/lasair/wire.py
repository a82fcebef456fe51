"""What goes over the sandbox's wire: answers, whole or spoilt."""

import json
import threading
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Answer:
    """A status, and text, the bytes of an image, or something to be written as JSON."""

    status: int
    content: object
    location: str = ""
    """Where a redirection sends the caller."""
    media_type: str = ""
    """What the header says that it is; empty: what its content is."""


@dataclass(frozen=True)
class Request:
    """A call to the API."""

    method: str
    token: str
    content: object
    """What was sent: a dict of fields, or what JSON said instead."""
    is_form: bool = True
    """Whether the fields came as a form or in the URL, not as JSON."""
    fault: str = ""
    """Why the content cannot be read; empty if it can."""


SERVER_ERROR = Answer(500, "<!doctype html><title>Server Error (500)</title><h1>Server Error (500)</h1>")
NOT_FOUND = Answer(404, "<!doctype html><title>Not Found</title><h1>Not Found</h1><p>There is no such page here.</p>")


def encoded(answer: Answer) -> tuple[bytes, str]:
    """Return a body and its type."""
    body, media_type = _encoded(answer.content)
    return body, answer.media_type or media_type


def _encoded(content: object) -> tuple[bytes, str]:
    if isinstance(content, bytes):
        return content, "application/fits"
    if isinstance(content, str):
        return content.encode(errors="backslashreplace"), "text/html; charset=utf-8"
    return json.dumps(content).encode(), "application/json"


class SlowWriter:
    """Writes a byte at a time.

    Parameters
    ----------
    to
        Where the bytes go.
    seconds
        Between two bytes.
    closing
        Set when nobody should be kept waiting any longer; writing then raises ConnectionAbortedError.
    """

    def __init__(self, to: BinaryIO, seconds: float, closing: threading.Event) -> None:
        self._to = to
        self._seconds = seconds
        self._closing = closing

    def write(self, content: bytes) -> int:
        """Write all of it, however long that takes."""
        for byte in content:
            self._to.write(bytes([byte]))
            self._to.flush()
            if self._closing.wait(self._seconds):
                raise ConnectionAbortedError("the sandbox closes")
        return len(content)

    def flush(self) -> None:
        """Do nothing: each byte was flushed."""

    def close(self) -> None:
        """Close what it writes to."""
        self._to.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._to.closed
