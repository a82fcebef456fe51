"""The ten folds of all trainings: by a hash of an object's name, so that all that is known of it is in one."""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_FOLDS = 10


@dataclass(frozen=True)
class Split:
    """Which rows train, stop the training and test: boolean masks over a table, normals and exotics alike."""

    train: NDArray[np.bool_]
    validation: NDArray[np.bool_]
    test: NDArray[np.bool_]


def fold_of(name: str) -> int:
    """Return a name's fold, 0 to 9."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % N_FOLDS


def rotated(folds: NDArray[np.int64], rotation: int) -> Split:
    """Split ``(n,)`` folds: with rotation 0, 0 to 7 train, 8 stops and 9 tests; each rotation moves all by one."""
    test, validation = (9 + rotation) % N_FOLDS, (8 + rotation) % N_FOLDS
    return Split(train=(folds != test) & (folds != validation), validation=folds == validation, test=folds == test)


def rotation_of(folds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rotation ``(n,)`` whose test part each object is in: its model has not seen the object."""
    return (folds - (N_FOLDS - 1)) % N_FOLDS
