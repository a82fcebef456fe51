"""Which stamp makes a triplet odd, where in it, and what is seen there."""

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ModelError
from annotator.models import ModalityScore, Model
from annotator.preprocess.triplet import CENTRE, CHANNELS, ONE_SIGMA_TAIL, SIDE, SOFTENING_SIGMA, stamp_tensors
from annotator.reasons.reason import Reason
from annotator.surveys import SURVEYS
from annotator.transient import Transient

MIN_SHARE = 0.05

SIGNIFICANT_SIGMA = 4.0
"""Of a pixel of the difference, in its noise levels: more is a source, or a hole."""
ELSEWHERE_SIGMA = 6.0
"""Of a pixel anywhere in the stamp, of which there are four thousand."""
NEAR_PIXELS = 1.5
"""A source is as near to the centre as this, or off it."""
SOURCE_RADIUS_PIXELS = 3.0
DIPOLE_PIXELS = 5.0
"""How far apart the two halves of a dipole may be."""
DIPOLE_RATIO = 0.25
"""Of the weaker half to the stronger."""
HOST_RADIUS_PIXELS = 5.0
HOST_PEAK_SIGMA = 5.0
"""Of the template's brightest pixel about the object above its edges, in the noise of these: less is no host."""
EDGE_PIXELS, MIN_EDGE_COUNT = 8, 200
"""Width of a template's edges, and of how many pixels there its noise is told."""
MIN_STREAK_SHARE, MIN_STREAK_PIXELS = 0.75, 30
"""Of a line's pixels that are bright, and how long the line must be."""
SINGLE_PIXEL_SHARE = 0.75
"""Of the light in 3 x 3 pixels: with more in one, it is no source seen through an atmosphere."""
FLAT_TOP_SHARE, MIN_FLAT_TOP, FLAT_TOP_PIXELS, MIN_FLAT_TOP_SIGMA = 0.9, 6, 3.0, 20.0
"""A source has a flat top where as many pixels about the centre have this share of the brightest one, which must stand
out: of a source seen through an atmosphere it is four, where it lies between them."""
BLEEDING_PIXELS, BLEEDING_RATIO, MIN_BLEEDING_SIGMA = (5, 8), 3.0, 8.0
"""A column bleeds where, as far from the centre, it is that much brighter than the middle row is."""

_ROWS, _COLUMNS = np.mgrid[:SIDE, :SIDE] - CENTRE
_RADIUS_PIXELS = np.hypot(_ROWS, _COLUMNS)
_ANGLES = np.arange(0.0, np.pi, np.pi / 72)
_N_OFFSETS = 2 * math.ceil(math.hypot(CENTRE, CENTRE)) + 3
_N_LINES = len(_ANGLES) * _N_OFFSETS
_LINES = (
    np.rint(np.outer(np.cos(_ANGLES), _ROWS) - np.outer(np.sin(_ANGLES), _COLUMNS)).astype(np.int64)
    + _N_OFFSETS // 2
    + _N_OFFSETS * np.arange(len(_ANGLES))[:, np.newaxis]
)
"""Which line of each angle a pixel is on, ``(72, 3969)``: lines are a pixel wide."""
_LINES_OF_PIXEL = np.ascontiguousarray(_LINES.T)
_LINE_LENGTH = np.bincount(_LINES.ravel(), minlength=_N_LINES)
_TERM = re.compile(r"(?:field|core) (science|template|difference), box (\d+), radius (\d+)")


@dataclass(frozen=True)
class Term:
    """One part of the triplet's error, as its manifest describes it."""

    channel: str
    box_pixels: int
    """Side of the box over which deviations are averaged."""
    radius_pixels: float
    """Of the disc about the object that it looks at."""


@dataclass(frozen=True, eq=False)
class Stamps:
    """Three stamps as they are looked at."""

    tensor: NDArray[np.float32]
    """``(6, 63, 63)``, as the model is given it."""
    pixel_arcsec: float
    """Side of a pixel."""

    @functools.cached_property
    def flux(self) -> Mapping[str, NDArray[np.float64]]:
        """``(63, 63)`` each, in noise levels of the difference, as :mod:`annotator.preprocess.triplet` scales them."""
        fluxes = SOFTENING_SIGMA * np.sinh(self.tensor[: len(CHANNELS)].astype(np.float64))
        return dict(zip(CHANNELS, fluxes, strict=True))

    @functools.cached_property
    def streak(self) -> tuple[float, float] | None:
        """Where a streak across the difference is nearest to the centre."""
        return streak_of(self.flux["difference"])

    @functools.cached_property
    def has_flat_top(self) -> bool:
        """Whether what is at the centre of the science stamp is as bright in many pixels."""
        about = self.flux["science"][_RADIUS_PIXELS <= FLAT_TOP_PIXELS]
        n_full = np.count_nonzero(about >= FLAT_TOP_SHARE * about.max())
        return bool(about.max() >= MIN_FLAT_TOP_SIGMA and n_full >= MIN_FLAT_TOP)

    @functools.cached_property
    def has_bleeding(self) -> bool:
        """Whether charge has run along a column of the science stamp, up and down from the centre."""
        near, far = BLEEDING_PIXELS
        middle = slice(CENTRE - 2, CENTRE + 3)
        parts = slice(CENTRE - far, CENTRE - near + 1), slice(CENTRE + near, CENTRE + far + 1)
        science = self.flux["science"]
        column = min(float(science[part, middle].mean(axis=0).max()) for part in parts)
        row = max(float(science[middle, part].mean(axis=1).max()) for part in parts)
        return column >= max(MIN_BLEEDING_SIGMA, BLEEDING_RATIO * row)

    @property
    def full_pixels(self) -> str:
        """What shows that the source fills its pixels; empty where nothing does."""
        return "a flat top" if self.has_flat_top else "a bleeding column" if self.has_bleeding else ""

    @functools.cached_property
    def has_host(self) -> bool:
        """Whether the template has light about its centre, beyond its own noise."""
        template, number = self.flux["template"], CHANNELS.index("template")
        is_present = self.tensor[len(CHANNELS) + number] > 0
        sky, noise = _edges(template, is_present)
        about = template[(_RADIUS_PIXELS <= HOST_RADIUS_PIXELS) & is_present]
        return bool(len(about) and about.max() - sky >= HOST_PEAK_SIGMA * noise)

    def away(self, place: tuple[float, float]) -> str:
        """Word how far from the centre a place is."""
        arcsec = _distance(place) * self.pixel_arcsec
        return f"{arcsec:.0f} arcsec from the centre" if arcsec >= 0.5 else "at the centre"


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
    survey = SURVEYS[transient.survey]
    measured = survey.measured(transient.triplet.as_scored())
    stamps = Stamps(stamp_tensors([measured])[0], survey.pixel_arcsec)
    (deviation,) = model.reconstruct({"stamps": stamps.tensor[np.newaxis]})["deviation"]
    excess = np.logaddexp(0.0, np.asarray(scored.residual, dtype=np.float64)) ** 4  # as the graph combines them
    shares = excess / excess.sum()
    terms = terms_of(model, len(shares))
    found: dict[tuple[str, str], tuple[Finding, float]] = {}
    for number in np.argsort(-shares, kind="stable"):
        if shares[number] < MIN_SHARE:
            break
        finding = look_at(stamps, deviation, terms[number])
        first, share = found.get((finding.stamp, finding.kind), (finding, 0.0))
        found[finding.stamp, finding.kind] = first, share + float(shares[number])
    return tuple(
        Reason(finding.words, min(share, 1.0), {name: getattr(finding, name) for name in _WHERE})
        for finding, share in sorted(found.values(), key=lambda item: -item[1])
    )


_WHERE = ("stamp", "row", "column", "radius", "kind")


def terms_of(model: Model, n_terms: int) -> tuple[Term, ...]:
    """Return the terms of the error in order, as the manifest describes the residual; raise ModelError otherwise."""
    meaning = next(tensor.meaning for tensor in model.manifest.outputs if tensor.name == "residual")
    terms = tuple(Term(channel, int(box), float(radius)) for channel, box, radius in _TERM.findall(meaning))
    if len(terms) != n_terms:
        raise ModelError(
            f"model {model.manifest.name}: expected its manifest to describe {n_terms} terms of the residual, found "
            f"{len(terms)} in {meaning!r:.200}; train the model again"
        )
    return terms


def look_at(stamps: Stamps, deviation: NDArray[np.float32], term: Term) -> Finding:
    """Say what is where a term of the error deviates most.

    Parameters
    ----------
    stamps
        The object's.
    deviation
        ``(3, 63, 63)``, pixels less reconstruction in expected deviations.
    term
        Of the error.
    """
    boxed = _boxed(deviation[CHANNELS.index(term.channel)], term.box_pixels)
    boxed[term.radius_pixels < _RADIUS_PIXELS] = 0.0
    row, column = np.unravel_index(int(np.argmax(np.abs(boxed))), boxed.shape)
    place = int(row), int(column)
    look = {"science": _in_science, "template": _in_template, "difference": _in_difference}[term.channel]
    return look(stamps, place, bool(boxed[place] > 0))


def _in_difference(stamps: Stamps, place: tuple[int, int], is_brighter: bool) -> Finding:
    """Look about the centre, or about the place where that is farther away."""
    if stamps.streak is not None:
        return Finding("trail", "difference", *stamps.streak, SIDE / 2, "streak across the difference")
    flux, radius = stamps.flux["difference"], 2 * SOURCE_RADIUS_PIXELS
    about = (CENTRE, CENTRE) if _distance(place) <= radius else place
    bright, dark = (brightest_near(sign * flux, about, radius) for sign in (1, -1))
    weaker, stronger = sorted((flux[bright], -flux[dark]))
    is_pair = math.dist(bright, dark) <= DIPOLE_PIXELS and weaker >= DIPOLE_RATIO * stronger
    if is_pair and weaker >= SIGNIFICANT_SIGMA:
        middle = (bright[0] + dark[0]) / 2, (bright[1] + dark[1]) / 2
        words = f"dipole in the difference {stamps.away(middle)}"
        return Finding("dipole", "difference", *middle, DIPOLE_PIXELS, words)
    if -flux[dark] >= max(SIGNIFICANT_SIGMA, flux[bright]):
        at = centroid(-flux, dark)
        words = f"negative in the difference {stamps.away(at)}: fainter than in the template"
        return Finding("negative", "difference", *at, SOURCE_RADIUS_PIXELS, words)
    if flux[bright] < SIGNIFICANT_SIGMA:
        brightest = np.unravel_index(int(np.argmax(flux)), flux.shape)
        if about == (CENTRE, CENTRE) and flux[brightest] >= ELSEWHERE_SIGMA:
            return _off_centre(stamps, centroid(flux, (int(brightest[0]), int(brightest[1]))))
        return _pixels("difference", "difference", stamps, place, is_brighter)
    at = centroid(flux, bright)
    if stamps.full_pixels and _distance(at) <= radius:
        return _full(stamps)
    if _distance(at) <= NEAR_PIXELS:
        return _centred(stamps, place, is_brighter, bright, at)
    main = brightest_near(flux, (CENTRE, CENTRE), radius)
    if flux[main] >= SIGNIFICANT_SIGMA and _distance(centroid(flux, main)) <= NEAR_PIXELS:
        words = f"second source in the difference {stamps.away(at)}"
        return Finding("neighbour", "difference", *at, SOURCE_RADIUS_PIXELS, words)
    return _off_centre(stamps, at)


def _off_centre(stamps: Stamps, at: tuple[float, float]) -> Finding:
    words = f"source in the difference {_distance(at) * stamps.pixel_arcsec:.0f} arcsec off centre"
    return Finding("off-centre", "difference", *at, SOURCE_RADIUS_PIXELS, words)


def _centred(
    stamps: Stamps, place: tuple[int, int], is_brighter: bool, bright: tuple[int, int], at: tuple[float, float]
) -> Finding:
    """Say what is odd of a source in the middle."""
    flux = stamps.flux["difference"]
    rows, columns = (slice(max(0, i - 1), i + 2) for i in bright)
    here = functools.partial(Finding, stamp="difference", row=at[0], column=at[1], radius=SOURCE_RADIUS_PIXELS)
    if flux[bright] >= SINGLE_PIXEL_SHARE * np.maximum(flux[rows, columns], 0.0).sum():
        return here("single pixel", words="single bright pixel at the centre of the difference")
    if _distance(place) <= NEAR_PIXELS:
        direction = "brighter" if is_brighter else "fainter"
        return here("shape", words=f"middle of the source in the difference {direction} than expected")
    return here("shape", words=f"source in the difference {'wider' if is_brighter else 'narrower'} than expected")


def _in_template(stamps: Stamps, place: tuple[int, int], is_brighter: bool) -> Finding:
    if not stamps.has_host:
        middle = float(CENTRE), float(CENTRE)
        return Finding("host missing", "template", *middle, HOST_RADIUS_PIXELS, "no host in the template")
    return _pixels("template", "template", stamps, place, is_brighter)


def _in_science(stamps: Stamps, place: tuple[int, int], is_brighter: bool) -> Finding:
    if stamps.full_pixels and _distance(place) <= 2 * SOURCE_RADIUS_PIXELS:
        return _full(stamps)
    return _pixels("science", "science stamp", stamps, place, is_brighter)


def _full(stamps: Stamps) -> Finding:
    """Name what fills the detector: it shows in the science stamp, whichever term found it."""
    words = f"source with {stamps.full_pixels}, as of full pixels"
    return Finding("saturated", "science", float(CENTRE), float(CENTRE), SOURCE_RADIUS_PIXELS, words)


def _pixels(stamp: str, name: str, stamps: Stamps, place: tuple[int, int], is_brighter: bool) -> Finding:
    kind = f"{'bright' if is_brighter else 'dark'} pixels"
    words = f"{kind} in the {name} {stamps.away(place)}"
    return Finding(kind, stamp, float(place[0]), float(place[1]), SOURCE_RADIUS_PIXELS, words)


def _edges(flux: NDArray[np.float64], is_present: NDArray[np.bool_]) -> tuple[float, float]:
    """Return level and noise of a stamp where it is farthest from the object, or of all of it where edges are missing.

    A galaxy that fills a stamp would else be its own noise. It is told from what is fainter than the median: stars are
    brighter.
    """
    is_edge = is_present & (np.maximum(abs(_ROWS), abs(_COLUMNS)) > CENTRE - EDGE_PIXELS)
    known = flux[is_edge] if np.count_nonzero(is_edge) >= MIN_EDGE_COUNT else flux[is_present]
    low, level = np.percentile(known, [100 * ONE_SIGMA_TAIL, 50.0])
    return float(level), float(level - low)


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
    """Return the centre of the positive light in the 3 x 3 pixels about a place that has some."""
    first = max(0, place[0] - 1), max(0, place[1] - 1)
    part = np.maximum(flux[first[0] : place[0] + 2, first[1] : place[1] + 2], 0.0)
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    total = part.sum()
    return float((part * rows).sum() / total) + first[0], float((part * columns).sum() / total) + first[1]


def streak_of(flux: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return row and column of the point next to the centre of a streak across a stamp; None where there is none.

    Along a streak most pixels are brighter than one noise level, as one in six is elsewhere.
    """
    bright = np.flatnonzero(flux > 1.0)
    n_bright = np.bincount(_LINES_OF_PIXEL[bright].ravel(), minlength=_N_LINES)
    share = np.where(_LINE_LENGTH >= MIN_STREAK_PIXELS, n_bright / np.maximum(_LINE_LENGTH, 1), 0.0)
    line = int(np.argmax(share))
    if share[line] < MIN_STREAK_SHARE:
        return None
    angle, offset = divmod(line, _N_OFFSETS)
    distance = offset - _N_OFFSETS // 2
    return float(CENTRE + np.cos(_ANGLES[angle]) * distance), float(CENTRE - np.sin(_ANGLES[angle]) * distance)


def _distance(place: tuple[float, float]) -> float:
    """Return how far a place is from the centre, in pixels."""
    return math.hypot(place[0] - CENTRE, place[1] - CENTRE)


def _boxed(deviation: NDArray[np.float32], box_pixels: int) -> NDArray[np.float64]:
    """Sum in boxes about each pixel; what is outside counts as 0."""
    reach = box_pixels // 2
    padded = np.pad(deviation.astype(np.float64), reach)
    return sum(padded[i : i + SIDE, j : j + SIDE] for i in range(box_pixels) for j in range(box_pixels))
