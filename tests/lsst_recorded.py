"""Real messages, answers and packets of Rubin's, where they lie beside the checkout."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[2] / "shared"
STREAM = SHARED / "fixtures" / "lasair_lsst"
STREAM_FILES = ("lvra_20260202_102448.json", "lvra_20260205_073301.json")


def stream_messages() -> list[dict[str, Any]]:
    """Return the 108 messages of two captures; somebody's hand has left a comma too many in the first."""
    texts = [(STREAM / name).read_text(encoding="utf-8") for name in STREAM_FILES]
    return [message for text in texts for message in json.loads(re.sub(r",(\s*[}\]])", r"\1", text))]


def answers() -> list[dict[str, Any]]:
    """Return answers of `object`."""
    paths = [*sorted(STREAM.glob("api_object_1*.json")), STREAM / "api_object_cache.json"]
    paths += sorted((SHARED / "data" / "rubin" / "lasair_objects").glob("*.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def recorded() -> Iterator[dict[str, Any]]:
    """Yield what Lasair-LSST has said."""
    yield from stream_messages()
    yield from answers()
