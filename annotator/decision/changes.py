"""Which records are of objects that are new, or have changed since they were last scored."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from annotator.decision.objects import ScoredState, Seen
from annotator.transient import Transient

SENT_AT = "UTC"
"""What Lasair adds to every message of a stream. The rows that it begins a new stream with, whatever they say, lack
it."""


def as_seen(transient: Transient, record: object) -> Seen:
    """Take the digest of an object, once."""
    return Seen(transient, record, state_digest(transient))


def by_epoch(seen: Sequence[Seen]) -> list[Seen]:
    """Put the states of each object in the order of their epochs, into the places where the object's states came.

    A stream is read from several partitions, and nothing says which of them comes first. States without an epoch, or of
    the same one, stay in the order of their source.
    """
    places: dict[str, list[int]] = {}
    for number, item in enumerate(seen):
        if item.transient.last_mjd is not None:
            places.setdefault(item.transient.object_id, []).append(number)
    ordered = list(seen)
    for numbers in places.values():
        in_order = sorted(numbers, key=lambda number: seen[number].transient.last_mjd)
        for place, number in zip(numbers, in_order, strict=True):
            ordered[place] = seen[number]
    return ordered


def changed(seen: Sequence[Seen], known: Mapping[str, ScoredState], model_set: str) -> list[Seen]:
    """Leave out what was scored before, in this state or a later one, and what another record of the state has more of.

    A stream may carry an object twice in one state, with its light curve and without, in either order and in one batch
    or in two: the record with the light curve counts.

    Without epochs the order of the records has to tell: where a batch comes again after a crash, the state that was
    scored last is in it, and those before it were scored with it.

    Parameters
    ----------
    seen
        A batch, in the order of its source.
    known
        The objects of it that were scored before.
    model_set
        Version of the models; an object that others scored counts as changed, in the same state or a later one.
    """
    whole = {_epoch(item) for item in seen if _has_curve(item.digest) and item.transient.last_mjd is not None}
    seen = [item for item in seen if _has_curve(item.digest) or _epoch(item) not in whole]
    last = dict(known)
    states = [ScoredState(item.digest, model_set, item.transient.last_mjd, None) for item in seen]
    scored_up_to = {
        item.transient.object_id: number
        for number, (item, state) in enumerate(zip(seen, states, strict=True))
        if state.last_mjd is None
        and item.transient.object_id in last
        and not _is_other(state, last[item.transient.object_id])
    }
    found = []
    for number, (item, state) in enumerate(zip(seen, states, strict=True)):
        object_id = item.transient.object_id
        if number > scored_up_to.get(object_id, -1) and _is_changed(state, last.get(object_id)):
            last[object_id] = state
            found.append(item)
    return found


def of_the_past(seen: Sequence[Seen], known: Mapping[str, ScoredState]) -> list[Seen]:
    """Return the states that may tell of an earlier flag than is known, though a later state was scored before.

    They came late, as from a partition that was read after another. The rows that Lasair begins a new stream with were
    never sent, and tell nothing of the past.
    """
    return [
        item
        for item in seen
        if (state := known.get(item.transient.object_id)) is not None
        and is_older(item.transient.last_mjd, state.last_mjd)
        and (state.first_flagged_mjd is None or item.transient.last_mjd < state.first_flagged_mjd)
        and isinstance(item.record, Mapping)
        and SENT_AT in item.record
    ]


def is_older(mjd: float | None, than_mjd: float | None) -> bool:
    """Tell whether an epoch is known to be before another."""
    return mjd is not None and than_mjd is not None and mjd < than_mjd


def _epoch(item: Seen) -> tuple[str, float | None]:
    return item.transient.object_id, item.transient.last_mjd


def _is_changed(state: ScoredState, known: ScoredState | None) -> bool:
    if known is None:
        return True
    return _is_other(state, known) and not (is_older(state.last_mjd, known.last_mjd) or _is_less(state, known))


def _is_less(state: ScoredState, known: ScoredState) -> bool:
    """Tell whether the same models have scored the same epoch with a light curve that its record lacks now."""
    same = state.last_mjd is not None and (state.last_mjd, state.model_set) == (known.last_mjd, known.model_set)
    return same and _has_curve(known.state) and not _has_curve(state.state)


def _is_other(state: ScoredState, known: ScoredState) -> bool:
    return (state.state, state.model_set) != (known.state, known.model_set)


_WITH_CURVE, _WITHOUT = "+", "-"


def _has_curve(digest: str) -> bool:
    """Tell by its digest whether a record carried a light curve."""
    return digest.endswith(_WITH_CURVE)


def state_digest(transient: Transient) -> str:
    """Digest of everything about an object that a score, a decision or an annotation depends on.

    Its last character says whether the record carried a light curve (+) or none (-); of a digest of an earlier release
    nobody knows.
    """
    content = {name: value for name, value in transient.__dict__.items() if name != "dates_ahead"}
    try:
        text = msgspec.json.encode(content, enc_hook=_plain, order="sorted")
    except (OverflowError, UnicodeError):  # what msgspec refuses takes ten times as long
        text = json.dumps(content, sort_keys=True, default=_plain).encode()
    return hashlib.sha256(text).hexdigest()[:31] + (_WITHOUT if transient.light_curve is None else _WITH_CURVE)


def _plain(value: object) -> object:
    """Make JSON of arrays, and of what holds them."""
    if isinstance(value, np.ndarray):
        return [value.shape, value.tobytes().hex()]
    if isinstance(value, np.generic):
        return value.item()
    return dict(value) if isinstance(value, Mapping) else vars(value)
