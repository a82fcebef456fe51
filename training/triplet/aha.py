"""`aha-train triplet --recipe aha`: AHA's recipe on the same stamps and folds, for comparison.

Written from its description (arXiv 2602.12955): no code of AHA's is here.
"""

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor as TorchTensor
from torch import nn
from torch.nn import functional

from annotator.models.manifest import Manifest, Reference, Tensor
from annotator.preprocess.triplet import MAX_PHYSICAL_FLUX
from annotator.surveys.ztf.record import ZTF
from annotator.transient import Triplet
from training import recipe
from training.data.stamps import N_MODELS, StampTable, read_stamps
from training.export.comparison import read_comparison, refuse_served, write_comparison
from training.export.graph import describe_graph, export_graph
from training.metrics import ranking as evaluate
from training.metrics.calibrate import uniform_calibrated
from training.recipe import check_writable, in_processes
from training.triplet import evaluate as triplet_evaluate
from training.triplet.injection import INJECTIONS
from training.triplet.injection import ZTF as ZTF_SCALE

SIDE = 64
EPOCHS = 200
BATCH_SIZE = 32
LEARNING_RATE = 1e-3
N_LATENT = 128 * 8 * 8


class AhaTripletModel(nn.Module):
    """Convolutions 3-32-64-128 and their mirror; the bottleneck keeps 8,192 of 12,288 numbers."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 128)
        down, up = [], []
        for n_in, n_out in pairwise(widths):
            down += [nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), nn.ReLU()]
            up = [nn.ConvTranspose2d(n_out, n_in, 3, stride=2, padding=1, output_padding=1), nn.ReLU(), *up]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up[:-1])

    def forward(self, stamps: TorchTensor) -> tuple[TorchTensor, TorchTensor, TorchTensor]:
        """``(n, 3, 64, 64)`` -> mean squared error ``(n,)``, the same by stamp ``(n, 3)``, latent ``(n, 8192)``."""
        latent = self.encoder(stamps)
        by_stamp = (stamps - self.decoder(latent)).square().mean(dim=(2, 3))
        return by_stamp.mean(dim=1), by_stamp, latent.flatten(1)


def aha_tensor(triplet: Triplet) -> NDArray[np.float32]:
    """Scale each stamp to zero mean and unit variance, missing pixels 0, and stretch it: science, difference, template.

    Returns
    -------
    NDArray
        ``(3, 64, 64)`` float32.
    """
    stamps = []
    for stamp in (triplet.science, triplet.difference, triplet.template):
        is_there = np.abs(np.nan_to_num(stamp, nan=np.inf)) < MAX_PHYSICAL_FLUX
        values = stamp[is_there].astype(np.float64)
        deviation = values.std() or 1.0
        stamps.append(np.where(is_there, (np.nan_to_num(stamp) - values.mean()) / deviation, 0.0).astype(np.float32))
    stacked = torch.from_numpy(np.array(stamps))[np.newaxis]
    return functional.interpolate(stacked, (SIDE, SIDE), mode="bilinear", align_corners=False)[0].numpy()


def reproduce(data: Path, out: Path, epochs: int | None, seed: int, jobs: int) -> None:
    """Train AHA's recipe on each fold, evaluate it as ours is, and write ``aha_triplet.onnx`` and ``.json``.

    Raises
    ------
    ConfigError
        If the stamps cannot be trained on, or `out` holds the annotator's models, which these must not join.
    ModelError
        If a gate of the export fails.
    """
    refuse_served(out)
    check_writable(out)
    torch.set_num_threads(1)
    table = read_stamps(data)
    picks = table.subset(table.is_pick)
    tensors = np.array([aha_tensor(triplet) for triplet in picks.triplets])
    models = in_processes(partial(_fit_model, picks, tensors, epochs or EPOCHS, seed), N_MODELS, jobs)
    errors = recipe.out_of_fold(picks.model_of, lambda number, here: _errors(models[number], tensors[here]))
    metrics = {"labelled": _labelled(errors, picks), "injections": _injections(models, picks)}
    graph = export_graph(models[0], {"stamps": tensors[:50]})
    manifest = _manifest(models[0], graph, table, tensors, errors[picks.is_normal], metrics, epochs or EPOCHS, seed)
    write_comparison(out, graph, manifest)


def read_result(folder: Path, data: Path) -> Manifest:
    """Read what :func:`reproduce` wrote, and check that it is about the same stamps.

    Raises
    ------
    ConfigError
        If there is none, or it is about others.
    """
    return read_comparison(folder, "aha_triplet", data, lambda: read_stamps(data).sha256)


def _fit_model(picks: StampTable, tensors: NDArray[np.float32], epochs: int, seed: int, number: int) -> AhaTripletModel:
    """Fit on all objects of the model's training part, exotics and artefacts too, as AHA does; keep the best epoch."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    split = picks.split(number)
    train, validation = torch.from_numpy(tensors[split.train]), torch.from_numpy(tensors[split.validation])
    model = AhaTripletModel()
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    return recipe.fit(
        f"AHA's recipe, model {number + 1} of {N_MODELS}",
        model,
        len(train),
        epochs,
        recipe.Descent(BATCH_SIZE, optimizer),
        lambda batches: (model(train[rows])[0].mean() for rows in batches),
        lambda model: model(validation)[0].mean().item(),
    ).model


def _errors(model: AhaTripletModel, tensors: NDArray[np.float32]) -> NDArray[np.float64]:
    with torch.no_grad():
        parts = [model(part)[0] for part in torch.from_numpy(tensors).split(128)]
    return torch.cat(parts).numpy().astype(np.float64)


def _labelled(errors: NDArray[np.float64], picks: StampTable) -> dict:
    kept = np.char.startswith(picks.column("source_label"), "SN") | picks.is_exotic
    is_exotic = picks.is_exotic[kept]
    if not is_exotic.any() or is_exotic.all():
        return {}
    return evaluate.as_lists(evaluate.ranking(errors[kept], is_exotic))


def _injections(models: list[AhaTripletModel], picks: StampTable) -> dict:
    """Score the very pairs that ours is measured on (:data:`training.triplet.train.INJECTION_SEED`)."""
    from training.triplet.train import INJECTION_SEED

    table = picks.subset(picks.is_normal)
    folds = table.model_of
    scores = {}
    for order, (kind, inject) in enumerate(INJECTIONS.items()):
        rng = np.random.default_rng([INJECTION_SEED, order])
        pairs = [(place, inject(triplet, rng, ZTF_SCALE)) for place, triplet in enumerate(table.triplets)]
        places = np.array([place for place, pair in pairs if pair])
        members = [np.array([aha_tensor(pair[i]) for _, pair in pairs if pair]) for i in range(2)]
        found = np.full((2, len(places)), np.nan)
        for fold, model in enumerate(models):
            here = folds[places] == fold
            found[:, here] = [_errors(model, member[here]) for member in members]
        scores[kind] = found[0], found[1]
    aucs = triplet_evaluate.by_kind(scores)
    return {"methods": aucs, "mean": triplet_evaluate.mean_over_kinds(aucs)}


def _manifest(
    model: AhaTripletModel,
    graph: bytes,
    table: StampTable,
    tensors: NDArray[np.float32],
    normal_errors: NDArray[np.float64],
    metrics: dict,
    epochs: int,
    seed: int,
) -> Manifest:
    with torch.no_grad():
        error = model(torch.zeros(1, 3, SIDE, SIDE))[0].item()
    return Manifest(
        name="ztf triplet, AHA's recipe",
        version="aha-reproduction",
        survey="ztf",
        modality="aha_triplet",
        recipe="aha",
        preprocess_version="aha",
        **describe_graph(graph),
        inputs=(Tensor("stamps", ("n", "3", "64", "64"), "float32, unit variance: science, difference, template"),),
        columns=(),
        outputs=(
            Tensor("error", ("n",), "float32, mean squared error"),
            Tensor("residual", ("n", "3"), "float32, the same by stamp"),
            Tensor("latent", ("n", str(N_LATENT)), "float32, the bottleneck"),
        ),
        training={
            "data": table.file_name,
            "data_sha256": table.sha256,
            "counts": {"objects": len(tensors)},
            "split": "the folds of our recipe; exotics and artefacts in training, as in AHA",
            "epochs": epochs,
            "seed": seed,
        },
        metrics=metrics,
        calibrated=(uniform_calibrated("error", normal_errors),),
        references=(Reference({ZTF.id_column: "ZTF99aaaaaaa", "note": "three empty stamps"}, error, (), {}),),
    )
