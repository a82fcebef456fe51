"""Counting: what was scored into a pass's report, and the report's numbers out of it."""

import dataclasses
import heapq
from collections.abc import Collection, Mapping
from operator import itemgetter

from annotator.annotation import Classification
from annotator.attention.shares import SCORED, UNUSUAL, WITH
from annotator.attention.silence import NEWS
from annotator.decision.attention import order_of
from annotator.decision.objects import ScoredObject
from annotator.decision.sending import FLAGS
from annotator.errors import RecordError, SolarSystemObjectError
from annotator.lasair.held import MAX_ASKED
from annotator.passes.report import PassReport
from annotator.passes.scoring.batch import Taken

_OF_THE_RECORD = (RecordError.__name__, SolarSystemObjectError.__name__)
"""Refusals that are what a record asks for."""


def add_taken(report: PassReport, taken: Taken) -> None:
    """Add what became of records; of the flagged, and of all, those worth most are kept, each as it was scored last."""
    report.read += taken.read
    report.unchanged += taken.unchanged
    for refusal in taken.refusals:
        report.refused += refusal.part == "record"
        report.solar_system += refusal.is_solar_system
        if refusal.kind not in _OF_THE_RECORD:
            report.faults[refusal.kind] = report.faults.get(refusal.kind, 0) + 1
    scored_objects = taken.scored_objects
    report.scored += len(scored_objects)
    for item in scored_objects:
        report.classes[item.classification] = report.classes.get(item.classification, 0) + 1
        report.queued += item.outgoing is not None
        for name, said in item.modalities.items():
            if isinstance(said, Mapping):
                report.views[name] = report.views.get(name, 0) + ("score" in said)
    latest = {item.object_id: item for item in (*report.flagged, *scored_objects)}
    flagged = (item for item in latest.values() if item.classification in FLAGS)
    report.flagged = heapq.nsmallest(MAX_ASKED, flagged, key=_order)
    report.places |= {item.object_id: _order(item) for item in scored_objects}
    report.places = dict(heapq.nsmallest(MAX_ASKED, report.places.items(), key=itemgetter(1)))


def _order(item: ScoredObject) -> tuple[float, float, str]:
    return order_of(item.worth, item.score, item.object_id)


def note_demoted(report: PassReport, object_ids: Collection[str]) -> None:
    """Note the anomalies that were made ones to watch after they were scored."""
    report.demoted = len(object_ids)
    report.flagged = [
        dataclasses.replace(item, classification=Classification.WATCH) if item.object_id in object_ids else item
        for item in report.flagged
    ]


def counts(report: PassReport) -> dict[str, int]:
    """Return the numbers that are kept of a pass, by the names that the ledger, `status` and the report know."""
    delivery = report.delivery
    return {
        "read": report.read,
        **({} if report.news is None else {NEWS: report.news}),
        "unchanged": report.unchanged,
        SCORED: report.scored,
        "refused": report.refused,
        "solar_system": report.solar_system,
        "completed_later": report.completed_later,
        "queued": report.queued,
        "waiting": report.waiting,
        "judged": report.judged,
        "demoted": report.demoted,
        "sent": delivery.sent,
        "failed": delivery.failed,
        "stored": delivery.stored,
        "lost": delivery.lost,
        "held": delivery.held,
        "unsure": delivery.unsure,
        "unseen": delivery.unseen,
        UNUSUAL: int(report.is_unusual),
        **{f"{WITH}{name}": count for name, count in sorted(report.views.items())},
        **{f"class_{name}": count for name, count in sorted(report.classes.items())},
    }
