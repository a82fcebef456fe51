"""Small pictures that need no plot: stamps as PNG, thumbnails and the history of scores as SVG."""

import functools
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.nights import mjd_of
from annotator.preprocess.triplet import SIDE
from annotator.report.expected import ShownCurve, ShownStamps
from annotator.report.night import PastScore
from annotator.report.pages.band_styles import BAND_STYLES, FORCED_SIZE
from annotator.report.pages.curve_axis import curve_axis

GAP = 3
"""Transparent pixels between stamps."""

DEVIATION_RANGE = 6.0
"""In expected deviations, either way; the same for all objects, so that they can be compared."""

_TRANSPARENT, _MISSING, _GREY, _DIVERGING = 0, 1, 2, 129
_N_GREY = _N_DIVERGING = 127
_MISSING_COLOUR = (126, 87, 160)
_FAINTEST = -1.2
"""Of a scaled pixel, shown black: a few noise levels below the sky."""
_LEAST_BRIGHT = 2.5
"""Of a scaled pixel: a stamp whose brightest pixels are fainter is shown as noise."""

THUMBNAIL_SIDE = (144, 52)
"""Width and height of a light curve's thumbnail."""


def stamps_side(n_stamps: int) -> int:
    """Return how many pixels a row or column of stamps takes."""
    return n_stamps * (SIDE + GAP) - GAP


def stamps_png(stamps: ShownStamps) -> bytes:
    """Draw the stamps as seen, below them what was expected and the deviation, three by three with gaps."""
    ranges = [_range(stamps.seen[n][stamps.is_present[n]]) for n in range(3)]
    rows = [[_grey(stamps.seen[n], *ranges[n]) for n in range(3)]]
    if stamps.expected is not None:
        rows.append([_grey(stamps.expected[n], *ranges[n]) for n in range(3)])
    if stamps.deviation is not None:
        rows.append([_diverging(stamps.deviation[n]) for n in range(3)])
    for row in rows:
        for n, stamp in enumerate(row):
            stamp[~stamps.is_present[n]] = _MISSING
    return _png(_tiled(rows))


def stamps_thumbnail_png(stamps: ShownStamps) -> bytes:
    """Draw the stamps as seen side by side."""
    row = []
    for seen, is_present in zip(stamps.seen, stamps.is_present, strict=True):
        stamp = _grey(seen, *_range(seen[is_present]))
        stamp[~is_present] = _MISSING
        row.append(stamp)
    return _png(_tiled([row]))


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    return _FAINTEST, max(_LEAST_BRIGHT, float(np.percentile(values, 99.7)))


def _grey(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    level = np.clip((values - low) / (high - low), 0, 1)
    return (_GREY + np.rint(level * (_N_GREY - 1))).astype(np.uint8)


def _diverging(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    level = np.clip(values / DEVIATION_RANGE, -1, 1) * (_N_DIVERGING // 2)
    return (_DIVERGING + _N_DIVERGING // 2 + np.rint(level)).astype(np.uint8)


def _tiled(rows: Sequence[Sequence[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    step = SIDE + GAP
    canvas = np.full((stamps_side(len(rows)), stamps_side(len(rows[0]))), _TRANSPARENT, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, stamp in enumerate(row):
            canvas[i * step : i * step + SIDE, j * step : j * step + SIDE] = stamp
    return canvas


@functools.cache
def _palette() -> bytes:
    from matplotlib import colormaps  # only what draws needs it

    grey = np.repeat(np.rint(np.linspace(0, 255, _N_GREY))[:, None], 3, axis=1)
    diverging = np.rint(255 * colormaps["berlin"](np.linspace(0, 1, _N_DIVERGING))[:, :3])
    return np.vstack([[(0, 0, 0), _MISSING_COLOUR], grey, diverging]).astype(np.uint8).tobytes()


def _png(indices: NDArray[np.uint8]) -> bytes:
    """Write a PNG of colours in a palette, of which the first is transparent."""
    from PIL import Image

    height, width = indices.shape
    picture = Image.frombytes("P", (width, height), indices.tobytes())
    picture.putpalette(_palette())
    file = io.BytesIO()
    picture.save(file, format="PNG", transparency=_TRANSPARENT)
    return file.getvalue()


def light_curve_thumbnail(curve: ShownCurve) -> str:
    """Draw the measurements of a light curve in a few square centimetres, as a file of its own."""
    width, height = THUMBNAIL_SIDE
    seen, axis, letters = curve.light_curve, curve_axis(curve), curve.letter.tolist()
    is_near = np.abs(seen.time_mjd - curve.peak_mjd) <= 320
    time = seen.time_mjd[is_near]
    first, last = (time.min(), time.max()) if len(time) else (curve.peak_mjd, curve.peak_mjd)
    last = max(last, first + 10.0)
    limits = (seen.limit_time_mjd >= first - 10) & (seen.limit_time_mjd <= last + 10)
    first, last = min([first, *seen.limit_time_mjd[limits]]), max([last, *seen.limit_time_mjd[limits]])
    low, high = axis.span(is_near, limits, least=1.0)

    def x(mjd: float) -> float:
        return 5 + (width - 10) * (mjd - first) / (last - first)

    def y(value: float) -> float:
        share = (value - low) / (high - low)
        return 5 + (height - 10) * (1 - share if axis.is_flux else share)

    marks = [f'<path d="M0 {y(0.0):.1f}h{width}" stroke="#8a939c" stroke-opacity=".5"/>'] if axis.is_flux else []
    marks += [
        f'<path d="M{x(t) - 2:.1f} {y(v) - 1:.1f}h4l-2 3z" fill="#8a939c" fill-opacity=".55"/>'
        for t, v in zip(seen.limit_time_mjd[limits], axis.limits[limits], strict=True)
    ]
    is_open = seen.is_forced if axis.is_flux else seen.is_forced | ~seen.is_positive
    there = np.flatnonzero(is_near & axis.is_within & np.isfinite(axis.values))
    for n in there[np.argsort(~seen.is_forced[there], kind="stable")].tolist():  # detections above what is forced
        size = FORCED_SIZE if seen.is_forced[n] else 1.0
        marks.append(_mark(x(seen.time_mjd[n]), y(axis.values[n]), letters[n], bool(is_open[n]), size))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{"".join(marks)}</svg>\n'
    )


def _mark(x: float, y: float, letter: str, is_open: bool, size: float) -> str:
    style = BAND_STYLES[letter]
    paint = f'fill="none" stroke="{style.colour}"' if is_open else f'fill="{style.colour}"'
    scale = "" if size == 1.0 else f" scale({size:g})"
    return f'<path class="{letter}" transform="translate({x:.1f} {y:.1f}){scale}" d="{style.path}" {paint}/>'


_LEAST_SCALE = 0.1
"""The score at the top of a history, at the least."""


def score_history_svg(history: Sequence[PastScore], watch_score: float, anomaly_score: float) -> str:
    """Draw scores by epoch with the thresholds; of a single score a single point.

    Only numbers are written into it, and colours are classes of the style sheet.
    """
    width, height, left, right, top, bottom = 520, 170, 34, 74, 10, 26
    times = [mjd_of(item.scored_at) for item in history]
    first, last = min(times), max(times)
    if last - first < 1:
        first, last = first - 0.5, last + 0.5
    # All of them can be 0.
    highest = max(_LEAST_SCALE, watch_score * 1.2, anomaly_score * 1.2, *(item.score for item in history)) * 1.05

    def x(mjd: float) -> float:
        return left + (width - left - right) * (mjd - first) / (last - first)

    def y(score: float) -> float:
        return top + (height - top - bottom) * (1 - score / highest)

    parts = [
        f'<text class="axis" x="{left - 6}" y="{y(value) + 3.5:.1f}" text-anchor="end">{value}</text>'
        for value in range(0, int(highest) + 1, max(1, round(highest / 5)))
    ]
    parts.append(f'<path class="frame" d="M{left} {top}V{height - bottom}H{width - right}"/>')
    for name, value in (("watch", watch_score), ("anomaly", anomaly_score)):
        parts.append(f'<path class="threshold" d="M{left} {y(value):.1f}H{width - right}"/>')
        parts.append(f'<text class="axis" x="{width - right + 5}" y="{y(value) + 3.5:.1f}">{name} {value:g}</text>')
    points = [(x(time), y(item.score)) for time, item in zip(times, history, strict=True)]
    parts.append(f'<polyline class="course" points="{" ".join(f"{px:.1f},{py:.1f}" for px, py in points)}"/>')
    parts += [f'<circle class="past" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in points[:-1]]
    parts.append(f'<circle class="now" cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="4.5"/>')
    ticks = [times[-1]] if len(history) == 1 else [times[0], times[-1]]
    anchors = ["middle"] if len(history) == 1 else ["start", "end"]
    parts += [
        f'<text class="axis" x="{x(time):.1f}" y="{height - 8}" text-anchor="{anchor}">MJD {time:.1f}</text>'
        for time, anchor in zip(ticks, anchors, strict=True)
    ]
    label = f"Score by time: {len(history)} scorings, the last {history[-1].score:.2f}"
    return f'<svg class="history" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
