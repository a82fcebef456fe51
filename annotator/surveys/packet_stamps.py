"""The stamps that an alert packet of either survey carries itself."""

import base64
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.preprocess.fits import read_stamp

STAMPS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
"""What they are called."""


def has_stamps(record: Mapping[str, object]) -> bool:
    """Tell whether a record has any of them."""
    return any(record.get(name) is not None for name in STAMPS)


def read_stamps(record: Mapping[str, object]) -> list[NDArray[np.float32]]:
    """Read the three, in the order of :data:`STAMPS`.

    Raises
    ------
    MissingModalityError
        If one of them is missing, damaged or no image.
    """
    return [read_stamp(_content(record.get(name))) for name in STAMPS]


def _content(stamp: object) -> bytes:
    """Return a stamp's file: bytes, as in Avro, or in base 64, as in JSON; ZTF has it beside the file's name."""
    if isinstance(stamp, Mapping):
        stamp = stamp.get("stampData")
    try:
        return stamp if isinstance(stamp, bytes) else base64.b64decode(stamp, validate=True)
    except (TypeError, ValueError) as error:
        raise MissingModalityError("the packet lacks one of its three stamps, or has no file there") from error
