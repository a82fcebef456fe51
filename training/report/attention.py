"""The report's part on the order of attention: what stands first, and whether its chances are true."""

from collections.abc import Mapping, Sequence

from training.report.layout import Block, Figure, Grid, Heading, Paragraph

PLOT = "worth_reliability"

WORDS = (
    "`worth` is the chance that a person who looks is glad to have looked, by weights fitted to other simulated nights "
    "of which the truth is known, and to a databank (WORTH_CARD.md has more). SLSN, TDE, fast blue transients and "
    "flares in known sources that nobody has classified are counted in the first places of {nights} nights, of {hoped} "
    "a night; intervals by bootstrap over nights."
)
CAPTION = (
    "How often chances came true in each source, out of fold, with exact 95 % intervals, by the mean of each bin; true "
    "ones lie on the line."
)


def blocks(metrics: Mapping, plots: Mapping[str, bytes]) -> list[Block]:
    """Say it, of the metrics of :class:`annotator.models.worth.WorthManifest`; nothing of none."""
    if not metrics:
        return []
    orders = metrics["orders"]
    words = WORDS.format(nights=orders["worth"]["nights"], hoped=orders["worth"]["hoped for"])
    rows = tuple(
        (name, *(cell for places in ("10", "30") for cell in _places(found[places]))) for name, found in orders.items()
    )
    header = ("order", "first 10", "nights without any", "first 30", "nights without any")
    document: list[Block] = [
        Heading(2, "The order of attention"),
        Paragraph(words),
        Grid("Exotics in the first places", header, rows),
    ]
    return [*document, Figure(f"{PLOT}.png", CAPTION)] if PLOT in plots else document


def _places(found: Mapping) -> tuple[str, str]:
    return _interval(found["exotic"]), str(found["nights without exotic"])


def _interval(numbers: Sequence[float]) -> str:
    value, low, high = numbers
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
