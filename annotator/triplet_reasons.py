"""Which stamp makes a triplet odd, where in it, and what is seen there."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.models import ModalityScore, Model
from annotator.preprocess.triplet import CENTRE, CHANNELS, ONE_SIGMA_TAIL, SIDE, SOFTENING_SIGMA, stamp_tensor
from annotator.reason import Reason
from annotator.surveys import PIXEL_ARCSEC
from annotator.transient import Transient

MIN_SHARE = 0.05

SIGNIFICANT_SIGMA = 4.0
"""Of a pixel of the difference, in its noise levels: more is a source, or a hole."""
NEAR_PIXELS = 1.5
"""A source is as near to the centre as this, or off it."""
SOURCE_RADIUS_PIXELS = 3.0
DIPOLE_PIXELS = 5.0
"""How far apart the two halves of a dipole may be."""
DIPOLE_RATIO = 0.25
"""Of the weaker half to the stronger."""
HOST_RADIUS_PIXELS = 5.0
HOST_PEAK_SIGMA = 5.0
"""Of the template's brightest pixel about the object, in its own noise levels: less is no host."""
MIN_STREAK_SHARE, MIN_STREAK_PIXELS = 0.75, 30
"""Of a line's pixels that are bright, and how long the line must be."""
SINGLE_PIXEL_SHARE = 0.75
"""Of the light in 3 x 3 pixels: with more in one, it is no source seen through an atmosphere."""
FULL_VALUE = 7.0
"""Of a scaled pixel, 1,100 noise levels: what is as bright fills a detector."""

_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE
_RADIUS_PIXELS = np.hypot(_ROWS, _COLUMNS)
_ANGLES = np.arange(0.0, np.pi, np.pi / 72)
_N_OFFSETS = 2 * 45 + 1
_LINES_SHAPE = (len(_ANGLES), SIDE * SIDE)
_LINES = (
    np.rint(np.cos(_ANGLES)[:, None] * _ROWS.ravel() - np.sin(_ANGLES)[:, None] * _COLUMNS.ravel()).astype(np.int64)
    + _N_OFFSETS // 2
    + np.arange(len(_ANGLES))[:, None] * _N_OFFSETS
).ravel()
"""Which line of each angle a pixel is on."""
_N_LINES = len(_ANGLES) * _N_OFFSETS
_LINE_LENGTH = np.bincount(_LINES, minlength=_N_LINES)
_TERM = re.compile(r"(field|core) (science|template|difference), box (\d+), radius (\d+)")


@dataclass(frozen=True)
class Term:
    """One part of the triplet's error, as its manifest describes it."""

    channel: str
    box_pixels: int
    """Side of the box over which deviations are averaged."""
    radius_pixels: float
    """Of the disc about the object that it looks at."""


@dataclass(frozen=True)
class Finding:
    """What is seen in a stamp, and where."""

    kind: str
    stamp: str
    row: float
    column: float
    radius: float
    words: str


def find(transient: Transient, scored: ModalityScore, model: Model) -> tuple[Reason, ...]:
    """Name what the strongest terms of the error are made of; terms of one thing are one reason."""
    tensor = stamp_tensor(transient.triplet)
    (deviation,) = model.reconstruct({"stamps": tensor[np.newaxis]})["deviation"]
    excess = np.logaddexp(0.0, np.asarray(scored.residual, dtype=np.float64)) ** 4  # as the graph combines them
    shares = excess / excess.sum()
    found: dict[tuple[str, str], tuple[Finding, float]] = {}
    for number in np.argsort(-shares, kind="stable"):
        if shares[number] < MIN_SHARE:
            break
        finding = look_at(tensor, deviation, terms_of(model)[number], PIXEL_ARCSEC[transient.survey])
        first, share = found.get((finding.stamp, finding.kind), (finding, 0.0))
        found[finding.stamp, finding.kind] = first, share + float(shares[number])
    return tuple(
        Reason(finding.words, share, {name: getattr(finding, name) for name in _WHERE})
        for finding, share in sorted(found.values(), key=lambda item: -item[1])
    )


_WHERE = ("stamp", "row", "column", "radius", "kind")


def terms_of(model: Model) -> tuple[Term, ...]:
    """Return the terms of the error in order, from what the manifest says of the residual."""
    meaning = next(tensor.meaning for tensor in model.manifest.outputs if tensor.name == "residual")
    return tuple(Term(channel, int(box), float(radius)) for _, channel, box, radius in _TERM.findall(meaning))


def look_at(tensor: NDArray[np.float32], deviation: NDArray[np.float32], term: Term, pixel_arcsec: float) -> Finding:
    """Say what is where a term of the error deviates most.

    Parameters
    ----------
    tensor
        ``(6, 63, 63)``, as the model is given it.
    deviation
        ``(3, 63, 63)``, pixels less reconstruction in expected deviations.
    term
        Of the error.
    pixel_arcsec
        Side of a pixel.
    """
    channel = CHANNELS.index(term.channel)
    boxed = _boxed(deviation[channel], term.box_pixels)
    boxed[term.radius_pixels < _RADIUS_PIXELS] = 0.0
    row, column = np.unravel_index(int(np.argmax(np.abs(boxed))), boxed.shape)
    place = int(row), int(column)
    look = {"science": _in_science, "template": _in_template, "difference": _in_difference}[term.channel]
    return look(tensor, place, float(boxed[place]), pixel_arcsec)


def _in_difference(
    tensor: NDArray[np.float32], place: tuple[int, int], deviation: float, pixel_arcsec: float
) -> Finding:
    flux = flux_sigma(tensor[CHANNELS.index("difference")])
    streak = streak_of(flux)
    if streak is not None:
        return Finding("trail", "difference", *streak, SIDE / 2, "streak across the difference")
    main = brightest_near(flux, (CENTRE, CENTRE), 2 * SOURCE_RADIUS_PIXELS)
    is_near = _distance(place) <= 2 * SOURCE_RADIUS_PIXELS
    around = (CENTRE, CENTRE) if is_near else place
    bright, dark = (brightest_near(sign * flux, around, 2 * SOURCE_RADIUS_PIXELS) for sign in (1, -1))
    strengths = sorted((flux[bright], -flux[dark]))
    away = _away(pixel_arcsec)
    if (
        strengths[0] >= max(SIGNIFICANT_SIGMA, DIPOLE_RATIO * strengths[1])
        and np.hypot(bright[0] - dark[0], bright[1] - dark[1]) <= DIPOLE_PIXELS
    ):
        middle = (bright[0] + dark[0]) / 2, (bright[1] + dark[1]) / 2
        return Finding("dipole", "difference", *middle, DIPOLE_PIXELS, f"dipole in the difference {away(middle)}")
    if -flux[dark] >= max(SIGNIFICANT_SIGMA, flux[bright]):
        at = centroid(-flux, dark)
        words = f"negative in the difference {away(at)}: fainter than in the template"
        return Finding("negative", "difference", *at, SOURCE_RADIUS_PIXELS, words)
    if flux[bright] < SIGNIFICANT_SIGMA:
        direction = "brighter" if deviation > 0 else "darker"
        words = f"pixels of the difference {direction} than expected {away(place)}"
        return Finding("pixels", "difference", *map(float, place), SOURCE_RADIUS_PIXELS, words)
    at = centroid(flux, bright)
    if _distance(at) > NEAR_PIXELS:
        has_main = flux[main] >= SIGNIFICANT_SIGMA and _distance(centroid(flux, main)) <= NEAR_PIXELS
        if has_main:
            words = f"second source in the difference {away(at)}"
            return Finding("neighbour", "difference", *at, SOURCE_RADIUS_PIXELS, words)
        words = f"source in the difference {_distance(at) * pixel_arcsec:.0f} arcsec off centre"
        return Finding("off-centre", "difference", *at, SOURCE_RADIUS_PIXELS, words)
    rows, columns = (slice(max(0, i - 1), i + 2) for i in bright)
    if flux[bright] >= SINGLE_PIXEL_SHARE * np.maximum(flux[rows, columns], 0.0).sum():
        words = "single bright pixel at the centre of the difference"
        return Finding("single pixel", "difference", *at, SOURCE_RADIUS_PIXELS, words)
    if tensor[CHANNELS.index("science")][bright] >= FULL_VALUE:
        words = "source that fills the detector"
        return Finding("saturated", "difference", *at, SOURCE_RADIUS_PIXELS, words)
    return Finding(
        "shape", "difference", *at, SOURCE_RADIUS_PIXELS, "source of an unusual shape at the centre of the difference"
    )


def _in_template(tensor: NDArray[np.float32], place: tuple[int, int], deviation: float, pixel_arcsec: float) -> Finding:
    if not has_host(flux_sigma(tensor[CHANNELS.index("template")])):
        centre = float(CENTRE)
        return Finding("host missing", "template", centre, centre, HOST_RADIUS_PIXELS, "no host in the template")
    return _pixels("template", "template", place, deviation, pixel_arcsec)


def _in_science(tensor: NDArray[np.float32], place: tuple[int, int], deviation: float, pixel_arcsec: float) -> Finding:
    if tensor[CHANNELS.index("science")][place] >= FULL_VALUE:
        at = float(place[0]), float(place[1])
        return Finding(
            "saturated", "science", *at, SOURCE_RADIUS_PIXELS, "science stamp with a source that fills the detector"
        )
    return _pixels("science", "science stamp", place, deviation, pixel_arcsec)


def _pixels(stamp: str, name: str, place: tuple[int, int], deviation: float, pixel_arcsec: float) -> Finding:
    direction = "bright" if deviation > 0 else "dark"
    words = f"{direction} pixels in the {name} {_away(pixel_arcsec)(place)}"
    return Finding(f"{direction} pixels", stamp, float(place[0]), float(place[1]), SOURCE_RADIUS_PIXELS, words)


def flux_sigma(scaled: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a scaled stamp in noise levels of the difference, as :mod:`annotator.preprocess.triplet` scales it."""
    return SOFTENING_SIGMA * np.sinh(scaled.astype(np.float64))


def brightest_near(flux: NDArray[np.float64], about: tuple[int, int], radius_pixels: float) -> tuple[int, int]:
    """Return row and column of the brightest pixel of a disc."""
    reach = math.ceil(radius_pixels)
    first = max(0, about[0] - reach), max(0, about[1] - reach)
    part = flux[first[0] : about[0] + reach + 1, first[1] : about[1] + reach + 1]
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    is_out = (rows + first[0] - about[0]) ** 2 + (columns + first[1] - about[1]) ** 2 > radius_pixels**2
    row, column = np.unravel_index(int(np.argmax(np.where(is_out, -np.inf, part))), part.shape)
    return int(row) + first[0], int(column) + first[1]


def centroid(flux: NDArray[np.float64], place: tuple[int, int]) -> tuple[float, float]:
    """Return the centre of the positive light in the 3 x 3 pixels about a place."""
    first = max(0, place[0] - 1), max(0, place[1] - 1)
    part = np.maximum(flux[first[0] : place[0] + 2, first[1] : place[1] + 2], 0.0)
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    total = part.sum()
    return float((part * rows).sum() / total) + first[0], float((part * columns).sum() / total) + first[1]


def has_host(template: NDArray[np.float64]) -> bool:
    """Say whether a template has light about its centre, beyond its own noise."""
    low, high = np.percentile(template, [100 * ONE_SIGMA_TAIL, 100 * (1 - ONE_SIGMA_TAIL)])
    noise = (high - low) / 2
    about = template[_RADIUS_PIXELS <= HOST_RADIUS_PIXELS]
    return bool(about.max() >= HOST_PEAK_SIGMA * noise)


def streak_of(flux: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return row and column of the point next to the centre of a streak across the stamp; None where there is none.

    Along a streak most pixels are brighter than one noise level, as one in six is elsewhere.
    """
    bright = np.bincount(
        _LINES, weights=np.broadcast_to((flux > 1.0).ravel(), _LINES_SHAPE).ravel(), minlength=_N_LINES
    )
    share = np.where(_LINE_LENGTH >= MIN_STREAK_PIXELS, bright / np.maximum(_LINE_LENGTH, 1), 0.0)
    line = int(np.argmax(share))
    if share[line] < MIN_STREAK_SHARE:
        return None
    angle, offset = divmod(line, _N_OFFSETS)
    across = np.array([np.cos(_ANGLES[angle]), -np.sin(_ANGLES[angle])]) * (offset - _N_OFFSETS // 2)
    return float(CENTRE + across[0]), float(CENTRE + across[1])


def _distance(place: tuple[float, float]) -> float:
    """Return how far a place is from the centre, in pixels."""
    return math.hypot(place[0] - CENTRE, place[1] - CENTRE)


def _away(pixel_arcsec: float) -> Callable[[tuple[float, float]], str]:
    def words(place: tuple[float, float]) -> str:
        arcsec = _distance(place) * pixel_arcsec
        return f"{arcsec:.0f} arcsec from the centre" if arcsec >= 0.5 else "at the centre"

    return words


def _boxed(deviation: NDArray[np.float32], box_pixels: int) -> NDArray[np.float64]:
    """Sum in boxes about each pixel; what is outside counts as 0."""
    reach = box_pixels // 2
    padded = np.pad(deviation.astype(np.float64), reach)
    return sum(padded[i : i + SIDE, j : j + SIDE] for i in range(box_pixels) for j in range(box_pixels))
