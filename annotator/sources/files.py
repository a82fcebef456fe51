"""Recorded files of records."""

import codecs
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from annotator.errors import SourceError
from annotator.preprocess.features import MIN_FEATURES
from annotator.sources import avro
from annotator.sources.records import Batch, Unreadable, decoded
from annotator.surveys import Survey, others_than
from annotator.tables import contents
from annotator.tables.contents import Kind
from annotator.tables.header import Columns
from annotator.tables.read import BadRow, table_in

BATCH_RECORDS = 500
"""Records of a file that are scored and written to the ledger at a time."""


def read_records(
    path: Path | str, survey: Survey, stdin: BinaryIO | None = None, schemas: Path | None = None
) -> Iterator[object]:
    """Read a file of records one by one, in order.

    Parameters
    ----------
    path
        JSON lines, a JSON array, or JSON objects one after another; or a table of flat rows (:mod:`annotator.tables`);
        or alert packets in Avro (:mod:`annotator.sources.avro`); packed by gzip or not. "-" stands for standard input.
    survey
        Whose records they are: a table must have columns of its own.
    stdin
        What "-" means.
    schemas
        A folder of the survey's schemas, for a packet that names its own by a number.

    Yields
    ------
    object
        Each record, or :class:`Unreadable` for a line that is none. A table's cells are text, None where empty.

    Raises
    ------
    SourceError
        If the file cannot be opened, or holds nothing that is JSON.
    TableError
        If it is a table that cannot be read, or none of the survey's.
    """
    name = "standard input" if str(path) == "-" else str(path)
    try:
        if str(path) == "-":
            yield from _read(name, contents.unpacked(stdin or sys.stdin.buffer), survey, schemas, is_kept=False)
            return
        with open(path, "rb", contents.HEAD_BYTES) as file:
            yield from _read(name, contents.unpacked(file), survey, schemas)
    except contents.UNREADABLE as error:
        raise SourceError(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error


def _read(name: str, stream: BinaryIO, survey: Survey, schemas: Path | None, is_kept: bool = True) -> Iterator[object]:
    head = contents.head_of(stream)
    if avro.is_container(head):
        yield from avro.container_records(name, stream)
        return
    if avro.is_framed(head):
        yield avro.framed_record(stream.read(), schemas)
        return
    kind = contents.kind_of(name, head)
    if kind is not Kind.JSON:
        if head.strip():
            yield from _read_table(name, stream if is_kept else contents.kept(stream), kind, survey)
    elif (encoding := contents.encoding_of_head(head)) in (None, "utf-8-sig"):
        yield from _read_json(name, stream)
    else:  # JSON has to be UTF-8; what some shells save is UTF-16
        lines = contents.lines_of(stream, encoding, newline="\n")
        yield from _read_json(name, (line.encode(errors="surrogatepass") for line in lines))


def columns_of(survey: Survey) -> Columns:
    """Return what is looked for in a table of a survey's objects."""
    return Columns(
        needed=(survey.id_column,),
        some_of=tuple(feature.name for feature in survey.features),
        least=MIN_FEATURES,
        optional=(*survey.needed_columns, *survey.other_columns),
        tell_tales=tuple((other.id_column, f"a table of survey {other.name}") for other in others_than(survey)),
    )


def _read_table(name: str, stream: BinaryIO, kind: Kind, survey: Survey) -> Iterator[object]:
    for row in table_in(name, stream, kind, columns_of(survey)).with_points().rows:
        if isinstance(row, BadRow):
            yield Unreadable(f"{row.place}: {row.reason}", row.text)
        else:  # an empty cell is NULL, which Lasair tells from a column that it was not asked for
            yield {column: None if value == "" else value for column, value in row.cells.items()}


def _read_json(name: str, lines: Iterable[bytes]) -> Iterator[object]:
    """Decide by the first line whether this is JSON lines, which are read one at a time, or one document."""
    lines = iter(lines)
    first = next((line for line in lines if _bare(line)), b"")
    if not first:
        return
    record = decoded(_bare(first))
    if not isinstance(record, Unreadable | list):
        yield record
        yield from _json_lines(lines)
        return
    others = list(lines)
    text = _bare(b"".join([first, *others]))
    document = decoded(text)
    if isinstance(document, list):
        yield from document
    elif not isinstance(document, Unreadable):
        yield document
    else:
        records = [] if text.startswith(b"[") else [record, *_json_lines(others)]
        if all(isinstance(record, Unreadable) for record in records):
            records = _one_after_another(text)
        if not records and text.startswith(b"["):
            raise SourceError(f"{name} begins as a JSON array but is none: {document.reason}")
        if not records:
            raise SourceError(f"{name} is neither JSON lines nor one JSON document: {document.reason}")
        yield from records


def _one_after_another(text: bytes) -> list[object]:
    """Read JSON documents with blanks or commas between them, as jq and editors leave them; none where one is broken.

    Of an array its items are the documents.
    """
    decoder, document, end = json.JSONDecoder(), text.decode(errors="replace"), 0
    found: list[object] = []
    while (place := _BETWEEN.match(document, end).end()) < len(document):
        try:
            record, end = decoder.raw_decode(document, place)
        except (ValueError, RecursionError):
            return []
        found += record if isinstance(record, list) else [record]
    return found


_BETWEEN = re.compile(r"[\s,]*")


def _json_lines(lines: Iterable[bytes]) -> Iterator[object]:
    return (decoded(bare) for line in lines if (bare := _bare(line)))


def _bare(line: bytes) -> bytes:
    return line.strip(b" \t\r\n\x0b\x0c\x1e").removeprefix(codecs.BOM_UTF8)  # RFC 7464 begins records with 0x1E


def file_batches(path: Path, survey: Survey, schemas: Path | None = None) -> Iterator[Batch]:
    """Read a recorded file in batches; unchanged objects are skipped later, so it has no position to keep."""
    records: list[object] = []
    try:
        for record in read_records(path, survey, schemas=schemas):
            records.append(record)
            if len(records) == BATCH_RECORDS:
                yield Batch(records)
                records = []
    except SourceError:  # what was read of a file that is cut off is scored
        if records:
            yield Batch(records)
        raise
    if records:
        yield Batch(records)
