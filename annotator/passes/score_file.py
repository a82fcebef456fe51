"""`aha-annotator score`: one JSON line a record, whatever the record is."""

import json
from collections.abc import Iterable, Iterator

from annotator.decision.classify import decide, exotic_threshold_of, learned, modality_summary
from annotator.decision.config import DecisionConfig
from annotator.errors import RecordError
from annotator.lasair.cutouts import CutoutFetcher
from annotator.models import ModelSet
from annotator.passes.enrich import with_stamps
from annotator.sources.records import readable, record_name
from annotator.surveys import SURVEYS


def score_lines(
    records: Iterable[object], models: ModelSet, decision: DecisionConfig, cutouts: CutoutFetcher | None = None
) -> Iterator[str]:
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
    str
        A JSON object for each record, in order: objectId, score, classification, exotic and prior where there are any,
        and each modality; or objectId and refused. Plain ASCII, and never null, NaN or Infinity.
    """
    parse = SURVEYS[models.survey].parse
    for record in records:
        try:
            transient = parse(readable(record))
        except RecordError as error:
            yield json.dumps({"objectId": record_name(record), "refused": str(error)})
            continue
        if cutouts and "triplet" in models.models:
            transient = with_stamps(transient, cutouts)
        scores = models.score([transient])[0]
        line = {
            "objectId": transient.object_id,
            "score": round(scores.score, 4),
            "classification": decide(transient, scores, decision, exotic_threshold_of(models, decision)),
            **learned(scores),
            **modality_summary(scores),
        }
        yield json.dumps(line, allow_nan=False)
