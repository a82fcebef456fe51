"""Which quantities make an object odd, and which features its reconstruction misses."""

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from annotator.models import ModalityScore, Model
from annotator.models.inputs import PREPARATIONS
from annotator.models.percentiles import PERCENTILES, Percentiles, is_beyond, percentile_of
from annotator.preprocess.evolution import EVOLUTION_NAMES, QUIET
from annotator.preprocess.features import feature_row
from annotator.preprocess.quantities import QUANTITY_NAMES, SHERLOCK_CLASSES, quantities, quantity_row
from annotator.reasons.reason import Reason
from annotator.surveys import SURVEYS
from annotator.transient import Modality, Transient

MAX_QUANTITIES = 3
"""Of those without which the object would be nearer to normal ones; further features follow."""

MIN_SHARE = 0.02
"""Of the oddity: a quantity that carries less is none of the reasons."""

MIN_RESIDUAL = 2.0
MIN_ERROR_SHARE = 0.25
"""A feature is reconstructed badly where it is as far off as this, in robust standard deviations of normals, and makes
as much of the reconstruction error."""

_SHERLOCK = "sherlock_"


def _signed(above: str, below: str) -> Callable[[float], str]:
    """Word a number by its sign; what is worded as its opposite has the opposite percentile."""
    return lambda value: (above if value >= 0 else below).format(_tenths(abs(value)))


def _plain(words: str) -> Callable[[float], str]:
    return lambda value: words.format(_tenths(value))


def _tenths(value: float) -> str:
    """Write a number to a tenth, and a smaller one, which can be the very thing that is odd, to a hundredth."""
    return f"{value:z.1f}" if abs(value) >= 0.1 else f"{value:z.2f}"


def _change(above: str, below: str, none: str, when: str) -> Callable[[float], str]:
    """Word a change in mag/day, to a thousandth, by its sign; below that it is none."""
    return lambda value: (
        f"{above if value >= 0 else below} by {abs(value):.3f} mag/day {when}"
        if abs(value) >= 0.0005
        else f"{none} {when}"
    )


def _brightness(above: str, below: str, when: str) -> Callable[[float], str]:
    return _change(above, below, "kept its brightness", when)


def _activity(value: float) -> str:
    share, when = 10**value, "100 days or more before its peak"
    return f"activity at {share:.2f} of its peak flux {when}" if share > QUIET else f"no activity {when}"


def _size(words: str) -> Callable[[float], str]:
    """Word a size, which may be of any order."""
    return lambda value: words.format(_few_digits(value))


def _few_digits(value: float) -> str:
    if value < 0.1:
        return f"{value:.2f}"
    if value < 10:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 1e6 else f"{value:.1e}"


def _fade(band: str) -> Callable[[float], str]:
    return lambda value: (
        f"{band} faded {_tenths(value)} mag since its peak" if value >= 0.05 else f"{band} has not faded since its peak"
    )


_OF_BANDS: Mapping[str, Callable[[float], str]] = {
    name.format(band): words(band)
    for band in ("g", "r")
    for name, words in {
        "amplitude_{}": lambda band: _plain(f"range of {band} {{}} mag"),
        "fade_{}": _fade,
        **{
            f"trend_{days:02d}_{{}}": lambda band, days=days: _signed(
                f"{band} {{}} mag fainter than its {days}-day mean",
                f"{band} {{}} mag brighter than its {days}-day mean",
            )
            for days in (2, 8, 28)
        },
        "rate_{}": lambda band: _signed(f"{band} brightened {{}} mag/day", f"{band} faded {{}} mag/day"),
        "peak_{}": lambda band: _plain(f"brightest {band} {{}} mag"),
        "now_{}": lambda band: _plain(f"latest {band} {{}} mag"),
        "host_{}": lambda band: _plain(f"nearest Pan-STARRS1 source of {{}} mag in {band}"),
        "contrast_{}": lambda band: _signed(
            f"peak in {band} {{}} mag fainter than the nearest Pan-STARRS1 source",
            f"peak in {band} {{}} mag brighter than the nearest Pan-STARRS1 source",
        ),
        **{
            f"mean_{days:02d}_{{}}": lambda band, days=days: _plain(f"{days}-day mean of {band} {{}} mag")
            for days in (2, 8, 28)
        },
        "faintest_{}": lambda band: _plain(f"faintest {band} {{}} mag"),
        "mean_{}": lambda band: _plain(f"mean {band} {{}} mag"),
    }.items()
}

WORDS: Mapping[str, Callable[[float], str]] = MappingProxyType(
    {
        **_OF_BANDS,
        "colour_now": _plain("g-r {} mag on the latest night with both bands"),
        "colour_peak": _plain("g-r {} mag of the brightest magnitudes"),
        "colour_change": _signed("{} mag redder in g-r than at its peak", "{} mag bluer in g-r than at its peak"),
        "colour_28": _plain("g-r {} mag of the 28-day means"),
        "colour_08": _plain("g-r {} mag of the 8-day means"),
        "mean_less_peak_g": _plain("mean of g {} mag below its brightest"),
        "host_colour": _plain("g-r {} mag of the nearest Pan-STARRS1 source"),
        "ps1_separation": _size("{} arcsec from the nearest Pan-STARRS1 source"),
        "host_separation": _size("{} arcsec from the host that Sherlock found"),
        "host_separation_kpc": _size("{} kpc in projection from the host that Sherlock found"),
        "host_distance": _size("host {} Mpc away"),
        "host_size": _size("host with a major axis of {} arcsec"),
        "relative_separation": _size("{} major axes of the host from its centre"),
        "absolute_magnitude": _plain("brightest magnitude {} at the distance of the host"),
        "age": _size("{} days from the first detection to the last colour"),
        "colour": _signed(
            "{} mag bluer over an e-fold of wavelength at its peak",
            "{} mag redder over an e-fold of wavelength at its peak",
        ),
        "colour_drift": _change("got bluer", "got redder", "kept its colour", "over an e-fold of wavelength"),
        "colour_curvature": _plain("curvature of its colours {} mag"),
        "rise": _brightness("rose", "fell", "before its peak"),
        "early_rise": _brightness("rose", "fell", "long before its peak"),
        "fall": _brightness("fell", "rose", "after its peak"),
        "late_fall": _brightness("fell", "rose", "from 15 days after its peak"),
        "tail": _brightness("fell", "rose", "from 45 days after its peak"),
        "roughness": lambda value: f"scatters {_few_digits(math.exp(value))} times as much as its errors say",
        "other_sign": lambda value: f"a share of {value:.2f} of its points on the other side of its template",
        "activity_before": _activity,
        **{f"{_SHERLOCK}{name.lower()}": _plain(f"class {name} by Sherlock") for name in SHERLOCK_CLASSES},
    }
)
"""How a value of each quantity, and of each feature that is one, is put."""

_NAMED_ONCE = frozenset({"colour_now", "ps1_separation", "host_separation", "host_size"})
"""A feature that is one of these quantities is not named again beside it."""

_WORDED_BY_SIGN = ("trend_", "rate_", "contrast_", "colour_change")
_CHANGES = frozenset(("colour", "colour_drift", "rise", "early_rise", "fall", "late_fall", "tail"))
"""Worded by their sign, too."""


def find(transient: Transient, scored: ModalityScore, model: Model) -> tuple[Reason, ...]:
    """Name the quantities without which an object would be nearer to normal ones, then features that stand out."""
    if SURVEYS[transient.survey].features_are_of_light_curve:
        return _of_evolution(transient, scored, model)
    percentiles = {item.name: item for item in model.manifest.percentiles}
    found = quantities(SURVEYS[transient.survey].features, transient)
    nearer = [
        Reason(_in_words(name, found[name], percentiles.get(name)), share, _where(name, found[name], percentiles))
        for name, share in strongest_quantities(transient, scored, model)[:MAX_QUANTITIES]
    ]
    return (*nearer, *_further(transient, scored, percentiles, nearer))


def _of_evolution(transient: Transient, scored: ModalityScore, model: Model) -> tuple[Reason, ...]:
    """Name the quantities of the light curve without which the object would be nearer to normal ones."""
    oddity = scored.numbers[model.scored_output]
    row = PREPARATIONS[Modality.FEATURES](transient).tensors["evolution"][0]
    places = np.flatnonzero(np.isfinite(row))
    if oddity <= 0:
        return ()
    without = np.repeat(row[np.newaxis], len(places), axis=0)
    without[np.arange(len(places)), places] = np.nan
    shares = (oddity - model.run({"evolution": without}, [model.scored_output])[model.scored_output]) / oddity
    percentiles = {item.name: item for item in model.manifest.percentiles}
    named = [
        (EVOLUTION_NAMES[places[i]], float(row[places[i]]), min(float(shares[i]), 1.0))
        for i in np.argsort(-shares, kind="stable")[:MAX_QUANTITIES]
        if shares[i] >= MIN_SHARE
    ]
    return tuple(
        Reason(_in_words(name, value, percentiles.get(name)), share, _where(name, value, percentiles))
        for name, value, share in named
    )


def strongest_quantities(transient: Transient, scored: ModalityScore, model: Model) -> list[tuple[str, float]]:
    """Return by which part an object would be nearer to normal ones if the model did not see a quantity, largest first.

    Sherlock's class is one quantity, named by the class that the object has.
    """
    oddity = scored.numbers[model.scored_output]
    table = SURVEYS[transient.survey].features
    groups: dict[str, list[int]] = {}
    for column in model.manifest.columns[len(table) :]:
        place = QUANTITY_NAMES.index(column.name)
        groups.setdefault(_SHERLOCK if column.name.startswith(_SHERLOCK) else column.name, []).append(place)
    row = quantity_row(table, transient)
    groups = {name: places for name, places in groups.items() if np.isfinite(row[places]).all()}
    if not groups or oddity <= 0:
        return []
    without = np.repeat(row[np.newaxis], len(groups), axis=0)
    for number, places in enumerate(groups.values()):
        without[number, places] = np.nan
    features = np.repeat(feature_row(table, transient.features)[np.newaxis], len(groups), axis=0)
    oddities = model.run({"features": features, "quantities": without}, [model.scored_output])[model.scored_output]
    named = [QUANTITY_NAMES[max(places, key=lambda place: row[place])] for places in groups.values()]
    shares = np.clip((oddity - oddities) / oddity, 0.0, 1.0)
    return [(named[i], float(shares[i])) for i in np.argsort(-shares, kind="stable") if shares[i] >= MIN_SHARE]


def _further(
    transient: Transient, scored: ModalityScore, percentiles: Mapping[str, Percentiles], named: Sequence[Reason]
) -> list[Reason]:
    """Name features that the reconstruction misses, or beyond almost all normals.

    The score is not made of them, so that their share is 0. One that is named as a quantity already is left out.
    """
    size = np.abs(np.asarray(scored.residual))
    loss = np.where(size <= 1, 0.5 * size * size, size - 0.5)  # Huber's, as the graph's error is
    is_far_off = (size >= MIN_RESIDUAL) & (loss >= MIN_ERROR_SHARE * loss.sum())
    already = _NAMED_ONCE.intersection(reason.where["quantity"] for reason in named)
    table, reasons = SURVEYS[transient.survey].features, []
    for i in np.argsort(-loss, kind="stable"):
        name, quantity = table[i].name, table[i].quantity
        if name not in transient.features or quantity in already:
            continue
        value = transient.features[name]
        if not (is_far_off[i] or (name in percentiles and is_beyond(percentiles[name], value))):
            continue
        words = _in_words(quantity, value, percentiles.get(name))
        reasons.append(
            Reason(f"{words}, reconstructed badly" if is_far_off[i] else words, 0.0, _where(name, value, percentiles))
        )
    return reasons


def _where(name: str, value: float, percentiles: Mapping[str, Percentiles]) -> dict[str, float | str]:
    where: dict[str, float | str] = {"quantity": name, "value": float(value)}
    return where | {"percentile": percentile_of(percentiles[name], value)} if name in percentiles else where


def _in_words(quantity: str, value: float, normals: Percentiles | None) -> str:
    words = WORDS[quantity](value)
    if normals is None or quantity.startswith(_SHERLOCK):
        return words
    percentile = percentile_of(normals, value)
    if value < 0 and (quantity.startswith(_WORDED_BY_SIGN) or quantity in _CHANGES):
        percentile = 100 - percentile
    if is_beyond(normals, value):
        end = PERCENTILES[0] if percentile < 50 else PERCENTILES[-1]
        return f"{words}, beyond the {_ordinal(end)} percentile of normals"
    return f"{words}, {_ordinal(percentile)} percentile of normals"


def _ordinal(percentile: float) -> str:
    """Write a percentile, with a decimal where a whole one is too coarse."""
    if percentile < 1.95 or percentile > 98.05:
        return f"{percentile:.1f}th"
    whole = round(percentile)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(whole % 10, "th") if whole // 10 != 1 else "th"
    return f"{whole}{ending}"
