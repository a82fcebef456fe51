"""How a band looks, the same in every plot, list and legend: told apart by colour and by shape, whoever looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FORCED_SIZE = 0.62
"""Of a forced measurement's mark, beside a detection's."""


@dataclass(frozen=True)
class BandStyle:
    """The look of a band's marks."""

    letter: str
    colour: str
    """Of a picture that is a file of its own, on white or black; a page has variables of its style sheet by theme."""
    marker: str
    """Matplotlib's."""
    size_points: float
    """Of that marker: as much ink as the others'."""
    path: str
    """SVG, about the origin, some five units across: relative commands alone after the first."""


# Colours after Okabe and Ito: with any colour vision, two of them are far enough apart to be told from one another.
_STYLES = (
    BandStyle("u", "#4757d6", "^", 5.8, "M0-3.1l3 5.4h-6z"),
    BandStyle("g", "#009e73", "o", 5.6, "M-2.6 0a2.6 2.6 0 1 0 5.2 0a2.6 2.6 0 1 0-5.2 0z"),
    BandStyle("r", "#d55e00", "s", 5.2, "M-2.3-2.3h4.6v4.6h-4.6z"),
    BandStyle("i", "#c070a6", "D", 4.8, "M0-3.2l3.2 3.2l-3.2 3.2l-3.2-3.2z"),
    BandStyle(
        "z", "#e3a600", "*", 8.4, "M0-3.7l1.05 2.45l2.65.2l-2 1.75l.6 2.6l-2.3-1.4l-2.3 1.4l.6-2.6l-2-1.75l2.65-.2z"
    ),
    BandStyle("y", "#7a5a3c", "P", 6.4, "M-1-3.1h2v2.1h2.1v2h-2.1v2.1h-2v-2.1h-2.1v-2h2.1z"),
)

BAND_STYLES: Mapping[str, BandStyle] = MappingProxyType({style.letter: style for style in _STYLES})
"""By a band's letter, which surveys share, in the order of wavelength."""


def styles_of(letters: set[str]) -> list[BandStyle]:
    """Return the looks of some bands, in the order of wavelength."""
    return [style for style in _STYLES if style.letter in letters]
