"""Two scores of the quantities, fitted to normal objects without a label's help: how far away, and in which direction.

`OutlierDistance` goes from an object to the nearest of the centres that the reference sample gathers about, in those
quantities of the transient that do not depend on how far away it is, and by Sherlock's class. `Prior` is what an
astronomer expects of an exotic transient, openly stated: bluer, closer to its host's centre, slower, and far out.

In the graph and its manifest the outlier distance is called `oddity`, and so are the buffers: names of a graph's parts
are bytes of it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.models.manifest import Column
from annotator.preprocess.quantities import QUANTITIES, QUANTITY_NAMES, SHERLOCK_CLASSES
from training.export.rows import aligned, sum_of_rows
from training.features.network import FeatureModel, FeatureScaling
from training.features.scaling import UNLIMITED, robust_column

PHYSICAL = (
    "colour_now",
    "colour_peak",
    "amplitude_g",
    "amplitude_r",
    "fade_g",
    "fade_r",
    "trend_28_g",
    "trend_28_r",
    "host_separation",
    "ps1_separation",
)
"""What does not depend on how far away the object is: colours, amplitude, fading, trend in both bands, and the host's
two separations. Chosen for that, not for how it ranks anything."""

SHERLOCK = tuple(f"sherlock_{name.lower()}" for name in SHERLOCK_CLASSES)

EXPECTED_SMALL = (
    "colour_now",
    "colour_peak",
    "host_separation",
    "ps1_separation",
    "amplitude_g",
    "amplitude_r",
    "fade_g",
    "fade_r",
)
"""Bluer now and at the peak; closer to the host's centre, by two catalogues; slower in amplitude and fading."""

N_CENTRES = 256
MIN_MEMBERS = 5
"""A centre of fewer normals would be close to being one of them: what it stands for is odd, and no data are shipped."""
N_NEAREST = 5
CLIP = 5.0
"""Robust standard deviations, beyond which no quantity makes an object odder."""
CLASS_SCALE = 0.5
"""An object of another class by Sherlock is as far as one 2.8 standard deviations away in a quantity."""
N_KNOTS = 200


def fit_quantity_columns(quantities: NDArray[np.float32], names: Sequence[str]) -> tuple[Column, ...]:
    """Fit centre (median) and scale (half the middle 68 %) of quantities to normals ``(n, n_quantities)``.

    Raises
    ------
    ValueError
        If a quantity has no value at all.
    """
    columns = []
    for name in names:
        quantity = QUANTITIES[QUANTITY_NAMES.index(name)]
        values = quantities[:, QUANTITY_NAMES.index(name)]
        if name in SHERLOCK:
            column = Column(name, "", -UNLIMITED, UNLIMITED, "identity", 1.0, 0.0, CLASS_SCALE, -CLIP, CLIP)
        elif not np.isfinite(values).any():
            raise ValueError(f"expected values of {name} in the training part, found none")
        else:
            column = robust_column(name, quantity.unit, quantity.transform, quantity.softening, values, CLIP)
        columns.append(column)
    return tuple(columns)


class OutlierDistance(nn.Module):
    """Mean distance to the nearest centres, in robust standard deviations."""

    def __init__(self, columns: Sequence[Column], centres: NDArray[np.float32]) -> None:
        super().__init__()
        self.scaling_columns = tuple(columns)
        self.scaling = FeatureScaling(columns)
        self.register_buffer("places", torch.tensor([QUANTITY_NAMES.index(column.name) for column in columns]))
        self.register_buffer("centres", torch.from_numpy(centres))

    def forward(self, quantities: Tensor) -> Tensor:
        """``(n, n_quantities)`` -> ``(n,)``; a missing quantity counts as the median."""
        scaled, _ = self.scaling(quantities[:, self.places])
        squares = (aligned(scaled)[:, None] - aligned(self.centres)).square().sum(dim=2)
        nearest = torch.topk(squares, min(N_NEAREST, len(self.centres)), dim=1, largest=False).values
        return sum_of_rows(nearest.clamp(min=0).sqrt()) / nearest.shape[1]


class Prior(nn.Module):
    """Sum, over the expected directions, of the share of normals that an object goes beyond; 0 to 9."""

    def __init__(self, knots: NDArray[np.float32], oddity_knots: NDArray[np.float32]) -> None:
        super().__init__()
        self.register_buffer("places", torch.tensor([QUANTITY_NAMES.index(name) for name in EXPECTED_SMALL]))
        self.register_buffer("knots", torch.from_numpy(knots))
        self.register_buffer("oddity_knots", torch.from_numpy(oddity_knots))

    def forward(self, quantities: Tensor, oddity: Tensor) -> Tensor:
        """``(n, n_quantities)``, ``(n,)`` -> ``(n,)``; a missing quantity counts as the median."""
        values = quantities[:, self.places]
        larger = (values[:, :, None] < self.knots).to(quantities.dtype).mean(dim=2)
        larger = torch.where(torch.isnan(values), torch.full_like(larger, 0.5), larger)
        less_odd = (oddity[:, None] > self.oddity_knots).to(quantities.dtype).mean(dim=1)
        return larger.sum(dim=1) + less_odd


def fit_outlier_distance(quantities: NDArray[np.float32], seed: int) -> OutlierDistance:
    """Fit the centres to normals ``(n, n_quantities)``: k-means, without the clusters of too few members."""
    from sklearn.cluster import KMeans

    columns = fit_quantity_columns(quantities, (*PHYSICAL, *SHERLOCK))
    model = OutlierDistance(columns, np.zeros((1, len(columns)), dtype=np.float32)).eval()
    with torch.no_grad():
        scaled = model.scaling(torch.from_numpy(quantities)[:, model.places])[0].numpy().astype(np.float64)
    n_centres = min(N_CENTRES, max(1, len(scaled) // (2 * MIN_MEMBERS)))
    clusters = KMeans(n_centres, n_init=1, random_state=seed).fit(scaled)
    members = np.bincount(clusters.labels_, minlength=n_centres)
    centres = clusters.cluster_centers_[members >= min(MIN_MEMBERS, members.max())]
    return OutlierDistance(columns, centres.astype(np.float32)).eval()


def fit_prior(quantities: NDArray[np.float32], outlier_distance: OutlierDistance) -> Prior:
    """Fit where normals ``(n, n_quantities)`` lie in each direction, by quantiles."""
    levels = (np.arange(N_KNOTS) + 0.5) / N_KNOTS
    values = quantities[:, [QUANTITY_NAMES.index(name) for name in EXPECTED_SMALL]].astype(np.float64)
    knots = np.nanquantile(values, levels, axis=0).T
    with torch.no_grad():
        distances = outlier_distance(torch.from_numpy(quantities)).numpy().astype(np.float64)
    return Prior(knots.astype(np.float32), np.quantile(distances, levels).astype(np.float32)).eval()


class ObjectModel(nn.Module):
    """The whole graph of the object features: the autoencoder, the outlier distance and the prior."""

    def __init__(self, autoencoder: FeatureModel, oddity: OutlierDistance, prior: Prior) -> None:
        super().__init__()
        self.autoencoder, self.oddity, self.prior = autoencoder, oddity, prior

    def forward(self, features: Tensor, quantities: Tensor) -> tuple[Tensor, ...]:
        """``(n, 21)``, ``(n, n_quantities)`` -> error, residual, latent, oddity ``(n,)``, prior ``(n,)``."""
        oddity = self.oddity(quantities)
        return (*self.autoencoder(features), oddity, self.prior(quantities, oddity))
