"""Stamps of Rubin that nobody took: of what changes where it is, on simulated nights, at random epochs.

Normal is all that stays in its place and is light: supernovae on hosts or far from any, active nuclei and variable
stars, above or below what their template holds. Asteroids and bogus detections are not among them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from annotator.preprocess.small_stamps import LEAST_PIXELS, in_bins, measured_bins
from annotator.preprocess.triplet import CHANNELS, stamp_tensors
from annotator.sandbox.sky.rubin.night import RubinObject, simulate_rubin_night
from annotator.sandbox.sky.rubin.stamps import simulate
from annotator.transient import Triplet
from training.recipe import in_processes

NIGHT_MJD = 61400.4
VARIABLES: Mapping[str, float] = MappingProxyType({"AGN": 0.2, "variable star": 0.15})
"""Of a night's objects; the others are supernovae. They are many, since bright cores are where subtractions fail."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """Triplets at random epochs of simulated objects."""

    nights: NDArray[np.int64]
    """``(n,)``: of which night each is."""
    kinds: NDArray[np.str_]
    snr: NDArray[np.float64]
    """``(n,)``: of the difference's flux, its sign left out."""
    triplets: tuple[Triplet, ...]
    """In bins, the mirror of what is negative."""
    tensors: NDArray[np.float32]
    """``(n, 6, 63, 63)``."""

    def __len__(self) -> int:
        return len(self.nights)

    def where(self, chosen: NDArray[np.bool_]) -> "Rendered":
        """Return those of a mask ``(n,)``."""
        triplets = tuple(self.triplets[i] for i in np.flatnonzero(chosen))
        return Rendered(self.nights[chosen], self.kinds[chosen], self.snr[chosen], triplets, self.tensors[chosen])


def rendered_nights(nights: Sequence[int], n_objects: int, n_epochs: int, seed: int, jobs: int = 1) -> Rendered:
    """Render so many random epochs of each object of nights; the same numbers give the same stamps.

    Parameters
    ----------
    nights
        Their numbers: each is a sky of its own.
    n_objects
        Of a night.
    n_epochs
        Of an object, at most.
    """
    parts = in_processes(partial(_of_night, tuple(nights), n_objects, n_epochs, seed), len(nights), jobs)
    found = [item for part in parts for item in part]
    triplets = tuple(item[3] for item in found)
    return Rendered(
        nights=np.array([item[0] for item in found]),
        kinds=np.array([item[1] for item in found]),
        snr=np.array([item[2] for item in found]),
        triplets=triplets,
        tensors=tensors_of(triplets),
    )


def tensors_of(triplets: Sequence[Triplet]) -> NDArray[np.float32]:
    """Lay triplets in bins out as the model's input."""
    return stamp_tensors([measured_bins(triplet) for triplet in triplets])


def rendered_triplet(simulated: RubinObject, source: int, seed: int) -> Triplet:
    """Render one source of an object, its stamps as small as Rubin's are."""
    stamps = simulate(simulated, source, LEAST_PIXELS, seed)
    is_negative = bool(simulated.observed.sources.flux_njy[source] < 0)
    return Triplet(*(stamps[name.capitalize()] for name in CHANNELS), is_negative=is_negative)


def _of_night(
    nights: tuple[int, ...], n_objects: int, n_epochs: int, seed: int, place: int
) -> list[tuple[int, str, float, Triplet]]:
    number = nights[place]
    night = simulate_rubin_night(1000 * seed + number, n_objects, NIGHT_MJD, VARIABLES)
    rng = np.random.default_rng([seed, number])
    found = []
    for simulated in night.objects:
        sources = simulated.observed.sources
        for source in rng.permutation(len(sources))[:n_epochs].tolist():
            snr = abs(float(sources.flux_njy[source] / sources.error_njy[source]))
            triplet = in_bins(rendered_triplet(simulated, source, night.seed).as_scored())
            found.append((number, simulated.kind, snr, triplet))
    return found
