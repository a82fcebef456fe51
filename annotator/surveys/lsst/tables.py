"""Rubin's names of a measurement's fields where training reads tables of them, or makes objects up."""

from collections.abc import Iterable, Mapping

OBJECT_ID = "diaObjectId"
FLUX = "psfFlux"
"""Of the difference, nJy."""
FLUX_ERROR = "psfFluxErr"
"""nJy."""
DETECTED = "diaSource"
"""What a table of measurements calls one that was detected, and was not forced."""


def made_up_object(object_id: int, measurements: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Lay an object out as Lasair's `object` answers, of detections that nobody observed.

    Parameters
    ----------
    object_id
        Its number; those of its detections follow from it.
    measurements
        Each with ``mjd_tai``, ``band``, ``flux_njy`` and ``flux_error_njy``.
    """
    sources = [
        {
            "diaSourceId": 1000 * object_id + number,
            "midpointMjdTai": item["mjd_tai"],
            "band": item["band"],
            FLUX: item["flux_njy"],
            FLUX_ERROR: item["flux_error_njy"],
            "reliability": 0.9,
        }
        for number, item in enumerate(measurements)
    ]
    return {OBJECT_ID: object_id, "diaSourcesList": sources}
