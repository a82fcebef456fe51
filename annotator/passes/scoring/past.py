"""States that came after later ones of their objects: all they are good for is when an object was flagged first."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from annotator.decision.changes import of_the_past
from annotator.decision.classify import decide, overridden
from annotator.decision.objects import Known, Refusal, ScoredState, Seen
from annotator.decision.sending import FLAGS
from annotator.fences import failure_of
from annotator.passes.scoring.scoring import Scoring


def take_past(
    seen: Sequence[Seen], states: Mapping[str, ScoredState], scoring: Scoring
) -> tuple[Mapping[str, ScoredState], list[Refusal]]:
    """Score the states of a batch that came late, and write down where one tells of an earlier flag than is known.

    It takes no later state's place, and Lasair hears of it with the object's next annotation.

    Parameters
    ----------
    seen
        The batch.
    states
        What the ledger knows of its objects.
    scoring
        What it is scored and decided by.

    Returns
    -------
    tuple
        The states as the ledger knows them now, and what could not be scored.
    """
    late = of_the_past(seen, states)
    if not late:
        return states, []
    object_ids = sorted({item.transient.object_id for item in late})
    scored, tns = scoring.ledger.scores.epochs(object_ids), scoring.ledger.tns.entries(object_ids)
    first_mjd: dict[str, float] = {}
    refusals = []
    for item in late:
        object_id, mjd = item.transient.object_id, item.transient.last_mjd
        if (object_id, mjd) in scored or mjd >= first_mjd.get(object_id, float("inf")):
            continue
        known = Known(tns_type=tns[object_id].type if object_id in tns else "", verdict=scoring.verdicts.get(object_id))
        try:
            is_flag = _is_flag(item, known, scoring)
        except Exception as error:
            failure = failure_of(error)
            refusals.append(Refusal(object_id, failure.reason, "", "record", failure.kind))
            continue
        if is_flag:
            first_mjd[object_id] = mjd
    scoring.ledger.scores.note_flags(first_mjd)
    earlier = {name: replace(states[name], first_flagged_mjd=mjd) for name, mjd in first_mjd.items()}
    return {**states, **earlier}, refusals


def _is_flag(seen: Seen, known: Known, scoring: Scoring) -> bool:
    rules = scoring.rules
    (scores,) = scoring.models.score([seen.transient])
    classification = decide(seen.transient, scores, rules.thresholds, rules.exotic_threshold)
    return overridden(classification, known.override, known.tns_type, rules.thresholds) in FLAGS
