"""One night as people look at it: its objects, ranked, each with all that is known of it, and how the night went."""

import datetime
import math
import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from annotator.config import Config
from annotator.decision.classify import exotic_threshold_of, judged
from annotator.errors import ConfigError
from annotator.ledger import Ledger
from annotator.ledger.pass_log import PassRecord
from annotator.ledger.scores import NightScore
from annotator.models import ModelSet, load_models
from annotator.monitor.status import Status, read_status
from annotator.nights import date_of, night_of, start_of
from annotator.reasons.find import reasons_of
from annotator.reasons.reason import Reason, Reasons
from annotator.transient import Transient
from annotator.verdicts import Verdict, latest, merge, read_if_any

MOST = 1000
"""Objects that a report lists."""
JOBS = 2
"""Processes that a report is made by."""
WORTH_A_PROCESS = 100
"""Objects below which starting further processes takes longer than it saves."""


@dataclass(frozen=True)
class ModalityResult:
    """What one modality said of one object."""

    score: float | None
    """None where the modality is missing."""
    error: float | None
    missing: str
    """Why it is missing; empty where it is not."""
    mjd: float | None = None
    """Epoch of the stamps, where it is a triplet's."""


@dataclass(frozen=True)
class PastScore:
    """One of the object's scorings, this night's last among them."""

    scored_at: float
    """Seconds since 1970."""
    mjd: float | None
    n_det: int | None
    model_set: str
    classification: str
    score: float
    modality_scores: Mapping[str, float]


@dataclass(frozen=True)
class Judgement:
    """What a person said of an object, as the page shows it."""

    verdict: str
    person: str
    when: str
    """ISO 8601, UTC."""
    note: str


@dataclass(frozen=True)
class Candidate:
    """One object of the night, as it was scored last in it."""

    rank: int
    """By combined score, from 1."""
    object_id: str
    classification: str
    score: float
    modalities: Mapping[str, ModalityResult]
    prior: float | None
    exotic: float | None
    explanation: str
    reasons: Mapping[str, tuple[Reason, ...]]
    n_det: int | None
    mjd: float | None
    """Epoch of the last detection."""
    first_flagged_mjd: float | None
    is_new: bool
    """Not scored in any night before."""
    is_newly_flagged: bool
    """Flagged in this night for the first time."""
    tns_name: str
    """Empty where TNS has none."""
    tns_type: str
    judgement: Judgement | None
    transient: Transient | None
    """None where the ledger no longer keeps what was scored."""
    history: tuple[PastScore, ...]
    """Oldest first."""

    @property
    def sherlock_class(self) -> str:
        """Sherlock's class; empty where it is unknown."""
        return (self.transient.sherlock_class if self.transient else None) or ""


@dataclass(frozen=True)
class NightSummary:
    """How the night went."""

    objects: int
    """Scored at least once."""
    scorings: int
    by_modality: Mapping[str, int]
    """Objects whose modality was scored."""
    classes: Mapping[str, int]
    """Objects by their last classification."""
    new_objects: int
    newly_flagged: int
    refused: int
    """Records."""
    passes: int
    drift: tuple[str, ...]
    """In words; one line says that there is none."""
    reads_left: int
    writes_left: int
    """Calls of the hour."""
    outbox_waiting: int
    outbox_failed: int
    incomplete: int
    """Objects that wait for their light curve or cutouts."""
    attention: tuple[str, ...]
    """What a person must look at."""
    lag_messages: int | None = None
    """Messages of the stream that are not read yet; None where the source is no stream, or does not answer."""


@dataclass(frozen=True)
class Night:
    """A night and its objects."""

    number: int
    """As :func:`annotator.nights.night_of` numbers it."""
    date: str
    """Of the evening it begins on, UTC: 2026-11-23."""
    survey: str
    model_set: str
    made_at: str
    """ISO 8601, UTC."""
    anomaly_score: float
    watch_score: float
    """The configured thresholds."""
    exotic_threshold: float | None
    summary: NightSummary
    candidates: tuple[Candidate, ...]
    """Highest score first."""
    n_left_out: int
    """Objects of the night with lower scores that are not listed."""


def read_night(
    config: Config, models: ModelSet, now: float, night: int | None = None, most: int = MOST, jobs: int = JOBS
) -> Night:
    """Read a night from the ledger.

    What nobody was told of yet, the reasons of normal objects, is worked out of what the ledger keeps of them, and
    written down there.

    Parameters
    ----------
    config, models
        Of the annotator whose night it is.
    now
        Seconds since 1970.
    night
        Its number; None: the last one in which anything was scored.
    most
        Objects that are listed, those with the highest scores.
    jobs
        Processes that work reasons out.

    Raises
    ------
    LedgerError
        If the ledger cannot be read.
    ConfigError
        If nothing was scored in that night, or it was scored with other models than these.
    """
    status = read_status(config, now)
    with Ledger(config.ledger) as ledger:
        until = math.inf if night is None else start_of(night + 1)
        last = ledger.scores.last(until)
        if last is None or (night is not None and night_of(last[0]) != night):
            when = "" if night is None else f" in the night of {date_of(night)}"
            raise ConfigError(f"nothing was scored{when}: make a pass first, with `aha-annotator once` or `run`")
        night, model_set = night_of(last[0]), last[1]
        since, until = start_of(night), start_of(night + 1)
        scored = ledger.scores.between(model_set, since, until)
        if model_set != models.version:
            raise ConfigError(
                f"the night of {date_of(night)} was scored with {model_set}, and {models.version} is installed: make a "
                "pass first, or name the models it was scored with in the configuration"
            )
        candidates = _candidates(scored[:most], config, ledger, models, until, jobs)
        return Night(
            number=night,
            date=date_of(night),
            survey=config.survey,
            model_set=model_set,
            made_at=_iso(now),
            anomaly_score=config.decision.anomaly_score,
            watch_score=config.decision.watch_score,
            exotic_threshold=exotic_threshold_of(models, config.decision),
            summary=_summary(scored, ledger.passes.between(since, until), status),
            candidates=candidates,
            n_left_out=len(scored) - len(candidates),
        )


def read_object(config: Config, models: ModelSet, object_id: str) -> Candidate:
    """Read one object from the ledger, as it was scored last; its rank is 1.

    Raises
    ------
    LedgerError
        If the ledger cannot be read.
    ConfigError
        If the object was never scored with these models.
    """
    with Ledger(config.ledger) as ledger:
        history = ledger.scores.history(object_id)
        if not history or history[-1]["model_set"] != models.version:
            by_whom = f"with {models.version}" if history else "at all"
            raise ConfigError(f"{object_id} was not scored {by_whom}: is it in the ledger {config.ledger}?")
        night = night_of(history[-1]["scored_at"])
        scored = ledger.scores.between(models.version, start_of(night), start_of(night + 1))
        (last,) = (item for item in scored if item.object_id == object_id)
        return _candidates([last], config, ledger, models, math.inf, 1)[0]


def _candidates(
    scored: Sequence[NightScore], config: Config, ledger: Ledger, models: ModelSet, until: float, jobs: int
) -> tuple[Candidate, ...]:
    object_ids = [item.object_id for item in scored]
    kept = ledger.kept.snapshots(object_ids)
    transients = {
        item.score_id: kept[item.object_id][1]
        for item in scored
        if item.object_id in kept and kept[item.object_id][0] == item.score_id
    }
    found = _other_reasons(scored, transients, config, ledger, models, jobs)
    histories, tns = ledger.scores.histories(object_ids), ledger.tns.entries(object_ids)
    verdicts = latest(merge(read_if_any(config.verdicts), ledger.verdicts.holding()))
    candidates = []
    for rank, item in enumerate(scored, 1):
        entry, verdict = tns.get(item.object_id), verdicts.get(item.object_id)
        asked = verdict.asked_class if verdict else None
        tns_type = entry.type if entry else ""
        candidates.append(
            Candidate(
                rank=rank,
                object_id=item.object_id,
                classification=judged(item.classification, asked, tns_type, config.decision),
                score=round(item.score, 4),  # as Lasair is told it
                modalities={name: _result(said) for name, said in item.modalities.items() if isinstance(said, Mapping)},
                prior=item.modalities.get("prior"),
                exotic=item.modalities.get("exotic"),
                explanation=item.explanation,
                reasons=item.reasons or found.get(item.score_id, {}),
                n_det=item.n_det,
                mjd=item.last_mjd,
                first_flagged_mjd=item.first_flagged_mjd,
                is_new=item.is_new,
                is_newly_flagged=item.is_newly_flagged,
                tns_name=entry.name if entry else "",
                tns_type=tns_type,
                judgement=_judgement(verdict) if verdict else None,
                transient=transients.get(item.score_id),
                history=tuple(_past(row) for row in histories[item.object_id] if row["scored_at"] < until),
            )
        )
    return tuple(candidates)


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


def _judgement(verdict: Verdict) -> Judgement:
    return Judgement(verdict.verdict, verdict.person, _iso(verdict.when.timestamp()), verdict.note)


def _summary(scored: Sequence[NightScore], passes: Sequence[PassRecord], status: Status) -> NightSummary:
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
        drift=tuple(status.drift),
        reads_left=status.reads_left,
        writes_left=status.writes_left,
        outbox_waiting=status.outbox_waiting,
        outbox_failed=status.outbox_failed,
        incomplete=status.incomplete,
        lag_messages=status.lag_messages,
        attention=tuple(status.attention),
    )


# --- reasons that nobody was told of yet


def _other_reasons(
    scored: Sequence[NightScore],
    transients: Mapping[int, Transient],
    config: Config,
    ledger: Ledger,
    models: ModelSet,
    jobs: int,
) -> dict[int, Reasons]:
    """Work out and write down the reasons of what has none."""
    asked = [
        (item.score_id, transients[item.score_id])
        for item in scored
        if item.reasons is None and item.score_id in transients
    ]
    if not asked:
        return {}
    found = dict(_in_processes(asked, config, models, jobs))
    ledger.scores.record_reasons(found)
    return found


def _in_processes(
    asked: Sequence[tuple[int, Transient]], config: Config, models: ModelSet, jobs: int
) -> Iterator[tuple[int, Reasons]]:
    if jobs == 1 or len(asked) < WORTH_A_PROCESS:
        yield from (_reasons(item, models) for item in asked)
        return
    context = multiprocessing.get_context("spawn")  # onnxruntime's threads do not survive a fork
    with ProcessPoolExecutor(jobs, context, _load, (config.models, config.survey)) as pool:
        yield from pool.map(_reasons, asked, chunksize=25)


_models_of_process: ModelSet | None = None


def _load(folder: Path | None, survey: str) -> None:
    global _models_of_process
    _models_of_process = load_models(folder, survey)


def _reasons(item: tuple[int, Transient], models: ModelSet | None = None) -> tuple[int, Reasons]:
    score_id, transient = item
    models = models or _models_of_process
    (scores,) = models.score([transient])
    return score_id, reasons_of(transient, scores, models)


def _iso(unix_s: float) -> str:
    return f"{datetime.datetime.fromtimestamp(unix_s, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"
