"""The card of a night of real objects."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from annotator.annotation import Classification
from annotator.decision.config import DecisionConfig
from annotator.models import ModelSet
from annotator.surveys.ztf.tables import DETECTION
from training.export.card_text import joined, with_interval
from training.metrics.intervals import exact_share
from training.stream_night.known_exotics import KnownExotic
from training.stream_night.objects import EARLIER_REAL_BOGUS

if TYPE_CHECKING:
    from training.stream_night.night import Judged, StreamNight

SHOWN, FIRST, HUNDRED = 30, 10, 100
AGES = {"up to 5 days since the first detection": 5.0, "5 to 15 days": 15.0, "more": float("inf")}
PER_NIGHT = 5000
"""Objects of a night at Lasair-ZTF, about."""
_CLASSES = tuple(Classification)
MOST_NOT_EXOTIC = {Classification.ANOMALY: 1, Classification.WATCH: 3}
"""Targets of a release: objects of the night that are flagged and no known exotic."""
ORDERS_SHOWN = ("worth", "score", "exotic")
LEAST_EXOTICS = 3
"""Known exotics in the first hundred."""


def stream_card(night: "StreamNight", models: ModelSet, known: Sequence[KnownExotic], steps: str = "") -> str:
    """Write the card, in Markdown.

    Parameters
    ----------
    night
        The night, decided on.
    models
        Which scored it.
    known
        The known exotics of the training data.
    steps
        What each step changes, a table (:mod:`training.stream_night.steps`).
    """
    n = len(night.judged)
    exotics = [item for item in night.judged if item.object.is_exotic]
    text = f"""
# {models.version}: a night of real objects

What a live stream makes of the scores: {night.n_objects} real objects of public ZTF nights, most of them of October
2023, of which the input filter lets {n} through. Each is scored by models of a fold that did not see it, as
`aha-annotator score` scores: columns computed from the light curve of thirty days, stamps, a stand-in for Sherlock's
class, Pan-STARRS1 magnitudes drawn from objects at the same distance, real-bogus scores of the detection that the
stamps are of, and {EARLIER_REAL_BOGUS:g} for all others. Kinds are those of spectra where there are any, else of
SIMBAD, the solar system, real-bogus and Pan-STARRS1: read shares as orders of magnitude. Nothing was tuned to these
objects; the thresholds are those that ship, without a nightly budget.

Repeat it: `aha-train stream-night --data DIR --out DIR --out-of-fold DIR --steps`.

## Flags

| | objects | of {n} | for every {PER_NIGHT:,} | known exotics | had nothing been known of variability |
|---|---|---|---|---|---|
{chr(10).join(_class_row(night, name) for name in _CLASSES)}

{_targets(night)}

{_too_early(night)}

{_purity(night)}

By kind:

| kind | objects | {" | ".join(_CLASSES)} |
|---|---|{"---|" * len(_CLASSES)}
{chr(10).join(_kind_rows(night))}

## Who leads

Artefacts and known variables come last in each order. `worth` is the order of the list, of the digest and of
announcements; nothing is known here of classes in TNS, nor of the stream's own scale.

{_leaders(night)}

The first {SHOWN} by `worth`:

{_list(night.ranked("worth")[:SHOWN])}

The first {SHOWN} by score:

{_list(night.ranked("score")[:SHOWN])}

The first {SHOWN} by `exotic`:

{_list(night.ranked("exotic")[:SHOWN])}

## Known exotics

{len(exotics)} of the objects are known SLSN or TDE. Those that are `variable` are so for the reason that is given: what
is detected for years at a place is told from a supernova there by its light curve of all epochs alone, which Lasair's
`object` has and these packets have not.

{_list(exotics, with_standing=True)}

Of {len(known)} known SLSN and TDE of the training data (databank rows with name and class, light curves of all epochs
where there are any) {_share(sum(item.is_variable for item in known), len(known))} would be `variable`, and stay out of
the flags:

{_known_rows(known)}

## Without Pan-STARRS1

Of {len(night.hostless)} objects without a Pan-STARRS1 source near, all of them whether the filter lets them through or
not, {_n_flags(night.hostless)} are flagged as they are, and {_n_flags(night.hostless_hidden)} where its columns are
missing, as they are in Lasair's answer for an object.

{_of_steps(steps)}
## What it cannot say

- How pure a night is to a few per cent: {n} objects, a stand-in for Sherlock, no spectrum of most.
- What a past of all epochs would make of them: packets go back thirty days, and beyond that two numbers tell, the year
  in the name and `{DETECTION.earlier_detections}`.
"""
    return joined(text)


def _of_steps(steps: str) -> str:
    if not steps:
        return ""
    return f"""
## What each step changes

Each is taken away alone. Databank: SLSN and TDE against normals and AGN, out of fold, on rows from 2022 on, 95 %
intervals by bootstrap over transients; a head that is fitted anew has one booster instead of several, and decides by
its own threshold. Night: as above. What has to be trained from the beginning to be taken away is not here: rows in
reversed order can no longer be read as if they were whole, and what calibration on brightness and depth does stands in
LIGHTCURVE_CARD.md and TRIPLET_CARD.md.

{steps}
"""


def _class_row(night: "StreamNight", name: str) -> str:
    found, n = night.flags(name), len(night.judged)
    share = exact_share(len(found), n)
    known = sum(item.object.is_exotic for item in found)
    return (
        f"| `{name}` | {len(found)} | {with_interval(share.rounded())} | {PER_NIGHT * share.value:.0f} | {known} | "
        f"{len(night.flags(name, by_scores=True))} |"
    )


def _targets(night: "StreamNight") -> str:
    lines = []
    for name, most in MOST_NOT_EXOTIC.items():
        others = sum(not item.object.is_exotic for item in night.flags(name))
        lines.append(f"- `{name}` that is no known exotic: {others}, target at most {most}: {_met(others <= most)}.")
    by_score, by_worth = (
        sum(item.object.is_exotic for item in night.ranked(order)[:HUNDRED]) for order in ("score", "worth")
    )
    lines.append(
        f"- Known exotics in the first {HUNDRED}: {by_score} by score, {by_worth} by `worth`, target at least "
        f"{LEAST_EXOTICS}, and more by `worth`: {_met(by_worth >= LEAST_EXOTICS and by_worth > by_score)}."
    )
    idle = sum(item.leads_nowhere for item in night.ranked("score")[:FIRST])
    lines.append(
        f"- Variable stars, AGN, CV and asteroids among the first {FIRST} by score: {idle}, target none: "
        f"{_met(not idle)}."
    )
    idle = sum(item.leads_nowhere for item in night.ranked("worth")[:FIRST])
    lines.append(f"- The same by `worth`: {idle}, target none: {_met(not idle)}.")
    whole, hidden = _n_flags(night.hostless), _n_flags(night.hostless_hidden)
    lines.append(
        f"- Hostless objects flagged without Pan-STARRS1's columns: {hidden}, target no more than with them, {whole}: "
        f"{_met(hidden <= whole)}."
    )
    return "Targets of a release:\n\n" + "\n".join(lines)


def _purity(night: "StreamNight") -> str:
    """Say how pure the flags are, by place and by age."""
    parts: dict[str, list[Judged]] = {"all": list(night.judged)}
    for item in night.judged:
        parts.setdefault(item.place, []).append(item)
    for words, most in AGES.items():
        least = max((days for days in AGES.values() if days < most), default=0.0)
        parts[words] = [item for item in night.judged if item.age_days is not None and least < item.age_days <= most]
    lines = [
        "How pure the flags are, with exact 95 % intervals; of most objects nobody took a spectrum, so that neither "
        "share can be more than that of those of which somebody did.",
        "",
        "| | objects | known exotics | flags | share flagged | of these known exotics | known exotics or supernovae |",
        "|---|---|---|---|---|---|---|",
    ]
    for words, items in parts.items():
        flags = [item for item in items if item.is_flag]
        n_exotic = sum(item.object.is_exotic for item in flags)
        n_transient = n_exotic + sum(item.object.is_supernova for item in flags)
        lines.append(
            f"| {words} | {len(items)} | {sum(item.object.is_exotic for item in items)} | {len(flags)} | "
            f"{_interval(len(flags), len(items))} | {_interval(n_exotic, len(flags))} | "
            f"{_interval(n_transient, len(flags))} |"
        )
    return "\n".join(lines)


def _interval(part: int, whole: int) -> str:
    return with_interval(exact_share(part, whole).rounded(), 2) if whole else ""


def _share(part: int, whole: int) -> str:
    return f"{part}, {with_interval(exact_share(part, whole).rounded())}," if whole else "0"


def _known_rows(known: Sequence[KnownExotic]) -> str:
    rows = [f"| {item.type} | {item.known_as} |" for item in known if item.is_variable]
    return "\n".join(["| type | known as |", "|---|---|", *rows])


def _too_early(night: "StreamNight") -> str:
    """Say how many flags no record of their time could tell for variables."""
    flags, least = [item for item in night.judged if item.is_flag], DecisionConfig()
    pasts = [item.object.transient.history for item in flags]
    early = [
        past
        for past in pasts
        if (past.n_detections or 0) >= least.variable_detections and (past.years or 0.0) < least.variable_years
    ]
    return (
        f"Of the {len(flags)} flags {len(early)} are of places with {least.variable_detections} detections or more, in "
        f"packets of a time at which the survey had not looked for {least.variable_years:g} years: a past that later "
        "packets would tell."
    )


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _kind_rows(night: "StreamNight") -> list[str]:
    rows = []
    for kind, count in night.kinds(night.judged).most_common():
        of_kind = [item.classification for item in night.judged if item.object.kind == kind]
        rows.append(f"| {kind} | {count} | {' | '.join(str(of_kind.count(name)) for name in _CLASSES)} |")
    return rows


def _leaders(night: "StreamNight") -> str:
    lines = [
        f"| order | known exotics in the first {FIRST} / {SHOWN} / {HUNDRED} | no night's worth in the first {FIRST} |",
        "|---|---|---|",
    ]
    for order in ORDERS_SHOWN:
        ranked = night.ranked(order)
        counts = [sum(item.object.is_exotic for item in ranked[:most]) for most in (FIRST, SHOWN, HUNDRED)]
        idle = sum(item.leads_nowhere for item in ranked[:FIRST])
        lines.append(f"| {order} | {' / '.join(map(str, counts))} | {idle} |")
    return "\n".join(lines)


def _list(items: Sequence["Judged"], with_standing: bool = False) -> str:
    """Write objects as a table; none of them is named, since none of the data goes with the models."""
    lines = [
        f"| | kind | type | classification | score | exotic |{' known as |' if with_standing else ''}",
        f"|---|---|---|---|---|---|{'---|' if with_standing else ''}",
    ]
    for number, item in enumerate(items, 1):
        exotic = "" if item.scores.exotic is None else f"{item.scores.exotic:.2f}"
        row = (
            f"| {number} | {item.object.kind} | {item.object.type} | {item.classification} | {item.scores.score:.2f} | "
            f"{exotic} |"
        )
        lines.append(f"{row} {item.standing} |" if with_standing else row)
    return "\n".join(lines)


def _n_flags(items: Sequence["Judged"]) -> int:
    return sum(item.is_flag for item in items)
