"""Copies of one object in a file: the one that has the light curve counts, whichever came first."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

from annotator.errors import AhaError
from annotator.transient import Transient

WITHIN = 500
"""Records before a copy and after it, among which the one with the light curve is looked for; as many as a pass over a
file takes at a time."""


def completed(items: Iterable[object]) -> Iterator[object]:
    """Put the copy with the light curve in the place of those without it.

    Lasair's stream may carry an object twice in a second, with what was measured and without, in either order. Copies
    are of one object and one epoch; a record of another epoch is another state, and stays what it is.

    Parameters
    ----------
    items
        What was read of records, in order; what is no transient is passed on.

    Yields
    ------
    object
        For each item, in order, itself or the copy of it with a light curve. One without waits for no more than
        :data:`WITHIN` further items, which is all that is held.

    Raises
    ------
    AhaError
        As the items do, when all that came before is through.
    """
    waiting: deque[tuple[int, object]] = deque()
    whole: OrderedDict[tuple[str, float], tuple[int, Transient]] = OrderedDict()

    def passed(n_read: int) -> Iterator[object]:
        """Yield what need not wait, when so many items were read."""
        while waiting:
            number, item = waiting[0]
            if (key := _lacking(item)) is not None:
                found = whole.get(key)
                if found is not None and abs(found[0] - number) <= WITHIN:
                    item = found[1]
                elif number + WITHIN >= n_read:
                    return
            waiting.popleft()
            yield item

    number = 0
    try:
        for number, item in enumerate(items):
            if isinstance(item, Transient) and item.light_curve is not None and item.last_mjd is not None:
                key = item.object_id, item.last_mjd
                whole[key] = number, item
                whole.move_to_end(key)
            while whole and next(iter(whole.values()))[0] < number - 2 * WITHIN:
                whole.popitem(last=False)
            waiting.append((number, item))
            yield from passed(number + 1)
    except AhaError:
        yield from passed(number + 2 * WITHIN)
        raise
    yield from passed(number + 2 * WITHIN)


def _lacking(item: object) -> tuple[str, float] | None:
    """Return object and epoch of what has no light curve, where it has an epoch; None of anything else."""
    is_bare = isinstance(item, Transient) and item.light_curve is None and item.last_mjd is not None
    return (item.object_id, item.last_mjd) if is_bare else None
