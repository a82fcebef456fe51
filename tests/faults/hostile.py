"""Input that nobody would send who meant well, made of good input and of chance."""

import json
import math
import random
from collections.abc import Mapping, Sequence

from tests.faults.scenario import Row

_DEEP = json.loads("[" * 200 + "]" * 200)
VALUES: tuple[object, ...] = (
    *(None, True, False, 0, -1, 0.5, 5, 2**31, 2**63, 2**200, -(2**63) - 1),
    *(math.nan, math.inf, -math.inf, 1e308, -1e308, 5e-324, 1e38),
    *("", " ", "NaN", "null", "-999", "text", "x" * 3000, "\ud800", "\0", "a\0b", "\u2028", "caf\u00e9", "\U0001f52d"),
    *("O'Neill", 'a"b', "a\\", "<script>alert(1)</script>", "%s%n{}", "../../etc/passwd", "\x1b[31m", "=1+1"),
    *([], {}, [[]], [None], [1, "a", {}], {"a": {}}, {"objectId": {}}, _DEEP),
)
"""What any field may be."""


def value(rng: random.Random) -> object:
    """Make a value of any shape."""
    return rng.choice(VALUES)


def record(rng: random.Random, good: Sequence[Row]) -> object:
    """Make what a source may give for a record, of an object that is none of the good ones or of none at all."""
    if rng.random() < 0.1:
        return value(rng)
    row = dict(rng.choice(good))
    number = rng.randrange(10**7)
    row |= {"diaObjectId": 98 * 10**15 + number} if "diaObjectId" in row else {"objectId": f"ZTF98{number:07d}"}
    if rng.random() < 0.3:
        row |= {"alert": value(rng), "candidates": [{"jd": value(rng), "magpsf": value(rng), "fid": value(rng)}]}
    for name in rng.sample(sorted(row), rng.randint(1, 4)):
        change = rng.randrange(4)
        if change == 0:
            del row[name]
        else:
            row[name] = value(rng)
    return row


def line(rng: random.Random, good: Sequence[Row]) -> bytes:
    """Make what may stand between two ends of lines, or in a message."""
    text = json.dumps(record(rng, good)).encode()
    change = rng.randrange(8)
    if change == 0:
        return text[: rng.randrange(len(text) + 1)]
    if change == 1:
        place = rng.randrange(len(text) + 1)
        return text[:place] + rng.randbytes(rng.randint(1, 8)).replace(b"\n", b"") + text[place:]
    return text


def twisted(answer: object, rng: random.Random, depth: int = 0) -> object:
    """Make an answer like a good one, with something of another shape somewhere in it."""
    if depth > 4 or not answer or rng.random() < 0.2 or not isinstance(answer, dict | list):
        return value(rng)
    if isinstance(answer, list):
        place = rng.randrange(len(answer))
        return [twisted(item, rng, depth + 1) if i == place else item for i, item in enumerate(answer)]
    name = rng.choice(sorted(answer))
    return dict(answer) | {name: twisted(answer[name], rng, depth + 1)}


def verdict_line(rng: random.Random) -> str:
    """Make a line of the file of verdicts that says nothing of a good object."""
    fields = [rng.choice(("ZTF98aaaaaaa", "", "x" * 40, "objectId")), rng.choice(("regular", "artefact", "maybe", ""))]
    fields += [rng.choice(("me", "", "a" * 500)), rng.choice(("2026-01-01T00:00:00Z", "yesterday", "9999-99-99", ""))]
    return rng.choice((",", ";", ",,", "\t")).join(fields)


def tns_row(rng: random.Random, number: int) -> Mapping[str, object]:
    """Make a row of the Transient Name Server's table, as far as SQL holds it."""
    plain = [item for item in VALUES if isinstance(item, str | int | float) and _is_utf8(item)]
    names = ("type", "z", "disc_date", "disc_mag", "host_name", "source_group", "tns_prefix")
    return {"tns_name": f"2026{number}"} | {name: rng.choice(plain) for name in rng.sample(names, 4)}


def _is_utf8(item: object) -> bool:
    return not isinstance(item, str) or "\ud800" not in item
