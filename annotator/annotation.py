"""Annotations: what is written to Lasair, validated so that its SQL survives it.

Lasair builds its SQL from these strings without escaping. One apostrophe is an error for the sender on ZTF, and on
Rubin it stops the service that stores everybody's annotations. So nothing leaves here but a small safe set of
characters.
"""

import enum
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from annotator.errors import AnnotationError, ConfigError

MAX_EXPLANATION = 250
"""Characters of one sentence that a person reads in a table; Lasair takes 1,024."""
MAX_CLASSDICT = 4096
_MAX_URL = 1024

_SAFE_TEXT = re.compile(r"[A-Za-z0-9 .,:;+\-_/()=<>]*")
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:;+\-_/()=<>]+")
OBJECT_ID = re.compile(r"[A-Za-z0-9]{1,19}")
"""Any survey's: a 64-bit number has up to 19 digits, and is text here."""
OBJECT_ID_KEY = "objectId"
"""What our own lines, tables and verdict files call it, whatever the survey does."""
_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,15}")
VERSION = re.compile(r"[A-Za-z0-9._\-]{1,16}")
_URL = re.compile(r"https?://[A-Za-z0-9.:_\-]+(?:/[A-Za-z0-9.:_/=+\-]*)?")
_KEY = re.compile(r"[a-z][a-z0-9_]*")
# Lasair refuses a WHERE with these words in it, so that no filter could ask for such a key.
_KEYS_NO_FILTER_CAN_NAME = ("limit", "offset")


class Classification(enum.StrEnum):
    """What an object is said to be, in order of precedence."""

    ARTEFACT = "artefact"
    VARIABLE = "variable"
    ANOMALY = "anomaly"
    WATCH = "watch"
    NORMAL = "normal"


@dataclass(frozen=True)
class Annotation:
    """One annotation as Lasair wants it; see DESIGN's contract for the keys of `classdict`.

    Raises
    ------
    AnnotationError
        When made of anything that is outside the contract or the safe set of characters.
    """

    object_id: str
    topic: str
    classification: Classification
    version: str
    explanation: str = ""
    classdict: Mapping[str, float] = field(default_factory=dict)
    url: str = ""

    def __post_init__(self) -> None:
        _require(OBJECT_ID.fullmatch(self.object_id), "object_id", "1 to 19 letters and digits", self.object_id)
        _require(_TOPIC.fullmatch(self.topic), "topic", "a lower-case name of at most 16 characters", self.topic)
        known = ", ".join(Classification)
        _require(self.classification in tuple(Classification), "classification", f"one of {known}", self.classification)
        _require(VERSION.fullmatch(self.version), "version", "1 to 16 letters, digits, dots, dashes", self.version)
        _require(
            _SAFE_TEXT.fullmatch(self.explanation) and len(self.explanation) <= MAX_EXPLANATION,
            "explanation",
            f"at most {MAX_EXPLANATION} safe characters",
            self.explanation,
        )
        _require(
            not self.url or (_URL.fullmatch(self.url) and len(self.url) <= _MAX_URL), "url", "a plain URL", self.url
        )
        for key, value in self.classdict.items():
            usable = _KEY.fullmatch(key) and not any(word in key for word in _KEYS_NO_FILTER_CAN_NAME)
            _require(usable, "classdict key", "lower-case, without limit or offset", key)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            _require(is_number, f"classdict[{key}]", "a finite number", value)
        length = len(json.dumps(dict(self.classdict)))
        _require(length <= MAX_CLASSDICT, "classdict", f"at most {MAX_CLASSDICT} characters as JSON", length)

    def to_json(self) -> str:
        """Return the annotation as one line of JSON, keys in the order of the class."""
        return json.dumps({**self.__dict__, "classdict": dict(self.classdict)})

    @classmethod
    def from_json(cls, text: str) -> "Annotation":
        """Read what :meth:`to_json` wrote."""
        return cls(**json.loads(text))


def _require(condition: object, name: str, expected: str, found: object) -> None:
    if not condition:
        raise AnnotationError(f"{name} must be {expected}; found {str(found)[:80]!r}")


def safe_text(text: str, max_length: int = MAX_EXPLANATION) -> str:
    """Reduce any text to the characters that Lasair's SQL survives.

    Accented letters lose their accent; whatever else is outside the safe set becomes a single space; a text that is
    too long ends in three dots.

    Parameters
    ----------
    text
        Anything, lone surrogates included.
    max_length
        Most characters to return.
    """
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    safe = " ".join(_UNSAFE.sub(" ", ascii_text).split())
    return safe if len(safe) <= max_length else safe[: max(0, max_length - 3)].rstrip() + "..."


_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,15}")
# Lasair's web form takes the topic's text out of the table list by plain replacement.
_TABLES = ("objects", "sherlock_classifications", "crossmatch_tns", "watchlist_hits", "area_hits", "annotations")
# The topic becomes a bare name in SELECT and WHERE: Lasair refuses limit and offset inside any word there, and words of
# SQL; annotations of topics tags_* are stored in another way. The last two lines are words of SQL that a filter can be
# asked with and not saved: Lasair's form puts them in capitals where the topic is defined, but not before a dot.
_REFUSED_TOPICS = re.compile(
    r".*(?:limit|offset).*|tags_.*"
    r"|create|select|from|where|join|inner|outer|with|high_priority|straight_join|sleep|union|exists|window|for|into"
    r"|outfile|dumpfile|and|or|not|in|is|null|as|order|by|group|having|between|like|case"
    r"|catalog|class|count|data|final|host|level|new|prior|public|sample|search|source|system|type|unknown|variable"
    r"|version|year"
)


def check_topic(topic: str) -> None:
    """Refuse a topic that Lasair's SQL could not carry.

    Raises
    ------
    ConfigError
        Unless it is a lower-case bare SQL name of at most 16 characters that is no common word of SQL, no part of a
        table's name, and does not start with ``tags_``, which Lasair keeps for annotations of another kind.
    """
    refused = _REFUSED_TOPICS.fullmatch(topic) or any(topic in table for table in _TABLES)
    if refused or not _TOPIC.fullmatch(topic):
        raise ConfigError(
            "topic must be a lower-case SQL name of at most 16 characters, such as aha_ztf; no word of SQL, nothing "
            f"with limit or offset, no part of a table's name, not tags_*; found {topic!r}"
        )
