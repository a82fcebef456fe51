"""A pass's rules on the stream's own scale: what the nights before say of scores, and of how many flags there are."""

import dataclasses

from annotator.decision.rules import Rules
from annotator.decision.stream import NightThresholds, StreamScale, night_thresholds
from annotator.ledger import Ledger
from annotator.nights import night_of


def on_own_scale(rules: Rules, ledger: Ledger, now: float) -> tuple[Rules, NightThresholds | None]:
    """Add to rules what the stream's own nights before this one say, and the thresholds of a night with a budget.

    These are returned, too; they are fixed with the first pass of the night.
    """
    recent, night = ledger.stream.recent(rules.model_set, now), night_of(now)
    rules = dataclasses.replace(rules, stream=StreamScale(recent))
    if not rules.thresholds.has_budget:
        return rules, None
    fixed = ledger.stream.thresholds(rules.model_set, night)
    if fixed is None:
        fixed = night_thresholds(recent, rules.thresholds, rules.exotic_threshold)
        if fixed is None:
            return rules, None
        ledger.stream.fix(fixed, rules.model_set, night)
    thresholds, exotic = fixed.over(rules.thresholds, rules.exotic_threshold)
    return dataclasses.replace(rules, thresholds=thresholds, exotic_threshold=exotic), fixed
