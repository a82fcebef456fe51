"""The last check before a model is written: the annotator itself must load it."""

import tempfile
from pathlib import Path

from annotator.errors import ModelError
from annotator.models.load import load_models
from training.export.files import write_files


def check_loads(files: list[tuple[str, bytes]], survey: str) -> None:
    """Load the files as the annotator will, references recomputed.

    Raises
    ------
    ModelError
        If the annotator would refuse them.
    """
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), files)
        try:
            load_models(Path(folder), survey)
        except ModelError as failure:
            raise ModelError(f"the annotator would refuse this model, so nothing was written: {failure}") from failure
