"""A million annotations of hostile text: none may hold a character outside the safe set, or fail to be made.

Run once for each release: `python tests/benchmarks/million_annotations.py`. The seed is fixed; the text is drawn from
the whole of Unicode, from what breaks SQL, JSON and terminals, and from mixtures of both.
"""

import json
import random
import sys
import time

from annotator.annotation import MAX_EXPLANATION, Annotation, safe_text

ANNOTATIONS = 1_000_000
# Written out here, and not taken from the code under test.
SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;+-_/()=<>")
HOSTILE = (
    *("'", '"', "\\", "`", "\n", "\r", "\t", "\0", ";", "--", "/*", "*/", "#", "||", "%s", "%", "{}", "$", "&", "?"),
    *("NaN", "Infinity", "'; DROP TABLE annotations; --", "\\'", "\\\\", "\u2019", "\uff07", "\u02bc", "\u2032"),
    *("\ud800", "\udfff", "\u202e", "\ufeff", "\u0000", "\x1b[2J", "<script>alert(1)</script>", "é", "ﬁ", "½", "①"),
    *("O'Neill", "σ Ori", "3″", "日本語", "🚀", "a\u0301", "\u212b", "\u3000", "\u2028", "\u0085", "limit", "offset"),
)


def main() -> int:
    """Make them all; print the figure."""
    source = random.Random(20261123)
    began, bad = time.perf_counter(), 0
    for _ in range(ANNOTATIONS):
        text = hostile_text(source)
        explanation = safe_text(text)
        made = Annotation(
            "ZTF99aaaaaaa", "aha_ztf", "watch", "aha-ztf-1.0", explanation, {"score": source.uniform(0, 9)}
        )
        sent = made.explanation + json.dumps(made.classdict).replace('"', "").replace("{", "").replace("}", "")
        bad += not SAFE.issuperset(sent) or len(made.explanation) > MAX_EXPLANATION
    print(f"{ANNOTATIONS:,} annotations in {time.perf_counter() - began:.0f} s: {bad} outside the safe set")
    return 1 if bad else 0


def hostile_text(source: random.Random) -> str:
    """Mix hostile snippets, any characters of Unicode, and plain words."""
    return "".join(
        source.choice(HOSTILE)
        if source.random() < 0.5
        else chr(source.randrange(sys.maxunicode + 1))
        if source.random() < 0.7
        else "host "
        for _ in range(source.randrange(1, 60))
    )


if __name__ == "__main__":
    sys.exit(main())
