"""`aha-annotator score`: one JSON line a record, whatever the record is."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from annotator.annotation import OBJECT_ID_KEY
from annotator.decision.classify import decide, exotic_threshold_of, learned, modality_summary
from annotator.decision.config import DecisionConfig
from annotator.decision.decide import LEFT_OUT
from annotator.errors import RecordError
from annotator.fences import failure_of
from annotator.lasair.cutouts import CutoutFetcher
from annotator.models import ModelSet
from annotator.passes.enrich import with_stamps
from annotator.sources.records import readable
from annotator.surveys import SURVEYS
from annotator.transient import Modality, Transient


@dataclass(frozen=True)
class ScoredLine:
    """What is said of one record."""

    text: str
    """A JSON object on one line."""
    is_refused: bool


def score_lines(
    records: Iterable[object], models: ModelSet, decision: DecisionConfig, cutouts: CutoutFetcher | None = None
) -> Iterator[ScoredLine]:
    """Score records one by one.

    Parameters
    ----------
    records
        What :func:`annotator.sources.read_records` yields.
    models
        The survey's models.
    decision
        Thresholds.
    cutouts
        Fetches the stamps that a record names; without it the triplet is missing.

    Yields
    ------
    ScoredLine
        For each record, in order: its object id, score, classification, exotic and prior where there are any, each
        modality, and what was left out of all of them; or its object id and why it is refused, as one is of which no
        model can score anything. Plain ASCII, and never null, NaN or Infinity.
    """
    survey = SURVEYS[models.survey]
    for record in records:
        try:
            yield ScoredLine(_scored(survey.parse(readable(record)), models, decision, cutouts), is_refused=False)
            continue
        except RecordError as error:
            reason = str(error)
        except Exception as error:
            reason = str(failure_of(error))
        yield ScoredLine(json.dumps({OBJECT_ID_KEY: survey.object_id(record), "refused": reason}), is_refused=True)


def _scored(transient: Transient, models: ModelSet, decision: DecisionConfig, cutouts: CutoutFetcher | None) -> str:
    if cutouts and Modality.TRIPLET in models.models:
        transient = with_stamps(transient, cutouts)
    scores = models.score([transient])[0]
    if scores.why_none:
        raise RecordError(scores.why_none)
    line = {
        OBJECT_ID_KEY: transient.object_id,
        "score": round(scores.score, 4),
        "classification": decide(transient, scores, decision, exotic_threshold_of(models, decision)),
        **learned(scores),
        **modality_summary(scores),
        **({LEFT_OUT: transient.left_out} if transient.left_out else {}),
    }
    return json.dumps(line, allow_nan=False)
