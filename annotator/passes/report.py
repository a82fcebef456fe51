"""What one pass did."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from annotator.annotation import safe_text
from annotator.decision.announcement import Announcement, Anomaly
from annotator.decision.assessment import Assessment, TnsEntry
from annotator.decision.sending import FLAGS
from annotator.passes.delivery import Delivery

SHOWN_ANOMALIES = 10
"""Anomalies that a pass announces when it reports; the others are announced by the next reports."""


@dataclass
class PassReport:
    """What one pass did."""

    read: int = 0
    unchanged: int = 0
    scored: int = 0
    refused: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    completed_later: int = 0
    """Objects that were scored again since what they had waited for was fetched."""
    queued: int = 0
    waiting: int = 0
    delivery: Delivery = field(default_factory=Delivery)
    flagged: list[Assessment] = field(default_factory=list)
    """The highest scores among the anomalies and the watched, highest first."""
    judged: int = 0
    """Annotations that were rewritten since a person has judged otherwise."""
    demoted: int = 0
    """Anomalies that were made ones to watch after they were scored, since TNS has a class for them."""
    announcement: Announcement = field(default_factory=Announcement)
    """The anomalies that people have not heard of, and those that are as they have."""
    tns: dict[str, TnsEntry] = field(default_factory=dict)
    """Those of the flagged and announced that have a name there."""
    reading_problem: str = ""
    """Why reading ended early, where a person must look at it; empty if it did not."""
    reading_pause: str = ""
    """Why reading ended early although nothing is wrong; empty if it did not."""

    @property
    def problem(self) -> str:
        """What a person must look at; empty if nothing."""
        return "; ".join(filter(None, (self.reading_problem, self.delivery.problem)))

    @property
    def announced(self) -> tuple[Anomaly, ...]:
        """The anomalies that this report names."""
        return self.announcement.news[:SHOWN_ANOMALIES]

    def count(self, assessments: Sequence[Assessment]) -> None:
        """Add what was scored."""
        self.scored += len(assessments)
        for item in assessments:
            self.classes[item.classification] = self.classes.get(item.classification, 0) + 1
            self.queued += item.outgoing is not None
        latest = {item.object_id: item for item in (*self.flagged, *assessments)}
        flagged = (item for item in latest.values() if item.classification in FLAGS)
        self.flagged = heapq.nlargest(MAX_LOOKED_UP, flagged, key=lambda item: item.score)

    def in_words(self) -> str:
        """Say in a few lines what was done, and what a person must look at."""
        classes = ", ".join(f"{count} {name}" for name, count in sorted(self.classes.items())) or "none"
        delivery = self.delivery
        lines = [
            f"read {self.read} records: {self.scored} scored ({classes}), {self.unchanged} unchanged, "
            f"{self.refused} refused",
            f"annotations: {self.queued} new, {delivery.sent} sent, {delivery.failed} failed, {self.waiting} waiting; "
            f"{delivery.read_back} read back, {delivery.lost} of them not there",
        ]
        if self.completed_later:
            lines.append(f"{self.completed_later} of the scored had waited for their light curve or cutouts")
        if self.judged:
            lines.append(f"{self.judged} annotations rewritten since a person has judged otherwise")
        if self.demoted:
            lines.append(f"{self.demoted} anomalies made ones to watch since TNS has a class for them")
        lines += self._announcement_in_words()
        lines += [f"waiting: {pause}" for pause in dict.fromkeys((self.reading_pause, delivery.pause)) if pause]
        return "\n".join([*lines, f"ATTENTION: {self.problem}"] if self.problem else lines)

    def _announcement_in_words(self) -> list[str]:
        news, unchanged = self.announcement.news, self.announcement.unchanged
        if not news and not unchanged:
            return []
        lines = [f"anomalies: {len(news)} to announce, {len(unchanged)} as they were announced"]
        for item in self.announced:
            entry = self.tns.get(item.object_id)
            name = safe_text(f"{entry.name} {entry.type}") if entry else "no TNS name"
            lines.append(f"  {item.object_id}  {item.score:5.2f}  {name}")
        left = len(news) - len(self.announced)
        return [*lines, f"  and {left} more, in the next reports"] if left else lines

    def counts(self) -> dict[str, int]:
        """Return the numbers, classes flat among them."""
        numbers = {
            name: value for name, value in (self.__dict__ | self.delivery.__dict__).items() if isinstance(value, int)
        }
        return numbers | {f"class_{name}": count for name, count in sorted(self.classes.items())}


MAX_LOOKED_UP = 150
"""Objects in the one query of a pass, whose conditions Lasair takes up to 4,096 characters of."""
