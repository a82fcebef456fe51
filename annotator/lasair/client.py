"""The `lasair` client over calls that end, its answers told apart by their status and read as what they have to be."""

import re
import reprlib
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import lasair

from annotator.errors import (
    LasairUnreachableError,
    NoAnswerError,
    QuotaError,
    RecordError,
    RejectedError,
    UnauthorizedError,
)
from annotator.fences import printable
from annotator.lasair.http import Http, Reply, is_same_origin
from annotator.redact import Redactor
from annotator.surveys.json_values import decode

MAX_BYTES = 32_000_000
"""Of an answer: 10,000 rows of every column there is have half of it."""
MAX_VALUES = 3_000_000
"""In an answer; each takes some hundred bytes of memory."""
MAX_REASON = 300
"""Characters of Lasair's own words that go into an error."""

_REFUSALS = frozenset(range(400, 501)) - {401, 408, 425, 429}
"""What may be about this request alone. Whether it is, others' answers tell (:mod:`annotator.lasair.breaker`)."""
_HIDING = re.compile(rb"\\u(00[2-7]|d[89a-f])", re.IGNORECASE)
"""Escaped ASCII, in which a token passes for something else, and halves of surrogate pairs, which pass for text."""
_GZIP = b"\x1f\x8b"
_SHORT = reprlib.Repr()
_SHORT.maxstring = 200


class Client(lasair.lasair_client):
    """Lasair's own client, which decides what is asked and how; here is how it is sent, and what becomes of an answer.

    Parameters
    ----------
    token
        The account's; it goes to the endpoint's own host only, and is taken out of whatever comes back.
    endpoint
        URL ending in /api.
    timeout_s
        Seconds without a sign of life; a whole call has twice as many.
    hear
        Given Lasair's own time with each answer, in seconds since 1970.
    """

    def __init__(self, token: str, endpoint: str, timeout_s: float, hear: Callable[[float], None]) -> None:
        super().__init__(token, endpoint=endpoint, timeout=timeout_s)
        self._http = Http(timeout_s, MAX_BYTES)
        self._redact = Redactor([token])
        self._hear = hear

    def fetch_from_server(self, method: str, input: dict[str, Any], use_json: bool = False) -> dict | list:
        """Post a request and return the JSON that came back, without the token and without what is no text.

        Raises
        ------
        UnauthorizedError, QuotaError, RejectedError
            By the status alone, whatever else the answer says.
        LasairUnreachableError
            If there was no answer in time, or one that is not Lasair's.
        """
        content = {"json": input} if use_json else {"data": input}
        url = f"{self.endpoint}/{method}/"
        try:
            reply = self._http.call("POST", url, follow=is_same_origin, headers=self.headers, **content)
        except NoAnswerError as error:
            raise LasairUnreachableError(f"no answer from {self.endpoint} to {method}: {error}") from error
        body = _unpacked(method, reply.body)
        if reply.status != 200:
            raise self._failure(method, reply.status, body)
        answer = self._decoded(method, body)
        if isinstance(answer, dict) and "error" in answer:
            raise LasairUnreachableError(f"{method} answered {words(answer['error'])}")
        if not isinstance(answer, dict | list):
            raise LasairUnreachableError(f"{method} answered {words(answer)}")
        self._hear_date(reply)
        return answer

    def _failure(self, method: str, status: int, body: bytes) -> Exception:
        said = words(self._redact(body[:4000].decode(errors="replace")))
        answer = f"{method}: HTTP {status}: {said}" if said else f"{method}: HTTP {status}"
        if status == 401:
            return UnauthorizedError(f"{method}: Lasair does not accept the token: is LASAIR_TOKEN of this Lasair?")
        if status == 429:
            return QuotaError(f"{method}: Lasair says that the hour's calls are used up")
        if 300 <= status < 400:
            return LasairUnreachableError(f"{method}: HTTP {status}: sends on to another host, or without end")
        return RejectedError(answer) if status in _REFUSALS else LasairUnreachableError(answer)

    def _decoded(self, method: str, body: bytes) -> object:
        if sum(body.count(sign) for sign in (b",", b"[", b"{")) > MAX_VALUES:
            raise LasairUnreachableError(f"{method} answered with more than {MAX_VALUES} values")
        try:
            answer = decode(self._redact(body.decode("utf-8-sig", errors="replace")))
            return self._clean(answer) if _HIDING.search(body) else answer
        except RecursionError:
            raise LasairUnreachableError(f"{method} answered with JSON that is nested too deeply") from None
        except RecordError as error:
            said = words(self._redact(body[:4000].decode(errors="replace")))
            raise LasairUnreachableError(f"{method} answered what is {words(str(error))}: {said}") from error

    def _clean(self, value: Any) -> Any:
        kind = type(value)  # nearly all values are numbers
        if kind is str:
            return self._redact(printable(value))
        if kind is dict:
            return {self._clean(key): self._clean(item) for key, item in value.items()}
        return [self._clean(item) for item in value] if kind is list else value

    def _hear_date(self, reply: Reply) -> None:
        try:
            self._hear(parsedate_to_datetime(reply.headers.get("Date", "")).timestamp())
        except (ValueError, OverflowError):
            return


def _unpacked(method: str, body: bytes) -> bytes:
    """Unpack what a gateway has packed, though it was asked not to; what breaks off or is damaged stays as it is."""
    if not body.startswith(_GZIP):
        return body
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(body, MAX_BYTES + 1)
    except zlib.error:
        return body
    if len(unpacked) > MAX_BYTES:
        raise LasairUnreachableError(f"{method} answered with more than {MAX_BYTES} bytes when unpacked")
    return unpacked if unpacking.eof else body


def words(answer: object) -> str:
    """Put Lasair's answer into one short line without mark-up."""
    text = answer[:4000] if isinstance(answer, str) else _SHORT.repr(answer)
    text = printable(" ".join(re.sub(r"<[^>]*>", " ", text).split()))
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 3] + "..."
