"""One thing that carries a score."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_REASONS = 5
"""Reasons that are kept of a modality, the strongest."""


@dataclass(frozen=True)
class Reason:
    """One thing that carries a modality's score."""

    words: str
    """In the characters that Lasair's SQL survives, with units, without a full stop."""
    share: float
    """How much of the modality's oddity goes away without it, 0 to 1; 0 of what stands out beside it."""
    where: Mapping[str, float | str]
    """For plots. Of a feature: ``quantity``, ``value``, and ``percentile`` where enough normals have the quantity. Of a
    light curve: ``band``, ``first_mjd``, ``last_mjd``, ``difference_mag`` (negative is brighter than expected),
    ``detections``. Of stamps: ``stamp``, ``row``, ``column``, ``radius`` (pixels), ``kind``."""


Reasons = Mapping[str, Sequence[Reason]]
"""By modality, strongest first."""


def to_json(reasons: Reasons) -> str:
    """Write reasons as the ledger keeps them."""
    return json.dumps({modality: [vars(reason) for reason in found] for modality, found in reasons.items()})


def from_json(text: str) -> dict[str, tuple[Reason, ...]]:
    """Read what :func:`to_json` wrote."""
    return {modality: tuple(Reason(**item) for item in found) for modality, found in json.loads(text).items()}
