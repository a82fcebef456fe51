"""Positions on the sky: Galactic coordinates and the Hierarchical Triangular Mesh, as Lasair's tables have them."""

import functools
import math

import numpy as np
from numpy.typing import NDArray


@functools.cache
def _to_galactic() -> NDArray[np.float64]:
    """Return astropy's rotation from ICRS to Galactic ``(3, 3)``: a SkyCoord for each position would take too long."""
    from astropy.coordinates import ICRS, CartesianRepresentation, Galactic

    axes = ICRS(CartesianRepresentation(np.eye(3)))
    return axes.transform_to(Galactic()).cartesian.xyz.value


def galactic_deg(ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Return Galactic longitude (0 to 360) and latitude of an ICRS position, all in degrees."""
    x, y, z = _to_galactic() @ _unit_vector(ra_deg, dec_deg)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.asin(min(1.0, max(-1.0, z))))


def separation_arcsec(ra_deg: float, dec_deg: float, other_ra_deg: float, other_dec_deg: float) -> float:
    """Return the angle between two positions."""
    from astropy.coordinates import angular_separation

    return math.degrees(angular_separation(*map(math.radians, (ra_deg, dec_deg, other_ra_deg, other_dec_deg)))) * 3600.0


def htm_id(ra_deg: float, dec_deg: float, level: int = 16) -> int:
    """Return the triangle of the Hierarchical Triangular Mesh that holds a position (Kunszt et al. 2001)."""
    point = _unit_vector(ra_deg, dec_deg)
    up, x, y, down = np.eye(3)[2], np.eye(3)[0], np.eye(3)[1], -np.eye(3)[2]
    octants = (
        (x, down, y), (y, down, -x), (-x, down, -y), (-y, down, x),  # S0 to S3
        (x, up, -y), (-y, up, -x), (-x, up, y), (y, up, x),  # N0 to N3
    )  # fmt: skip
    number = max(range(8), key=lambda i: _inside(octants[i], point))
    corners = octants[number]
    number += 8
    for _ in range(level):
        a, b, c = corners
        w0, w1, w2 = (side / np.linalg.norm(side) for side in (b + c, c + a, a + b))
        children = ((a, w2, w1), (b, w0, w2), (c, w1, w0), (w0, w1, w2))
        child = max(range(4), key=lambda i: _inside(children[i], point))
        corners, number = children[child], 4 * number + child
    return number


def _inside(corners: tuple[np.ndarray, ...], point: np.ndarray) -> float:
    """Return a measure that is positive inside the triangle, and larger deeper inside."""
    a, b, c = corners
    return min(_triple(a, b, point), _triple(b, c, point), _triple(c, a, point))


def _triple(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    return float(
        (a[1] * b[2] - a[2] * b[1]) * c[0] + (a[2] * b[0] - a[0] * b[2]) * c[1] + (a[0] * b[1] - a[1] * b[0]) * c[2]
    )


def _unit_vector(ra_deg: float, dec_deg: float) -> np.ndarray:
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    return np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
