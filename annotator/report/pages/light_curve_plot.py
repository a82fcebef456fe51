"""A light curve as an SVG element of a page, in the page's font and colours."""

import html
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from annotator.errors import ConfigError
from annotator.reasons.reason import Reason
from annotator.report.expected import ShownCurve
from annotator.report.pages.band_styles import BAND_STYLES
from annotator.report.pages.draw_curve import SETTINGS, Theme, Words, curve_axes, draw_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_POINTS_PER_INCH = 72

# Colours that stand for variables of the style sheet, so that a page's theme decides.
_SENTINELS = {
    "#010101": "var(--plot-ink)",
    "#010102": "var(--plot-muted)",
    "#010103": "var(--plot-grid)",
    "#010104": "var(--surface)",
    **{f"#0102{number:02x}": f"var(--band-{letter})" for number, letter in enumerate(BAND_STYLES)},
}
PAGE = Theme(
    *("#010101", "#010102", "#010103", "#010104"),
    {letter: f"#0102{number:02x}" for number, letter in enumerate(BAND_STYLES)},
)


def need_matplotlib() -> None:
    """Say how to install what reports are drawn with, where it is missing.

    Raises
    ------
    ConfigError
        If it is.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as missing:
        raise ConfigError(
            "reports are drawn with matplotlib, which is not installed: pip install 'lasair-aha[report]'"
        ) from missing


class LightCurvePlot:
    """Draws light curves as SVG, one after the other on the same axes: making axes anew takes most of the time."""

    def __init__(self) -> None:
        need_matplotlib()
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        with matplotlib.rc_context(SETTINGS):
            self._figure = Figure(figsize=(7.0, 4.9), dpi=_POINTS_PER_INCH)
            FigureCanvasSVG(self._figure)
            self._axes = curve_axes(self._figure, (0.105, 0.1, 0.885, 0.805))

    def svg(self, curve: ShownCurve, reasons: Sequence[Reason], label: str) -> str:
        """Draw a light curve as an element of a page.

        Parameters
        ----------
        reasons
            Of the light curve: the epochs that they name are marked.
        label
            What the plot shows, for those who do not see it.

        Returns
        -------
        str
            An ``<svg>`` whose colours are variables of the style sheet; the same curve gives the same text.
        """
        import matplotlib

        with matplotlib.rc_context(SETTINGS):
            words = draw_curve(self._axes, curve, reasons, PAGE)
            file = io.StringIO()
            self._figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
            height = self._figure.get_figheight() * _POINTS_PER_INCH
            texts = [_text_element(item, height) for item in words]
            _wipe(self._axes)
        return _as_element(file.getvalue(), texts, label)


def _as_element(text: str, texts: Sequence[str], label: str) -> str:
    """Make an element of a file: without what a page has, and in the page's font and colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text, flags=re.DOTALL)
    text = text.replace("</svg>", "".join(texts) + "</svg>")
    text = re.sub("|".join(_SENTINELS), lambda found: _SENTINELS[found.group()], text)
    text = re.sub(r"\n\s*", "\n", text).strip()
    view_box = re.search(r'viewBox="([^"]*)"', text).group(1)
    head = (
        f'<svg class="plot" viewBox="{view_box}" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-label="{html.escape(label)}">'
    )
    return head + text[text.index(">") + 1 :]


def _text_element(words: Words, height_points: float) -> str:
    x, y = words.axes.transData.transform((words.x, words.y))  # pixels, which are points
    x, y = x + words.right_points, height_points - y - words.up_points
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if words.is_upright else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{words.anchor}" style="fill: {words.colour}"{turn}>'
        f"{html.escape(words.text)}</text>"
    )


def _wipe(several: "Sequence[Axes]") -> None:
    for axes in several:
        for artist in (*axes.lines, *axes.patches, *axes.texts):
            artist.remove()
