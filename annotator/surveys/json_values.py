"""JSON as brokers write it, to plain values."""

import base64
import json
from collections.abc import Iterator, Mapping

import msgspec

from annotator.errors import RecordError


class JsonObject(Mapping[str, object]):
    """An object of JSON, as it came: decoded whole when it is first asked for something.

    A survey that knows which of its fields it reads decodes those alone, out of the text: a third of the time.

    Parameters
    ----------
    text
        The document, looked through (:func:`undecoded`).
    strict
        The same in strict JSON: null for NaN, and so in its texts as well, so that a text with null in it may have had
        NaN there. The document itself where it is strict.
    """

    __slots__ = ("_values", "strict", "text")

    def __init__(self, text: str | bytes, strict: str | bytes) -> None:
        self.text = text
        self.strict = strict
        self._values: Mapping[str, object] | None = None

    def _decoded(self) -> Mapping[str, object]:
        if self._values is None:
            self._values = decode(self.text)
        return self._values

    def __getitem__(self, name: str) -> object:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __repr__(self) -> str:
        return repr(self._decoded())


def undecoded(text: str | bytes) -> object:
    """Look through one document: return an object as it is, and anything else decoded.

    Raises
    ------
    RecordError
        As :func:`decode` does.
    """
    try:
        _LOOK_THROUGH.decode(text)
        return JsonObject(text, text)
    except _REFUSALS:
        pass
    # The NaN of a source that lacks a value, by the hundred in an alert of Rubin's.
    strict = text.replace(b"NaN", b"null") if isinstance(text, bytes) else text.replace("NaN", "null")
    try:
        _LOOK_THROUGH.decode(strict)
    except _REFUSALS:
        return decode(text)
    return JsonObject(text, strict)


def text_of(record: object) -> str:
    """Return a record's JSON: as it came, where it came as JSON."""
    if not isinstance(record, JsonObject):
        return json.dumps(record, default=_written)
    return record.text if isinstance(record.text, str) else record.text.decode(errors="replace")


def _written(value: object) -> str:
    """Write what JSON has no kind for: bytes, as of a packet's stamps, in base 64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def decode(text: str | bytes) -> object:
    """Decode one document.

    Strict JSON is read by msgspec, in a quarter of the time of the standard library. Of what it refuses, some is
    written all the same: the words NaN and Infinity, numbers that no float holds, halves of surrogate pairs. That is
    read by the standard library, so that a value is the same whichever way it took.

    Parameters
    ----------
    text
        The document; bytes are UTF-8, in which what is none becomes U+FFFD.

    Raises
    ------
    RecordError
        If it is no JSON, or none that can be read; the message says what is wrong with it.
    """
    try:
        return msgspec.json.decode(text)
    except _REFUSALS:
        pass
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    text = text.removeprefix("\ufeff")  # some editors begin a file with it
    try:
        return _decoded_with_odd_numbers(text)
    except json.JSONDecodeError as error:
        raise RecordError(f"not JSON: {error}") from None
    except RecursionError:
        raise RecordError("not JSON that can be read: nested too deeply") from None


def _decoded_with_odd_numbers(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number of more digits than Python converts
        return json.loads(text, parse_int=_whole_number)


def _whole_number(digits: str) -> int | float:
    """Return a whole number; one that Python does not convert is beyond all floats, and infinite as these are."""
    try:
        return int(digits)
    except ValueError:
        return float(digits)


class _Anything(msgspec.Struct):
    """An object of which nothing is kept."""


_LOOK_THROUGH = msgspec.json.Decoder(_Anything)
_REFUSALS = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec says of what it does not read."""
