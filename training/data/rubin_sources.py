"""The files that Rubin's models learn from and are measured on, as they are laid out, and what is read of each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.classified_curves import ClassifiedCurve, ClassifiedCurves, ztf_in_flux
from training.data.curves import read_curves
from training.data.plasticc import read_plasticc

CALIBRATING_FOLDS = range(5)
"""Of the supernovae of PLAsTiCC's test set those of these bins calibrate, and the others measure."""


@dataclass(frozen=True)
class Sources:
    """What to learn from."""

    folder: Path
    """With plasticc_train.parquet and plasticc_test_sn.parquet, their labels, and rubin_cadence_v3.0.parquet."""
    curves: Path
    """ZTF's light curves (Parquet)."""
    labels: Path
    """Their classes."""
    native: Path | None = None
    """Folder of typed objects of the survey itself (:mod:`training.data.native`); None: none are learned from."""

    @property
    def cadence(self) -> Path:
        """Dates and depths of random positions of the survey simulation."""
        return self.folder / "rubin_cadence_v3.0.parquet"


def sources_of(folder: Path, curves: Path | None, native: Path | None = None) -> Sources:
    """Return what to learn from; None: the light curves above the folder, their labels beside them, and none native."""
    given = curves or folder.parent / "lightcurves.parquet"
    return Sources(folder, given, given.parent / "lightcurve_labels.csv", native)


def read_simulated(sources: Sources) -> ClassifiedCurves:
    """Read PLAsTiCC's training set; raises ConfigError where it cannot be read, as the others do."""
    return _read_plasticc(sources, "plasticc_train")


@dataclass(frozen=True)
class Halves:
    """Supernovae of PLAsTiCC's test set, which are as faint as a survey's are."""

    calibrating: list[ClassifiedCurve]
    checking: list[ClassifiedCurve]
    table: ClassifiedCurves
    """Both."""


def read_halves(sources: Sources) -> Halves:
    """Read the supernovae of PLAsTiCC's test set, those that calibrate and those that measure."""
    table = _read_plasticc(sources, "plasticc_test_sn")
    half = np.isin(table.folds, CALIBRATING_FOLDS)
    first, second = ([curve for curve, is_in in zip(table.curves, of, strict=True) if is_in] for of in (half, ~half))
    return Halves(first, second, table)


def read_ztf(sources: Sources) -> ClassifiedCurves:
    """Read ZTF's classified light curves, in flux."""
    return ztf_in_flux(read_curves(sources.curves, sources.labels))


def _read_plasticc(sources: Sources, name: str) -> ClassifiedCurves:
    return read_plasticc(sources.folder / f"{name}.parquet", sources.folder / f"{name}_labels.csv")
