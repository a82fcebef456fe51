"""Classes in TNS of what was flagged, looked up before it is sent."""

import dataclasses
import logging

from annotator.config import Config
from annotator.decision.sending import as_classified
from annotator.errors import LasairApiError
from annotator.lasair.api import LasairApi
from annotator.ledger import Ledger
from annotator.passes.report import MAX_LOOKED_UP, PassReport
from annotator.passes.tns import tns_entries

log = logging.getLogger(__name__)


CLASSIFIED_WITHIN_S = 100 * 86_400.0
"""How long a sent anomaly is looked up for a class that would make it one to watch: spectra come within weeks."""


def take_classes(config: Config, ledger: Ledger, api: LasairApi, report: PassReport, now: float) -> None:
    """Look up in TNS what was flagged, before it is sent: what waits takes its class along without a write of its own.

    Without an answer the objects stay as they are. A class that becomes known after an annotation was sent is no reason
    to write it again, unless it makes another classification.
    """
    demotes = config.decision.classified == "demote"
    object_ids = [anomaly.object_id for anomaly in ledger.announcements.to_announce()]
    object_ids += ledger.outbox.waiting_flags(MAX_LOOKED_UP) + [item.object_id for item in report.flagged]
    if demotes:
        object_ids += ledger.outbox.anomalies_sent_since(now - CLASSIFIED_WITHIN_S)
    object_ids = list(dict.fromkeys(object_ids))
    try:
        report.tns = tns_entries(ledger, api, object_ids, now)
    except LasairApiError as error:
        log.info("no TNS names: %s", error)
        report.tns = ledger.tns.entries(object_ids)
    changes, demoted = [], set()
    for flag in ledger.outbox.classified_flags():
        new = as_classified(flag.annotation, flag.tns_type, config.decision)
        is_demoted = new.classification != flag.annotation.classification
        if is_demoted:
            demoted.add(new.object_id)
        if is_demoted or (flag.waits and new != flag.annotation):
            changes.append((flag.annotation, new))
    ledger.outbox.amend(changes, now)
    report.demoted = len(demoted)
    report.flagged = [
        dataclasses.replace(item, classification="watch") if item.object_id in demoted else item
        for item in report.flagged
    ]
