"""An object as decoded, and the modalities that it is scored by."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from annotator.photometry import flux_error_of, flux_of, magnitude_error_of, magnitude_of


class Modality(enum.StrEnum):
    """What is scored of an object, each by a model of its own."""

    FEATURES = "features"
    LIGHTCURVE = "lightcurve"
    TRIPLET = "triplet"


_NONE, _NO_BAND = np.empty(0), np.empty(0, dtype="<U2")


@dataclass(frozen=True, eq=False)
class LightCurve:
    """What a survey measured of one object on its difference images, in time order; the same for every survey.

    Measurements are arrays of one length ``(n,)``, upper limits of another ``(m,)``.
    """

    time_mjd: NDArray[np.float64]
    """MJD, UTC."""
    band: NDArray[np.str_]
    """Names of :data:`annotator.bands.BANDS`."""
    flux_njy: NDArray[np.float64]
    """Difference flux: negative where the object was fainter than in the template."""
    flux_error_njy: NDArray[np.float64]
    """NaN where it is unknown."""
    is_forced: NDArray[np.bool_]
    """Whether it was measured where the object is known to be, and not found by itself: it may be no more than noise,
    and of either sign."""
    limit_time_mjd: NDArray[np.float64] = field(default_factory=lambda: _NONE)
    limit_band: NDArray[np.str_] = field(default_factory=lambda: _NO_BAND)
    limit_flux_njy: NDArray[np.float64] = field(default_factory=lambda: _NONE)
    """That five standard deviations of the noise are."""

    @classmethod
    def of_magnitudes(
        cls,
        time_mjd: NDArray[np.float64],
        band: NDArray[np.str_],
        magnitude: NDArray[np.float64],
        magnitude_error: NDArray[np.float64],
        sign: NDArray[np.int8],
        limit_time_mjd: NDArray[np.float64] = _NONE,
        limit_band: NDArray[np.str_] = _NO_BAND,
        limit_magnitude: NDArray[np.float64] = _NONE,
    ) -> "LightCurve":
        """Make one of detections in AB magnitudes of the absolute difference flux, and its signs, 1 and -1."""
        flux_njy = flux_of(magnitude)
        return cls(
            time_mjd=time_mjd,
            band=band,
            flux_njy=flux_njy * sign,
            flux_error_njy=flux_error_of(flux_njy, magnitude_error),
            is_forced=np.zeros(len(time_mjd), dtype=bool),
            limit_time_mjd=limit_time_mjd,
            limit_band=limit_band,
            limit_flux_njy=flux_of(limit_magnitude),
        )

    def __len__(self) -> int:
        return len(self.time_mjd)

    def detected(self) -> "LightCurve":
        """Return it without its forced measurements."""
        if not self.is_forced.any():
            return self
        kept = np.flatnonzero(~self.is_forced)
        of_each = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")
        return replace(self, **{name: getattr(self, name)[kept] for name in of_each})

    @property
    def is_positive(self) -> NDArray[np.bool_]:
        """Where the object was brighter than in the template ``(n,)``."""
        return self.flux_njy > 0

    @property
    def magnitude(self) -> NDArray[np.float64]:
        """AB, of the absolute difference flux ``(n,)``."""
        return magnitude_of(self.flux_njy)

    @property
    def magnitude_error(self) -> NDArray[np.float64]:
        """NaN where it is unknown ``(n,)``."""
        return magnitude_error_of(self.flux_njy, self.flux_error_njy)

    @property
    def limit_magnitude(self) -> NDArray[np.float64]:
        """AB ``(m,)``."""
        return magnitude_of(self.limit_flux_njy)


@dataclass(frozen=True, eq=False)
class Triplet:
    """Three stamps of one epoch, centred on the object, ``(rows, columns)`` float32, NaN where a pixel is missing."""

    science: NDArray[np.float32]
    template: NDArray[np.float32]
    difference: NDArray[np.float32]
    time_mjd: float | None = None
    """Epoch of the science and difference stamps (MJD, UTC)."""
    x_pixel: float | None = None
    y_pixel: float | None = None
    """Where the object is on the detector, column and row from 1: a stamp is smaller where the detector ends."""
    is_negative: bool = False
    """Whether the object was fainter than in the template."""

    def as_scored(self) -> "Triplet":
        """Return the stamps as they are, or of a negative difference the mirror: the template as if seen after it."""
        if not self.is_negative:
            return self
        return replace(
            self, science=self.template, template=self.science, difference=-self.difference, is_negative=False
        )


@dataclass(frozen=True)
class CutoutReference:
    """Where the three stamps of one epoch are: https URLs, or paths beside a recorded file."""

    science: str
    template: str
    difference: str
    time_mjd: float | None = None
    x_pixel: float | None = None
    y_pixel: float | None = None
    is_negative: bool = False
    """As in :class:`Triplet`."""


@dataclass(frozen=True)
class History:
    """What a survey saw at an object's place before, as far as the record tells; None where it does not.

    For decisions and people alone. No model and no head has any of it as an input: they are trained on classified
    transients, of which next to none has a past, and of which the year would tell the class.
    """

    first_year: int | None = None
    """In which the survey first alerted there."""
    years: float | None = None
    """From then to the last detection, at least: of a first alert of which only the year is known, from its end."""
    n_detections: int | None = None
    """Detections there, ever."""
    n_negative: int | None = None
    """Detections of the record at which the object was fainter than in the template."""
    n_earlier_seasons: int | None = None
    """Seasons with three positive detections or more before the present one; None where the record does not go back."""
    brighter_mag: float | None = None
    """By how much the present is brighter than the median of the past, in the band in which that is most beside its
    scatter; not above 0 where the past was ever as bright."""
    scatter_mag: float | None = None
    """Of the past in that band, robust."""
    bluer_mag: float | None = None
    """By how much g-r is less than the median of the past nights; not above 0 where one of them was as blue."""
    colour_scatter_mag: float | None = None
    """Of g-r over the past nights, robust."""


BEST_REAL_BOGUS = "best_real_bogus"
"""Among the extras: the most trusted real-bogus score of any detection, of a survey whose records have each one's."""


@dataclass(frozen=True)
class Transient:
    """One object of a survey, in the state a record describes.

    A value that the record lacks, or that is a sentinel, is absent: None, or not a key. Nothing here is NaN.
    """

    object_id: str
    survey: str
    features: Mapping[str, float] = field(default_factory=dict)
    """Object features by the names of the survey's columns; its record has the units."""
    n_det: int | None = None
    """Number of detections behind the features."""
    n_det_good: int | None = None
    """How many of them pass the survey's real-bogus threshold; of ZTF, whose threshold is for positive ones, how many
    are positive besides."""
    n_det_fading: int | None = None
    """Where negative ones are not among these, how many are negative and clearly real: a source fainter than in the
    template, not a bad subtraction."""
    fades: bool = False
    """Whether it is fainter than in its template, at all detections of ZTF and by what is scored of Rubin's: it is
    scored as its mirror, as if it had brightened by as much."""
    last_mjd: float | None = None
    """Epoch of the last detection (MJD, UTC): the epoch the object is scored at."""
    ra_deg: float | None = None
    dec_deg: float | None = None
    sherlock_class: str | None = None
    """Sherlock's class by position: SN, NT, AGN, CV, ORPHAN, UNCLEAR, BS, VS."""
    light_curve: LightCurve | None = None
    triplet: Triplet | None = None
    cutouts: CutoutReference | None = None
    """Of the brightest positive detection, in training and serving alike."""
    why_missing: Mapping[str, str] = field(default_factory=dict)
    """Modality to the reason why the record's source has nothing for it, where that is known."""
    dates_ahead: tuple[str, ...] = ()
    """Names of the dates in the record that are later than now can be, and count as missing."""
    left_out: tuple[str, ...] = ()
    """What the record has and no view does, and why, a phrase each: detections at known solar-system objects, values
    that nobody understands."""
    not_whole: str = ""
    """Which of its values are unknown, in words: its record was computed of detections in reversed order, and has no
    light curve to compute them from; among :attr:`left_out`, too. Empty for nearly all objects."""
    n_solar_system: int = 0
    """Detections in its record that are of known solar-system objects, and none of its own."""
    extras: Mapping[str, float] = field(default_factory=dict)
    """Further values by name: ``age_days`` (capped), ``distance_mpc``, ``physical_separation_kpc``; the survey's own
    scores of how real the detection is, 0 to 1; and of the nearest catalogued source ``nearest_arcsec`` and
    ``nearest_star_score``, 0 for a galaxy to 1 for a star."""
    history: History = History()
    """An input of no model."""

    @property
    def n_good_either_sign(self) -> int | None:
        """How many detections pass real-bogus, or clearly do so as negative differences; None where it is unknown."""
        return None if self.n_det_good is None else self.n_det_good + (self.n_det_fading or 0)
