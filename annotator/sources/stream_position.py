"""How far a stream was read, and where that is in the stream that is there now.

Whatever the broker remembers of us, others can change: its group ids are global, and it has no passwords. So the
position is ours, with as much of the stream's identity as it takes to see that the stream is still the same one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from annotator.errors import SourceError
from annotator.ledger.positions import Gap
from annotator.typed import Typed


class Mark(Typed):
    """What a message is known by."""

    offset: int
    at: float
    """When it was written, by its producer's clock (seconds since 1970)."""
    digest: str


class PartitionPosition(Typed):
    """How far a partition was read."""

    next: int
    """The offset to read on from."""
    oldest: int
    """The lowest offset that there was."""
    first: Mark | None = None
    """The message at it, None where there was none."""
    last: Mark | None = None
    """The message before `next`, None where it was not read."""


class StreamPosition(Typed):
    """How far a stream was read."""

    cluster_id: str | None
    topic: str
    topic_id: str | None
    """None where the broker does not tell it."""
    partitions: dict[int, PartitionPosition]

    def to_json(self) -> str:
        """Write it as the ledger keeps it."""
        return msgspec.json.encode(self).decode()


def read_position(text: str | None) -> StreamPosition | None:
    """Read what :meth:`StreamPosition.to_json` wrote; None where there was nothing.

    Raises
    ------
    SourceError
        If it is not what that writes.
    """
    try:
        return None if text is None else msgspec.json.decode(text, type=StreamPosition)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise SourceError(f"the ledger's position of the stream is unreadable: {error}") from error


@dataclass(frozen=True)
class PartitionNow:
    """A partition as the broker has it."""

    low: int
    """The lowest offset that there is."""
    high: int
    """The offset that the next message will get."""
    first: Mark | None = None
    """The message at `low`; None where there is none, or nobody looked."""
    last: Mark | None = None
    """The message before our position, likewise."""


@dataclass(frozen=True)
class StreamNow:
    """A stream as the broker has it."""

    cluster_id: str | None
    topic: str
    topic_id: str | None
    partitions: Mapping[int, PartitionNow]


def resume(kept: StreamPosition | None, now: StreamNow) -> tuple[StreamPosition, list[Gap]]:
    """Find out where to read on.

    Parameters
    ----------
    kept
        How far the stream was read; None if never: it is then read from the oldest message.
    now
        What there is.

    Returns
    -------
    tuple
        The position to read on from, and what can no longer be read before it.
    """
    if kept is None:
        return _from_the_oldest(now), []
    if reason := _is_another(kept, now):
        return _from_the_oldest(now), [Gap(f"{reason}, and is read from the oldest message", None)]
    partitions, expired, added = {}, 0, []
    for number, partition in sorted(now.partitions.items()):
        before = kept.partitions.get(number)
        if before is None:
            added.append(partition.low)
            partitions[number] = _oldest(partition)
        elif before.next < partition.low:
            expired += partition.low - before.next
            partitions[number] = _oldest(partition)
        else:
            partitions[number] = PartitionPosition(before.next, partition.low, partition.first, before.last)
    gaps = []
    if expired:
        gaps.append(Gap("messages had expired before they were read", expired))
    if added:
        gaps.append(Gap(f"{len(added)} partitions were added, and are read from the oldest message", sum(added)))
    if n_gone := len(kept.partitions.keys() - now.partitions.keys()):
        gaps.append(Gap(f"{n_gone} partitions are gone", None))
    # Where the broker keeps to itself who it is, it is still the one that it said it was.
    cluster_id, topic_id = now.cluster_id or kept.cluster_id, now.topic_id or kept.topic_id
    return StreamPosition(cluster_id, now.topic, topic_id, partitions), gaps


def _is_another(kept: StreamPosition, now: StreamNow) -> str:
    """Say why this is not the stream that was read before; nothing where it may be."""
    if _differ(kept.cluster_id, now.cluster_id):
        return "the broker is another"
    if _differ(kept.topic_id, now.topic_id):
        return "the stream was made anew"
    for number, partition in now.partitions.items():
        before = kept.partitions.get(number)
        if before is None:
            continue
        is_shorter = before.next > partition.high or before.oldest > partition.low
        began_otherwise = before.oldest == partition.low and _differ(before.first, partition.first)
        if is_shorter or began_otherwise or _differ(before.last, partition.last):
            return "the stream was made anew"
    return ""


def _differ(one: object, other: object) -> bool:
    return one is not None and other is not None and one != other


def _oldest(partition: PartitionNow) -> PartitionPosition:
    return PartitionPosition(partition.low, partition.low, partition.first)


def _from_the_oldest(now: StreamNow) -> StreamPosition:
    partitions = {number: _oldest(partition) for number, partition in sorted(now.partitions.items())}
    return StreamPosition(now.cluster_id, now.topic, now.topic_id, partitions)
