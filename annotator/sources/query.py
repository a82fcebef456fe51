"""The input filter run through the query API, page by page."""

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from annotator.annotation import OBJECT_ID
from annotator.errors import SourceError
from annotator.lasair.api import SURE_ROWS
from annotator.lasair.filters import FilterFile
from annotator.nights import MAX_AHEAD_DAYS, mjd_of
from annotator.sources.records import Batch
from annotator.surveys import Survey
from annotator.surveys.values import TAI_MINUS_UTC_DAYS

Query = Callable[[str, str, str, int], list[dict[str, Any]]]
"""selected, tables, conditions, limit -> rows."""


def query_batches(
    query: Query,
    survey: Survey,
    input_filter: FilterFile,
    page_rows: int,
    reread_days: float,
    position: str | None,
    now: Callable[[], float] = time.time,
) -> Iterator[Batch]:
    """Run the input filter page by page, oldest alert first.

    Pages follow the last epoch and the object id, not a row offset: an object that gets a new alert meanwhile moves to
    the end and is read again, and none is passed over.

    The position is the newest epoch that has passed: a row dated later than now moves it nowhere, and a position that
    is later than now, by more than a day for clocks, was no position; then all that the filter gives is read.

    Parameters
    ----------
    query
        The API's query.
    survey
        Whose objects they are.
    input_filter
        Has to select the survey's columns of the last epoch and the object id, and not to order its rows.
    page_rows
        Rows to ask for in one call.
    reread_days
        How far before `position` to begin.
    position
        Where an earlier pass got to; None to read all that the filter gives.
    now
        Seconds since 1970.

    Raises
    ------
    SourceError
        If the filter cannot be paged, or its rows lack what pages are made by.
    """
    if re.search(r"\border\s+by\b", input_filter.conditions, re.IGNORECASE):
        raise SourceError(f"the input filter {input_filter.name} must not have ORDER BY: pages set their own order")
    before = newest = _newest(survey, position, now())
    after = "" if newest is None else f"{survey.epoch_sql} > {newest - reread_days!r}"
    while True:
        conditions = f"({input_filter.conditions})" + (f" AND {after}" if after else "")
        rows = query(
            input_filter.selected,
            input_filter.tables,
            f"{conditions} ORDER BY {survey.epoch_sql}, {survey.id_sql}",
            page_rows,
        )
        if not rows:
            return
        keys = _page_keys(survey, rows, input_filter.name)
        epoch, object_id = max(keys, key=lambda key: (key[0], survey.id_value(key[1])))
        passed = [key[0] for key in keys if key[0] <= _epoch_of(survey, now())]
        newest = max([*passed, *([] if newest is None else [newest])], default=None)
        yield Batch(
            list(rows),
            None if newest is None else json.dumps({survey.epoch_column: newest}),
            repeated=len(rows) - sum(before is None or epoch > before for epoch in passed),
        )
        if len(rows) < min(page_rows, SURE_ROWS):
            return
        is_later_id = f"{survey.id_sql} > {survey.id_literal(object_id)}"
        after = f"({survey.epoch_sql} > {epoch!r} OR ({survey.epoch_sql} = {epoch!r} AND {is_later_id}))"


def _epoch_of(survey: Survey, unix_s: float) -> float:
    scale_days = TAI_MINUS_UTC_DAYS if survey.epoch_scale == "tai" else 0.0
    return mjd_of(unix_s) + scale_days + survey.epoch_minus_mjd


def _newest(survey: Survey, position: str | None, now: float) -> float | None:
    if position is None:
        return None
    try:
        newest = float(json.loads(position)[survey.epoch_column])
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"the ledger's position of the query source is unreadable: {position!r}") from error
    now_epoch = _epoch_of(survey, now)
    return min(newest, now_epoch) if newest <= now_epoch + MAX_AHEAD_DAYS else None


def _number(value: object) -> float | None:
    """Read a number; a database's decimal numbers come as text."""
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _page_keys(survey: Survey, rows: list[dict[str, Any]], filter_name: str) -> list[tuple[float, str]]:
    """Return the rows' sort keys, the last of which the next page goes on from."""
    keys = [
        (epoch, object_id)
        for row in rows
        if (epoch := _number(row.get(survey.epoch_column))) is not None
        and OBJECT_ID.fullmatch(object_id := survey.object_id(row))  # it goes into SQL text
    ]
    if not keys:
        renamed = survey.in_other_case(rows[0])
        found = f" (they have {', '.join(renamed.values())}; capitals count)" if renamed else ""
        raise SourceError(
            f"rows of the input filter {filter_name} have no {survey.epoch_column} and {survey.id_column}{found}: "
            "select both under these names"
        )
    return keys
