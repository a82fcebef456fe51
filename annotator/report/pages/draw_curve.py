"""Draws a light curve on axes: what was seen, the normal supernova most like it, and what is left."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.bands import BANDS
from annotator.nights import day_of
from annotator.reasons.reason import Reason
from annotator.report.expected import ShownCurve
from annotator.report.pages.band_styles import BAND_STYLES, FORCED_SIZE
from annotator.report.pages.curve_axis import CurveAxis, curve_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BEFORE_DAYS, AFTER_DAYS = 120.0, 320.0
"""About the peak, what is shown of a light curve: the model looks at 50 days before to 300 after."""

_SHORTEST_MARK_DAYS = 1.5
"""Of what a reason names: a single epoch would be a line."""

_SAME_EPOCH_DAYS = 0.01

_LOWER, _GAP = 0.25, 0.035
"""Shares of the whole height: the residuals, and what is free above them."""


@dataclass(frozen=True)
class Theme:
    """Colours of a plot."""

    ink: str
    muted: str
    grid: str
    surface: str
    bands: Mapping[str, str]


PAPER = Theme(
    "#1b1f24", "#59626d", "#dde1e5", "#ffffff", {style.letter: style.colour for style in BAND_STYLES.values()}
)

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
    """Make axes for a light curve, and for residuals beneath."""
    left, bottom, width, height = box
    main = figure.add_axes(box)
    residual = figure.add_axes((left, bottom, width, _LOWER * height))
    for axes in (main, residual):
        axes.set_axis_off()  # Axis objects of matplotlib's own take more time than all that is drawn here
    return main, residual


def draw_curve(several: "Sequence[Axes]", curve: ShownCurve, reasons: Sequence[Reason], theme: Theme) -> list[Words]:
    """Draw all but the words, which are returned; where nothing is expected there are no residuals."""
    main, residual = several
    axis = curve_axis(curve)
    days = curve.light_curve.time_mjd - curve.peak_mjd
    span = _shown_days(curve)
    is_shown = (days >= span[0]) & (days <= span[1])
    residuals = curve.residual_mag()
    half = max(0.3, float(np.nanmax(np.abs(residuals[is_shown]), initial=0.0)) * 1.25)
    errors_mag = np.nan_to_num(curve.light_curve.magnitude_error)
    drawn = (
        (main, axis.name, axis.values, axis.errors, _N_VALUES),
        (residual, "residual, mag", residuals, errors_mag, _N_RESIDUALS),
    )
    if curve.expected_mag is None:
        drawn = drawn[:1]
    _share_room(main, residual, is_alone=len(drawn) == 1)
    for axes in several:
        axes.set_xlim(*span)
    main.set_ylim(*_shown_values(curve, axis, is_shown, span))
    residual.set_ylim(half, -half)
    for axes, _, _, _, n_values in drawn:
        _draw_frame(axes, n_values, theme)
    _mark_epochs([axes for axes, *_ in drawn], curve, reasons, span, theme)
    _draw_limits(main, curve, axis, span, theme)
    _draw_expected(main, curve, axis, span, theme)
    for letter, chosen, look in _groups(curve, is_shown):
        colour = theme.bands[letter]
        for axes, _, values, errors, _ in drawn:
            there = chosen & np.isfinite(values)
            if not there.any():
                continue
            x, y, reach = days[there], values[there], errors[there]
            _line(axes, *_strokes(x, y - reach, x, y + reach), color=colour, linewidth=1.1, alpha=look.alpha * 0.6)
            face = colour if look.is_filled else theme.surface
            size = BAND_STYLES[letter].size_points * look.size
            _marks(axes, x, y, letter, color=colour, markerfacecolor=face, alpha=look.alpha, markersize=size, zorder=3)
    _ring_detections(main, curve, axis, reasons, theme)
    words = _frame_words([(axes, name, n_values) for axes, name, *_, n_values in drawn], curve.peak_mjd, theme)
    if n_beyond := int((is_shown & ~axis.is_within).sum()):
        top = main.get_ylim()[1]
        words.append(Words(main, span[1], top, f"{n_beyond} forced beyond", -5, -14, "end", theme.muted))
    return words


def _share_room(main: "Axes", residual: "Axes", is_alone: bool) -> None:
    """Give the light curve the room of the residuals, too, where there are none."""
    above, below = main.get_position(original=True), residual.get_position(original=True)
    bottom = below.y0 if is_alone else below.y0 + (_LOWER + _GAP) * (above.y1 - below.y0)
    main.set_position((above.x0, bottom, above.width, above.y1 - bottom))


def _line(axes: "Axes", x: NDArray, y: NDArray, **style: object) -> None:
    from matplotlib.lines import Line2D

    axes.add_line(Line2D(x, y, **style))


def _marks(axes: "Axes", x: NDArray, y: NDArray, band: str, **style: object) -> None:
    style = {"marker": BAND_STYLES[band].marker, "markersize": BAND_STYLES[band].size_points} | style
    _line(axes, x, y, linestyle="none", **style)


def _strokes(x0: NDArray, y0: NDArray, x1: NDArray, y1: NDArray) -> tuple[NDArray, NDArray]:
    """Lay strokes out as one line with gaps: one artist instead of many."""
    gap = np.full(len(x0), np.nan)
    return np.column_stack([x0, x1, gap]).ravel(), np.column_stack([y0, y1, gap]).ravel()


_N_DAYS, _N_VALUES, _N_RESIDUALS = 8, 6, 3
"""Ticks at most."""


def _draw_frame(axes: "Axes", n_values: int, theme: Theme) -> None:
    """Draw the grid and a frame around it, and a line at 0 where that is inside."""
    first, last = axes.get_xlim()
    days = _ticks(first, last, _N_DAYS)
    low, high = sorted(axes.get_ylim())
    values = _ticks(low, high, n_values)
    up = _strokes(days, np.full(len(days), low), days, np.full(len(days), high))
    across = _strokes(np.full(len(values), first), values, np.full(len(values), last), values)
    _line(axes, *map(np.concatenate, zip(up, across, strict=True)), color=theme.grid, linewidth=0.6, zorder=0)
    edge = [first, first, last, last, first], [low, high, high, low, low]
    _line(axes, *edge, color=theme.grid, linewidth=1.0, clip_on=False, zorder=0)
    if low < 0 < high:
        _line(axes, [first, last], [0, 0], color=theme.muted, linewidth=1.0, zorder=1)


def _frame_words(drawn: "Sequence[tuple[Axes, str, int]]", peak_mjd: float, theme: Theme) -> list[Words]:
    """Name days below, values at the left, dates above."""
    (main, *_), (lowest, *_) = drawn[0], drawn[-1]
    first, last = main.get_xlim()
    days = _ticks(first, last, _N_DAYS)
    words = []
    for axes, name, n_values in drawn:
        low, high = sorted(axes.get_ylim())
        values = _ticks(low, high, n_values)
        for value, text in zip(values, _tick_names(values), strict=True):
            words.append(Words(axes, first, value, text, -5, -3.3, "end", theme.muted))
        words.append(Words(axes, first, (low + high) / 2, name, -36, 0, "middle", theme.muted, is_upright=True))
    bottom, top = lowest.get_ylim()[0], main.get_ylim()[1]
    for day, text in zip(days, _tick_names(days), strict=True):
        words.append(Words(lowest, day, bottom, text, 0, -13, "middle", theme.muted))
    words.append(Words(lowest, (first + last) / 2, bottom, "days from peak", 0, -27, "middle", theme.muted))
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


def _shown_values(
    curve: ShownCurve, axis: CurveAxis, is_shown: NDArray[np.bool_], span: tuple[float, float]
) -> tuple[float, float]:
    """Return what is at the bottom and at the top."""
    limit_days = curve.light_curve.limit_time_mjd - curve.peak_mjd
    is_limit_shown = (limit_days >= span[0]) & (limit_days <= span[1])
    if not (axis.is_flux or is_shown.any() or is_limit_shown.any()):
        return curve.peak_mag + 0.08, curve.peak_mag - 0.08
    low, high = axis.span(is_shown, is_limit_shown, least=0.0)
    if axis.is_flux:
        margin = 0.08 * max(high - low, 1e-3)
        return low - margin, high + margin
    if curve.expected_mag is not None:
        low = min(low, max(float(curve.expected_mag[curve.is_supported].min()), low - 1.5))
    margin = 0.08 * max(high - low, 1.0)
    return high + margin, low - margin


@dataclass(frozen=True)
class _Look:
    """How some measurements are drawn."""

    is_filled: bool
    size: float
    alpha: float


def _groups(curve: ShownCurve, is_shown: NDArray[np.bool_]) -> Iterator[tuple[str, NDArray[np.bool_], _Look]]:
    """Split measurements by what they look like: band; filled where detected and positive; faint where unused.

    On an axis of flux the place says the sign, and only what is forced is open, and small; it comes first, beneath.
    """
    seen = curve.light_curve
    is_filled = ~seen.is_forced if curve.in_flux else seen.is_positive & ~seen.is_forced
    for letter in BAND_STYLES:
        of_band = is_shown & (curve.letter == letter)
        for filled, forced, used in itertools.product((False, True), (True, False), (False, True)):
            chosen = of_band & (is_filled == filled) & (seen.is_forced == forced) & (curve.is_used == used)
            if chosen.any():
                yield letter, chosen, _Look(filled, FORCED_SIZE if forced else 1.0, 1.0 if used else 0.45)


def _draw_limits(axes: "Axes", curve: ShownCurve, axis: CurveAxis, span: tuple[float, float], theme: Theme) -> None:
    days = curve.light_curve.limit_time_mjd - curve.peak_mjd
    for letter in BAND_STYLES:
        chosen = (curve.limit_letter == letter) & (days >= span[0]) & (days <= span[1])
        if chosen.any():
            style = {"marker": "v", "markersize": 3.8, "markeredgewidth": 0, "alpha": 0.45, "zorder": 1.5}
            _marks(axes, days[chosen], axis.limits[chosen], letter, color=theme.bands[letter], **style)


def _draw_expected(axes: "Axes", curve: ShownCurve, axis: CurveAxis, span: tuple[float, float], theme: Theme) -> None:
    if curve.expected_mag is None:
        return
    days = curve.grid_mjd - curve.peak_mjd
    # From one before the axes to one behind, wherever those are: what is too much is cut off.
    first, last = np.searchsorted(days, span)
    near = slice(max(first - 1, 0), last + 1)
    for number, band in enumerate(curve.bands):
        if not curve.is_supported[number].any():
            continue
        colour = theme.bands[BANDS[band].letter]
        expected = axis.of_magnitude(curve.expected_mag[number], curve.sign)
        if curve.is_dashed:
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


def _ring_detections(axes: "Axes", curve: ShownCurve, axis: CurveAxis, reasons: Sequence[Reason], theme: Theme) -> None:
    """Ring the detections that carry the score."""
    seen = curve.light_curve
    chosen = np.zeros(len(seen.time_mjd), dtype=bool)
    for first, last, band in _epochs(reasons):
        near = (seen.time_mjd >= first - _SAME_EPOCH_DAYS) & (seen.time_mjd <= last + _SAME_EPOCH_DAYS)
        chosen |= near & curve.is_used & ((curve.letter == band) if band else True)
    ring = {"marker": "o", "markersize": 10.5, "markerfacecolor": "none", "markeredgewidth": 1.1, "linestyle": "none"}
    _line(axes, seen.time_mjd[chosen] - curve.peak_mjd, axis.values[chosen], color=theme.ink, zorder=4, **ring)
