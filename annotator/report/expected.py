"""What is shown of one object: the models' expectation beside what was seen, and what normal objects have."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.bands import letters_of
from annotator.errors import MissingModalityError
from annotator.models import Model, ModelSet
from annotator.models.inputs import PREPARATIONS
from annotator.models.known import Known, KnownObject
from annotator.models.percentiles import PERCENTILES, Percentiles, is_beyond, percentile_of
from annotator.preprocess import six_bands
from annotator.preprocess.curve_layout import TWO_BANDS
from annotator.preprocess.evolution import EVOLUTION, EVOLUTION_NAMES
from annotator.preprocess.lightcurve import CHANNELS, GRID_BANDS, GRID_DAYS, Detections, Peak, is_counted
from annotator.preprocess.nightly import NIGHT_GAP_DAYS
from annotator.preprocess.quantities import QUANTITIES, QUANTITY_NAMES, quantities
from annotator.preprocess.usable import sign_of
from annotator.report.like_supernova import expected_magnitudes
from annotator.report.night import Candidate
from annotator.surveys import SURVEYS
from annotator.transient import LightCurve, Modality, Transient

NEAREST = 5
"""Known objects that are shown of a modality."""

EDGE_SIGMA = NormalDist().inv_cdf(PERCENTILES[-1] / 100)
"""Where the scale of normals ends, in standard deviations of a normal distribution: beyond, no percentile is kept."""

SIGNIFICANT = 3.0
"""In standard deviations: the magnitude of what is fainter says little."""

_YES_OR_NO = "sherlock_"


@dataclass(frozen=True, eq=False)
class ShownCurve:
    """A light curve, and what a normal supernova like it would do."""

    light_curve: LightCurve
    is_used: NDArray[np.bool_]
    """Of each detection, whether the model is given it ``(n,)``."""
    peak_mjd: float
    peak_mag: float
    expected_mag: NDArray[np.float64] | None
    """On the whole grid: bands, days from peak; None where the modality is missing."""
    is_supported: NDArray[np.bool_] | None
    """Where on the grid a detection supports it, likewise."""
    in_flux: bool = False
    """Whether it is drawn in flux: something of it has no magnitude, or none that says anything."""
    bands: tuple[str, ...] = GRID_BANDS
    """Of the grid."""
    days: NDArray[np.float64] = dataclasses.field(default_factory=lambda: GRID_DAYS)
    """Of the grid, from the peak."""
    sign: float = 1.0
    """Of the fluxes that are expected."""
    is_dashed: bool = True
    """Whether what is expected is drawn where no detection supports it, too."""

    @property
    def letter(self) -> NDArray[np.str_]:
        """Of each detection's band ``(n,)``: what it is drawn by."""
        return letters_of(self.light_curve.band)

    @property
    def limit_letter(self) -> NDArray[np.str_]:
        """Of each upper limit's band ``(m,)``."""
        return letters_of(self.light_curve.limit_band)

    @property
    def grid_mjd(self) -> NDArray[np.float64]:
        """The grid's epochs."""
        return self.peak_mjd + self.days

    def residual_mag(self) -> NDArray[np.float64]:
        """Magnitude less the expected one of each detection ``(n,)``, NaN where nothing is expected of it."""
        curve = self.light_curve
        residual = np.full(len(curve.time_mjd), np.nan)
        if self.expected_mag is None:
            return residual
        for number, band in enumerate(self.bands):
            members = self.is_used & (curve.band == band)
            expected = np.interp(curve.time_mjd[members], self.grid_mjd, self.expected_mag[number])
            residual[members] = curve.magnitude[members] - expected
        return residual


@dataclass(frozen=True, eq=False)
class ShownStamps:
    """Stamps as the model is given them, and what it expects."""

    seen: NDArray[np.float32]
    """``(3, 63, 63)``: science, template, difference, scaled."""
    is_present: NDArray[np.bool_]
    """``(3, 63, 63)``."""
    expected: NDArray[np.float32] | None
    """Likewise; None where the model shows none."""
    deviation: NDArray[np.float32] | None
    """Likewise, in expected deviations, 0 where missing."""


@dataclass(frozen=True)
class ShownQuantity:
    """One number of an object beside those of normal objects."""

    name: str
    meaning: str
    value: float
    unit: str
    low: float
    high: float
    """What the middle 68 % of normals lie between."""
    percentile: float
    """0.2 to 99.8."""
    is_beyond: bool
    """Whether it lies beyond all percentiles that are kept."""
    is_reason: bool
    """Whether a reason names it."""

    @property
    def sigma(self) -> float:
        """The percentile as standard deviations of a normal distribution."""
        return NormalDist().inv_cdf(self.percentile / 100)

    @property
    def place(self) -> float:
        """Where on a strip it lies, 0 to 1; the middle 68 % of normals are one standard deviation about 1/2."""
        return 0.5 + self.sigma / (2 * EDGE_SIGMA)


@dataclass(frozen=True)
class Shown:
    """All that is shown of one object besides what was kept of it."""

    curve: ShownCurve | None = None
    stamps: ShownStamps | None = None
    quantities: tuple[ShownQuantity, ...] = ()
    """Those that reasons name first, then the most unusual."""
    not_known: tuple[str, ...] = ()
    """In words, what normals have and this object lacks."""
    nearest: Mapping[str, tuple[KnownObject, ...]] = dataclasses.field(default_factory=dict)
    """By modality; empty where there is no index of known objects."""


def that_scored(model_set: str, installed: ModelSet) -> ModelSet:
    """Return the installed models if they are those of a set, else none: of what others expect nothing is shown."""
    if model_set == installed.version:
        return installed
    return ModelSet(model_set, installed.survey, MappingProxyType({}))


def show(candidate: Candidate, models: ModelSet, known: Known | None = None) -> Shown:
    """Ask the models what they expect of an object: each of those that have a picture once, and nothing else of any.

    Parameters
    ----------
    candidate
        Nothing is shown of one that is no longer kept.
    models
        Those that scored it; without any, only what was seen is shown.
    known
        The index of known objects by these models, where there is one.
    """
    transient = candidate.transient
    if transient is None:
        return Shown()
    named = [str(reason.where.get("quantity", "")) for reason in candidate.reasons.get(Modality.FEATURES, ())]
    shown, not_known = show_quantities(transient, models.models.get(Modality.FEATURES), named)
    return Shown(
        curve=show_curve(transient, models.models.get(Modality.LIGHTCURVE)),
        stamps=show_stamps(transient, models.models.get(Modality.TRIPLET)),
        quantities=shown,
        not_known=not_known,
        nearest={} if known is None else _nearest(candidate, known),
    )


def has_curve(transient: Transient | None) -> bool:
    """Say whether there is a light curve to draw: a detection or an upper limit."""
    curve = transient.light_curve if transient else None
    return curve is not None and len(curve.time_mjd) + len(curve.limit_time_mjd) > 0


def has_stamps(transient: Transient | None) -> bool:
    """Say whether there are stamps to draw: three that can be laid out."""
    return transient is not None and _tensors(Modality.TRIPLET, transient) is not None


def show_curve(transient: Transient, model: Model | None) -> ShownCurve | None:
    """Return the light curve with the supernova that it is most like; None without any detection or upper limit.

    Without a model, or where that has nothing to score, only what was seen is shown, and nothing as unused.
    """
    if not has_curve(transient):
        return None
    curve, layout = transient.light_curve, SURVEYS[transient.survey].curve_layout
    in_flux = not SURVEYS[transient.survey].publishes_magnitudes and _has_no_magnitude(curve)
    tensors = _tensors(Modality.LIGHTCURVE, transient) if model else None
    used = layout.usable(curve)
    if len(used) and (layout is TWO_BANDS or tensors):  # of six bands the peak is none of a detection's
        about = layout.peak(used)
        used = used.where(layout.within_grid(used))
    else:
        about = _brightest(curve)
    if tensors is None:
        return ShownCurve(curve, np.ones(len(curve), dtype=bool), *about, None, None, in_flux)
    if layout is TWO_BANDS:
        is_supported = tensors["lightcurve"][0, CHANNELS.index("support")] > 0
        keys = set(_rows(used.time_days, np.array(GRID_BANDS)[used.band], used.magnitude))
        is_used = np.array([row in keys for row in _rows(curve.time_mjd, curve.band, curve.magnitude)], dtype=bool)
        expected = expected_magnitudes(used, about)
        return ShownCurve(curve, is_used & is_counted(curve), *about, expected, is_supported, in_flux)
    return _in_six_bands(curve, used, about, model.reconstruct(tensors)["reconstruction"][0], in_flux)


def _in_six_bands(
    curve: LightCurve,
    used: Detections,
    about: Peak,
    reconstruction: NDArray[np.float32],
    in_flux: bool,
) -> ShownCurve:
    """Show what the bottleneck stands for where there is a point, and a straight line between those of a band.

    At other days nothing holds it: there is nothing to see there.
    """
    phase = used.time_days - about[0]
    days = np.unique(phase)
    expected = np.zeros((len(six_bands.GRID_BANDS), len(days)))
    is_supported = np.zeros(expected.shape, dtype=bool)
    for number in np.unique(used.band).tolist():
        own = phase[used.band == number]
        at_points = about[1] - np.interp(own, six_bands.KNOTS_DAYS, reconstruction[number])
        expected[number] = np.interp(days, own, at_points)
        is_supported[number] = (days >= own[0]) & (days <= own[-1])
    letters = np.array(six_bands.GRID_BANDS)[used.band]
    near = np.abs(curve.time_mjd[:, np.newaxis] - used.time_days) <= NIGHT_GAP_DAYS
    sign = sign_of(curve)
    is_used = (near & (curve.band[:, np.newaxis] == letters)).any(axis=1) & (np.sign(curve.flux_njy) == sign)
    return ShownCurve(
        curve, is_used, *about, expected, is_supported, in_flux, six_bands.GRID_BANDS, days, sign, is_dashed=False
    )


def _has_no_magnitude(curve: LightCurve) -> bool:
    with np.errstate(invalid="ignore"):
        is_faint = curve.flux_njy < SIGNIFICANT * curve.flux_error_njy
    return bool((is_faint | ~curve.is_positive | curve.is_forced).any())


def _brightest(curve: LightCurve) -> tuple[float, float]:
    """Return time and magnitude of the brightest detection, or what there is instead."""
    seen = curve.detected()
    seen = seen if len(seen) else curve
    if len(seen):
        brightest = int(np.argmin(seen.magnitude))
        return float(seen.time_mjd[brightest]), float(seen.magnitude[brightest])
    return float(curve.limit_time_mjd.max()), float(np.median(curve.limit_magnitude))


def _rows(*columns: NDArray) -> zip:
    return zip(*(column.tolist() for column in columns), strict=True)


def show_stamps(transient: Transient, model: Model | None) -> ShownStamps | None:
    """Return the stamps with what the model expects; None where they are missing, or cannot be laid out."""
    tensors = _tensors(Modality.TRIPLET, transient)
    if tensors is None:
        return None
    stamps = tensors["stamps"][0]
    said = model.reconstruct(tensors) if model else {}
    expected, deviation = said.get("reconstruction"), said.get("deviation")
    return ShownStamps(
        stamps[:3],
        stamps[3:] > 0,
        None if expected is None else expected[0],
        None if deviation is None else deviation[0],
    )


def _tensors(modality: str, transient: Transient) -> Mapping[str, NDArray[np.float32]] | None:
    try:
        return PREPARATIONS[modality](transient).tensors
    except MissingModalityError:
        return None


def _evolution(transient: Transient) -> dict[str, float]:
    """Return what the light curve says of an object, where its survey's features are of that."""
    if not SURVEYS[transient.survey].features_are_of_light_curve:
        return {}
    tensors = _tensors(Modality.FEATURES, transient)
    values = zip(EVOLUTION_NAMES, tensors["evolution"][0].tolist(), strict=True) if tensors else ()
    return {name: value for name, value in values if value == value}  # NaN alone is not itself


def show_quantities(
    transient: Transient, model: Model | None, named: Sequence[str]
) -> tuple[tuple[ShownQuantity, ...], tuple[str, ...]]:
    """Lay an object's features and quantities beside the normals'.

    Parameters
    ----------
    named
        Quantities that reasons name: they come first, in this order.

    Returns
    -------
    tuple
        What the object has, each once.
    tuple
        In words, what it lacks.
    """
    if model is None:
        return (), ()
    table = SURVEYS[transient.survey].features
    found = {**transient.features, **quantities(table, transient), **_evolution(transient)}
    # What is a feature and a quantity alike is shown once.
    same = {feature.name: feature.quantity for feature in table if feature.quantity in QUANTITY_NAMES}
    meanings = {item.name: item.meaning for item in (*table, *QUANTITIES, *EVOLUTION)}
    named = [same.get(name, name) for name in named]
    wanted = [
        item for item in model.manifest.percentiles if item.name not in same and not item.name.startswith(_YES_OR_NO)
    ]
    have = [
        _beside(item, meanings[item.name], found[item.name], item.name in named)
        for item in wanted
        if item.name in found
    ]
    order = {name: number for number, name in reversed(list(enumerate(named)))}
    have.sort(key=lambda item: (order.get(item.name, len(order)), not item.is_beyond, -abs(item.percentile - 50)))
    lacks = tuple(meanings[item.name] for item in wanted if item.name not in found)
    return tuple(have), lacks


def _beside(normals: Percentiles, meaning: str, value: float, is_reason: bool) -> ShownQuantity:
    return ShownQuantity(
        name=normals.name,
        meaning=meaning,
        value=value,
        unit=normals.unit,
        low=normals.values[PERCENTILES.index(16.0)],
        high=normals.values[PERCENTILES.index(84.0)],
        percentile=percentile_of(normals, value),
        is_beyond=is_beyond(normals, value),
        is_reason=is_reason,
    )


def _nearest(candidate: Candidate, known: Known) -> dict[str, tuple[KnownObject, ...]]:
    return {
        name: known.nearest(name, latent, NEAREST, leave_out=candidate.object_id)
        for name, latent in candidate.latents.items()
    }
