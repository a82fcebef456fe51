"""What Lasair's endpoints make of the fields they are sent, and what they say of those they don't take."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from annotator.sandbox.lasair.query_rules import MAX_CONDITIONS, MAX_SELECTED, MAX_TABLES
from annotator.sandbox.lasair.wire import Request

REQUIRED = object()
"""In the place of a field's default: there is none."""


@dataclass(frozen=True)
class Field:
    """One field of a form."""

    read: Callable[[object], object]
    """Raises ValueError with what is wrong."""
    default: object = REQUIRED
    is_box: bool = False
    """Whether it is false where an HTML form lacks it: a box that nobody has ticked."""


_TRUE = ("t", "y", "yes", "true", "on", "1")
_FALSE = ("f", "n", "no", "false", "off", "0")


def text(longest: int = 10**6, may_be_blank: bool = False, default: object = REQUIRED) -> Field:
    """Take a text, without the blanks around it."""

    def read(value: object) -> str:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError("Not a valid string.")
        found = str(value).strip()
        if not (found or may_be_blank):
            raise ValueError("This field may not be blank.")
        if len(found) > longest:
            raise ValueError(f"Ensure this field has no more than {longest} characters.")
        if "\0" in found:
            raise ValueError("Null characters are not allowed.")
        if surrogate := re.search("[\ud800-\udfff]", found):
            raise ValueError(f"Surrogate characters are not allowed: U+{ord(surrogate[0]):X}.")
        return found

    return Field(read, default)


def integer(most: int | None = None, default: object = REQUIRED) -> Field:
    """Take a whole number, or its text, however large where there is no `most`."""

    def read(value: object) -> int:
        if not re.fullmatch(r"\s*[-+]?\d{1,1000}(\.0*)?\s*", str(value)):
            raise ValueError("A valid integer is required.")
        number = int(str(value).partition(".")[0])
        if most is not None and number > most:
            raise ValueError(f"Ensure this value is less than or equal to {most}.")
        return number

    return Field(read, default)


def number(default: object = REQUIRED) -> Field:
    """Take a finite number, or its text."""

    def read(value: object) -> float:
        try:
            found = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            found = math.nan
        if not math.isfinite(found):
            raise ValueError("A valid number is required.")
        return found

    return Field(read, default)


def flag(default: object = REQUIRED) -> Field:
    """Take a truth value or one of its many names; what a form lacks is false, what JSON lacks the default."""

    def read(value: object) -> bool:
        if str(value).lower() in (*_TRUE, *_FALSE):
            return str(value).lower() in _TRUE
        raise ValueError("Must be a valid boolean.")

    return Field(read, default, is_box=True)


FORMS: Mapping[str, Mapping[str, Field]] = MappingProxyType(
    {
        "query": {
            "selected": text(MAX_SELECTED),
            "tables": text(MAX_TABLES),
            "conditions": text(MAX_CONDITIONS, may_be_blank=True),
            "limit": integer(1_000_000, default=1000),
            "offset": integer(2**63, default=0),
        },
        "object": {"objectId": text(), "lite": flag(), "lasair_added": flag()},
        "cone": {"ra": number(), "dec": number(), "radius": number(), "requestType": text()},
        "annotate": {
            "topic": text(256),
            "objectId": text(256),
            "classification": text(256),
            "version": text(256),
            "explanation": text(1024, may_be_blank=True),
            "classdict": text(4096),
            "url": text(1024, may_be_blank=True),
        },
        "objects": {"objectIds": text()},
        "lightcurves": {"objectIds": text()},
    }
)
"""The fields of each endpoint of Lasair-ZTF."""


def read_form(rules: Mapping[str, Field], request: Request) -> tuple[dict[str, object], dict[str, list[str]]]:
    """Read the fields of a request; return those that are right, and what is wrong with the others."""
    fields = request.content
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        return {}, {"non_field_errors": [f"Invalid data. Expected a dictionary, but got {kind}."]}
    values, problems = {}, {}
    for name, field in rules.items():
        if name not in fields:
            values[name] = False if field.is_box and request.is_form else field.default
            if values[name] is REQUIRED:
                problems[name] = ["This field is required."]
        elif fields[name] is None:
            problems[name] = ["This field may not be null."]
        else:
            try:
                values[name] = field.read(fields[name])
            except ValueError as error:
                problems[name] = [str(error)]
    return values, problems
