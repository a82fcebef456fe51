"""`aha-train stream-night`: score a night of real objects, print what it comes to, and write its card."""

import logging
from pathlib import Path

from annotator.models.load import load_models
from training.export.files import write_files
from training.recipe import SURVEY
from training.stream_night.card import stream_card
from training.stream_night.known_exotics import known_exotics
from training.stream_night.night import StreamNight, asked_of, stream_night
from training.stream_night.objects import read_stream
from training.stream_night.score import FoldScorer
from training.stream_night.steps import steps, steps_table

log = logging.getLogger(__name__)


def measure(data: Path, out: Path, out_of_fold: Path, with_steps: bool = False) -> StreamNight:
    """Score the real stream by models that did not see its objects, print what it comes to, and write its card.

    Parameters
    ----------
    data
        Folder of the training data, with the real stream.
    out
        Folder of the model set; gets ``STREAM_CARD.md``.
    out_of_fold
        Folder that the trainings wrote to with the option of that name.
    with_steps
        Say also what each step changes, which takes minutes.

    Raises
    ------
    ConfigError
        If something cannot be read.
    ModelError
        If the models are refused.
    """
    models = load_models(out, SURVEY)
    objects = read_stream(data)
    log.info("%d objects, %d through the filter", len(objects), sum(item.passes for item in objects))
    scorer, asked = FoldScorer(models, data, out_of_fold), asked_of(objects)
    scores = scorer.score([item.transient for item in asked], [item.candidate_id for item in asked])
    night = stream_night(objects, lambda _: scores, models)
    table = steps_table(steps(objects, scorer, models, scores)) if with_steps else ""
    card = stream_card(night, models, known_exotics(data), table)
    print(card)
    write_files(out, [("STREAM_CARD.md", card.encode())])
    log.info("wrote STREAM_CARD.md to %s", out)
    return night
