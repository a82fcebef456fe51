"""The straightforward way from Lasair's JSON and FITS bytes to AHA's three errors, for `make bench` to compare with.

The steps of AHA's notebooks as arXiv 2602.12955 and its repository describe them, written out one after the other:
astropy for each stamp, a loop over the grid for each light curve, torch for each network. The weights are random, for
the arithmetic is the same. It neither annotates nor remembers anything, which is in its favour.
"""

import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from astropy.io import fits
from torch.nn import functional

from annotator.surveys.ztf.columns import FEATURE_NAMES
from training.features.aha import AhaModel
from training.lightcurve.aha import AhaCurveModel
from training.triplet.aha import AhaTripletModel

GRID_DAYS = np.arange(-50.0, 301.0, 2.0)


class Straightforward:
    """AHA's three networks, and what its notebooks do before them."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        rng = np.random.default_rng(1)
        n_points = len(GRID_DAYS)
        some_curves = np.stack([rng.normal(19.0, 1.0, (9, 2, n_points)), np.ones((9, 2, n_points))], axis=1)
        self._features = AhaModel(rng.normal(size=(9, len(FEATURE_NAMES) + 1)).astype(np.float32)).eval()
        self._curves = AhaCurveModel(some_curves.astype(np.float32)).eval()
        self._stamps = AhaTripletModel().eval()

    def errors(self, text: str, files: Sequence[bytes]) -> list[float]:
        """Return the errors of one object, from its answer's JSON and its science, difference and template stamps."""
        record = json.loads(text)
        inputs = [(self._features, feature_row(record)), (self._curves, curve(record["candidates"]))]
        if all(files):
            inputs.append((self._stamps, stack(files)))
        with torch.no_grad():
            return [float(model(torch.from_numpy(values[np.newaxis]))[0]) for model, values in inputs]


def feature_row(record: Mapping) -> np.ndarray:
    """Take the columns that the record itself has; computing those that `object` lacks is no step of the notebooks."""
    columns = {**record.get("sherlock", {}), **record.get("objectData", {})}
    return np.array([columns.get(name, -999.0) for name in (*FEATURE_NAMES, "z")], dtype=np.float32)


def curve(candidates: Sequence[Mapping]) -> np.ndarray:
    """Average magnitudes in a Gaussian kernel at each point of the grid: magnitude and weight, ``(2, 2, 176)``."""
    seen = [item for item in candidates if "candid" in item and item["fid"] in (1, 2)]
    jd = np.array([item["jd"] for item in seen])
    fid = np.array([item["fid"] for item in seen])
    magnitude = np.array([item["magpsf"] for item in seen])
    error = np.array([item["sigmapsf"] for item in seen])
    phase = jd - jd[np.argmin(magnitude)]
    result = np.zeros((2, 2, len(GRID_DAYS)), dtype=np.float32)
    for number in (0, 1):
        chosen = (fid == number + 1) & (phase >= -56.0) & (phase <= 306.0)
        days, values, sigma = phase[chosen], magnitude[chosen], error[chosen]
        if not len(days):
            continue
        for point, day in enumerate(GRID_DAYS):
            bandwidth = 0.7 if abs(day) <= 30.0 else 2.0
            kernel = np.exp(-0.5 * ((days - day) / bandwidth) ** 2)
            weight = kernel / sigma**2 * (1 + 3 * np.exp(-0.5 * (days / 12.0) ** 2))
            total, square = weight.sum(), (weight**2).sum()
            if square > 0 and total**2 / square >= 1.0:
                result[0, number, point] = (weight * values).sum() / total
                result[1, number, point] = min(total**2 / square / 6.0, 1.0)
    return result


def stack(files: Sequence[bytes]) -> np.ndarray:
    """Read stamps with astropy, each to zero mean and unit variance, missing pixels 0, stretched: ``(3, 64, 64)``."""
    stamps = []
    for content in files:
        with fits.open(io.BytesIO(content)) as file:
            stamp = file[0].data.astype(np.float32)
        is_there = np.isfinite(stamp)
        scaled = np.where(is_there, (stamp - stamp[is_there].mean()) / (stamp[is_there].std() or 1.0), 0.0)
        image = torch.from_numpy(scaled.astype(np.float32))[None, None]
        stamps.append(functional.interpolate(image, (64, 64), mode="bilinear", align_corners=False)[0, 0].numpy())
    return np.stack(stamps)
