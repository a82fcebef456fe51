"""What a decision needs of the configuration."""

import typing
from collections.abc import Callable
from dataclasses import dataclass, field


def _one_of(*choices: str) -> Callable[[str], str | None]:
    return lambda value: None if value in choices else f"one of {', '.join(choices)}"


def _between(low: float, high: float) -> Callable[[float], str | None]:
    return lambda value: None if low <= value <= high else f"between {low:g} and {high:g}"


def _is_probability(value: float | None) -> str | None:
    return None if value is None or 0 < value <= 1 else "above 0 and at most 1, or null"


def _key(check: Callable, default: object) -> typing.Any:
    """Declare a key: `check` returns None, or what was expected."""
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True)
class DecisionConfig:
    """From scores to a classification."""

    anomaly_score: float = _key(_between(0, 20), 3.0)
    watch_score: float = _key(_between(0, 20), 2.0)
    artefact_detections: int = _key(_between(1, 1000), 2)
    """From this many detections on, an object none of which is positive and passes real-bogus is an artefact."""
    artefact_probability: float = _key(_between(0, 1), 0.7)
    """From this probability of a bogus detection on, an object that nothing vouches for is an artefact."""
    exotic_probability: float | None = _key(_is_probability, None)
    """`anomaly` also from this probability of being exotic on; None: where half of such known objects are."""
    announce_margin: float = _key(_between(0, 20), 0.5)
    """By how much an announced anomaly's score has to rise before it is announced again."""
    classified: str = _key(_one_of("state", "demote"), "state")
    """What an object's class in TNS does: it is stated, or makes `watch` of `anomaly` besides."""
