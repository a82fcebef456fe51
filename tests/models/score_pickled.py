"""Score pickled objects by the shipped models; a program by itself, for another processor."""

import json
import pickle
import sys
from pathlib import Path

from annotator.models.load import load_models


def said(path: Path) -> list[dict[str, object]]:
    """Return all that the models say of each object, in numbers that are read back to the bit."""
    scored = load_models(None, "ztf").score(pickle.loads(path.read_bytes()))
    return [
        {"score": scores.score, "exotic": scores.exotic, "artefact": scores.artefact, "prior": scores.prior}
        | {f"{name}_score": item.score for name, item in scores.modalities.items()}
        | {f"{name}_error": item.error for name, item in scores.modalities.items()}
        for scores in scored
    ]


if __name__ == "__main__":
    print(json.dumps(said(Path(sys.argv[1]))))
