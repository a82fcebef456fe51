"""The models of all folds, kept beside out-of-fold numbers: what scores real objects that some of them have seen."""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from annotator.errors import ConfigError
from annotator.owned_folder import own_folder
from training.export.files import OUT_OF_FOLD, write_files


def write_fold_models(folder: Path, modality: str, models: Sequence[nn.Module]) -> None:
    """Keep the models of a modality, in the order of their folds, as ``MODALITY.pt``: for measuring alone."""
    own_folder(folder, OUT_OF_FOLD)
    file = io.BytesIO()
    torch.save(list(models), file)
    write_files(folder, [(f"{modality}.pt", file.getvalue())])


def read_fold_models(folder: Path, modality: str) -> list[nn.Module]:
    """Read what :func:`write_fold_models` wrote.

    Raises
    ------
    ConfigError
        If it is not there, or of another release.
    """
    path = folder / f"{modality}.pt"
    try:
        # Whole modules, with the code of this release: nothing but our own folder is read so.
        return torch.load(path, weights_only=False)
    except Exception as failure:  # what a pickle of another release raises has no common base
        raise ConfigError(
            f"--out-of-fold {folder}: expected {path.name}, the models of all folds, found {failure!r}; make it with "
            f"aha-train {modality} --out-of-fold"
        ) from failure
