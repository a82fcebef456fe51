"""Which records are news: objects that are new, or have changed since they were last scored."""

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from annotator.decision.assessment import ScoredState, Source
from annotator.ledger import Ledger
from annotator.transient import Transient


def news_of(parsed: Sequence[Source], ledger: Ledger, model_set: str) -> list[Source]:
    """Leave out what was scored before, in this state or a later one.

    Without epochs the order of the records has to tell: where a batch comes again after a crash, the state that was
    scored last is in it, and those before it were scored with it.
    """
    seen = ledger.scores.states([transient.object_id for transient, _ in parsed])
    states = [ScoredState(state_digest(transient), model_set, transient.last_mjd, None) for transient, _ in parsed]
    scored_up_to = {
        transient.object_id: number
        for number, ((transient, _), state) in enumerate(zip(parsed, states, strict=True))
        if transient.last_mjd is None
        and transient.object_id in seen
        and not _is_other(state, seen[transient.object_id])
    }
    news = []
    for number, ((transient, record), state) in enumerate(zip(parsed, states, strict=True)):
        if number > scored_up_to.get(transient.object_id, -1) and _is_news(state, seen.get(transient.object_id)):
            seen[transient.object_id] = state
            news.append((transient, record))
    return news


def is_older(mjd: float | None, than_mjd: float | None) -> bool:
    """Tell whether an epoch is known to be before another."""
    return mjd is not None and than_mjd is not None and mjd < than_mjd


def _is_news(state: ScoredState, known: ScoredState | None) -> bool:
    if known is None or known.model_set != state.model_set:
        return True
    return _is_other(state, known) and not is_older(state.last_mjd, known.last_mjd)


def _is_other(state: ScoredState, known: ScoredState) -> bool:
    return (state.state, state.model_set) != (known.state, known.model_set)


def state_digest(transient: Transient) -> str:
    """Digest of everything about an object that a score, a decision or an annotation depends on."""
    content = {name: value for name, value in transient.__dict__.items() if name != "features"}
    text = json.dumps([content, sorted(transient.features.items())], sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    """Make JSON of a light curve, of stamps and where they are."""
    if isinstance(value, np.ndarray):
        return [value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    return dict(value) if isinstance(value, Mapping) else vars(value)
