"""The noun that everything else speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Transient:
    """One object of a survey, in the state a record describes.

    A value that the record lacks, or that is a sentinel, is absent: None, or not a key. Nothing here is NaN.
    """

    object_id: str
    survey: str
    features: Mapping[str, float] = field(default_factory=dict)
    """Object features by AHA's names (:data:`annotator.preprocess.features.FEATURES` has the units)."""
    n_det: int | None = None
    """Number of detections behind the features."""
    n_det_good: int | None = None
    """How many of them are positive and pass the survey's real-bogus threshold."""
    last_mjd: float | None = None
    """Epoch of the last detection (MJD, UTC): the epoch the object is scored at."""
    ra_deg: float | None = None
    dec_deg: float | None = None
    sherlock_class: str | None = None
    """Sherlock's class by position: SN, NT, AGN, CV, ORPHAN, UNCLEAR, BS, VS."""
