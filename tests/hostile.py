"""Bodies that no honest server sends: pure functions of a seed, for whoever stands at a door."""

import copy
import gzip
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

WORDS = (
    "\ud800",
    "\udfff\ud800",
    "\0",
    "a\0b",
    "",
    " ",
    "NaN",
    "null",
    "None",
    "-",
    "'; DROP TABLE objects; --",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "%s%n%(x)s",
    "\N{RIGHT-TO-LEFT OVERRIDE}txet",
    "\N{COMBINING ACUTE ACCENT}" * 50,
    "../../../etc/passwd",
    "x" * 10_000,
    "\x1b[2J\x1b]0;title\x07",
    "\N{SNOWMAN}",
    "9" * 400,
    "1e999",
    "0x10",
    "2026-13-45",
)
NUMBERS = (0, -0.0, -1, 1, 1e308, -1e308, 5e-324, 10**30, 2**63, -(2**63) - 1, 10**400, float("nan"), float("inf"))
VALUES: tuple[Any, ...] = (*WORDS, *NUMBERS, None, True, False, [], {}, [[]], [{}], {"": {}}, {"objectId": {}}, [None])


def hostile_bytes(valid: object, seed: int) -> bytes:
    """Return what is no answer, or one whose values are not what they should be, or that breaks off."""
    draw = random.Random(seed)
    return draw.choice(_BODIES)(valid, draw)


def hostile_json(valid: object, seed: int) -> object:
    """Return a valid answer with a few of its parts replaced, lost or doubled."""
    return _changed(valid, random.Random(seed))


def _changed(valid: object, draw: random.Random) -> Any:
    answer = copy.deepcopy(valid)
    for _ in range(draw.randint(1, 4)):
        places = list(_places(answer))
        if not places or draw.random() < 0.1:
            return draw.choice(VALUES)
        parent, key = draw.choice(places)
        action = draw.randrange(4)
        if action == 0:
            del parent[key]
        elif action == 1 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        elif action == 1:
            parent[draw.choice(WORDS)] = parent[key]
        else:
            parent[key] = draw.choice(VALUES)
    return answer


def _places(value: object) -> Iterator[tuple[Any, Any]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(item)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _nested(valid: object, draw: random.Random) -> bytes:
    opened, closed = draw.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'{"objectId":[', b"]}")])
    depth = draw.choice([50, 900, 3000, 100_000])
    return opened * depth + b"1" + closed * draw.choice([depth, 0])


_BODIES: tuple[Callable[[object, random.Random], bytes], ...] = (
    lambda valid, draw: _json(_changed(valid, draw)),
    lambda valid, draw: _json(_changed(valid, draw)),
    lambda valid, draw: _json(_changed(valid, draw)),
    lambda valid, draw: _json(draw.choice(VALUES)),
    lambda valid, draw: _json(valid)[: draw.randrange(len(_json(valid)) + 1)],
    lambda valid, draw: bytes(draw.randrange(256) for _ in range(draw.choice([0, 1, 7, 300]))),
    lambda valid, draw: _json(valid).replace(b'"', draw.choice([b"", b"'", b"\xff", b"\x00"])),
    lambda valid, draw: _json(valid).decode().encode(draw.choice(["utf-16", "utf-32", "utf-8-sig"])),
    lambda valid, draw: gzip.compress(_json(valid)),
    lambda valid, draw: b'[{"objectId": ' + b"9" * draw.choice([19, 5000]) + b"}]",
    lambda valid, draw: draw.choice(
        [b"NaN", b"Infinity", b"", b"\n", b"\xef\xbb\xbf", b"OK", b"<!doctype html><p>Back"]
    ),
    _nested,
)
