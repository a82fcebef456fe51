"""Names and classes from the Transient Name Server, as Lasair's cross-match has them: for people, never for a score.

The text comes from outside: it goes to Lasair, and to a terminal, through :func:`annotator.annotation.safe_text` alone.
"""

import re
from collections.abc import Collection, Sequence

from annotator.decision.objects import TnsEntry
from annotator.lasair.api import SURE_ROWS, LasairApi
from annotator.lasair.held import MAX_ASKED, one_of
from annotator.ledger.tns_cache import TnsCache

CACHED_S = 86_400.0
"""How long an answer is good for, no name included."""
NOTHING = frozenset({"", "n", "n a", "na", "nan", "nat", "none", "null", "false", "true", "unknown"})
"""What programs write where there is nothing, in small letters without signs."""
NO_CLASSES = NOTHING | {
    "at",
    "no class",
    "no classification",
    "not classified",
    "other",
    "pending",
    "tba",
    "tbc",
    "tbd",
    "unclassified",
    "unclear",
    "undefined",
    "unidentified",
}
"""What people write where there is no class. TNS's `Other` is what none of its classes fitted: it makes nothing less of
an anomaly; its `AT` is any transient without a class."""
MAX_CHARACTERS = 80
"""Of a name or a class."""


def tns_entries(cache: TnsCache, api: LasairApi, object_ids: Sequence[str], now: float) -> dict[str, TnsEntry]:
    """Look objects up: in the ledger, and what is not there, or too old, in at most one query.

    Parameters
    ----------
    cache
        Keeps the answers.
    api
        Lasair; raises a LasairApiError as it always does.
    object_ids
        Most important first.
    now
        Seconds since 1970.

    Returns
    -------
    dict
        The objects that have a name; an object without one is as good as any other.
    """
    unknown = cache.without_between(object_ids, now - CACHED_S, now)[:MAX_ASKED]
    if unknown:
        survey = api.survey
        rows = api.query(
            f"{survey.id_sql}, crossmatch_tns.tns_prefix, crossmatch_tns.tns_name, crossmatch_tns.type",
            "objects, crossmatch_tns",
            one_of(survey, unknown),
            SURE_ROWS,
        )
        of_object: dict[str, list[TnsEntry]] = {}
        for row in rows:
            name = _text(row.get("tns_name"))
            if name and (object_id := survey.object_id(row)) in unknown:
                entry = TnsEntry(_full_name(_text(row.get("tns_prefix")), name), _text(row.get("type"), NO_CLASSES))
                of_object.setdefault(object_id, []).append(entry)
        found = {object_id: max(entries, key=_precedence) for object_id, entries in of_object.items()}
        cache.remember({object_id: found.get(object_id) for object_id in unknown}, now)
    return cache.entries(object_ids)


_NAME = re.compile(r"(\d{4})?([A-Za-z]*)\Z")


def _text(value: object, nothing: Collection[str] = NOTHING) -> str:
    """Return a text that says something: that has a letter, and is no placeholder."""
    text = value.strip()[:MAX_CHARACTERS] if isinstance(value, str) else ""
    words = " ".join(re.findall(r"[^\W\d_]+", text.lower()))
    return "" if words in nothing else text


def _full_name(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else f"{prefix} {name}"


def _precedence(entry: TnsEntry) -> tuple[bool, int, int, str, int, str]:
    """Order an object's entries: one with a class before one without, then the newer before the older.

    Of two of one name the class that says more comes first. A name is a year and letters that count up in it, such as
    2026xyz.
    """
    year, letters = _NAME.search(entry.name).groups()
    return bool(entry.type), int(year or 0), len(letters), letters, len(entry.type), entry.type
