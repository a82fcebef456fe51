"""Draws a light curve on axes: what was seen, the normal supernova most like it, and what is left."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.nights import day_of
from annotator.preprocess.lightcurve import GRID_BANDS
from annotator.reasons.reason import Reason
from annotator.report.expected import ShownCurve
from annotator.report.pages.thumbnails import BAND_COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BEFORE_DAYS, AFTER_DAYS = 120.0, 320.0
"""About the peak, what is shown of a light curve: the model looks at 50 days before to 300 after."""

MARKERS = {"g": "o", "r": "s", "i": "D"}
_MARKER_SIZES = {"g": 5.6, "r": 5.2, "i": 4.8}
_SHORTEST_MARK_DAYS = 1.5
"""Of what a reason names: a single epoch would be a line."""

_SAME_EPOCH_DAYS = 0.01


@dataclass(frozen=True)
class Theme:
    """Colours of a plot."""

    ink: str
    muted: str
    grid: str
    surface: str
    bands: Mapping[str, str]


PAPER = Theme("#1b1f24", "#59626d", "#dde1e5", "#ffffff", BAND_COLOURS)

SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "lasair-aha", "font.family": "sans-serif", "font.size": 9.5}


@dataclass(frozen=True)
class Words:
    """Words beside an axis. Matplotlib takes a millisecond to lay one out; a browser does it by itself."""

    axes: "Axes"
    x: float
    y: float
    """In units of the axes."""
    text: str
    right_points: float
    up_points: float
    """From there."""
    anchor: str
    """start, middle or end of the text."""
    colour: str
    is_upright: bool = False


def write_words(several: Sequence[Words]) -> None:
    """Write words with matplotlib."""
    from matplotlib.transforms import offset_copy

    for words in several:
        figure = words.axes.figure
        place = offset_copy(words.axes.transData, figure, words.right_points, words.up_points, units="points")
        across = {"start": "left", "middle": "center", "end": "right"}[words.anchor]
        turn = {"rotation": 90, "rotation_mode": "anchor"} if words.is_upright else {}
        words.axes.text(
            words.x, words.y, words.text, transform=place, ha=across, va="baseline", color=words.colour, **turn
        )


def curve_axes(figure: "Figure", box: tuple[float, float, float, float]) -> "tuple[Axes, Axes]":
    """Make axes for magnitudes, and for residuals beneath."""
    left, bottom, width, height = box
    lower, gap = 0.25 * height, 0.035 * height
    main = figure.add_axes((left, bottom + lower + gap, width, height - lower - gap))
    residual = figure.add_axes((left, bottom, width, lower))
    for axes in (main, residual):
        axes.set_axis_off()  # Axis objects of matplotlib's own take more time than all that is drawn here
    return main, residual


def draw_curve(several: "Sequence[Axes]", curve: ShownCurve, reasons: Sequence[Reason], theme: Theme) -> list[Words]:
    """Draw all but the words, which are returned."""
    main, residual = several
    seen = curve.light_curve
    days = seen.time_mjd - curve.peak_mjd
    span = _shown_days(curve)
    is_shown = (days >= span[0]) & (days <= span[1])
    residuals = curve.residual_mag()
    reach = max(0.3, float(np.nanmax(np.abs(residuals[is_shown]), initial=0.0)) * 1.25)
    for axes in several:
        axes.set_xlim(*span)
    main.set_ylim(*_shown_magnitudes(curve, is_shown, span))
    residual.set_ylim(reach, -reach)
    _draw_frame(main, residual, theme)
    _mark_epochs(several, curve, reasons, span, theme)
    _draw_limits(main, curve, span, theme)
    _draw_expected(main, curve, span, theme)
    for band, chosen, is_filled, is_faint in _groups(curve, is_shown):
        colour = theme.bands.get(band, theme.muted)
        for axes, values in ((main, seen.magnitude), (residual, residuals)):
            there = chosen & np.isfinite(values)
            if not there.any():
                continue
            x, y, errors = days[there], values[there], np.nan_to_num(seen.magnitude_error[there])
            alpha = 0.45 if is_faint else 1.0
            _line(axes, *_strokes(x, y - errors, x, y + errors), color=colour, linewidth=1.1, alpha=0.6 * alpha)
            face = colour if is_filled else theme.surface
            _marks(axes, x, y, band, color=colour, markerfacecolor=face, alpha=alpha, zorder=3)
    _ring_detections(main, curve, reasons, theme)
    return _frame_words(main, residual, curve.peak_mjd, theme)


def _line(axes: "Axes", x: NDArray, y: NDArray, **style: object) -> None:
    from matplotlib.lines import Line2D

    axes.add_line(Line2D(x, y, **style))


def _marks(axes: "Axes", x: NDArray, y: NDArray, band: str, **style: object) -> None:
    style = {"marker": MARKERS.get(band, "D"), "markersize": _MARKER_SIZES.get(band, 4.8)} | style
    _line(axes, x, y, linestyle="none", **style)


def _strokes(x0: NDArray, y0: NDArray, x1: NDArray, y1: NDArray) -> tuple[NDArray, NDArray]:
    """Lay strokes out as one line with gaps: one artist instead of many."""
    gap = np.full(len(x0), np.nan)
    return np.column_stack([x0, x1, gap]).ravel(), np.column_stack([y0, y1, gap]).ravel()


_N_DAYS, _N_MAGNITUDES, _N_RESIDUALS = 8, 6, 3
"""Ticks at most."""


def _draw_frame(main: "Axes", residual: "Axes", theme: Theme) -> None:
    """Draw the grid and a frame around it."""
    first, last = main.get_xlim()
    days = _ticks(first, last, _N_DAYS)
    for axes, n_values in ((main, _N_MAGNITUDES), (residual, _N_RESIDUALS)):
        low, high = sorted(axes.get_ylim())
        values = _ticks(low, high, n_values)
        up = _strokes(days, np.full(len(days), low), days, np.full(len(days), high))
        across = _strokes(np.full(len(values), first), values, np.full(len(values), last), values)
        _line(axes, *map(np.concatenate, zip(up, across, strict=True)), color=theme.grid, linewidth=0.6, zorder=0)
        edge = [first, first, last, last, first], [low, high, high, low, low]
        _line(axes, *edge, color=theme.grid, linewidth=1.0, clip_on=False, zorder=0)
    _line(residual, [first, last], [0, 0], color=theme.muted, linewidth=1.0, zorder=1)


def _frame_words(main: "Axes", residual: "Axes", peak_mjd: float, theme: Theme) -> list[Words]:
    """Name days below, magnitudes at the left, dates above."""
    first, last = main.get_xlim()
    days = _ticks(first, last, _N_DAYS)
    words = []
    for axes, n_values, name in ((main, _N_MAGNITUDES, "magnitude"), (residual, _N_RESIDUALS, "residual, mag")):
        low, high = sorted(axes.get_ylim())
        values = _ticks(low, high, n_values)
        for value, text in zip(values, _tick_names(values), strict=True):
            words.append(Words(axes, first, value, text, -5, -3.3, "end", theme.muted))
        words.append(Words(axes, first, (low + high) / 2, name, -36, 0, "middle", theme.muted, is_upright=True))
    bottom, top = residual.get_ylim()[0], main.get_ylim()[1]
    for day, text in zip(days, _tick_names(days), strict=True):
        words.append(Words(residual, day, bottom, text, 0, -13, "middle", theme.muted))
    words.append(Words(residual, (first + last) / 2, bottom, "days from peak", 0, -27, "middle", theme.muted))
    for mjd in _whole_days(peak_mjd + first, peak_mjd + last):
        words.append(Words(main, mjd - peak_mjd, top, day_of(mjd), 0, 17, "middle", theme.ink))
        words.append(Words(main, mjd - peak_mjd, top, f"{mjd:.0f}", 0, 5, "middle", theme.muted))
    return words


def _tick_names(values: NDArray[np.float64]) -> list[str]:
    """Write ticks with as many decimals as tell them apart."""
    step = values[1] - values[0] if len(values) > 1 else 1.0
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    return [f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") for value in values + 0.0]


def _ticks(low: float, high: float, n_most: int) -> NDArray[np.float64]:
    from matplotlib.ticker import MaxNLocator

    values = MaxNLocator(n_most, steps=[1, 2, 5, 10]).tick_values(low, high)
    return values[(values >= low) & (values <= high)]


def _whole_days(first_mjd: float, last_mjd: float) -> NDArray[np.float64]:
    """Choose at most six days to name, far enough from the ends that their names fit."""
    spare = 0.075 * (last_mjd - first_mjd)
    first_mjd, last_mjd = first_mjd + spare, last_mjd - spare
    steps = (1, 2, 5, 10, 20, 50, 100)
    step = next((days for days in steps if (last_mjd - first_mjd) / days < 6), steps[-1])
    return np.arange(np.ceil(first_mjd / step) * step, last_mjd, step)


def _shown_days(curve: ShownCurve) -> tuple[float, float]:
    days = curve.light_curve.time_mjd - curve.peak_mjd
    days = days[(days >= -BEFORE_DAYS) & (days <= AFTER_DAYS)]
    if not len(days):
        days = np.zeros(1)
    span = max(float(days.max() - days.min()), 14.0)
    return float(days.min()) - 0.12 * span - 2, float(days.max()) + 0.08 * span + 1


def _shown_magnitudes(curve: ShownCurve, is_shown: NDArray[np.bool_], span: tuple[float, float]) -> tuple[float, float]:
    seen = curve.light_curve
    limit_days = seen.limit_time_mjd - curve.peak_mjd
    limits = seen.limit_magnitude[(limit_days >= span[0]) & (limit_days <= span[1])]
    values = np.concatenate([seen.magnitude[is_shown], limits])
    if not len(values):
        values = np.array([curve.peak_mag])
    brightest, faintest = float(values.min()), float(values.max())
    if curve.expected_mag is not None:
        brightest = min(brightest, max(float(curve.expected_mag[curve.is_supported].min()), brightest - 1.5))
    margin = 0.08 * max(faintest - brightest, 1.0)
    return faintest + margin, brightest - margin


def _groups(curve: ShownCurve, is_shown: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_], bool, bool]]:
    """Split detections by what they look like: band; whether filled, being positive; whether faint, being unused."""
    seen = curve.light_curve
    for band in sorted(set(curve.letter[is_shown].tolist())):
        of_band = is_shown & (curve.letter == band)
        for is_positive in (False, True):
            for is_used in (False, True):
                chosen = of_band & (seen.is_positive == is_positive) & (curve.is_used == is_used)
                if chosen.any():
                    yield band, chosen, is_positive, not is_used


def _draw_limits(axes: "Axes", curve: ShownCurve, span: tuple[float, float], theme: Theme) -> None:
    seen = curve.light_curve
    days = seen.limit_time_mjd - curve.peak_mjd
    for band in sorted(set(curve.limit_letter.tolist())):
        chosen = (curve.limit_letter == band) & (days >= span[0]) & (days <= span[1])
        style = {"marker": "v", "markersize": 3.8, "markeredgewidth": 0, "alpha": 0.45, "zorder": 1.5}
        _marks(
            axes, days[chosen], seen.limit_magnitude[chosen], band, color=theme.bands.get(band, theme.muted), **style
        )


def _draw_expected(axes: "Axes", curve: ShownCurve, span: tuple[float, float], theme: Theme) -> None:
    if curve.expected_mag is None:
        return
    days = curve.grid_mjd - curve.peak_mjd
    near = (days >= span[0] - 2) & (days <= span[1] + 2)
    for number, band in enumerate(GRID_BANDS):
        if not curve.is_supported[number].any():
            continue
        colour, expected = theme.bands[BANDS[band].letter], curve.expected_mag[number]
        _line(axes, days[near], expected[near], color=colour, linewidth=1.0, alpha=0.7, dashes=(4, 2.5))
        supported = np.where(curve.is_supported[number], expected, np.nan)
        _line(axes, days[near], supported[near], color=colour, linewidth=2.0, alpha=0.85)


def _epochs(reasons: Sequence[Reason]) -> Iterator[tuple[float, float, str]]:
    """Yield first and last epoch and band of those reasons that name any."""
    for reason in reasons:
        first, last = reason.where.get("first_mjd"), reason.where.get("last_mjd")
        if isinstance(first, int | float) and isinstance(last, int | float):
            yield float(first), float(last), str(reason.where.get("band", ""))


def _mark_epochs(
    several: "Sequence[Axes]", curve: ShownCurve, reasons: Sequence[Reason], span: tuple[float, float], theme: Theme
) -> None:
    """Shade the epochs that carry the score."""
    for first, last, band in _epochs(reasons):
        spare = max(0.0, _SHORTEST_MARK_DAYS - (last - first)) / 2 + 0.25
        low, high = max(first - curve.peak_mjd - spare, span[0]), min(last - curve.peak_mjd + spare, span[1])
        if low < high:
            for axes in several:
                axes.axvspan(low, high, color=theme.bands.get(band, theme.muted), alpha=0.13, linewidth=0, zorder=0.5)


def _ring_detections(axes: "Axes", curve: ShownCurve, reasons: Sequence[Reason], theme: Theme) -> None:
    """Ring the detections that carry the score."""
    seen = curve.light_curve
    chosen = np.zeros(len(seen.time_mjd), dtype=bool)
    for first, last, band in _epochs(reasons):
        near = (seen.time_mjd >= first - _SAME_EPOCH_DAYS) & (seen.time_mjd <= last + _SAME_EPOCH_DAYS)
        chosen |= near & curve.is_used & ((curve.letter == band) if band else True)
    ring = {"marker": "o", "markersize": 10.5, "markerfacecolor": "none", "markeredgewidth": 1.1, "linestyle": "none"}
    _line(axes, seen.time_mjd[chosen] - curve.peak_mjd, seen.magnitude[chosen], color=theme.ink, zorder=4, **ring)
