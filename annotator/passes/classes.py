"""Classes in TNS of what was flagged, looked up before it is sent, and of what would lead the list."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from annotator.decision.config import DecisionConfig
from annotator.decision.objects import TnsEntry
from annotator.decision.sending import with_tns_class
from annotator.errors import LasairApiError
from annotator.lasair.api import LasairApi
from annotator.lasair.held import MAX_ASKED
from annotator.ledger import Ledger
from annotator.passes.tns import tns_entries

log = logging.getLogger(__name__)

CLASSIFIED_WITHIN_S = 100 * 86_400.0
"""How long after sending an anomaly we keep checking TNS for a class that makes it one to watch: spectra come within
weeks."""


@dataclass(frozen=True)
class TakenClasses:
    """What TNS has of the flagged and the leading."""

    entries: Mapping[str, TnsEntry]
    """Of those that have a name there."""
    demoted: frozenset[str]
    """The anomalies that were made ones to watch."""


def take_classes(
    flagged: Iterable[str],
    leading: Iterable[str],
    ledger: Ledger,
    api: LasairApi,
    thresholds: DecisionConfig,
    now: float,
) -> TakenClasses:
    """Look up in TNS what was flagged, before it is sent: what waits takes its class along without a write of its own.

    What leads the list without a flag is looked up, too, as far as one query goes: known, it comes last.
    Without an answer the objects stay as they are. A class that becomes known after an annotation was sent is no reason
    to write it again, unless it makes another classification.

    Parameters
    ----------
    flagged, leading
        The objects that this pass flagged, and those worth most of all that it scored, most important first.
    ledger
        What was flagged before; the annotations are rewritten there.
    api
        Lasair.
    thresholds
        Whether a class demotes.
    now
        Seconds since 1970.
    """
    object_ids = [anomaly.object_id for anomaly in ledger.announcements.to_announce()]
    object_ids += [*ledger.outbox.waiting_flags(MAX_ASKED), *flagged]
    if thresholds.classified == "demote":
        object_ids += ledger.outbox.anomalies_sent_since(now - CLASSIFIED_WITHIN_S, now)
    object_ids = list(dict.fromkeys([*object_ids, *leading]))
    try:
        entries = tns_entries(ledger.tns, api, object_ids, now)
    except LasairApiError as error:
        log.info("no TNS names: %s", error)
        entries = ledger.tns.entries(object_ids)
    return TakenClasses(entries, _rewrite_classified(ledger, thresholds, now))


def _rewrite_classified(ledger: Ledger, thresholds: DecisionConfig, now: float) -> frozenset[str]:
    """Rewrite the flags whose class has become known; return the objects that are none any longer."""
    changes, demoted = [], set()
    for flag in ledger.outbox.classified_flags():
        new = with_tns_class(flag.annotation, flag.tns_type, thresholds)
        is_demoted = new.classification != flag.annotation.classification
        if is_demoted:
            demoted.add(new.object_id)
        if is_demoted or (flag.waits and new != flag.annotation):
            changes.append((flag.annotation, new))
    ledger.outbox.amend(changes, now)
    return frozenset(demoted)
