"""What reasons take from the networks, against the networks themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from annotator.errors import ModelError
from annotator.models import load_models
from annotator.preprocess.curve_layout import TWO_BANDS
from annotator.reasons.triplet import Term, find, terms_of
from annotator.sandbox import simulate_night
from annotator.sandbox.sky.stamps import KINDS, simulate
from annotator.transient import Transient, Triplet
from training.lightcurve import network as lightcurve_network
from training.triplet import network as triplet_network

MODEL = load_models(Path(__file__).parents[2] / "onnx_models", "ztf").models["triplet"]


def test_the_noise_of_a_deviation_is_the_light_curve_network_s():
    assert TWO_BANDS.model_error_mag == lightcurve_network.MODEL_ERROR_MAG


def test_the_terms_in_the_triplet_s_manifest_are_those_of_its_network():
    assert terms_of(MODEL, len(triplet_network.TERMS)) == tuple(
        Term(term.channel, term.box_pixels, term.radius_pixels) for term in triplet_network.TERMS
    )
    with pytest.raises(ModelError, match="expected its manifest to describe 7 terms of the residual, found 6"):
        terms_of(MODEL, 7)


def test_shares_of_the_stamps_are_the_parts_that_the_network_combines():
    """What is left of the error's fourth power where a term is set to nothing, by the network's own sum."""
    item = simulate_night(2, 40).objects[0]
    epoch = min((e for e in item.epochs if e.isdiffpos == "t"), key=lambda e: e.magpsf)
    transient = Transient("x", "ztf", triplet=Triplet(*(simulate(item, epoch, 2)[kind] for kind in KINDS)))
    scored = MODEL.score(transient)
    excess = torch.tensor([scored.residual])
    whole = triplet_network.combined(excess) ** 4
    shares = []
    for i in range(excess.shape[1]):
        without = excess.clone()
        without[0, i] = -np.inf
        shares.append(float(1 - triplet_network.combined(without) ** 4 / whole))
    reasons = find(transient, scored, MODEL)
    assert sum(reason.share for reason in reasons) == pytest.approx(sum(s for s in shares if s >= 0.05), abs=1e-3)
