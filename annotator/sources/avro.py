"""Alert packets in Avro: files that carry their schema, and messages that name it by a number.

A survey's own Kafka stream frames a packet with a zero byte and four bytes, the number of its schema: 100 times the
major version and the minor one. The schemas are the survey's; whoever reads such a stream names a folder of them.
"""

import base64
import functools
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from annotator.errors import ConfigError, SourceError
from annotator.sources.records import Unreadable

CONTAINER_MAGIC = b"Obj\x01"
_FRAME_BYTES = 5
_VERSIONS = (100, 9999)
"""Numbers of schemas from 1.0 to 99.99."""
_EXTRA = "install the extra avro: pip install 'lasair-aha[avro]'"


def is_container(head: bytes) -> bool:
    """Tell by its first bytes whether a file is Avro that carries its schema."""
    return head.startswith(CONTAINER_MAGIC)


def is_framed(head: bytes) -> bool:
    """Tell by its first bytes whether something is a packet behind the number of its schema; no text is."""
    return len(head) > _FRAME_BYTES and head[0] == 0 and _VERSIONS[0] <= _schema_id(head) <= _VERSIONS[1]


def _schema_id(value: bytes) -> int:
    return int.from_bytes(value[1:_FRAME_BYTES], "big")


def container_records(name: str, stream: BinaryIO) -> Iterator[object]:
    """Read the packets of a file that carries its schema.

    Yields
    ------
    object
        Each packet, and at the place where the file is damaged or breaks off :class:`Unreadable`, the last one.

    Raises
    ------
    SourceError
        If its schema cannot be read.
    """
    fastavro = _fastavro()
    try:
        packets = fastavro.reader(stream)
    except Exception as error:  # whatever a damaged schema makes of it
        raise SourceError(f"{name} begins as Avro and has no schema that can be read: {_words(error)}") from error
    count = 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except Exception as error:
            yield Unreadable(f"Avro that breaks off or is damaged after {count} packets: {_words(error)}", "")
            return
        count += 1
        yield packet


def framed_record(value: bytes, folder: Path | None) -> object:
    """Read a packet behind the number of its schema.

    Parameters
    ----------
    value
        Of which :func:`is_framed` holds.
    folder
        Where the schemas are, as the survey publishes them (``...v9_0.alert.avsc``, with those that it names beside
        it), in folders of any depth.

    Returns
    -------
    object
        The packet, or :class:`Unreadable` where it is damaged, or the folder has no schema of this number.

    Raises
    ------
    ConfigError
        If a schema in the folder cannot be read.
    """
    version = "{}.{}".format(*divmod(_schema_id(value), 100))
    if folder is None:
        return _unreadable(f"Avro of schema {version}: name a folder of the survey's schemas (schemas)", value)
    read = _reader(folder, _schema_id(value))
    if read is None:
        return _unreadable(f"Avro of schema {version}, of which there is none in {folder}", value)
    body = io.BytesIO(value[_FRAME_BYTES:])
    try:
        packet = read(body)
    except Exception as error:  # whatever the bytes of something else make of it
        return _unreadable(f"Avro of schema {version} that breaks off or is damaged: {_words(error)}", value)
    if left := len(value) - _FRAME_BYTES - body.tell():
        return _unreadable(f"Avro of schema {version} with {left} bytes too many", value)
    return packet


@functools.lru_cache(maxsize=64)
def _reader(folder: Path, schema_id: int) -> Callable[[BinaryIO], object] | None:
    """Return what reads packets of a schema; None where the folder has none of its number."""
    fastavro = _fastavro()
    major, minor = divmod(schema_id, 100)
    found = sorted(folder.rglob(f"*v{major}_{minor}.alert.avsc"))
    if not found:
        return None
    try:
        schema = fastavro.schema.load_schema(str(found[0]))
    except Exception as error:
        raise ConfigError(f"the schema {found[0]} cannot be read: {_words(error)}") from error
    return lambda body: fastavro.schemaless_reader(body, schema, None)


def _unreadable(reason: str, value: bytes) -> Unreadable:
    return Unreadable(reason, base64.b64encode(value).decode())


def _words(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()[:200]


def _fastavro() -> object:
    try:
        import fastavro
        import fastavro.schema
    except ImportError as error:
        raise ConfigError(f"Avro cannot be read without fastavro: {_EXTRA}") from error
    return fastavro
