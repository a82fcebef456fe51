"""The views of one table of measurements: stamps, reliability, counts, and mean position."""

import math

import numpy as np
from numpy.typing import NDArray

from annotator.errors import MissingModalityError
from annotator.surveys.detections import mean_direction
from annotator.surveys.lsst.items import sources_of
from annotator.surveys.lsst.shapes import Shape
from annotator.surveys.lsst.sources import GOOD_RELIABILITY, Measurements, SourceTable
from annotator.surveys.packet_stamps import has_stamps, read_stamps
from annotator.surveys.values import whole_number
from annotator.transient import BEST_REAL_BOGUS, CutoutReference, Triplet

CUTOUT_HOST = "lasair.lsst.ac.uk"
_CUTOUT = "https://{host}/fits/{source_id}_cutout{kind}/"
"""With the slash: without it the host answers 301."""
PIXEL_ARCSEC = 0.2
"""Side of a pixel of the stamps."""
_KINDS = ("Science", "Template", "Difference")


def counts(table: SourceTable) -> dict[str, int]:
    """Count the detections; of good ones, of either sign as Lasair counts them, where Rubin says how good they are."""
    seen, found = table.detections, {"n_det": len(table.detections)}
    is_good = (seen.reliability > GOOD_RELIABILITY) & ~is_flawed(seen)
    if is_good.any() or not np.isnan(seen.reliability).any():
        found["n_det_good"] = int(np.count_nonzero(is_good))
    return found


def is_flawed(seen: Measurements) -> NDArray[np.bool_]:
    """Tell which detections are dipoles or a satellite's glints by Rubin's own flags, where an alert has them ``(n,)``.

    Of 86 alerts of catalogued AGN and stars and of asteroids one is a dipole, of 68 others 15.
    """
    return np.array([item.isDipole is True or item.glint_trail is True for item in seen.items], dtype=bool)


def place_of_stamps(table: SourceTable) -> int | None:
    """Return which detection's stamps are scored: the brightest positive one's, or the deepest of what fades."""
    has_id = [(whole_number(item.diaSourceId) or 0) > 0 for item in table.detections.items]
    return _farthest(table, np.array(has_id, dtype=bool))


def _farthest(table: SourceTable, is_among: NDArray[np.bool_]) -> int | None:
    """Return which detection of some is farthest from the template, on the side on which the object is."""
    flux = -table.detections.flux_njy if table.fades else table.detections.flux_njy
    among = np.flatnonzero(is_among & (flux > 0))
    return int(among[flux[among].argmax()]) if len(among) else None


def reliability(table: SourceTable) -> dict[str, float]:
    """Return how real Rubin takes the detection for whose stamps are scored, whether or not the record has its number.

    Where it does not say, it is the best of all, in favour of the object. Beside it the best of all detections, of
    either sign, that are no dipole.
    """
    seen, place = table.detections, place_of_stamps(table)
    best = float(np.fmax.reduce(seen.reliability[~is_flawed(seen)], initial=math.nan))
    if place is None:
        place = _farthest(table, np.ones(len(seen), dtype=bool))
    own = math.nan if place is None else float(seen.reliability[place])
    if math.isnan(own):
        side = -1 if table.fades else 1
        own = float(np.fmax.reduce(seen.reliability[seen.sign == side], initial=math.nan))
    found = {"reliability": own, BEST_REAL_BOGUS: best}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def mean_position(table: SourceTable) -> tuple[float, float] | None:
    """Return where its detections are, right ascension and declination in deg; None where none of them says."""
    seen = table.detections
    known = ~np.isnan(seen.ra_deg) & ~np.isnan(seen.dec_deg)
    return mean_direction(zip(seen.ra_deg[known].tolist(), seen.dec_deg[known].tolist(), strict=True))


def cutouts(shape: Shape, table: SourceTable | None) -> CutoutReference | None:
    """Find where an object's stamps are, as a record names them or as Lasair keeps them by the number of the detection.

    Returns
    -------
    CutoutReference
        None where the record says nothing of detections, or has its stamps itself.

    Raises
    ------
    MissingModalityError
        If it does, and yet there are none to use.
    """
    if has_stamps(shape.stamps):
        return None
    place = None if table is None else place_of_stamps(table)
    time_mjd = None if place is None else float(table.detections.time_mjd[place])
    fades = table is not None and table.fades
    if shape.stamps:
        named = [shape.stamps.get(kind.lower(), shape.stamps.get(kind)) for kind in _KINDS]
        if not all(isinstance(name, str) and name for name in named):
            raise MissingModalityError("the record does not name three stamps")
        return CutoutReference(*named, time_mjd, is_negative=fades)
    if place is None:
        return None
    source_id = whole_number(table.detections.items[place].diaSourceId)
    urls = (_CUTOUT.format(host=CUTOUT_HOST, source_id=source_id, kind=kind) for kind in _KINDS)
    return CutoutReference(*urls, time_mjd, is_negative=fades)


def triplet(shape: Shape, table: SourceTable | None) -> Triplet | None:
    """Return the stamps that a packet has itself, which are of its own detection; None of none.

    Raises
    ------
    MissingModalityError
        If one of the three is missing, or is no image, or if the detection is none of the object's.
    """
    if shape.own is None or not has_stamps(shape.stamps):
        return None
    (own,) = sources_of([shape.own])
    source_id, seen = whole_number(own.diaSourceId), table.detections
    same = [place for place, item in enumerate(seen.items) if whole_number(item.diaSourceId) == source_id]
    if source_id is None or not same:
        raise MissingModalityError("the packet's stamps are of a detection that is left out")
    (place,) = same[:1]
    time_mjd, is_negative = float(seen.time_mjd[place]), bool(seen.sign[place] < 0)
    return Triplet(*read_stamps(shape.stamps), time_mjd, is_negative=is_negative)
