"""What is decided on real objects of Rubin, and which of them lead: drift, since none has a spectrum."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from annotator.decision.attention import attention_of, evidence_of, known_as, worth_of
from annotator.decision.classify import decide, exotic_threshold_of
from annotator.decision.config import DecisionConfig
from annotator.models import ModelSet, Scores
from annotator.models.worth import Weights
from annotator.surveys import SURVEYS
from annotator.surveys.lsst.tables import OBJECT_ID, object_of_rows
from annotator.transient import Transient
from training.evolution.states import REAL_TABLES, context_of

SURVEY = "lsst"
FIRST = 10
UNSCORED = "not scored"
CATALOGUED = ("AGN", "star")
"""What Sherlock tells by catalogue, so that a filter leaves it out; these records have no word of Sherlock's."""


def measured(models: ModelSet, weights: Weights, folder: Path) -> dict[str, dict]:
    """Decide on the real objects of each table that is there, which nothing was fitted to.

    Returns
    -------
    dict
        By table, what is decided by what catalogues say of an object, and the contexts of the first ten by worth and
        by score.
    """
    found = {}
    for name, file_name in REAL_TABLES.items():
        if (folder / file_name).is_file():
            transients, contexts = real_objects(folder / file_name, folder / "rubin_context.csv")
            found[name] = _decided(models, weights, transients, contexts)
    return found


def real_objects(path: Path, context_path: Path) -> tuple[list[Transient], list[str]]:
    """Read real objects as a pass has them, and what catalogues say of each: AGN, star, other, or not looked up.

    Parameters
    ----------
    path
        Parquet, one row a measurement, ids as text.
    context_path
        A table of alerts with SIMBAD's types.
    """
    import pandas  # only training needs it

    rows, context = pandas.read_parquet(path), context_of(context_path)
    groups = rows.groupby(OBJECT_ID, sort=True)
    records = [object_of_rows(str(object_id), part.to_dict("records")) for object_id, part in groups]
    transients = [SURVEYS[SURVEY].parse(record) for record in records]
    return transients, [context(transient.object_id) for transient in transients]


def _decided(
    models: ModelSet, weights: Weights, transients: Sequence[Transient], contexts: Sequence[str]
) -> Mapping[str, object]:
    decision, scores = DecisionConfig(), models.score(transients)
    classes = [_class_of(transient, said, models, decision) for transient, said in zip(transients, scores, strict=True)]
    said_of = list(zip(contexts, classes, strict=True))
    evidence = [evidence_of(said, {}, item) for said, item in zip(scores, transients, strict=True)]
    chances = [item.chance for item in attention_of(evidence, weights)]
    worth = [worth_of(chance, known_as(own, "", None) != "") for chance, own in zip(chances, classes, strict=True)]
    listed = [number for number, own in enumerate(classes) if own != UNSCORED]
    orders = {
        "worth": worth,
        "worth, what is catalogued left out": [
            value if context not in CATALOGUED else -1.0 for value, context in zip(worth, contexts, strict=True)
        ],
        "score": [said.score for said in scores],
    }
    return {
        "by_context": {one: dict(Counter(own for of, own in said_of if of == one)) for one in sorted(set(contexts))},
        "first": {
            name: dict(Counter(contexts[i] for i in sorted(listed, key=lambda i: -order[i])[:FIRST]))
            for name, order in orders.items()
        },
        "classes_of_first": {
            name: dict(Counter(classes[i] for i in sorted(listed, key=lambda i: -order[i])[:FIRST]))
            for name, order in orders.items()
        },
    }


def _class_of(transient: Transient, said: Scores, models: ModelSet, decision: DecisionConfig) -> str:
    if said.why_none:
        return UNSCORED
    return decide(transient, said, decision, exotic_threshold_of(models, decision))
