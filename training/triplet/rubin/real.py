"""Real triplets of Rubin's alerts, to check a model on: none trains it, calibrates it, or chooses anything of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.preprocess.triplet import CHANNELS
from annotator.surveys import SURVEYS
from annotator.surveys.lsst.tables import FLUX, OBJECT_ID, SOURCE_ID
from annotator.transient import Triplet
from training.evolution.states import context_of

STAMPS, WHOLE, IDS, CONTEXT = "rubin_cutouts.npz", "rubin_cutouts_native.npz", "rubin_ids.csv", "rubin_context.csv"


@dataclass(frozen=True, eq=False)
class RealStamps:
    """Triplets of what is no asteroid, one an entry."""

    object_ids: NDArray[np.str_]
    triplets: tuple[Triplet, ...]
    """Of as many pixels as the alert had, as they are scored: the mirror of what is negative."""
    side_pixels: NDArray[np.int64]
    snr: NDArray[np.float64]
    reliability: NDArray[np.float64]
    contexts: NDArray[np.str_]
    """What catalogues say of each: AGN, star, other, or not looked up."""

    def __len__(self) -> int:
        return len(self.triplets)


def read_real(folder: Path) -> RealStamps:
    """Read the stamps, at their own size where it is kept, and what is known of them.

    Raises
    ------
    ConfigError
        If a file is not there, or is none of the kind.
    """
    import pandas  # only training needs it

    try:
        with np.load(folder / STAMPS, allow_pickle=False) as file:
            stamps = {name: file[name] for name in file.files}
        with np.load(folder / WHOLE, allow_pickle=False) as file:
            whole = {name: file[name] for name in file.files}
        ids = pandas.read_csv(folder / IDS, dtype=str)
        context = context_of(folder / CONTEXT)
    except (OSError, ValueError, KeyError) as failure:
        raise ConfigError(
            f"--data {folder}: expected {STAMPS}, {WHOLE}, {IDS} and {CONTEXT}, found {failure}; name the folder of "
            f"Rubin's alerts"
        ) from failure
    at_own_size = {
        str(source_id): whole["pixels"][start : start + 3 * side**2].reshape(3, side, side)
        for source_id, start, side in zip(whole[SOURCE_ID], whole["offset"], whole["size"].astype(int), strict=True)
    }
    places = np.flatnonzero(~stamps["is_sso"].astype(bool))
    source_ids = stamps[SOURCE_ID][places].tolist()
    triplets = []
    for place, source_id in zip(places.tolist(), source_ids, strict=True):
        three = at_own_size.get(source_id, [stamps[name][place] for name in CHANNELS])
        triplets.append(Triplet(*three, is_negative=bool(stamps[FLUX][place] < 0)).as_scored())
    object_ids = np.array(ids[OBJECT_ID].fillna("").tolist())[places]
    (reliability,) = SURVEYS["lsst"].real_bogus
    return RealStamps(
        object_ids=object_ids,
        triplets=tuple(triplets),
        side_pixels=stamps["native_size"][places].astype(np.int64),
        snr=np.abs(stamps["snr"][places]),
        reliability=stamps[reliability][places],
        contexts=np.array([context(object_id) for object_id in object_ids.tolist()]),
    )
