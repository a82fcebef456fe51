"""One object's explanation as a picture: light curve, stamps, quantities, and what carries the score."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.errors import ConfigError
from annotator.models import ModelSet
from annotator.preprocess.triplet import CHANNELS, SIDE
from annotator.reasons.reason import Reason
from annotator.report.expected import EDGE_SIGMA, ShownCurve, ShownQuantity, ShownStamps, show, that_scored
from annotator.report.night import Candidate
from annotator.report.pages.band_styles import styles_of
from annotator.report.pages.draw_curve import PAPER, SETTINGS, curve_axes, draw_curve, write_words
from annotator.report.pages.light_curve_plot import need_matplotlib
from annotator.report.pages.text import percentile, significant, stamp_marks
from annotator.report.pages.thumbnails import DEVIATION_RANGE, GAP, stamps_png
from annotator.transient import Modality

if TYPE_CHECKING:
    from matplotlib.figure import Figure


DOTS_PER_INCH = 150
_N_QUANTITIES = 8
_STAMP_ROWS = ("as seen", "expected", "deviation")
_SHORT_NAMES = {Modality.LIGHTCURVE: "light curve", Modality.TRIPLET: "stamps"}


def explain_plot(candidate: Candidate, models: ModelSet, path: Path) -> None:
    """Draw all that explains an object as one figure, and save it in the format of the file's name.

    Light curve with the normal supernova most like it and the residual; stamps as seen, as expected, and their
    deviation; the most unusual features beside those of normal objects; the explanation in words.

    Raises
    ------
    ConfigError
        If matplotlib is missing, or draws no such file.
    """
    need_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models = that_scored(candidate.history[-1].model_set, models) if candidate.history else models
    shown = show(candidate, models)
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(13.0, 7.6), facecolor=PAPER.surface)
        FigureCanvasAgg(figure)
        _write_title(figure, candidate)
        if shown.curve is not None:
            axes = curve_axes(figure, (0.06, 0.42, 0.49, 0.39))
            write_words(draw_curve(axes, shown.curve, candidate.reasons.get(Modality.LIGHTCURVE, ()), PAPER))
            _write_legend(figure, shown.curve)
        else:
            figure.text(0.3, 0.6, f"no light curve{_why(candidate, 'lightcurve')}", color=PAPER.muted, ha="center")
        if shown.stamps is not None:
            _draw_stamps(figure, (0.615, 0.055, 0.37, 0.77), shown.stamps, candidate.reasons.get(Modality.TRIPLET, ()))
        else:
            figure.text(0.8, 0.6, f"no stamps{_why(candidate, 'triplet')}", color=PAPER.muted, ha="center")
        if shown.quantities:
            _draw_quantities(figure, (0.06, 0.03, 0.49, 0.27), shown.quantities[:_N_QUANTITIES])
        try:
            figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Date": None} if path.suffix == ".svg" else None)
        except ValueError as failure:
            raise ConfigError(f"cannot draw {path}: {failure}; name a file that ends in .png") from failure


def _why(candidate: Candidate, modality: str) -> str:
    result = candidate.modalities.get(modality)
    return f": {result.missing}" if result is not None and result.missing else ""


def _write(figure: "Figure", x: float, y: float, text: str, **style: object) -> None:
    """Write text as it is: a dollar sign begins no formula."""
    figure.text(x, y, text, parse_math=False, **style)


def _write_title(figure: "Figure", candidate: Candidate) -> None:
    scores = [f"score {candidate.score:.2f}"]
    scores += [
        f"{_SHORT_NAMES.get(name, name)} {result.score:.2f}"
        for name, result in candidate.modalities.items()
        if result.score is not None
    ]
    scores += [
        f"{name} {value:.2f}"
        for name, value in (("exotic", candidate.exotic), ("prior", candidate.prior))
        if value is not None
    ]
    names = filter(None, (candidate.object_id, candidate.tns_name, candidate.tns_type))
    _write(figure, 0.02, 0.955, "  ".join(names), fontsize=16, fontweight="bold", color=PAPER.ink, va="center")
    _write(
        figure,
        0.985,
        0.955,
        f"{candidate.classification}   " + "   ".join(scores),
        color=PAPER.muted,
        ha="right",
        va="center",
        fontsize=10.5,
    )
    words = textwrap.fill(candidate.explanation, 170, max_lines=2)
    _write(figure, 0.02, 0.925, words, color=PAPER.ink, fontsize=10.5, va="top", linespacing=1.35)


def _write_legend(figure: "Figure", curve: ShownCurve) -> None:
    from matplotlib.lines import Line2D

    seen = curve.light_curve
    marks = [
        Line2D(
            [],
            [],
            marker=style.marker,
            markersize=style.size_points,
            linestyle="none",
            color=style.colour,
            label=style.letter,
        )
        for style in styles_of({*curve.letter.tolist(), *curve.limit_letter.tolist()})
    ]
    hollow = {"marker": "o", "linestyle": "none", "markerfacecolor": "none", "color": PAPER.muted}
    if not (curve.in_flux or seen.is_positive.all()):
        marks.append(Line2D([], [], **hollow, label="fainter than the template"))
    if seen.is_forced.any():
        marks.append(Line2D([], [], **hollow, markersize=4, label="forced photometry"))
    if len(seen.limit_time_mjd):
        marks.append(Line2D([], [], marker="v", markersize=4, linestyle="none", color=PAPER.muted, label="upper limit"))
    if curve.expected_mag is not None:
        marks.append(Line2D([], [], color=PAPER.muted, linewidth=2, label="the normal supernova most like it"))
    figure.legend(
        handles=marks, loc="upper right", bbox_to_anchor=(0.556, 0.352), ncols=len(marks), frameon=False, fontsize=8.5,
        labelcolor=PAPER.muted, handletextpad=0.3, columnspacing=1.2, borderpad=0,
    )  # fmt: skip


def _draw_stamps(
    figure: "Figure", box: tuple[float, float, float, float], stamps: ShownStamps, reasons: Sequence[Reason]
) -> None:
    from matplotlib.image import imread
    from matplotlib.patches import Circle

    axes = figure.add_axes(box, anchor="N")
    axes.set_axis_off()
    picture = imread(io.BytesIO(stamps_png(stamps)))
    axes.imshow(picture, interpolation="none")
    n_rows = (picture.shape[0] + GAP) // (SIDE + GAP)
    for number, name in enumerate(CHANNELS):
        axes.text(number * (SIDE + GAP) + SIDE / 2, -4, name, ha="center", va="bottom", color=PAPER.muted)
    for number, name in enumerate(_STAMP_ROWS[:n_rows]):
        axes.text(-4, number * (SIDE + GAP) + SIDE / 2, name, ha="right", va="center", color=PAPER.muted, rotation=90)
    for mark in stamp_marks(reasons, n_rows):
        axes.add_patch(Circle((mark.x - 0.5, mark.y - 0.5), mark.radius, fill=False, color="#ffd54a", linewidth=1.4))
    note = f"deviation from {-DEVIATION_RANGE:g} (blue) to {DEVIATION_RANGE:g} (red) of those expected"
    if n_rows == len(_STAMP_ROWS):
        axes.text(picture.shape[1], picture.shape[0] + 4, note, ha="right", va="top", fontsize=8.5, color=PAPER.muted)


def _draw_quantities(
    figure: "Figure", box: tuple[float, float, float, float], quantities: Sequence[ShownQuantity]
) -> None:
    axes = figure.add_axes(box)
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(_N_QUANTITIES - 0.3, -1.2)
    left, right = 0.645, 0.915
    for x, text, across in (
        (0, "most unusual features", "left"),
        (0.615, "value", "right"),
        (1.0, "percentile", "right"),
    ):
        axes.text(x, -0.9, text, ha=across, va="center", color=PAPER.muted, fontsize=8.5)
    for y, item in enumerate(quantities):
        for sigma, colour in ((EDGE_SIGMA, PAPER.grid), (1.96, "#c5d0d9"), (1.0, "#8fa5b8")):
            half = (right - left) / 2 * sigma / EDGE_SIGMA
            middle = (left + right) / 2
            axes.plot([middle - half, middle + half], [y, y], color=colour, linewidth=4, solid_capstyle="butt")
        place = left + (right - left) * item.place
        colour = "#a83a00" if item.is_reason else PAPER.ink
        axes.plot([place, place], [y - 0.36, y + 0.36], color=colour, linewidth=2.4, solid_capstyle="butt")
        weight = "bold" if item.is_reason else "normal"
        axes.text(0, y, item.meaning, va="center", color=PAPER.ink, fontweight=weight, fontsize=8.8)
        value = f"{significant(item.value)} {item.unit}"
        axes.text(0.615, y, value, ha="right", va="center", color=PAPER.ink, fontsize=8.8)
        axes.text(
            1.0,
            y,
            percentile(item.percentile, item.is_beyond),
            ha="right",
            va="center",
            color=PAPER.muted,
            fontsize=8.8,
        )
