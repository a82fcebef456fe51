"""The card of young objects."""

from collections import Counter
from collections.abc import Sequence

from annotator.models import ModelSet
from training.export.card_text import joined, with_interval
from training.metrics.intervals import Estimate
from training.young.measure import FALSE_ALARMS, PER_NIGHT
from training.young.objects import MIN_RISE_DAYS, MIN_RISE_MAG
from training.young.replay import AGES_DAYS
from training.young.young import Population, Young

TARGET_DAYS, TARGET_RECALL = 5, 0.30
"""At :data:`training.young.measure.FALSE_ALARMS`."""


def young_card(found: Young, models: ModelSet) -> str:
    """Write the card, in Markdown."""
    headline, like, sky = (found.populations[name] for name in ("recent", "like", "simulated"))
    text = f"""
# {models.version}: young objects

What the whole chain flags of objects that are days old: {headline.n_exotic} known exotics from 2022 on
({_counted(found.types)}) and normal supernovae, each replayed night by night from its first detection on. On each night
it is the record that Lasair would have answered with: columns computed from the detections so far, the light curve so
far, stamps where the data have one of these nights, the host as it is catalogued. Columns, models, heads, thresholds
and the word `variable` are those of a pass; each object is asked of models of a fold that did not see it.
Thresholds are the shipped ones, without a nightly budget. 95 % intervals by bootstrap over transients; where none or
all are flagged, exact ones of as many transients as the weights are worth.

An object's age counts from its first positive detection. Only objects count that were caught rising, with a brightest
detection {MIN_RISE_DAYS:g} days or more after the first and {MIN_RISE_MAG:g} mag brighter: of others the first
detection at hand is where a catalogue or a packet begins. Flagged by a day is what was flagged on any night until then.

Repeat it: `aha-train young --data DIR --out DIR --out-of-fold DIR`. Its figures for machines: `young.csv`.

## Target

{_target(headline, like)}

## Known exotics found

{_recall_table([headline, found.populations["any"], sky])}

| type | objects | {" | ".join(f"by day {days}" for days in AGES_DAYS)} |
|---|---|{"---|" * len(AGES_DAYS)}
{chr(10).join(_type_rows(found))}

## False alarms

Share of normals that were flagged by a day, `anomaly` or `watch`; and how many of {PER_NIGHT:,} objects of that age
would stand flagged on the night itself.

| normals | number | worth | | {" | ".join(f"day {days}" for days in AGES_DAYS)} |
|---|---|---|---|{"---|" * len(AGES_DAYS)}
{chr(10).join(_alarm_rows(found))}

Normals of 2022 and later are few, so that those of all years stand beside them: {like.n_normal} objects on
{like.n_normal_states:,} nights, weighed by the odds of a logistic regression on what a catalogue makes of an object
(nights and detections in twenty days, stated errors, whether a colour, a distance, a host and a Pan-STARRS1 source are
known) and on nothing of the object itself; the weighed ones are worth {like.n_effective:.0f}. No weight makes years
alike of which one class has none, so these normals count false alarms and rank nothing. Their distances, which the
databank has of every row before 2022, are left out as often as later rows lack them. Simulated normals
({sky.n_normal} objects, {sky.n_normal_states:,} nights, with upper limits and stamps) are scored as the simulator makes
them.

Catalogues: exotics {_counted(found.sources["exotics"])}; normals from 2022 on
{_counted(found.sources["normals from 2022 on"])}; normals of all years
{_counted(found.sources["normals of all years"])}.

## What no model reaches

How well the probability of being exotic ranks the two on that day, and what year, catalogue and missing values alone
give, by a forest that did not see the object: where the second is as high as the first, the data tell the class by
their making, and a ranking on them shows nothing beyond it. The chain knows no year and no catalogue.

{_ranking_table(found)}
"""
    return joined(text, _tried(found), PUBLISHED, LIMITS)


def _tried(found: Young) -> str:
    if not found.tried:
        return ""
    days = " | ".join(f"AUC, day {days}" for days in AGES_DAYS[::2])
    rows = []
    for item in found.tried:
        whole = " | ".join(with_interval(item.whole[name]) if item.whole else "" for name in ("auc", "ap"))
        gain = "" if item.gain is None else _signed(item.gain)
        aucs = " | ".join(f"{value:.3f}" for value in item.young_auc[::2])
        recall = " | ".join(f"{100 * item.recall[AGES_DAYS.index(days)]:.0f} %" for days in (1, TARGET_DAYS))
        rows.append(f"| {item.words} | {whole} | {aucs} | {gain} | {recall} |")
    gaining = [item.words for item in found.tried if item.whole and item.gain and item.gain.low > 0]
    verdict = "; ".join(gaining) or "none does"
    return f"""
## What was tried

Heads that differ in one step, out of fold, without the stated prior and with nothing taken back for what is missing
(`aha-train young --comparisons`). Final states: from 2022 on. Young: the objects of the first table, `exotic` of that
day. Gain: in AUC on day {TARGET_DAYS} over the first head of its kind, by bootstrap over transients. Found: exotics by
a day at the value that {100 * FALSE_ALARMS:.0f} % of the weighed normals of all years reach.

| learned from | final states, AUC | AP | {days} | gain | found by day 1 | by day {TARGET_DAYS} |
|---|---|---|{"---|" * len(AGES_DAYS[::2])}---|---|---|
{chr(10).join(rows)}

A step would be kept that gains more than its interval on young states and nothing less on final ones: {verdict}.

{LIMITS_TRIED}
"""


def _signed(found: Estimate) -> str:
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


LIMITS_TRIED = """
Upper limits were tried on a simulated sky alone, whose limits are those of its own light curves: the data have none,
and limits that were put to them would be as right as the rise that is assumed below them. What they bring there, to
heads that were trained on that very sky, is the most that can be hoped for.
"""


PUBLISHED = """
## What others have published

As their abstracts have it. None of it is of the population above: whom they ask, what they know of it (a redshift, the
host's colours and image, whole light curves), and what counts as a false alarm, differ in each.

| who | what | with what |
|---|---|---|
| FLEET (TDE) | completeness 40 %, purity 30 % and 50 % | 20 and 40 days of data |
| FLEET 2.0 (SLSN) | completeness 40 %, on-sky purity about 80 % | light curve and host |
| Fink early TDE | recall 76 %, half of them flagged before half of the rise | rising alerts that pass its own cuts |
| tdescore | recall 77.5 %, precision 80.2 % | whole light curves |
| NEEDLE | completeness 73 % (SLSN), 80 % (TDE) | images and light curve |
| NEEDLE 2 | purity 75 % and 43 %, completeness 75 % and 66 % (SLSN and TDE) | images and light curve |
| Superphot+ | F1 0.61 over classes of supernovae | whole light curves, no redshift |
| ORACLE-2 on BTS | macro-F1 0.73 over all classes | a survey of bright transients |
"""

LIMITS = """
## What it cannot say, and what would

- How many of a survey's SLSN and TDE would be found: all exotics here were chosen by somebody for a spectrum, most of
  them when they were bright.
- Whether a share differs from another by ten points: an interval of five points either way takes 320 exotics that were
  caught rising; and normals of the same nights and the same catalogue, so that neither year nor making tells the class.
  An account at Lasair builds such a set (`aha-train fetch lightcurves`); the light curves at hand are of a dozen hands.
- What an earlier night's upper limits would add on real nights: the data have none, and no model of this set has any
  as an input. Lasair's answers have them.
- What a night of 5,000 holds: most of its objects are no young supernovae. `aha-train stream-night` counts those.
- What stamps add: of few of these nights they are at hand.
"""


def _target(headline: Population, like: Population) -> str:
    row, other = (next(row for row in part.rows if row["days"] == TARGET_DAYS) for part in (headline, like))
    recall, alarms, weighed = row["flagged_exotics"], row["flagged_normals"], other["flagged_normals"]
    is_met = recall.value >= TARGET_RECALL and weighed.value <= FALSE_ALARMS
    verdict = "met by the figures themselves, not by their intervals" if is_met else "**missed**"
    if recall.low >= TARGET_RECALL and weighed.high <= FALSE_ALARMS:
        verdict = "met"
    limit = f"{100 * FALSE_ALARMS:.0f} %"
    return (
        f"By day {TARGET_DAYS} {100 * TARGET_RECALL:.0f} % of the exotics at {limit} false alarms: {verdict}. Flagged "
        f"are {_percent(recall)} % of {headline.n_exotic} exotics, at {_percent(alarms)} % of {headline.n_normal} "
        f"normals from 2022 on and {_percent(weighed)} % of {like.n_normal} of all years, weighed. At the value of "
        f"`exotic` that {limit} of normals reach by then, {_percent(row['recall_at'])} % of the exotics would be "
        f"found, by normals from 2022 on, and {_percent(other['recall_at'])} % by those of all years; that value is "
        f"chosen on these normals."
    )


def _recall_table(parts: Sequence[Population]) -> str:
    lines = [f"| exotics, % | number | | {' | '.join(f'by day {days}' for days in AGES_DAYS)} |"]
    lines.append(f"|---|---|---|{'---|' * len(AGES_DAYS)}")
    names = {
        "anomaly_exotics": "`anomaly`",
        "flagged_exotics": "`anomaly` or `watch`",
        "recall_at": f"at {100 * FALSE_ALARMS:.0f} % false alarms by `exotic` alone",
    }
    lines += [
        f"| {part.words} | {part.n_exotic} | {words} | {' | '.join(_percent(row[key]) for row in part.rows)} |"
        for part in parts
        for key, words in names.items()
    ]
    return "\n".join(lines)


def _type_rows(found: Young) -> list[str]:
    return [
        f"| {kind} | {found.types[kind]} | {' | '.join(map(str, counts))} |"
        for kind, counts in sorted(found.by_type.items())
    ]


def _alarm_rows(found: Young) -> list[str]:
    figures = (
        ("`anomaly`, %", "anomaly_normals", _percent),
        ("`anomaly` or `watch`, %", "flagged_normals", _percent),
        (f"that night, of {PER_NIGHT:,}", "now_normals", _nightly),
    )
    return [
        f"| {part.words} | {part.n_normal} | {part.n_effective:.0f} | {words} | "
        f"{' | '.join(write(row[key]) for row in part.rows)} |"
        for part in found.populations.values()
        for words, key, write in figures
    ]


def _ranking_table(found: Young) -> str:
    lines = [f"| AUC | {' | '.join(f'day {days}' for days in AGES_DAYS)} |", f"|---|{'---|' * len(AGES_DAYS)}"]
    for name in ("recent", "any"):
        part = found.populations[name]
        for words, key in (("`exotic`", "auc"), ("year, catalogue, missing values alone", "without_model")):
            cells = " | ".join(with_interval(row[key].rounded()) for row in part.rows)
            lines.append(f"| {part.n_exotic} exotics, {part.n_normal} normals {part.words}: {words} | {cells} |")
    return "\n".join(lines)


def _percent(found: Estimate | None) -> str:
    if found is None:
        return "none"
    return f"{100 * found.value:.0f} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _nightly(found: Estimate | None) -> str:
    if found is None:
        return "none"
    return f"{PER_NIGHT * found.value:.0f} [{PER_NIGHT * found.low:.0f}, {PER_NIGHT * found.high:.0f}]"


def _counted(counts: "Counter[str]") -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(counts).most_common())
