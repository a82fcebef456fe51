"""The card of the index of known objects: what it holds, and what its neighbours are worth."""

from collections.abc import Mapping, Sequence

from training.export.card_text import joined
from training.known.evaluate import NEAREST, WITHIN, ClassShare

WORDS = {"features": "Object features", "lightcurve": "Light curve", "triplet": "Stamps"}


def known_card(
    version: str, counts: Mapping[str, int], measured: Mapping[str, Mapping[str, Sequence[ClassShare]]], n_bytes: int
) -> str:
    """Write the card, in Markdown.

    Parameters
    ----------
    counts
        Known objects by modality.
    measured
        By modality and by what was compared (:func:`training.known.evaluate.measure`).
    n_bytes
        Size of the index.
    """
    modalities = (_modality(name, parts) for name, parts in measured.items())
    return joined(_what(version, counts, n_bytes), *modalities, LIMITS)


def _what(version: str, counts: Mapping[str, int], n_bytes: int) -> str:
    held = ", ".join(f"{n:,} objects by their {WORDS[modality].lower()}" for modality, n in counts.items())
    return f"""
# {version}: known objects, nearest in the models' bottlenecks

`known.npz` ({n_bytes:,} bytes) holds {held}.
Of each: its name, its type from a spectrum, and its latent, the few numbers of the model's bottleneck, in half
precision. It shows beside an object the known ones that a model takes for most like it. It is no classifier, and no
score depends on it.

Measured here, of the objects in it: how many of the {NEAREST} nearest others are of the object's own class. By chance:
what a draw at random would give, and the range of 95 % of shufflings of the classes over the objects; a share within it
is not told from chance. Lift: the share over chance, with a 95 % interval by bootstrap over objects, as those whose
nearest are counted and as those that are near. Any: the share of the objects that have one or more of their class among
the {NEAREST}.
"""


def _modality(name: str, parts: Mapping[str, Sequence[ClassShare]]) -> str:
    lines = [f"## {WORDS[name]}"]
    for part, shares in parts.items():
        if WITHIN in parts:
            lines += ["", _WORDS_OF_PARTS[name][part == WITHIN]]
        lines += ["", *_table(shares), "", _verdict(shares)]
    return "\n".join(lines)


_CATALOGUES = (
    "All catalogues together. This is confounded: exotics and supernovae come from different catalogues, whose depth "
    "and cadence bring an object near to others of its catalogue.",
    "Each object among those of its own catalogue alone, of the catalogues that hold exotics and more normals: the "
    "measurement to go by, of few objects.",
)
_WORDS_OF_PARTS = {
    "features": (
        "All objects together. This is confounded: exotics are within AHA's cut (small errors of the rates, physical "
        "means) more often than supernovae are.",
        "Each object within AHA's cut among the others within it, each outside among the others outside: the "
        "measurement to go by.",
    ),
    "lightcurve": _CATALOGUES,
    "triplet": _CATALOGUES,
}
"""Of all objects together, and of each stratum by itself."""


def _table(shares: Sequence[ClassShare]) -> list[str]:
    rows = [
        f"| {s.kind} | {s.n:,} | {_percent(s.share)} | {_percent(s.chance.value)} [{_percent(s.chance.low)}, "
        f"{_percent(s.chance.high)}] | {s.lift.value:.2f} [{s.lift.low:.2f}, {s.lift.high:.2f}] | "
        f"{_percent(s.any_of_kind)} |"
        for s in shares
    ]
    return [
        f"| class | objects | % of the {NEAREST} nearest that are of it | by chance, % | lift | any, % |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _verdict(shares: Sequence[ClassShare]) -> str:
    """Say in words of which classes the neighbours tell something."""
    if not shares:
        return "No class has objects enough to measure."
    parts = (
        ("More often of its own class than by chance: {}.", [s.kind for s in shares if s.against_chance > 0]),
        ("Not told from chance: {}.", [s.kind for s in shares if s.against_chance == 0]),
        ("Less often than by chance: {}.", [s.kind for s in shares if s.against_chance < 0]),
        (
            "Even so most of the nearest are of another class for {}.",
            [s.kind for s in shares if s.against_chance > 0 and s.share < 0.5],
        ),
    )
    return " ".join(words.format(", ".join(kinds)) for words, kinds in parts if kinds)


LIMITS = """
## What to know

- Known objects are those that astronomers chose for a spectrum: mostly SN Ia, so that most neighbours of anything are.
- The models were trained on most of the supernovae in it, and on none of its exotics; each is compared with itself left
  out, but its latent is by the model that has seen it.
- A transient that has several names in the survey is there once. Names that begin with `TNS:` are of objects whose ZTF
  name is not known; Lasair has no page of that name.
- Types are the Transient Name Server's or the catalogue's that the object came from, the TDEs' subtypes as one. Beside
  name and type nothing of the training tables is in the file: no measurement, detection or pixel.
"""
