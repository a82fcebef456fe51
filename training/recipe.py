"""What all trainings share: what is asked of them, folds, the fit loop, and what is written and said at the end."""

import copy
import csv
import io
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from logging.handlers import QueueHandler, QueueListener
from multiprocessing import get_context
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from annotator.models.heads import HEADS
from annotator.models.load import place_of_models
from annotator.models.manifest import Manifest
from annotator.owned_folder import own_folder
from annotator.preprocess import PREPROCESS_VERSION
from annotator.transient import Modality
from training.data.curves import CurveTable
from training.data.folds import N_FOLDS, Split
from training.data.stamps import StampTable
from training.data.table import Table
from training.export.card_text import with_interval
from training.export.files import OUT_OF_FOLD, write_files
from training.export.gate import check_loads
from training.export.graph import describe_graph, manifest_json

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Network = TypeVar("Network", bound=nn.Module)

SURVEY = "ztf"
MIN_NORMALS_PER_FOLD = 5
TIMES_SAID = 5
"""How often a fit says where it is."""

REFERENCE_NIGHT = {"seed": 2026, "n_objects": 30, "now_jd": 2461000.5}
"""The simulated night that reference records come from."""


@dataclass(frozen=True)
class Task:
    """What the training of a modality's model is asked to do."""

    data: Path
    out: Path
    """Folder that gets graph, card and manifest; untouched if anything fails."""
    version: str
    """Of the model set."""
    jobs: int = 1
    """Processes that fit side by side; the result does not depend on it."""
    beside: Manifest | None = None
    """AHA's own recipe on the same data, for the card."""
    out_of_fold: Path | None = None
    """Gets each object's numbers by the model that did not see it, for the heads' trainings."""


def check_writable(out: Path) -> None:
    """Refuse, before the work and not after it, a place where a model may not be written.

    Raises
    ------
    ConfigError
        If `out` is a file, or a folder that holds something and no model.
    """
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: expected a folder, found a file; name another place")
    is_ours = any((out / f"{name}.onnx").is_file() for name in (*Modality, *HEADS)) or any(out.glob("aha*.onnx"))
    if out.is_dir() and any(out.iterdir()) and not is_ours:
        raise ConfigError(
            f"--out {out}: expected a new or empty folder, or one of models, found other files, which are never "
            "replaced; name another place"
        )


def check_folds(table: Table | CurveTable, things: str) -> None:
    """Refuse a table whose split would leave a part without normal objects.

    Parameters
    ----------
    things
        What the table is of.

    Raises
    ------
    ConfigError
        Naming what is short.
    """
    normals = Counter(table.folds[~table.is_exotic].tolist())
    short = [normals[number] for number in range(N_FOLDS) if normals[number] < MIN_NORMALS_PER_FOLD]
    if short:
        raise ConfigError(
            f"--data {table.file_name}: expected at least {MIN_NORMALS_PER_FOLD} normal {things} in each of {N_FOLDS} "
            f"bins of the names, found {sum(normals.values())} in all and bins with only "
            f"{', '.join(map(str, short))}; collect more objects"
        )


@dataclass(frozen=True)
class TimeLeft:
    """How long the rest of a loop takes, judged by what is behind it."""

    total: int
    """Steps of the loop."""
    started_s: float = field(default_factory=time.monotonic)

    def after(self, done: int) -> str:
        """Return the time left after so many steps, for people."""
        left_s = (time.monotonic() - self.started_s) / done * (self.total - done)
        if left_s < 90:
            return f"{left_s:.0f} s left"
        return f"{left_s / 60:.0f} min left" if left_s < 5400 else f"{left_s / 3600:.1f} h left"


def in_processes(task: Callable[[int], Result], n: int, jobs: int = 1) -> list[Result]:
    """Run a task for 0 to n-1 and return what it gives, in order; the result does not depend on `jobs`.

    What processes log comes out where this one's log does.
    """
    if jobs == 1:
        return list(_counted(map(task, range(n)), n))
    # A fork would take torch's thread pool along in an undefined state.
    context = get_context("spawn")
    records = context.Queue()
    level = logging.getLogger("training").getEffectiveLevel()
    listener = QueueListener(records, _HandOn())
    listener.start()
    try:
        with ProcessPoolExecutor(min(jobs, n), context, _log_to, (records, level)) as pool:
            return list(_counted(pool.map(task, range(n)), n))
    finally:
        listener.stop()


def _counted(results: Iterable[Result], n: int) -> Iterator[Result]:
    time_left = TimeLeft(n)
    for done, result in enumerate(results, start=1):
        log.info("%d of %d done, %s", done, n, time_left.after(done))
        yield result


class _HandOn(logging.Handler):
    """Gives another process's records to this one's logger of the same name."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


def _log_to(records: Queue, level: int) -> None:
    logger = logging.getLogger("training")
    logger.addHandler(QueueHandler(records))
    logger.setLevel(level)


@dataclass(frozen=True)
class FitSettings:
    """How the weights of a modality's model are fitted; AdamW on a one-cycle schedule."""

    epochs: int
    batch_size: int
    peak_learning_rate: float
    weight_decay: float
    gradient_norm: float
    """To which the gradient of all weights together is cut."""


@dataclass(frozen=True, eq=False)
class Descent:
    """How batches move weights."""

    batch_size: int
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    """Moves on with each batch."""
    gradient_norm: float | None = None
    has_last: bool = True
    """Whether what is left at the end of an epoch, less than a batch, trains too."""

    def batches(self, n: int) -> Sequence[Tensor]:
        """Deal the numbers of n objects out to batches at random."""
        batches = torch.randperm(n).split(self.batch_size)
        return batches if self.has_last else batches[: n // self.batch_size]

    def step(self, loss: Tensor, model: nn.Module) -> None:
        """Move the weights down the gradient of a batch's loss."""
        self.optimizer.zero_grad()
        loss.backward()
        if self.gradient_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.gradient_norm)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()


def one_cycle(model: nn.Module, n: int, settings: FitSettings) -> Descent:
    """Return how a model is fitted to n objects: the learning rate rises for a tenth of the time, and falls."""
    batch_size = min(settings.batch_size, n)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.peak_learning_rate, weight_decay=settings.weight_decay
    )
    n_steps = settings.epochs * (n // batch_size) + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.peak_learning_rate, total_steps=n_steps, pct_start=0.1
    )
    return Descent(batch_size, optimizer, schedule, settings.gradient_norm, has_last=False)


@dataclass(frozen=True, eq=False)
class Fitted(Generic[Network]):
    """A model at the best of its epochs."""

    model: Network
    """In evaluation mode."""
    epoch: int
    """The one kept, from 1."""
    error: float
    """What the epoch was chosen by; NaN where the last is kept."""
    epochs_run: int


def fit(
    name: str,
    model: Network,
    n: int,
    epochs: int,
    descent: Descent,
    losses: Callable[[Sequence[Tensor]], Iterator[Tensor]],
    validate: Callable[[Network], float] | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
) -> Fitted[Network]:
    """Fit a model to n objects and return it at its best epoch.

    Parameters
    ----------
    name
        What the log calls it.
    losses
        Turns an epoch's batches, each the numbers of its objects ``(m,)``, into their losses, one after another: a
        batch's loss is asked for when the weights have moved by the one before.
    validate
        Returns the error that chooses the epoch, asked in evaluation mode and without gradients; None: the last epoch
        is kept.
    patience
        Epochs without a better one after which to stop.
    min_delta
        By how much better one has to be.
    """
    best, time_left = None, TimeLeft(epochs)
    for epoch in range(1, epochs + 1):
        model.train()
        total, batches = 0.0, descent.batches(n)
        for loss in losses(batches):
            descent.step(loss, model)
            total += loss.item()
        words = f"loss {total / len(batches):.4f}"
        model.eval()
        if validate is None:
            best = Fitted(model, epoch, float("nan"), epoch)
        else:
            with torch.no_grad():
                error = validate(model)
            if best is None or error < best.error - min_delta:
                best = Fitted(copy.deepcopy(model), epoch, error, epoch)
            words += f", validation error {error:.5f}, best {best.error:.5f}"
        is_over = patience is not None and epoch - best.epoch == patience
        if epoch % max(1, epochs // TIMES_SAID) == 0 or is_over:
            log.info("%s, epoch %d/%d: %s, %s", name, epoch, epochs, words, time_left.after(epoch))
        if is_over:
            break
    return Fitted(best.model, best.epoch, best.error, epoch)


def out_of_fold(
    model_of: NDArray[np.int64], score: Callable[[int, NDArray[np.bool_]], NDArray], width: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """Return numbers of objects ``(n, *width)``, each by the model that has not seen it.

    Parameters
    ----------
    model_of
        Number of that model, ``(n,)``.
    score
        Gives a model's numbers ``(m, *width)`` of the objects where a mask ``(n,)`` is true.
    """
    numbers = np.full((len(model_of), *width), np.nan)
    for model in np.unique(model_of).tolist():
        here = model_of == model
        numbers[here] = score(model, here)
    return numbers


def write_out_of_fold(
    folder: Path, modality: str, object_ids: NDArray[np.str_], numbers: Mapping[str, NDArray[np.float64]]
) -> None:
    """Write each object's numbers by the model that did not see it, as ``MODALITY.csv``: for training alone."""
    own_folder(folder, OUT_OF_FOLD)
    names = list(numbers)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow((OBJECT_ID_KEY, *(f"{modality}_{name}" for name in names)))
    for number, object_id in enumerate(object_ids):
        writer.writerow((object_id, *(repr(float(numbers[name][number])) for name in names)))
    write_files(folder, [(f"{modality}.csv", file.getvalue().encode())])


def identity(modality: str, what: str, version: str, graph: bytes) -> dict[str, Any]:
    """Return the keys of a manifest that say which model it is of; `what` it is, in words."""
    return {
        "name": f"{SURVEY} {what}",
        "version": version,
        "survey": SURVEY,
        "modality": modality,
        "recipe": "normals only",
        "preprocess_version": PREPROCESS_VERSION,
        **describe_graph(graph),
    }


def provenance(table: Table | CurveTable | StampTable, **said: Any) -> dict[str, Any]:
    """Return what a manifest says of the training: which data, what a recipe has to say itself, and by which torch."""
    return {"data": table.file_name, "data_sha256": table.sha256, **said, "torch": torch.__version__}


def part_counts(split: Split, is_exotic: NDArray[np.bool_]) -> dict[str, int]:
    """Count the objects ``(n,)`` of each part of a split that are used."""
    return {
        "train": int((split.train & ~is_exotic).sum()),
        "validation": int((split.validation & ~is_exotic).sum()),
        "test_normal": int((split.test & ~is_exotic).sum()),
        "test_exotic": int((split.test & is_exotic).sum()),
    }


def publish(out: Path, graph: bytes, manifest: Manifest, card: tuple[str, str]) -> None:
    """Write graph, card (file name and text) and manifest, once the annotator has loaded them from another place.

    Raises
    ------
    ModelError
        If the annotator would refuse the model; nothing is written.
    ConfigError
        If the folder cannot be written to.
    """
    files = [
        (f"{manifest.modality}.onnx", graph),
        (card[0], card[1].encode()),
        (f"{manifest.modality}.json", manifest_json(manifest)),
    ]
    check_loads(files, manifest.survey)
    write_files(out, files)
    log.info("wrote %s to %s", ", ".join(name for name, _ in files), out)


Headlines = Mapping[str, "Sequence[float] | float | None"]
"""What a model is worth in a few lines: numbers by what they are, each alone or with low and high; None: not known."""


def log_headlines(name: str, metrics: Mapping, headlines: Callable[[Mapping], Headlines]) -> None:
    """Say a model's headline numbers, and beside them those of the model that ships under the same name."""
    found, shipped = headlines(metrics), headlines(_shipped_metrics(name))
    rows = [("", "this model", "the shipped one")]
    rows += [(words, _shown(value), _shown(shipped[words])) for words, value in found.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        log.info(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _shipped_metrics(name: str) -> Mapping:
    path = place_of_models(None, SURVEY) / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["metrics"] if path.is_file() else {}


def _shown(value: Sequence[float] | float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:.4g}" if isinstance(value, int | float) else with_interval(value)


def within(metrics: Mapping, *keys: str) -> Any:
    """Return what lies under keys, one in another; None where there is nothing."""
    for key in keys:
        metrics = metrics.get(key) if isinstance(metrics, Mapping) else None
    return metrics
