"""SECURITY.md promises nothing that no test shows."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def promises() -> Iterator[str]:
    """Yield each promise: the lines of lists above what is said not to be protected."""
    for part in TEXT.partition("\n## What is not protected")[0].split("\n- ")[1:]:
        yield " ".join(part.partition("\n\n")[0].split())


def test_each_promise_names_a_test():
    assert len(list(promises())) > 20
    assert [promise for promise in promises() if not NAMED.search(promise)] == []


def test_each_named_test_exists():
    named = NAMED.findall(TEXT)
    missing = [name for path, name in named if f"\ndef {name}(" not in (ROOT / path).read_text(encoding="utf-8")]
    assert missing == [] and len(named) == TEXT.count("::")
