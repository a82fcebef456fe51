"""The model of an LSST object's quantities: how far it is from normal ones, and in which direction.

Its graph has what that of ZTF's object features has: a reconstruction, here by the four directions in which normals
differ most, the distance to what normals gather about, and the stated prior. It is fitted to normals without a label.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.models.manifest import Column
from annotator.preprocess.evolution import EVOLUTION, EVOLUTION_NAMES
from training.export.rows import aligned, sum_of_rows
from training.features.network import FeatureScaling, mean_huber
from training.features.outlier_distance import CLIP, MIN_MEMBERS, N_CENTRES, N_KNOTS, N_NEAREST
from training.features.scaling import robust_column

N_LATENTS = 4

EXPECTED_LARGE = ("colour", "colour_drift")
EXPECTED_SMALL = ("rise", "fall")
"""Bluer, cooling less, and slower: what an astronomer expects of a tidal disruption or a superluminous supernova."""

DIRECTED = (*EXPECTED_LARGE, *EXPECTED_SMALL)


class EvolutionModel(nn.Module):
    """Scaling, reconstruction, distance to the nearest centres, and the stated prior."""

    def __init__(
        self,
        columns: Sequence[Column],
        directions: NDArray[np.float32],
        centres: NDArray[np.float32],
        knots: NDArray[np.float32],
    ) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.scaling = FeatureScaling(columns)
        self.register_buffer("directions", torch.from_numpy(directions))
        self.register_buffer("centres", torch.from_numpy(centres))
        self.register_buffer("places", torch.tensor([EVOLUTION_NAMES.index(name) for name in DIRECTED]))
        signs = [1.0] * len(EXPECTED_LARGE) + [-1.0] * len(EXPECTED_SMALL)
        self.register_buffer("signs", torch.tensor(signs))
        self.register_buffer("knots", torch.from_numpy(knots))

    def forward(self, evolution: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """``(n, 11)`` physical values -> error ``(n,)``, residual ``(n, 11)``, latent ``(n, 4)``, oddity and prior."""
        scaled, present = self.scaling(evolution)
        latent = scaled @ self.directions
        residual = (scaled - latent @ self.directions.T) * present
        squares = (aligned(scaled)[:, None] - aligned(self.centres)).square().sum(dim=2)
        nearest = torch.topk(squares, min(N_NEAREST, len(self.centres)), dim=1, largest=False).values
        oddity = sum_of_rows(nearest.clamp(min=0).sqrt()) / nearest.shape[1]
        return mean_huber(residual, present), residual, latent, oddity, self.prior(evolution)

    def prior(self, evolution: Tensor) -> Tensor:
        """``(n, 11)`` -> ``(n,)``: the sum over directions of the share of normals gone beyond; missing is a half."""
        values = evolution[:, self.places] * self.signs
        beyond = (values[:, :, None] > self.knots).to(evolution.dtype).mean(dim=2)
        return torch.where(torch.isnan(values), torch.full_like(beyond, 0.5), beyond).sum(dim=1)


def fit_evolution(values: NDArray[np.float32], seed: int) -> EvolutionModel:
    """Fit the model to normals ``(n, 11)``, NaN where missing."""
    from sklearn.cluster import KMeans

    columns = [
        robust_column(quantity.name, quantity.unit, quantity.transform, quantity.softening, values[:, number], CLIP)
        for number, quantity in enumerate(EVOLUTION)
    ]
    with torch.no_grad():
        scaled = FeatureScaling(columns)(torch.from_numpy(values))[0].numpy().astype(np.float64)
    _, vectors = np.linalg.eigh(scaled.T @ scaled)
    directions = vectors[:, ::-1][:, :N_LATENTS]
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), range(N_LATENTS)])
    n_centres = min(N_CENTRES, max(1, len(scaled) // (2 * MIN_MEMBERS)))
    clusters = KMeans(n_centres, n_init=1, random_state=seed).fit(scaled)
    members = np.bincount(clusters.labels_, minlength=n_centres)
    centres = clusters.cluster_centers_[members >= min(MIN_MEMBERS, members.max())]
    signs = np.array([1.0] * len(EXPECTED_LARGE) + [-1.0] * len(EXPECTED_SMALL))
    directed = values[:, [EVOLUTION_NAMES.index(name) for name in DIRECTED]].astype(np.float64) * signs
    knots = np.nanquantile(directed, (np.arange(N_KNOTS) + 0.5) / N_KNOTS, axis=0).T
    return EvolutionModel(
        columns, directions.astype(np.float32), centres.astype(np.float32), knots.astype(np.float32)
    ).eval()


def numbers_of(model: EvolutionModel, values: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Return the single numbers that the graph gives of states ``(n, 11)``, each ``(n,)``."""
    with torch.no_grad():
        error, _, _, oddity, prior = model(torch.from_numpy(values))
    return {
        name: tensor.numpy().astype(np.float64)
        for name, tensor in {"error": error, "oddity": oddity, "prior": prior}.items()
    }
