"""What a file holds, told by its first bytes rather than its name; and its text, whatever encoding it was saved in."""

import codecs
import contextlib
import enum
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from annotator.errors import TableError

HEAD_BYTES = 65_536
"""By so many it is told what a file holds."""
_CHUNK_BYTES = 1 << 20
MAX_PACKED = 2
"""How often what is in a file may have been packed, as where a server packs what is packed already."""

JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv", ".ecsv")


class Kind(enum.StrEnum):
    """What a file holds."""

    JSON = "JSON"
    TEXT = "a table as text"
    VOTABLE = "VOTable"
    FITS = "FITS"
    PARQUET = "Parquet"
    IPAC = "IPAC table"
    MRT = "machine-readable table"


UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file raises that is not there, or was packed and is cut off or damaged."""

_IPAC_TYPES = frozenset(("char", "date", "double", "float", "int", "long", "real", *"cdfilr"))
_GZIP = b"\x1f\x8b"
_NO_TABLES = (
    (b"PK\x03\x04", "a workbook or a zip archive: save the sheet as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "a workbook of an old spreadsheet: save the sheet as CSV"),
    (b"BZh", "packed with bzip2: unpack it, or pack it with gzip"),
    (b"\xfd7zXZ\x00", "packed with xz: unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it, or pack it with gzip"),
    (b"\x89HDF", "HDF5, which is not read: save it as FITS, VOTable or CSV"),
    (b"%PDF", "a PDF"),
    (b"\\begin{", "LaTeX, which is not read: save the table as CSV"),
    (b"\\documentclass", "LaTeX, which is not read: save the table as CSV"),
)


def unpacked(stream: BinaryIO) -> BinaryIO:
    """Return a stream, which can be looked ahead in, with what it holds, unpacked where that is packed by gzip."""
    stream = _with_peek(stream)
    for _ in range(MAX_PACKED):
        if head_of(stream)[:2] == _GZIP:
            stream = io.BufferedReader(_Gzip(fileobj=stream, mode="rb"), HEAD_BYTES)
    return stream


class _Gzip(gzip.GzipFile):
    """What gzip packed; what comes after its end is no part of it, as for gzip itself."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            return b"".join(_chunks(self))
        try:
            return super().read1(size)  # one piece: of several what was read before an error would be lost
        except gzip.BadGzipFile as error:
            if self.tell() and str(error).startswith("Not a gzipped file"):
                return b""
            raise


def _with_peek(stream: BinaryIO) -> io.BufferedReader:
    return stream if hasattr(stream, "peek") else io.BufferedReader(stream, HEAD_BYTES)


def head_of(stream: BinaryIO) -> bytes:
    """Return the first bytes of a stream, which stay in it."""
    return stream.peek(HEAD_BYTES)


def kept(stream: BinaryIO) -> BinaryIO:
    """Return what a stream holds that cannot be read twice, in memory."""
    return io.BufferedReader(io.BytesIO(stream.read()), HEAD_BYTES)


def kind_of(name: str, head: bytes) -> Kind:
    """Tell what a file holds by its first bytes; its name counts where they can be two things.

    Raises
    ------
    TableError
        If it is known to be something that is read by nobody here.
    """
    for magic, words in _NO_TABLES:
        if head.startswith(magic):
            raise TableError(f"{name} is {words}")
    if head.startswith(b"SIMPLE  ="):
        return Kind.FITS
    if head.startswith(b"PAR1"):
        return Kind.PARQUET
    lines = [line.strip(" \t\r\x1e\ufeff") for line in _decoded_head(head).split("\n")]
    begun = [line for line in lines if line]
    if begun and begun[0].startswith("<"):
        if re.search(r"<(\w+:)?VOTABLE\b", "\n".join(begun)):
            return Kind.VOTABLE
        raise TableError(f"{name} is XML or HTML, and no VOTable: has a page come in place of the table?")
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    is_json = any(line.startswith("{") for line in begun[: 1 if suffix in TABLE_SUFFIXES else None])
    if suffix in JSON_SUFFIXES or is_json or (begun and begun[0].startswith("[")):
        return Kind.JSON
    if any(line.startswith("Byte-by-byte Description of file") for line in begun):
        return Kind.MRT
    bars = [line for line in begun if line.startswith("|")]
    if len(bars) > 1 and {cell.strip().lower() for cell in bars[1].strip("|").split("|")} <= _IPAC_TYPES:
        return Kind.IPAC
    return Kind.TEXT


def _decoded_head(head: bytes) -> str:
    return head.decode(encoding_of_head(head) or "utf-8", errors="replace")


_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOSTLY = 0.4
"""Share of the bytes at odd or even places that are zero in UTF-16 of a table, names and numbers above all."""


def encoding_of_head(head: bytes) -> str | None:
    """Tell an encoding that begins with a mark, or has zeros between its letters; None for all others."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    first, second = head[0:4096:2], head[1:4096:2]
    if second and second.count(0) > _MOSTLY * len(second) and not first.count(0):
        return "utf-16-le"
    if first and first.count(0) > _MOSTLY * len(first) and not second.count(0):
        return "utf-16-be"
    return None


def encoding_of(stream: BinaryIO) -> str:
    """Tell the encoding of a whole text, and go back to its beginning.

    Text without a mark that is valid UTF-8 is UTF-8. Any other is of one byte a letter: what spreadsheets save on
    Windows (cp1252), or on old Macs, whose lines end in carriage returns.
    """
    if marked := encoding_of_head(head_of(stream)):
        return marked
    decoder, is_utf8 = codecs.getincrementaldecoder("utf-8")(), True
    counts = _Bytes()
    for chunk in _chunks(stream):
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            is_utf8 = False
        counts.add(chunk)
    if is_utf8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            is_utf8 = False
    stream.seek(0)
    if is_utf8:
        return "utf-8"
    if counts.is_of_a_mac:
        return "mac_roman"
    return "latin-1" if counts.is_no_cp1252 else "cp1252"


class _Bytes:
    """Which bytes a text has."""

    def __init__(self) -> None:
        self._low = self._high = self._returns = self._feeds = 0
        self.is_no_cp1252 = False

    def add(self, chunk: bytes) -> None:
        self._low += sum(map(chunk.count, _C1))
        self._high += sum(map(chunk.count, _LATIN))
        self._returns += chunk.count(b"\r")
        self._feeds += chunk.count(b"\n")
        self.is_no_cp1252 |= any(byte in chunk for byte in _NOT_IN_CP1252)

    @property
    def is_of_a_mac(self) -> bool:
        """Whether lines end in carriage returns, and letters with accents are where Macs had them."""
        return self._returns > 0 and not self._feeds and self._low > self._high


_C1 = [bytes([code]) for code in range(0x80, 0xA0)]
_LATIN = [bytes([code]) for code in range(0xC0, 0x100)]
_NOT_IN_CP1252 = [bytes([code]) for code in (0x81, 0x8D, 0x8F, 0x90, 0x9D)]


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk


def lines_of(stream: BinaryIO, encoding: str, newline: str) -> Iterator[str]:
    """Read a stream line by line, with their ends; a byte that is none of the encoding's costs one letter.

    Parameters
    ----------
    newline
        Ends a line; where it is empty every end does that any system knows.
    """
    text = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline=newline)
    try:
        yield from text
    finally:
        with contextlib.suppress(ValueError):  # who opened the stream may have closed it before this is thrown away
            text.detach()  # it is theirs to close
