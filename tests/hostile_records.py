"""Records as nobody means them: what a night of our simulator gives, changed at random places, and some of no shape."""

import copy
import json
import random
from collections.abc import Iterator, Mapping

from annotator.sandbox.lasair.answers import candidate
from annotator.sandbox.sky.night import Night

VALUES: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 1e-320, 1e308, -1e308, 61000.5),
    *(float("nan"), float("inf"), float("-inf")),
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "é",
        "e\u0301",
        "\u202e",
        "'",
        "'; DROP TABLE objects; --",
        "NaN",
        "1e999",
    ),
    *("x" * 100_000, "9" * 5000, "http://", "http://[", "//", "file:///etc/passwd", "https://h/\ud800", "../../x", "t"),
    *([], {}, [[]], [None], [{}], [1, "a", None], {"": {}}, {"science": 5}, {"Science": "\ud800"}),
    *([{"jd": 1e308, "fid": 1}], [{"candid": 1, "magpsf": "NaN", "jd": 2461000.5, "fid": 9}] * 3),
)
"""What stands in the place of a value."""

WHOLE: tuple[object, ...] = (
    *(None, 5, float("nan"), "", "\ud800", [], {}, [[]], {"objectId": None}, {"objectId": {}}, {"objectId": []}),
    *({"objectId": "\ud800"}, {"objectId": "\0"}, {"objectId": ""}, {"objectId": "x" * 1000}, {"objectId": 5}),
    *({"objectId": "ZTF99aaaaaaa\n"}, {"objectId": "ＺＴＦ９９"}, {"objectid": "ZTF99aaaaaaa"}, {"": ""}),
)
"""What stands in the place of a record."""


def hostile_records(night: Night, most: int, seed: int = 0) -> Iterator[object]:
    """Give so many records, the same ones for a seed: rows and object answers of a night with changes, and others.

    Each that has an object id of its own has one that no record before it had, but some have that of the one before.
    """
    draw = random.Random(seed)
    rows = night.rows()
    epochs = {
        item.object_id: [candidate(epoch, "http://localhost:1") for epoch in item.epochs] for item in night.objects
    }
    for number in range(most):
        kind = draw.random()
        if kind < 0.1:
            yield draw.choice(WHOLE)
            continue
        record = copy.deepcopy(draw.choice(rows))
        if kind > 0.5:
            record |= {"candidates": copy.deepcopy(epochs[record["objectId"]]), "image_urls": {}}
        record |= {"objectId": f"ZTF98h{number - (draw.random() < 0.1):07d}"}
        for _ in range(draw.choice((0, 1, 1, 2, 5))):
            _change(record, draw)
        yield record


def _change(record: object, draw: random.Random) -> None:
    """Change one place in a record, as deep as it happens to be; most often not the object's id."""
    while isinstance(record, dict | list) and record:
        keys = list(record) if isinstance(record, Mapping) else range(len(record))
        key = draw.choice(keys)
        if key == "objectId" and draw.random() < 0.7:
            return
        if isinstance(record[key], dict | list) and record[key] and draw.random() < 0.8:
            record = record[key]
            continue
        what = draw.random()
        if what < 0.7:
            record[key] = copy.deepcopy(draw.choice(VALUES))
        elif what < 0.8:
            del record[key]
        elif what < 0.9 and isinstance(record, list):
            record += copy.deepcopy(record[: draw.choice((1, 50))])
        else:
            record[key] = _nested(draw.choice((3, 400)))
        return


def _nested(depth: int) -> object:
    value: object = []
    for _ in range(depth):
        value = [value]
    return value


def texts(records: Iterator[object]) -> Iterator[str]:
    """Write records as a stream or a file carries them, NaN as Lasair writes it."""
    return (json.dumps(record) for record in records)
