"""A filter's stream at Lasair for Rubin: rows of its query, rows with a short light curve, rows with the whole alert.

Lists are oldest first here. A NaN is written as one, which is no JSON. Some objects come twice in a second, one copy
without `alert`, whichever comes first.
"""

import json
import time
from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np

from annotator.lasair.filters import FilterFile
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.filter_form import form_tables
from annotator.sandbox.lasair.lsst.records import LITE_FORCED, LITE_SOURCE, ObjectRecords, lite

Output = Literal["plain", "lite", "full"]
"""What a filter's owner has chosen: Kafka, Kafka with a light curve, Kafka with the full alert."""

ROWS_PER_BATCH = 1000

_LITE_SOURCE_KEYS = tuple(key for key in LITE_SOURCE if key != "diaSourceId")


def stream_messages(
    database: Database,
    records: Callable[[int], ObjectRecords | None],
    filter_file: FilterFile,
    output: Output,
    *,
    duplicated: float = 0.0,
    seed: int = 0,
    now_s: float | None = None,
) -> list[dict[str, object]]:
    """Run a filter as an active one is run on a batch of alerts; return its messages.

    Parameters
    ----------
    database, records
        What there is.
    filter_file
        What is selected. Its tables are those that Lasair's form makes of SELECT.
    output
        What comes beside the columns.
    duplicated
        The share of messages that come twice in the same second: of one with `alert` the other is without.
    seed
        Of which, and which copy is first.
    now_s
        When they are sent, in Unix seconds.

    Raises
    ------
    RejectedError
        If Lasair's rules or the database refuse the filter.
    """
    rng = np.random.default_rng(seed)
    utc = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now_s))
    tables = form_tables(filter_file.selected, filter_file.annotators)
    rows = database.query(filter_file.selected, tables, filter_file.conditions, ROWS_PER_BATCH)
    messages = []
    for row in rows:
        bare = {**row, "UTC": utc}
        # Without the id under its own name there is no light curve.
        has_alert = output != "plain" and "diaObjectId" in row
        whole = bare | {"alert": light_curve(records(row["diaObjectId"]), output)} if has_alert else bare
        copies = [whole]
        if rng.random() < duplicated:
            copies = [whole, bare] if rng.random() < 0.5 else [bare, whole]
        messages += copies
    return messages


def light_curve(records: ObjectRecords | None, output: Output) -> dict[str, object]:
    """Write what stands under `alert`, its lists oldest first."""
    sources, forced = (records.sources, records.forced) if records else ((), ())
    if output == "lite":
        return {
            "diaSourcesList": lite(sources, _LITE_SOURCE_KEYS),
            "diaForcedSourcesList": lite(forced, LITE_FORCED),
        }
    return {
        "diaObject": records.dia_object if records else {},
        "diaSourcesList": list(sources),
        "diaForcedSourcesList": list(forced),
        "diaNondetectionLimitsList": [],
        "ebv": None,
    }


def encoded(messages: Iterable[dict[str, object]]) -> list[bytes]:
    """Write messages as they go into Kafka; NaN is written as NaN."""
    return [json.dumps(message).encode() for message in messages]
