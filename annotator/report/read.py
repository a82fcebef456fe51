"""Reads a night, or one object, from the ledger, which stays as it is; no model is asked anything."""

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotator.config import Config
from annotator.decision.attention import STREAM, in_one_line, known_as, order_of, worth_of
from annotator.decision.classify import exotic_threshold_of, overridden
from annotator.decision.decide import BECAUSE, DATES_AHEAD, WORTH
from annotator.decision.objects import TnsEntry
from annotator.decision.sending import FLAGS
from annotator.errors import ConfigError, LedgerError
from annotator.ledger import Ledger, open_known
from annotator.ledger.care import damage_in_words
from annotator.ledger.pass_log import PassRecord
from annotator.ledger.scores import NightScore
from annotator.models import ModelSet
from annotator.models.scores import NO_MODEL
from annotator.monitor.status import LedgerStatus, ledger_status, model_status
from annotator.nights import date_of, night_of, start_of
from annotator.report.night import Candidate, Judgement, ModalityResult, Night, NightSummary, PastScore
from annotator.transient import Modality
from annotator.verdicts import Verdict, latest, merge, read_if_any

MOST = 1000
"""Objects that a report lists."""


def read_night(config: Config, models: ModelSet, now: float, night: int | None = None, most: int = MOST) -> Night:
    """Read a night from the ledger.

    Parameters
    ----------
    config, models
        Of the annotator whose night it is; what the night was scored with may be other models.
    now
        Seconds since 1970.
    night
        Its number; None: the last one in which anything was scored.
    most
        Objects that are listed, those that are worth most.

    Raises
    ------
    LedgerError
        If the ledger cannot be read, or is that of another survey or topic.
    ConfigError
        If nothing was scored in that night.
    """
    with open_known(config.ledger, read_only=True) as ledger:
        ledger.identity.check_topic(config.survey, config.annotation.topic)
        number, model_set = _which(ledger, night)
        since, until = start_of(number), start_of(number + 1)
        scored = ledger.scores.between(model_set, since, until)
        in_order = _in_order(scored, config, ledger)
        candidates = _candidates(in_order[:most], ledger, until)
        is_installed = model_set == models.version
        drift = model_status(models, config.decision, ledger, now).drift if is_installed else ()
        budget = ledger.stream.thresholds(model_set, number)
        threshold = exotic_threshold_of(models, config.decision) if is_installed else config.decision.exotic_probability
        decision = config.decision
        if budget is not None and decision.has_budget:
            decision, threshold = budget.over(decision, threshold)
        return Night(
            number=number,
            date=date_of(number),
            survey=config.survey,
            model_set=model_set,
            made_at=_iso(now),
            anomaly_score=decision.anomaly_score,
            watch_score=decision.watch_score,
            exotic_threshold=threshold,
            summary=_summary(
                scored, ledger.passes.between(since, until), ledger_status(config, ledger, now), tuple(drift)
            ),
            candidates=candidates,
            n_left_out=len(scored) - len(candidates),
            budget=budget.made_of if budget is not None and decision.has_budget else "",
            other_models="" if is_installed else models.version,
            provisional=models.provisional if is_installed else "",
        )


def _which(ledger: Ledger, night: int | None) -> tuple[int, str]:
    """Return the number of the night that is asked for, and the model set that scored last in it."""
    last = ledger.scores.last(math.inf if night is None else start_of(night + 1))
    if last is None and (said := damage_in_words(ledger)):
        raise LedgerError(said)
    if last is None or (night is not None and night_of(last[0]) != night):
        when = "" if night is None else f" in the night of {date_of(night)}"
        raise ConfigError(f"nothing was scored{when}: make a pass first, with `aha-annotator once` or `run`")
    return night_of(last[0]), last[1]


def read_object(config: Config, object_id: str) -> Candidate:
    """Read one object from the ledger, as it was scored last; its rank is 1.

    Raises
    ------
    LedgerError
        If the ledger cannot be read, or is that of another survey or topic.
    ConfigError
        If the object was never scored.
    """
    with open_known(config.ledger, read_only=True) as ledger:
        ledger.identity.check_topic(config.survey, config.annotation.topic)
        history = ledger.scores.history(object_id)
        if not history:
            raise ConfigError(f"{object_id} was not scored at all: is it in the ledger {config.ledger}?")
        night = night_of(history[-1]["scored_at"])
        scored = ledger.scores.between(history[-1]["model_set"], start_of(night), start_of(night + 1))
        (last,) = (item for item in scored if item.object_id == object_id)
        return _candidates(_in_order([last], config, ledger), ledger, math.inf)[0]


@dataclass(frozen=True)
class _Placed:
    """An object of the night with what is known of it now, and so its place."""

    scored: NightScore
    entry: TnsEntry | None
    verdict: Verdict | None
    classification: str

    @property
    def tns_type(self) -> str:
        return self.entry.type if self.entry else ""

    @property
    def known(self) -> str:
        return known_as(self.classification, self.tns_type, self.verdict)

    @property
    def chance(self) -> float | None:
        found = self.scored.modalities.get(WORTH)
        return found if isinstance(found, int | float) else None

    @property
    def worth(self) -> float | None:
        return None if self.chance is None else worth_of(self.chance, self.known != "")


def _in_order(scored: Sequence[NightScore], config: Config, ledger: Ledger) -> list[_Placed]:
    """Put objects in the order of attention, by what people and TNS say of them now."""
    tns = ledger.tns.entries([item.object_id for item in scored])
    verdicts = latest(merge(read_if_any(config.verdicts).verdicts, ledger.verdicts.holding()))
    placed = []
    for item in scored:
        entry, verdict = tns.get(item.object_id), verdicts.get(item.object_id)
        asked, tns_type = verdict.override if verdict else None, entry.type if entry else ""
        classification = overridden(item.classification, asked, tns_type, config.decision)
        placed.append(_Placed(item, entry, verdict, classification))
    return sorted(placed, key=_order)


def _order(item: _Placed) -> tuple[int, tuple[float, float, str]]:
    """Order by worth; of models that know none, what is flagged comes first: it may be so for being like exotics."""
    place = FLAGS.index(item.classification) if item.classification in FLAGS else len(FLAGS)
    return (
        0 if item.worth is not None else place,
        order_of(item.worth, item.scored.score, item.scored.object_id),
    )


def _candidates(placed: Sequence[_Placed], ledger: Ledger, until: float) -> tuple[Candidate, ...]:
    object_ids = [item.scored.object_id for item in placed]
    kept, model_scores = ledger.kept.snapshots(object_ids), ledger.kept.model_scores(object_ids)
    histories = ledger.scores.histories(object_ids)
    candidates = []
    for rank, place in enumerate(placed, 1):
        item, entry, verdict = place.scored, place.entry, place.verdict
        score_id, transient = kept.get(item.object_id, (None, None))
        is_kept = score_id == item.score_id  # what is kept may be of a scoring since
        candidates.append(
            Candidate(
                rank=rank,
                object_id=item.object_id,
                classification=place.classification,
                score=round(item.score, 4),  # as Lasair is told it
                modalities=_results(item),
                prior=item.modalities.get("prior"),
                exotic=item.modalities.get("exotic"),
                stream=item.modalities.get(STREAM),
                explanation=_with_dates(item),
                reasons=item.reasons or {},
                n_det=item.n_det,
                mjd=item.last_mjd,
                first_flagged_mjd=item.first_flagged_mjd,
                is_new=item.is_new,
                is_newly_flagged=item.is_newly_flagged,
                tns_name=entry.name if entry else "",
                tns_type=place.tns_type,
                judgement=judgement(verdict) if verdict else None,
                transient=transient if is_kept else None,
                history=tuple(_past(row) for row in histories[item.object_id] if row["scored_at"] < until),
                latents={name: said.latent for name, said in model_scores.get(item.object_id, {}).items()}
                if is_kept
                else {},
                worth=place.worth,
                worth_if_unknown=None if place.chance is None else worth_of(place.chance, is_known=False),
                worth_in_words=""
                if place.chance is None
                else in_one_line(place.chance, item.modalities.get(BECAUSE, ()), place.known),
                has_reasons=item.reasons is not None,
            )
        )
    return tuple(candidates)


def _with_dates(item: NightScore) -> str:
    """Return the explanation, and what was no date."""
    dates = item.modalities.get(DATES_AHEAD)
    return (
        f"{item.explanation} Dated later than now, and scored without: {', '.join(dates)}."
        if dates
        else item.explanation
    )


def _results(item: NightScore) -> dict[str, ModalityResult]:
    """Return what each modality said of an object; of one that no model was there for, that."""
    found = {name: _result(said) for name, said in item.modalities.items() if isinstance(said, Mapping)}
    return found | {name: ModalityResult(None, None, NO_MODEL) for name in Modality if name not in found}


def _result(said: Mapping[str, object]) -> ModalityResult:
    return ModalityResult(said.get("score"), said.get("error"), said.get("missing", ""), said.get("mjd"))


def _past(row: Mapping[str, object]) -> PastScore:
    modalities = row["modalities"]
    return PastScore(
        scored_at=row["scored_at"],
        mjd=row["last_mjd"],
        n_det=row["n_det"],
        model_set=row["model_set"],
        classification=row["classification"],
        score=round(row["score"], 4),
        modality_scores={
            name: said["score"] for name, said in modalities.items() if isinstance(said, Mapping) and "score" in said
        },
    )


def judgement(verdict: Verdict) -> Judgement:
    """Return a verdict as a page shows it."""
    return Judgement(verdict.verdict, verdict.person, _iso(verdict.when.timestamp()), verdict.note)


def _summary(
    scored: Sequence[NightScore], passes: Sequence[PassRecord], status: LedgerStatus, drift: tuple[str, ...]
) -> NightSummary:
    by_modality: dict[str, int] = {}
    classes: dict[str, int] = {}
    for item in scored:
        classes[item.classification] = classes.get(item.classification, 0) + 1
        for name, said in item.modalities.items():
            if isinstance(said, Mapping):
                by_modality[name] = by_modality.get(name, 0) + ("score" in said)
    return NightSummary(
        objects=len(scored),
        scorings=sum(record.counts.get("scored", 0) for record in passes),
        by_modality=by_modality,
        classes=classes,
        new_objects=sum(item.is_new for item in scored),
        newly_flagged=sum(item.is_newly_flagged for item in scored),
        refused=sum(record.counts.get("refused", 0) for record in passes),
        passes=len(passes),
        drift=drift,
        reads_left=status.reads_left,
        writes_left=status.writes_left,
        outbox_waiting=status.outbox_waiting,
        outbox_failed=status.outbox_failed,
        incomplete=status.incomplete,
        attention=status.attention,
    )


def _iso(unix_s: float) -> str:
    return f"{datetime.datetime.fromtimestamp(unix_s, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
