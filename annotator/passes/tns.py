"""Names and classes from the Transient Name Server, as Lasair's cross-match has them: for people, never for a score.

The text comes from outside: it goes to Lasair, and to a terminal, through :func:`annotator.annotation.safe_text` alone.
"""

from collections.abc import Sequence

from annotator.decision.objects import TnsEntry
from annotator.lasair.api import LasairApi
from annotator.ledger.tns_cache import TnsCache

CACHED_S = 86_400.0
"""How long an answer is good for, no name included."""
MAX_LOOKED_UP = 150
"""Objects in the one query of a pass, whose conditions Lasair takes up to 4,096 characters of."""


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
    unknown = cache.without_between(object_ids, now - CACHED_S, now)[:MAX_LOOKED_UP]
    if unknown:
        survey = api.survey
        ids = ", ".join(map(survey.id_literal, unknown))
        rows = api.query(
            f"{survey.id_sql}, crossmatch_tns.tns_prefix, crossmatch_tns.tns_name, crossmatch_tns.type",
            "objects, crossmatch_tns",
            f"{survey.id_sql} IN ({ids})",
            MAX_LOOKED_UP,
        )
        found = {
            object_id: TnsEntry(
                " ".join(str(row[key]) for key in ("tns_prefix", "tns_name") if row.get(key)),
                str(row.get("type") or "").strip(),
            )
            for row in rows
            if (object_id := survey.object_id(row)) in unknown and row.get("tns_name")
        }
        cache.remember({object_id: found.get(object_id) for object_id in unknown}, now)
    return cache.entries(object_ids)
