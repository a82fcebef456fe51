"""Light curves in flux of objects of known class, of any survey, whole and at a random epoch."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.lightcurve import GRID_BANDS
from annotator.preprocess.nightly import NIGHT_GAP_DAYS
from annotator.transient import LightCurve
from training.data.curves import CurveTable, LabelledCurve
from training.data.folds import fold_of

EXOTIC_KINDS = ("SLSN", "TDE")
"""How the spectroscopic types of exotic transients begin. An active galactic nucleus is none: they flood a stream."""

PACKETS = "packets"
PACKET_SOURCES = ("ZTF_alert_packets", "ZTF_alert_packets_nolicence", "Fink_alerts_2024_10", "ALeRCE_30_sne")
"""Of the group `alerts` those that hold alerts as they came, of every class; the others hold one class each."""


@dataclass(frozen=True, eq=False)
class ClassifiedCurve:
    """A light curve in flux, of an object of known class."""

    object_id: str
    kind: str
    """Spectroscopic type, or the simulated one."""
    source: str
    """Catalogue that it is of: class follows it, so that ranks compare within one."""
    light_curve: LightCurve

    @property
    def is_exotic(self) -> bool:
        """Whether it is of the kinds that are looked for."""
        return self.kind.startswith(EXOTIC_KINDS)


@dataclass(frozen=True, eq=False)
class ClassifiedCurves:
    """Light curves from one file."""

    file_name: str
    sha256: str
    """Of the light curves, then of the labels."""
    curves: tuple[ClassifiedCurve, ...]

    @property
    def folds(self) -> NDArray[np.int64]:
        """``(n,)``, 0 to 9 by a hash of the object's id."""
        return np.array([fold_of(curve.object_id) for curve in self.curves], dtype=np.int64)


def ztf_in_flux(table: CurveTable) -> ClassifiedCurves:
    """Return ZTF's labelled light curves in flux: what of them is positive, in g or r and physical."""
    curves = (ClassifiedCurve(curve.object_id, curve.kind, source_of(curve), _in_flux(curve)) for curve in table.curves)
    return ClassifiedCurves(table.file_name, table.sha256, tuple(curves))


def source_of(curve: LabelledCurve) -> str:
    """Return which catalogue a curve of ZTF is of, as finely as class follows it."""
    if curve.group != "alerts":
        return curve.group
    return PACKETS if curve.source in PACKET_SOURCES else curve.source


def _in_flux(curve: LabelledCurve) -> LightCurve:
    detections = curve.detections
    return LightCurve.of_magnitudes(
        time_mjd=detections.time_days,
        band=np.array(GRID_BANDS)[detections.band],
        magnitude=detections.magnitude,
        magnitude_error=detections.error_mag,
        sign=np.ones(len(detections), dtype=np.int8),
    )


def at_random_epoch(curve: LightCurve, rng: np.random.Generator) -> LightCurve:
    """Return what was seen up to a random night with a detection, from the second such night on, if there is one."""
    detected = np.sort(curve.time_mjd[~curve.is_forced])
    if not len(detected):
        return curve
    ends = detected[np.append(np.diff(detected) > NIGHT_GAP_DAYS, True)]
    return measured_where(curve, curve.time_mjd <= rng.choice(ends[min(1, len(ends) - 1) :]))


def measured_where(curve: LightCurve, kept: NDArray) -> LightCurve:
    """Return some of the measurements, by mask or index."""
    names = ("time_mjd", "band", "flux_njy", "flux_error_njy", "is_forced")
    return dataclasses.replace(curve, **{name: getattr(curve, name)[kept] for name in names})
