"""Annotations that Lasair holds, or will hold once they are sent."""

from dataclasses import dataclass

from annotator.annotation import Annotation


@dataclass(frozen=True)
class ClassifiedFlag:
    """An `anomaly` or `watch` in the outbox whose object has a spectroscopic class in TNS."""

    annotation: Annotation
    tns_type: str
    waits: bool
    """Whether it has still to be sent."""
