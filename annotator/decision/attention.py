"""In which order people look at objects: one number, worth, from 0 to 1.

It is the chance that a person who looks at an object is glad to have looked: that it is of an exotic kind, or truly
odd. It orders the list, the digest, announcements and reports, and is in the annotation for everybody's SQL. (What
operators have to attend to is another matter: the room :mod:`annotator.attention`.)

Of what is known already (a class in TNS, a verdict, a variable source, an artefact) it is at most
:data:`KNOWN_AT_MOST`, so that it comes last; of all else it is more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from annotator.annotation import Classification
from annotator.decision.config import WorthConfig
from annotator.decision.course import course_of
from annotator.decision.stream import COMBINED
from annotator.decision.variable import what_is_new
from annotator.models.scores import Scores
from annotator.models.worth import LIGHT_CURVE_PARTS, PARTS, Weights
from annotator.transient import Modality, Transient
from annotator.verdicts import Verdict, VerdictKind

KNOWN_AT_MOST = 0.001
"""What is known already is worth less than this, the more the higher its chance; all else more."""

DIGITS = 5
"""To which a worth is written: fewer would put what is known beside what is worth least."""

LEAST_EXOTIC = 1e-3
"""A probability of being exotic below this counts as this."""
MOST_SCORE = 4.0
"""A score above counts as this: beyond one in ten thousand nobody knows the tail."""
MOST_PRIOR = 3.0
YOUNG_DAYS, OLD_DAYS = 1.0, 60.0
"""Ages at which being young counts in full, and not at all."""
RISING_MAG = 0.5
"""By how much brighter than its 8-day mean a source is that counts as rising in full."""
NUCLEAR_ARCSEC = 2.0
"""From how far from the nearest galaxy on a source counts as nuclear not at all."""

WORTH_A_LOOK = 0.2
"""From this chance on the sentence of an object that is no flag says why it stands where it stands."""

LONG_KNOWN_YEARS, LONG_KNOWN_SEASONS = 3.0, 3
"""From so many earlier seasons, or, of a record that does not go back, years since the first alert at its place, on a
source counts as long known in full: to be like known exotics tells less of it, since these go off once."""

SAID_FROM = 0.3
"""Log odds that a part has to add to be named."""
MOST_SAID = 4

_ASKED_LOG_ODDS = 1.0
"""What a part of a science case adds for each time that the case is asked for beyond once, whatever was fitted."""

_CASE_OF = {
    "exotic": "exotic",
    "exotic_new": "exotic",
    "exotic_clear": "exotic",
    "prior": "exotic",
    "odd": "odd",
    "odd_exotic": "odd",
    "odd_features": "odd",
    "odd_lightcurve": "odd",
    "odd_triplet": "odd",
    "young": "young",
    "rising": "young",
    "nuclear": "nuclear",
}
"""Which science case a part belongs to; what speaks against an object belongs to none."""

_WORDS = {
    "exotic": "like known exotics",
    "exotic_new": "like known exotics",
    "exotic_clear": "like known exotics",
    "odd_exotic": "odd as a whole",
    "odd": "odd as a whole",
    "odd_features": "odd features",
    "odd_lightcurve": "odd light curve",
    "odd_triplet": "odd stamps",
    "prior": "blue, nuclear or slow",
    "young": "young",
    "rising": "rising",
    "nuclear": "in a nucleus",
}

_OF_VIEW = {
    Modality.FEATURES: "odd_features",
    Modality.LIGHTCURVE: "odd_lightcurve",
    Modality.TRIPLET: "odd_triplet",
}

VARYING = ("alternating", "active_before", "long_seen")
"""Parts by which to be like known exotics tells less: these go up once and down once."""

STREAM = "stream"
"""Beside the modalities of a scoring: how rare its combined score is in this stream."""
_IN_STREAM = STREAM + "_{}"
"""The same of a view's score."""

BESIDE = ("young", "rising", "nuclear", "bogus", "long_known", *LIGHT_CURVE_PARTS)
"""Parts that the ledger keeps beside the scores, since no score holds them."""


@dataclass(frozen=True)
class Evidence:
    """What the worth of an object is made of; None where it is not known, which adds nothing."""

    score: float
    """Combined."""
    views: Mapping[str, float]
    """Scores by modality that is present."""
    exotic: float | None = None
    prior: float | None = None
    stream: Mapping[str, float] = field(default_factory=dict)
    """The same in this stream's own measure, by view, where enough of the stream is known
    (:mod:`annotator.decision.stream`)."""
    beside: Mapping[str, float] = field(default_factory=dict)
    """:data:`BESIDE`, from 0 to 1, those that are known."""

    @property
    def kept(self) -> dict[str, float]:
        """What the ledger keeps of it beside the scores, for :func:`evidence_kept`."""
        in_stream = {_IN_STREAM.format(name): value for name, value in self.stream.items() if name != COMBINED}
        return in_stream | dict(self.beside)


@dataclass(frozen=True)
class Attention:
    """How much an object is worth, were nothing known of it, and why."""

    chance: float
    because: tuple[str, ...]
    """What adds most to it, the most first."""


def evidence_of(scores: Scores, stream: Mapping[str, float], transient: Transient) -> Evidence:
    """Gather the evidence of an object that was just scored."""
    views = {name: item.score for name, item in scores.present.items()}
    return Evidence(scores.score, views, scores.exotic, scores.prior, stream, _beside(scores, transient))


def _beside(scores: Scores, transient: Transient) -> dict[str, float]:
    numbers, past = scores.numbers, transient.history
    found = course_of(transient, numbers)
    if "age" in numbers:
        spent = math.log10(max(numbers["age"], YOUNG_DAYS) / YOUNG_DAYS) / math.log10(OLD_DAYS / YOUNG_DAYS)
        found["young"] = 1.0 - spent
    trends = [numbers[name] for name in ("trend_08_g", "trend_08_r") if name in numbers]
    if trends and numbers.get("age", 0.0) > YOUNG_DAYS:  # within a night it is noise, or a star's flare
        found["rising"] = -min(trends) / RISING_MAG
    separations = [numbers[name] for name in ("host_separation", "ps1_separation") if name in numbers]
    if separations:
        found["nuclear"] = 1.0 - min(separations) / NUCLEAR_ARCSEC
    if scores.artefact is not None:
        found["bogus"] = scores.artefact
    if past.n_earlier_seasons is not None:
        found["long_known"] = 0.0 if what_is_new(past) else past.n_earlier_seasons / LONG_KNOWN_SEASONS
    elif past.years is not None:
        found["long_known"] = past.years / LONG_KNOWN_YEARS
    return {name: round(min(max(float(value), 0.0), 1.0), 4) for name, value in found.items()}


def evidence_kept(score: float, modalities: Mapping[str, object]) -> Evidence:
    """Gather the evidence of an object from what the ledger keeps of its scoring."""
    views = {name: said["score"] for name, said in modalities.items() if isinstance(said, Mapping) and "score" in said}
    beside = {name: modalities[name] for name in BESIDE if name in modalities}
    stream = {name: modalities[key] for name in Modality if (key := _IN_STREAM.format(name)) in modalities}
    if STREAM in modalities:
        stream[COMBINED] = modalities[STREAM]
    return Evidence(score, views, modalities.get("exotic"), modalities.get("prior"), stream, beside)


def parts_of(evidence: Evidence, names: Sequence[str] = PARTS) -> list[float]:
    """Lay an object's parts out, each from 0 to 1, by their names in order; 0 where one is not known.

    Where a stream's own measure of a score is known, that counts, and not how rare it is among supernovae.
    """
    found = dict(evidence.beside)
    found["odd"] = evidence.stream.get(COMBINED, evidence.score) / MOST_SCORE
    found |= {_OF_VIEW[name]: evidence.stream.get(name, score) / MOST_SCORE for name, score in evidence.views.items()}
    if evidence.exotic is not None:
        found["exotic"] = 1.0 - math.log10(max(evidence.exotic, LEAST_EXOTIC)) / math.log10(LEAST_EXOTIC)
        found["exotic_new"] = found["exotic"] * (1.0 - found.get("long_known", 0.0))
        # By itself and not its logarithm, where the head is given but a light curve: nine in ten that it finds somewhat
        # like known exotics are ordinary supernovae, or vary. And what is odd counts with its support alone.
        varies = max(found.get(name, 0.0) for name in VARYING)
        found["exotic_clear"] = evidence.exotic * (1.0 - min(max(varies, 0.0), 1.0))
        found["odd_exotic"] = min(found["odd"], 1.0) * found["exotic"]
    if evidence.prior is not None:
        found["prior"] = evidence.prior / MOST_PRIOR
    return [min(max(float(found.get(name, 0.0)), 0.0), 1.0) for name in names]


def asked_for(weights: Weights, wishes: WorthConfig) -> Weights:
    """Return the weights as a person's configuration wants them.

    A science case that is asked for once counts as fitted, at 0 not at all, beyond once by :data:`_ASKED_LOG_ODDS` more
    each time even where the fit found nothing in it.
    """
    times = np.array([wishes.times(_CASE_OF[name]) if name in _CASE_OF else 1.0 for name in weights.parts])
    asked = weights.of_parts * times + _ASKED_LOG_ODDS * np.maximum(times - 1.0, 0.0)
    return Weights(weights.intercept, asked, weights.parts)


def attention_of(evidence: Sequence[Evidence], weights: Weights) -> list[Attention]:
    """Return what objects are worth, in order, all in one expression."""
    if not evidence:
        return []
    parts = np.array([parts_of(item, weights.parts) for item in evidence])
    chances = np.round(weights.chances(parts), DIGITS).tolist()
    added = parts * weights.of_parts
    return [
        Attention(chance, _because(row, weights.parts)) for chance, row in zip(chances, added.tolist(), strict=True)
    ]


def _because(added: Sequence[float], parts: Sequence[str]) -> tuple[str, ...]:
    by_words: dict[str, float] = {}
    for name, value in zip(parts, added, strict=True):
        if name in _WORDS:
            by_words[_WORDS[name]] = by_words.get(_WORDS[name], 0.0) + value
    strongest = sorted((-value, place) for place, value in enumerate(by_words.values()) if value >= SAID_FROM)
    names = list(by_words)
    return tuple(names[place] for _, place in strongest[:MOST_SAID])


def known_as(classification: str, tns_type: str, verdict: Verdict | str | None) -> str:
    """Say as what an object is known already, so that nobody need look first; empty where it is not.

    Parameters
    ----------
    classification
        What it was made: artefacts, and variable sources, are known.
    tns_type
        Its class in TNS, empty where it has none.
    verdict
        The one that holds, or its kind, None where there is none; `unknown` leaves it unknown.
    """
    kind = verdict.verdict if isinstance(verdict, Verdict) else verdict
    if kind is not None and kind != VerdictKind.UNKNOWN:
        return f"judged {kind}"
    if tns_type:
        return f"{tns_type} in TNS"
    return classification if classification in _KNOWN_CLASSES else ""


_KNOWN_CLASSES = (Classification.ARTEFACT, Classification.VARIABLE)


def worth_of(chance: float, is_known: bool) -> float:
    """Return the worth of an object, by its chance were nothing known of it."""
    if is_known:
        return round(0.99 * KNOWN_AT_MOST * chance, DIGITS)  # less than what is worth least of all else
    return round(KNOWN_AT_MOST + (1.0 - KNOWN_AT_MOST) * chance, DIGITS)


def once_known(worth: float) -> float:
    """Return what a worth becomes once its object is known; one that is known already stays."""
    if worth < KNOWN_AT_MOST:
        return worth
    return worth_of((worth - KNOWN_AT_MOST) / (1.0 - KNOWN_AT_MOST), is_known=True)


def in_one_line(chance: float, because: Sequence[str], known: str) -> str:
    """Say what an object is worth and why, for people."""
    why = ", ".join(because) or "nothing speaks for it"
    if known:
        return f"worth {worth_of(chance, True):.2f}: {known}; were that not known {worth_of(chance, False):.2f}: {why}"
    return f"worth {worth_of(chance, False):.2f}: {why}"


def order_of(worth: float | None, score: float, object_id: str) -> tuple[float, float, str]:
    """Return what objects are sorted by: worth most first; the score where they are alike, or worth is not known."""
    return (-(worth or 0.0), -score, object_id)
