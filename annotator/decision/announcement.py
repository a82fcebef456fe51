"""What is told to people: an anomaly once, and again only when there is more to it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from annotator.decision.attention import order_of


@dataclass(frozen=True)
class Anomaly:
    """An object that was scored as an anomaly, or one that was announced, as it was then."""

    object_id: str
    score: float
    modalities: frozenset[str]
    """Those that were scored."""
    model_set: str
    score_id: int
    """The ledger's number of the scoring."""
    worth: float | None = None
    """Its place in the order of attention; None where it was scored without one."""


@dataclass(frozen=True)
class Announcement:
    """The anomalies of a pass, told apart, in the order of attention."""

    to_announce: tuple[Anomaly, ...] = field(default=())
    unchanged: tuple[Anomaly, ...] = field(default=())
    """Scored again since they were announced, with nothing that is worth saying again."""


def is_to_be_announced(new: Anomaly, announced: Anomaly | None, margin: float) -> bool:
    """Tell whether an anomaly has to be told to people.

    Parameters
    ----------
    new
        The anomaly as it was scored last.
    announced
        As it was when it was last announced, None if it never was.
    margin
        By how much its score has to have risen since. Another modality is a reason, too; another model set alone is
        none.
    """
    if announced is None:
        return True
    # Rounded, since 3.7 - 3.2 is a little less than 0.5 in binary.
    return round(new.score - announced.score, 6) >= margin or not new.modalities <= announced.modalities


def sort_out(anomalies: Iterable[Anomaly], announced: Mapping[str, Anomaly], margin: float) -> Announcement:
    """Tell the anomalies that are to be announced from those that are as they were announced."""
    ordered = sorted(anomalies, key=lambda item: order_of(item.worth, item.score, item.object_id))
    due = [is_to_be_announced(item, announced.get(item.object_id), margin) for item in ordered]
    return Announcement(
        tuple(item for item, is_due in zip(ordered, due, strict=True) if is_due),
        tuple(item for item, is_due in zip(ordered, due, strict=True) if not is_due),
    )
