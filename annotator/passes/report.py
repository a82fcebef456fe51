"""What one pass did, as data; :mod:`annotator.passes.report_text` says it, :mod:`annotator.passes.tally` counts."""

from dataclasses import dataclass, field

from annotator.decision.announcement import Announcement, Anomaly
from annotator.decision.objects import ScoredObject, TnsEntry
from annotator.decision.stream import NightThresholds
from annotator.ledger.sweeps import Sweep
from annotator.passes.delivery import Delivery

SHOWN_ANOMALIES = 10
"""Anomalies that a pass announces when it reports; the others are announced by the next reports."""


@dataclass
class PassReport:
    """What one pass did; filled in as it goes, since a pass that breaks off reports, too."""

    read: int = 0
    """Records."""
    news: int | None = None
    """Those of them that say something new of the source; None where it was not read to its end and gave nothing."""
    unchanged: int = 0
    scored: int = 0
    refused: int = 0
    """Records of which nothing could be used."""
    solar_system: int = 0
    """Those of them of which all that was detected is a known solar-system object."""
    faults: dict[str, int] = field(default_factory=dict)
    """Refusals of records, or of parts of them, that are no fault of what the record says, by the kind of exception."""
    classes: dict[str, int] = field(default_factory=dict)
    """Scorings by classification."""
    views: dict[str, int] = field(default_factory=dict)
    """Scorings that had a view, by its modality."""
    thresholds: NightThresholds | None = None
    """Of the night, where it has a budget of flags and enough nights before it are known."""
    broke_off: bool = False
    """Whether a step failed at what nobody had foreseen."""
    is_unusual: bool = False
    """Whether a view was missing, or something flagged, for more objects than usual."""
    completed_later: int = 0
    """Objects that were scored again since what they had waited for was fetched."""
    queued: int = 0
    """Annotations."""
    waiting: int = 0
    """Annotations that are still to be sent."""
    delivery: Delivery = field(default_factory=Delivery)
    sweep: Sweep | None = None
    """What comparing Lasair with the outbox has found; None where nothing was compared in this pass."""
    flagged: list[ScoredObject] = field(default_factory=list)
    """Those worth most among the anomalies and the watched, in the order of attention."""
    places: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    """The objects worth most among all that was scored, flagged or not, which the list shows first, and their places in
    the order of attention."""
    judged: int = 0
    """Annotations that were rewritten since a person has judged otherwise."""
    demoted: int = 0
    """Anomalies that were made ones to watch after they were scored, since TNS has a class for them."""
    announcement: Announcement = field(default_factory=Announcement)
    """The anomalies that people have not heard of, and those that are as they have."""
    tns: dict[str, TnsEntry] = field(default_factory=dict)
    """Those of the leading, flagged and announced that have a name there."""
    problems: list[str] = field(default_factory=list)
    """What a person must look at, of every step but the delivery."""
    away: str = ""
    """Which of Lasair's endpoints are left alone since they answer nothing of use, and why; empty if none."""
    remarks: list[str] = field(default_factory=list)
    """What a person may want to know, and need not do anything about."""
    reading_pause: str = ""
    """Why reading ended early although nothing is wrong; empty if it did not."""

    @property
    def problem(self) -> str:
        """What a person must look at; empty if nothing."""
        return "; ".join(filter(None, dict.fromkeys((*self.problems, self._fault, self.delivery.problem, self.away))))

    @property
    def _fault(self) -> str:
        if not self.faults:
            return ""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        return f"records, or parts of them, could not be used ({kinds}): see `aha-annotator refused`"

    @property
    def announced(self) -> tuple[Anomaly, ...]:
        """The anomalies that this report names."""
        return self.announcement.to_announce[:SHOWN_ANOMALIES]
