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
    point = tuple(_unit_vector(ra_deg, dec_deg).tolist())
    octant = max(range(8), key=lambda i: _inside(_OCTANTS[i], point))
    corners, number = _OCTANTS[octant], 8 + octant
    for _ in range(level):
        a, b, c = corners
        w0, w1, w2 = _between(b, c), _between(c, a), _between(a, b)
        children = ((a, w2, w1), (b, w0, w2), (c, w1, w0), (w0, w1, w2))
        child = max(range(4), key=lambda i: _inside(children[i], point))
        corners, number = children[child], 4 * number + child
    return number


_Vector = tuple[float, float, float]
"""Plain numbers: arrays of three take several times as long, and each object of a night has some hundred."""
_X, _Y, _UP = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_NOT_X, _NOT_Y, _DOWN = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)
_OCTANTS = (
    (_X, _DOWN, _Y), (_Y, _DOWN, _NOT_X), (_NOT_X, _DOWN, _NOT_Y), (_NOT_Y, _DOWN, _X),  # S0 to S3
    (_X, _UP, _NOT_Y), (_NOT_Y, _UP, _NOT_X), (_NOT_X, _UP, _Y), (_Y, _UP, _X),  # N0 to N3
)  # fmt: skip


def _between(a: _Vector, b: _Vector) -> _Vector:
    x, y, z = a[0] + b[0], a[1] + b[1], a[2] + b[2]
    length = math.sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


def _inside(corners: tuple[_Vector, ...], point: _Vector) -> float:
    """Return a measure that is positive inside the triangle, and larger deeper inside."""
    a, b, c = corners
    return min(_triple(a, b, point), _triple(b, c, point), _triple(c, a, point))


def _triple(a: _Vector, b: _Vector, c: _Vector) -> float:
    return (a[1] * b[2] - a[2] * b[1]) * c[0] + (a[2] * b[0] - a[0] * b[2]) * c[1] + (a[0] * b[1] - a[1] * b[0]) * c[2]


def _unit_vector(ra_deg: float, dec_deg: float) -> np.ndarray:
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    return np.array([math.cos(dec) * math.cos(ra), math.cos(dec) * math.sin(ra), math.sin(dec)])
