"""Which columns a table has, judged before its first row: by their exact names, then by their names tidied up."""

import difflib
import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from annotator.errors import TableError

MAX_NEAREST = 3
"""Names that are shown for those that are looked for in vain."""
MAX_SHOWN = 8
"""Names of a table that are shown."""
_NEAR = 0.6


@dataclass(frozen=True)
class Columns:
    """What somebody looks for in a table, by the names of its columns."""

    needed: tuple[str, ...]
    """Without one of these there is no table."""
    some_of: tuple[str, ...] = ()
    """At least :attr:`least` of these have to be there."""
    least: int = 0
    optional: tuple[str, ...] = ()
    """Further names that are known."""
    tell_tales: tuple[tuple[str, str], ...] = ()
    """Names that the columns of a table of another kind have, and which kind that is, in words."""

    @property
    def known(self) -> tuple[str, ...]:
        """All names."""
        return tuple(dict.fromkeys((*self.needed, *self.some_of, *self.optional)))

    @functools.cached_property
    def tidied(self) -> frozenset[str]:
        """All names as they are compared."""
        return frozenset(map(tidied, self.known))


def tidied(name: str) -> str:
    """Return a name as it is compared: without blanks, quotes, invisible letters and difference of case."""
    return re.sub(r"[\s\ufeff\u200b\"'`]", "", unicodedata.normalize("NFKC", name)).casefold()


def n_known(names: Iterable[str], columns: Columns) -> int:
    """Count the names that are looked for."""
    return len(columns.tidied & {tidied(name) for name in names if name})


def recognised(table: str, names: Sequence[str], columns: Columns, is_nested: bool = False) -> tuple[str, ...]:
    """Return the names of a table's columns as somebody knows them; one that nobody knows stays as it is.

    Where a column is nested, in which there can be whole light curves, only what is needed has to be there.

    Raises
    ------
    TableError
        If a name is repeated, or what is needed is not there.
    """
    exact = set(names) & set(columns.known)
    by_tidied = {tidied(name): name for name in columns.known if name not in exact}
    found = tuple(name if name in exact else by_tidied.get(tidied(name), name) for name in names)
    _judge(table, found, columns, 0 if is_nested else columns.least)
    repeated = [name for name, count in Counter(filter(None, found)).items() if count > 1]
    if repeated:
        raise TableError(f"{table}: column {repeated[0][:40]} is repeated; name each once")
    return found


def _judge(table: str, names: Sequence[str], columns: Columns, least: int) -> None:
    missing = [name for name in columns.needed if name not in names]
    if missing:
        words = f"no column {', '.join(missing)}"
    elif (n := sum(name in names for name in columns.some_of)) < least:
        missing = [name for name in columns.some_of if name not in names]
        words = f"{n or 'none'} of the {len(columns.some_of)} columns {'are' if n > 1 else 'is'} here"
    else:
        return
    shown = [name[:40] for name in names if name]
    has = f"{', '.join(shown[:MAX_SHOWN])}{f' and {len(shown) - MAX_SHOWN} more' if len(shown) > MAX_SHOWN else ''}"
    kind = next((f"it is {kind}; " for name, kind in columns.tell_tales if name in names), "")
    nearest = kind or _nearest(missing, shown, columns)
    raise TableError(f"{table}: {words}; {nearest}the columns are {has or 'without names'}")


def _nearest(missing: Sequence[str], names: Sequence[str], columns: Columns) -> str:
    """Say which names of a table are the nearest to those that are missing."""
    free: Mapping[str, str] = {tidied(name): name for name in names if name not in columns.known}
    pairs = []
    for name in missing:
        for near in difflib.get_close_matches(tidied(name), free, 1, _NEAR):
            pairs.append((difflib.SequenceMatcher(None, tidied(name), near).ratio(), free[near], name))
    pairs.sort(key=lambda pair: -pair[0])
    return f"nearest: {', '.join(f'{near!r} for {name}' for _, near, name in pairs[:MAX_NEAREST])}; " if pairs else ""
