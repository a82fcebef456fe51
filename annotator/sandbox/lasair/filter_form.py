"""Lasair's web form for filters, and what is made of a filter that is saved there.

The form has a box for SELECT, one for WHERE, and menus; none for the tables. Behaviour as read and measured in 2026,
rebuilt; of the menus the one of annotators alone. A stream comes of the statement that is saved, and so do its labels:
the words that SQL knows are in capitals there (`prior` streams as `PRIOR`). The API puts a statement together anew for
each query, and leaves every label as it was typed.
"""

import re
from collections.abc import Sequence

from annotator.sandbox.lasair.query_rules import build_query, check_query
from annotator.sandbox.lasair.schema import ZTF, Schema

_TABLE_AND_COLUMN = re.compile(r"([a-zA-Z0-9_\-]*)\.[a-zA-Z0-9_\-]*")


def form_tables(selected: str, annotators: Sequence[str] = ()) -> str:
    """List the tables as the form does: whatever stands before a dot in SELECT, then what was chosen from the menu.

    Parameters
    ----------
    selected
        The text of the box. A table that only WHERE names is not in the list.
    annotators
        The topics that were chosen. Their names are cut out of the list wherever they stand in it.
    """
    tables = ",".join(dict.fromkeys(_TABLE_AND_COLUMN.findall(selected)))
    for topic in annotators:
        tables = tables.replace(f"{topic},", "").replace(topic, "")
    return f"{tables}, annotator:{'&'.join(annotators)}" if annotators else tables


def saved_statement(selected: str, conditions: str, annotators: Sequence[str] = (), schema: Schema = ZTF) -> str:
    """Save a filter through the form; return what is run on every batch of alerts, without its LIMIT.

    It takes sqlparse, which Lasair lays statements out with. No pass needs it: it comes with the extra `test`.

    Raises
    ------
    RejectedError
        If Lasair's rules refuse the filter.
    """
    import sqlparse

    tables = form_tables(selected, annotators)
    check_query(selected, tables, conditions, schema)
    statement = build_query(selected, tables, conditions, schema)
    return sqlparse.format(statement, reindent=True, keyword_case="upper", strip_comments=True)
