"""JSON that the ledger holds: what cannot be read is told and counts as absent; one damaged row ends nothing."""

import json
import logging
import math
from collections.abc import Mapping

import msgspec

log = logging.getLogger(__name__)


def text_of(value: object) -> str:
    """Write JSON that is read back to the bit; a number that is not finite is null.

    What msgspec refuses (halves of surrogate pairs, numbers of NumPy's types, whole ones of more than 64 bits) is
    written by the standard library, which takes ten times as long.
    """
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, OverflowError, UnicodeError):
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def _finite(value: object) -> object:
    """Put None in the place of numbers that are not finite."""
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_object(text: str | None, where: str) -> dict:
    """Read a JSON object; where it is none, say so in the log and return an empty one.

    Parameters
    ----------
    text
        As it was kept; None where nothing was.
    where
        What it is and of which row, for people.
    """
    try:
        found = json.loads(text or "{}")
    except (ValueError, TypeError, RecursionError) as error:
        log.warning("%s cannot be read and counts as empty: %s", where, error)
        return {}
    if isinstance(found, dict):
        return found
    log.warning("%s is no JSON object and counts as empty", where)
    return {}
