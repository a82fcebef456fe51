"""`aha-annotator score`: one JSON line a record, whatever the record is."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from annotator.annotation import OBJECT_ID_KEY
from annotator.decision.classify import decide, exotic_threshold_of, learned, modality_summary
from annotator.decision.config import DecisionConfig
from annotator.decision.decide import LEFT_OUT
from annotator.errors import AhaError, RecordError
from annotator.fences import failure_of
from annotator.lasair.cutouts import CutoutFetcher
from annotator.models import ModelSet, Scores
from annotator.models.rows import ROWS
from annotator.models.scores import NO_MODEL
from annotator.passes.copies import completed
from annotator.passes.scoring.enrich import with_stamps
from annotator.sources.records import readable
from annotator.surveys import SURVEYS, of_another_survey
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
    """Score records, a few at a time.

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
        modality, whether it fades, and what was left out of all of them; or its object id and why it is refused, as one
        is of which no model can score anything. Plain ASCII, and never null, NaN or Infinity. Where light curves are
        all that is scored, a copy of an object without its own is scored as the one that has it.
    """
    read: Iterable[Transient | ScoredLine] = (_read(record, models, cutouts) for record in records)
    if SURVEYS[models.survey].features_are_of_light_curve:
        read = completed(read)
    part: list[Transient | ScoredLine] = []
    try:
        for item in read:
            part.append(item)
            if len(part) == ROWS:
                whole, part = part, []
                yield from _lines(whole, models, decision)
    except AhaError:  # what was read of a file that is cut off is scored
        yield from _lines(part, models, decision)
        raise
    yield from _lines(part, models, decision)


def _read(record: object, models: ModelSet, cutouts: CutoutFetcher | None) -> Transient | ScoredLine:
    """Return the object that a record describes, or the line that says why it describes none."""
    survey = SURVEYS[models.survey]
    try:
        transient = survey.parse(readable(record))
        return with_stamps(transient, cutouts) if cutouts and Modality.TRIPLET in models.models else transient
    except Exception as error:
        return _refused(survey.object_id(record), error, of_another_survey(record, survey))


def _refused(object_id: str, error: Exception, more: str = "") -> ScoredLine:
    reason = (str(error) if isinstance(error, RecordError) else str(failure_of(error))) + more
    return ScoredLine(json.dumps({OBJECT_ID_KEY: object_id, "refused": reason}), is_refused=True)


def _lines(part: Sequence[Transient | ScoredLine], models: ModelSet, decision: DecisionConfig) -> Iterator[ScoredLine]:
    """Score together what was read, or each by itself where that fails; what is a line already stays one."""
    transients = [item for item in part if isinstance(item, Transient)]
    try:
        scored = iter(models.score(transients))
    except Exception:
        scored = None
    for item in part:
        if isinstance(item, ScoredLine):
            yield item
            continue
        try:
            scores = next(scored) if scored else models.score([item])[0]
            line = ScoredLine(_scored(item, scores, models, decision), is_refused=False)
        except Exception as error:
            line = _refused(item.object_id, error)
        yield line


def _scored(transient: Transient, scores: Scores, models: ModelSet, decision: DecisionConfig) -> str:
    if scores.why_none:
        raise RecordError(scores.why_none)
    line = {
        OBJECT_ID_KEY: transient.object_id,
        "score": round(scores.score, 4),
        "classification": decide(transient, scores, decision, exotic_threshold_of(models, decision)),
        **learned(scores),
        **modality_summary(scores),
        **{name: {"missing": NO_MODEL} for name in Modality if name not in scores.modalities},
        **({"fades": True} if transient.fades else {}),
        **({LEFT_OUT: transient.left_out} if transient.left_out else {}),
    }
    return json.dumps(line, allow_nan=False)
