"""What is judged anew though no record asks for it: for verdicts, for asteroids, and where the ledger is damaged."""

from collections.abc import Mapping, Sequence

from annotator.annotation import Classification
from annotator.decision.attention import asked_for, evidence_kept
from annotator.decision.attention_fit import refitted
from annotator.decision.config import WorthConfig
from annotator.decision.sending import taken_back, with_verdict
from annotator.ledger import Ledger
from annotator.models import ModelSet
from annotator.models.worth import Weights
from annotator.passes.scoring.batch import kept_objects, take_objects
from annotator.passes.scoring.scoring import Scoring
from annotator.reasons.sentence import is_verdict
from annotator.verdicts import Verdict, VerdictKind

PASSER_BY = "Taken back: all that was detected here is of a known solar-system object."


def apply_verdicts(verdicts: Mapping[str, Verdict], ledger: Ledger, now: float) -> int:
    """Rewrite what Lasair holds against people's verdicts, whether or not the objects are still in the stream.

    Returns how many annotations that were.
    """
    overruling = {object_id: verdict for object_id, verdict in verdicts.items() if verdict.override is not None}
    held = ledger.outbox.last_sent(list(overruling))
    rewritten = [with_verdict(annotation, overruling[object_id]) for object_id, annotation in held.items()]
    outgoing = [annotation for annotation in rewritten if annotation is not None]
    ledger.outbox.queue(outgoing, now)
    ledger.announcements.leave_unannounced(overruling)
    return len(outgoing)


def take_back(scoring: Scoring) -> int:
    """Rescore, by what is kept of them, the objects whose verdict was taken back; return how many are rewritten."""
    ledger, verdicts = scoring.ledger, scoring.verdicts
    ever_judged = dict.fromkeys((*ledger.verdicts.ever_judged(), *verdicts))
    free = [name for name in ever_judged if name not in verdicts or verdicts[name].override is None]
    held = ledger.outbox.last_sent(free)
    stale = [name for name, annotation in held.items() if is_verdict(annotation.explanation)]
    return _rescore(stale, scoring)


def take_back_passers_by(ledger: Ledger, now: float) -> int:
    """Rewrite as normal what was flagged before it turned out that all of it is a known solar-system object.

    What a person judged stays. Returns how many annotations that were.
    """
    held = ledger.outbox.last_sent(ledger.refused.passers_by()).values()
    flagged = [
        item for item in held if item.classification != Classification.NORMAL and not is_verdict(item.explanation)
    ]
    ledger.outbox.queue([taken_back(flag, PASSER_BY) for flag in flagged], now)
    return len(flagged)


def make_anew(scoring: Scoring) -> int:
    """Take annotations that the ledger's damage has made unreadable out of the outbox, and rescore their objects.

    One of which nothing is kept is annotated with its next state. Returns how many annotations are made.
    """
    damaged = list(scoring.ledger.outbox.damaged)
    scoring.ledger.outbox.take_out(damaged)
    return _rescore(damaged, scoring)


def _rescore(object_ids: Sequence[str], scoring: Scoring) -> int:
    """Rescore objects by what is kept of them; return how many annotations are to be sent.

    An object that waits for a modality is scored again anyway.
    """
    ledger = scoring.ledger
    waiting = ledger.kept.waiting_of(object_ids)
    objects, states = kept_objects([name for name in object_ids if name not in waiting], ledger)
    if not objects:
        return 0
    taken = take_objects(objects, scoring, states)
    return sum(item.outgoing is not None for item in taken.scored_objects)


def weights_of_worth(
    wishes: WorthConfig, models: ModelSet, ledger: Ledger, verdicts: Mapping[str, Verdict]
) -> Weights | None:
    """Return the weights of the order of attention: the models', refitted to people's verdicts, as a person wants them.

    None where the models have none.
    """
    if models.worth is None:
        return None
    judged = {name: verdict for name, verdict in verdicts.items() if verdict.verdict != VerdictKind.UNKNOWN}
    kept = ledger.scores.kept_of(list(judged))
    evidence = [evidence_kept(score, modalities) for score, modalities in kept.values()]
    was_glad = [judged[name].verdict == VerdictKind.ANOMALY for name in kept]
    return asked_for(refitted(models.worth.as_weights(), evidence, was_glad), wishes)
