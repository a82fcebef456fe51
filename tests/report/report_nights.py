"""Nights to make reports of: simulated objects with light curves and stamps, as the shipped models score them.

Nothing in them is an observation. What the ledger would know, of earlier nights and of people, is made up here.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from annotator.decision.classify import decide, exotic_threshold_of
from annotator.decision.config import DecisionConfig
from annotator.errors import MissingModalityError
from annotator.models import ModalityScore, ModelSet, Scores, load_models
from annotator.nights import night_of
from annotator.preprocess.fits import read_stamp
from annotator.reasons.find import reasons_of
from annotator.reasons.reason import Reason
from annotator.reasons.sentence import explain
from annotator.report.night import Candidate, Judgement, ModalityResult, Night, NightSummary, PastScore
from annotator.sandbox.lasair.answers import candidate, object_answer
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.sky.night import SimulatedObject, simulate_night
from annotator.sandbox.sky.stamps import KINDS, render
from annotator.surveys.ztf.parse import parse
from annotator.transient import Transient, Triplet

MODELS_FOLDER = Path(__file__).resolve().parents[2] / "onnx_models"
NOW_JD = 2461369.2
DECISION = DecisionConfig()
HOST = "https://stamps.simulated"
HOSTILE = (
    "<script>document.title='executed'</script>",
    '"><img src=x onerror="document.title=\'executed\'">',
    "</style><script>document.title='executed'</script>",
    "javascript:document.title='executed'",
    "{{ 7 * 7 }} ' onclick='document.title=1' \\u003cb\\u003e </title>",
)
_PEOPLE = ("Ada", "Vera", "Cecilia")


@functools.cache
def models() -> ModelSet:
    """The models of this checkout, loaded once."""
    return load_models(MODELS_FOLDER, "ztf")


@functools.cache
def simulated_transients(n_objects: int, seed: int = 11) -> tuple[Transient, ...]:
    """Simulate a night and read it as Lasair would answer for it, stamps of the brightest epoch and all."""
    simulated = simulate_night(seed, max(n_objects, 30), NOW_JD)
    database = Database()
    database.put_rows(simulated.rows())
    transients = []
    for item in simulated.objects[:n_objects]:
        candidates = [candidate(epoch, HOST) for epoch in item.epochs]
        answer = object_answer(database, item.object_id, candidates, simulated.now_jd, True)
        transients.append(_with_stamps(parse(json.loads(json.dumps(answer))), item, seed))
    database.close()
    return tuple(transients)


def _with_stamps(transient: Transient, item: SimulatedObject, seed: int) -> Transient:
    positive = [epoch for epoch in item.epochs if epoch.isdiffpos == "t"]
    if not positive:
        return transient
    epoch = min(positive, key=lambda epoch: (epoch.magpsf, epoch.jd))
    files = render(item, epoch, seed)
    try:
        stamps = [read_stamp(files[kind]) for kind in KINDS]
    except MissingModalityError as reason:
        return dataclasses.replace(transient, why_missing=dict(transient.why_missing) | {"triplet": str(reason)})
    return dataclasses.replace(transient, triplet=Triplet(*stamps, time_mjd=epoch.jd - 2400000.5))


@functools.cache
def make_night(n_objects: int = 40, with_gaps: bool = True, hostile: bool = False) -> Night:
    """Make a night of simulated objects.

    Parameters
    ----------
    n_objects
        How many.
    with_gaps
        Whether some lack a light curve, stamps, or all that was scored.
    hostile
        Whether names and words are such as break pages.
    """
    transients = [
        _without_parts(transient, number) if with_gaps else transient
        for number, transient in enumerate(simulated_transients(n_objects))
    ]
    scored = sorted(zip(transients, models().score(transients), strict=True), key=lambda pair: -pair[1].score)
    candidates = tuple(_candidate(rank, *pair, with_gaps) for rank, pair in enumerate(scored, 1))
    if hostile:
        candidates = tuple(_hostile(item, number) for number, item in enumerate(candidates))
    return night_with(candidates)


def night_with(candidates: Sequence[Candidate]) -> Night:
    """Put objects into a night."""
    modalities = ("features", "lightcurve", "triplet")
    classes = [item.classification for item in candidates]
    return Night(
        number=night_of((NOW_JD - 2440587.5) * 86400),
        date="2026-11-23",
        survey="ztf",
        model_set=models().version,
        made_at="2026-11-24T08:15:02Z",
        anomaly_score=DECISION.anomaly_score,
        watch_score=DECISION.watch_score,
        exotic_threshold=exotic_threshold_of(models(), DECISION),
        summary=NightSummary(
            objects=len(candidates),
            scorings=2 * len(candidates),
            by_modality={
                name: sum(name in item.modalities and item.modalities[name].score is not None for item in candidates)
                for name in modalities
            },
            classes={name: classes.count(name) for name in dict.fromkeys(classes)},
            new_objects=sum(item.is_new for item in candidates),
            newly_flagged=sum(item.is_newly_flagged for item in candidates),
            refused=2,
            passes=31,
            drift=("no view of the night is distributed otherwise than in training",),
            reads_left=412,
            writes_left=2871,
            outbox_waiting=3,
            outbox_failed=0,
            incomplete=17,
            attention=("2 records were refused; aha-annotator status names them",),
        ),
        candidates=tuple(candidates),
        n_left_out=0,
    )


def _without_parts(transient: Transient, number: int) -> Transient:
    without = {}
    if number % 7 == 3:
        without |= {"light_curve": None}
    if number % 9 == 4:
        without |= {"triplet": None}
    why = {"light_curve": ("lightcurve", "no call left to fetch it"), "triplet": ("triplet", "no cutouts")}
    reasons = dict(why[name] for name in without)
    return dataclasses.replace(transient, **without, why_missing=dict(transient.why_missing) | reasons)


def _candidate(rank: int, transient: Transient, scores: Scores, with_gaps: bool) -> Candidate:
    reasons = reasons_of(transient, scores, models())
    classification = decide(transient, scores, DECISION, exotic_threshold_of(models(), DECISION))
    rng = np.random.default_rng(rank)
    is_new, has_name = bool(rank % 3 == 1), rank % 6 == 2
    return Candidate(
        rank=rank,
        object_id=transient.object_id,
        classification=classification,
        score=scores.score,
        modalities={
            name: ModalityResult(item.score, item.error, "", _stamps_mjd(name, transient))
            if isinstance(item, ModalityScore)
            else ModalityResult(None, None, item.why)
            for name, item in scores.modalities.items()
        },
        prior=scores.prior,
        exotic=scores.exotic,
        explanation=explain(transient, scores, classification, reasons),
        reasons=reasons,
        n_det=transient.n_det,
        mjd=transient.last_mjd,
        first_flagged_mjd=transient.last_mjd if classification != "normal" else None,
        is_new=is_new,
        is_newly_flagged=classification != "normal" and bool(rank % 2),
        tns_name=f"AT 2026{'abcdefghij'[rank % 10]}{'klmnopqrst'[rank // 10 % 10]}z" if has_name else "",
        tns_type="SN Ia" if has_name and rank % 4 == 0 else "",
        judgement=_judgement(rank),
        transient=None if with_gaps and rank % 17 == 9 else transient,
        history=_history(transient, classification, scores, 1 if is_new else 5, rng),
        latents={name: item.latent for name, item in scores.modalities.items() if isinstance(item, ModalityScore)},
    )


def _stamps_mjd(modality: str, transient: Transient) -> float | None:
    return transient.triplet.time_mjd if modality == "triplet" else None


def _judgement(rank: int) -> Judgement | None:
    if rank % 8 != 5:
        return None
    verdict = ("anomaly", "artefact", "regular", "unknown")[rank // 8 % 4]
    return Judgement(
        verdict, _PEOPLE[rank % 3], "2026-11-24T07:41:00Z", "dipole in the difference" if rank % 16 else ""
    )


def _history(
    transient: Transient, classification: str, scores: Scores, n_scorings: int, rng: np.random.Generator
) -> tuple[PastScore, ...]:
    by_modality = {name: item.score for name, item in scores.modalities.items() if isinstance(item, ModalityScore)}
    last_mjd = transient.last_mjd or 61368.0
    past = []
    for back in range(n_scorings - 1, -1, -1):
        factor = 1.0 if back == 0 else max(0.1, 1 - 0.15 * back + rng.normal(0, 0.1))
        score = scores.score * factor
        past.append(
            PastScore(
                scored_at=(NOW_JD - 2440587.5 - 3 * back) * 86400,
                mjd=last_mjd - 3 * back,
                n_det=max(2, (transient.n_det or 2) - 2 * back),
                model_set=models().version,
                classification=classification if back == 0 else "watch" if score >= DECISION.watch_score else "normal",
                score=score,
                modality_scores={name: value * factor for name, value in by_modality.items()},
            )
        )
    return tuple(past)


def _hostile(item: Candidate, number: int) -> Candidate:
    text = HOSTILE[number % len(HOSTILE)]
    transient = item.transient and dataclasses.replace(item.transient, sherlock_class=text)
    reasons = {name: (Reason(text, 0.5, {}), *found) for name, found in item.reasons.items()}
    return dataclasses.replace(
        item,
        object_id=f"{text}{number}" if number % 2 else item.object_id,
        tns_name=text,
        tns_type=text,
        explanation=f"{text} {item.explanation}",
        reasons=reasons,
        judgement=Judgement("anomaly", text, text, text),
        transient=transient,
        modalities={name: dataclasses.replace(part, missing=text) for name, part in item.modalities.items()},
    )
