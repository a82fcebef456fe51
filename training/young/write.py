"""`aha-train young`: replay real and simulated objects, measure what was decided of them, and write it down."""

import csv
import io
import logging
from pathlib import Path

from annotator.models.load import load_models
from training.data.partial_light_curves import partial_light_curves, shared_curves
from training.data.table import read_table
from training.exotic.examples import read_databank
from training.export.files import write_files
from training.metrics.intervals import Estimate
from training.recipe import SURVEY
from training.stream_night.score import DATABANK, FoldScorer
from training.young.ablations import Tried, of_heads, of_limits
from training.young.card import young_card
from training.young.objects import CURVES, real_objects, simulated_objects
from training.young.young import Young, judged, young

log = logging.getLogger(__name__)

CARD, TABLE = "YOUNG_CARD.md", "young.csv"
"""Beside the models: for people, and for whatever reads the figures."""


def as_table(found: Young) -> bytes:
    """Lay all figures out as CSV: population, days, figure, value, low, high, exotics, normals."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("population", "days", "figure", "value", "low", "high", "exotics", "normals", "effective_normals"))
    for name, part in found.populations.items():
        counts = part.n_exotic, part.n_normal, round(part.n_effective, 1)
        for row in part.rows:
            for figure, value in row.items():
                if isinstance(value, Estimate):
                    writer.writerow((name, row["days"], figure, *value.rounded(), *counts))
    return file.getvalue().encode()


def measure(data: Path, out: Path, out_of_fold: Path, with_comparisons: bool = False) -> Young:
    """Replay real and simulated objects, print what it comes to, and write :data:`CARD` and :data:`TABLE`.

    Parameters
    ----------
    data
        Folder of the training data.
    out
        Folder of the model set.
    out_of_fold
        Folder that the trainings wrote to with the option of that name.
    with_comparisons
        Measure also what was tried (:mod:`training.young.ablations`), which takes minutes.

    Raises
    ------
    ConfigError
        If something cannot be read.
    ModelError
        If the models are refused.
    """
    models = load_models(out, SURVEY)
    table = read_table(data / DATABANK, SURVEY, data / CURVES)
    scorer = FoldScorer(models, data, out_of_fold)
    real = judged(
        real_objects(table, data),
        lambda states: scorer.score([item.transient for item in states], [item.candidate_id for item in states]),
        models,
    )
    sky = judged(simulated_objects(), lambda states: models.score([state.transient for state in states]), models)
    tried: list[Tried] = []
    if with_comparisons:
        seed = models.heads["exotic"].manifest.training["settings"]["seed"]
        live = shared_curves(partial_light_curves(table, data / CURVES, SURVEY, seed))
        databank = read_databank(table, models, out_of_fold, live)
        tried = [*of_heads(models, databank, real.chain, real.states, real.scores), *of_limits(models)]
    found = young(real, sky, tried)
    card = young_card(found, models)
    print(card)
    write_files(out, [(CARD, card.encode()), (TABLE, as_table(found))])
    log.info("wrote %s and %s to %s", CARD, TABLE, out)
    return found
