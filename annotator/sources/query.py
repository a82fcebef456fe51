"""The input filter run through the query API, page by page."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from annotator.errors import SourceError
from annotator.lasair.filters import FilterFile
from annotator.sources.records import Batch

Query = Callable[[str, str, str, int], list[dict[str, Any]]]
"""selected, tables, conditions, limit -> rows."""

_SURE_ROWS = 1000
# Lasair caps the rows of an answer by the token's level, 1,000 at the least: only a shorter page is surely the last.


def query_batches(
    query: Query, input_filter: FilterFile, page_rows: int, reread_days: float, position: str | None
) -> Iterator[Batch]:
    """Run the input filter page by page, oldest alert first.

    Pages follow (jdmax, objectId), not a row offset: an object that gets a new alert meanwhile moves to the end and is
    read again, and none is passed over.

    Parameters
    ----------
    query
        The API's query.
    input_filter
        Has to select jdmax and objectId, and not to order its rows.
    page_rows
        Rows to ask for in one call.
    reread_days
        How far before `position` to begin.
    position
        Where an earlier pass got to; None to read all that the filter gives.

    Raises
    ------
    SourceError
        If the filter cannot be paged, or its rows lack what pages are made by.
    """
    if re.search(r"\border\s+by\b", input_filter.conditions, re.IGNORECASE):
        raise SourceError(f"the input filter {input_filter.name} must not have ORDER BY: pages set their own order")
    newest_jd = _newest(position)
    after = "" if newest_jd is None else f"objects.jdmax > {newest_jd - reread_days!r}"
    while True:
        conditions = f"({input_filter.conditions})" + (f" AND {after}" if after else "")
        rows = query(
            input_filter.selected,
            input_filter.tables,
            f"{conditions} ORDER BY objects.jdmax, objects.objectId",
            page_rows,
        )
        if not rows:
            return
        jd, object_id = _page_end(rows, input_filter.name)
        newest_jd = jd if newest_jd is None else max(jd, newest_jd)
        yield Batch(list(rows), json.dumps({"jdmax": newest_jd}))
        if len(rows) < min(page_rows, _SURE_ROWS):
            return
        after = f"(objects.jdmax > {jd!r} OR (objects.jdmax = {jd!r} AND objects.objectId > '{object_id}'))"


def _newest(position: str | None) -> float | None:
    if position is None:
        return None
    try:
        return float(json.loads(position)["jdmax"])
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"the ledger's position of the query source is unreadable: {position!r}") from error


def _page_end(rows: list[dict[str, Any]], filter_name: str) -> tuple[float, str]:
    """Find the last row's sort key, which the next page goes on from."""
    keys = [
        (float(row["jdmax"]), row["objectId"])
        for row in rows
        if isinstance(row.get("jdmax"), int | float) and isinstance(row.get("objectId"), str)
    ]
    # The id goes into SQL text; Lasair's are letters and digits.
    keys = [(jd, object_id) for jd, object_id in keys if jd == jd and re.fullmatch("[A-Za-z0-9]+", object_id)]
    if not keys:
        raise SourceError(
            f"rows of the input filter {filter_name} have no jdmax and objectId: select both under these names"
        )
    return max(keys)
