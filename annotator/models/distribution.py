"""Histograms of what is watched for drift, as the training set had them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Meta

from annotator.transient import Modality
from annotator.typed import Typed

Share = Annotated[float, Meta(ge=0, le=1)]


class Distribution(Typed):
    """How one number was distributed over the objects that a model was trained on."""

    name: str
    modality: Modality
    edges: tuple[float, ...]
    """Between the bins, ascending; a value on an edge is in the bin above."""
    shares: tuple[Share, ...]
    """Of each of the len(edges) + 1 bins among the objects that have a value."""
    missing_share: Share
    """Of the objects that have none."""
    n: Annotated[int, Meta(ge=1)]
    """Objects behind it."""

    def all_shares(self) -> list[float]:
        """Return the share of each bin among all objects, the missing last."""
        return [share * (1 - self.missing_share) for share in self.shares] + [self.missing_share]


def bin_of(distribution: Distribution, value: float | None) -> int:
    """Return the bin that a value is in; the last is for a missing one."""
    return len(distribution.shares) if value is None else bisect_right(distribution.edges, value)


def bins_of(distributions: Sequence[Distribution], observed: Mapping[str, float | None]) -> dict[str, int]:
    """Return the bin of each observed number of which the distribution in training is known."""
    return {item.name: bin_of(item, observed[item.name]) for item in distributions if item.name in observed}
