"""What the order of attention is made of: parts from 0 to 1 and their weights, a small JSON beside the models.

The weights are fitted by ``aha-train worth`` and checked as the models are: by their digest, by the model set they
belong to, and by references that they have to give again. What the parts of an object are says
:mod:`annotator.decision.attention`.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from annotator.errors import ModelError
from annotator.models.files import check_identity, read_file
from annotator.models.manifest import parse_as
from annotator.preprocess import PREPROCESS_VERSION
from annotator.surveys import SURVEYS
from annotator.typed import Typed

NAME = "worth"

PARTS = (
    "exotic",
    "exotic_new",
    "odd",
    "odd_features",
    "odd_lightcurve",
    "odd_triplet",
    "prior",
    "young",
    "rising",
    "nuclear",
    "bogus",
)
"""In the order of a row."""

SUPPORTED_PARTS = ("exotic_clear", "odd_exotic")
LIGHT_CURVE_PARTS = ("stochastic", "alternating", "active_before", "doubtful", "long_seen")
"""Further ones of a survey whose object features are of the light curve; the latter speak against an object."""

_AGAINST = frozenset(("bogus", *LIGHT_CURVE_PARTS))


def signs_of(parts: Sequence[str]) -> NDArray[np.float64]:
    """Return which way each part moves the worth ``(len(parts),)``: a weight has this sign, or is 0."""
    return np.array([-1.0 if name in _AGAINST else 1.0 for name in parts])


def parts_of_survey(name: str) -> tuple[str, ...]:
    """Return the parts that a survey's order of attention is made of."""
    return (*PARTS, *SUPPORTED_PARTS, *LIGHT_CURVE_PARTS) if SURVEYS[name].features_are_of_light_curve else PARTS


SIGNS: NDArray[np.float64] = signs_of(PARTS)
"""Those of :data:`PARTS`."""
SIGNS.setflags(write=False)

REFERENCE_ATOL = 1e-6
MAX_LOG_ODDS = 30.0


@dataclass(frozen=True)
class Weights:
    """A logistic model of the chance that a person who looks is glad to have looked."""

    intercept: float
    of_parts: NDArray[np.float64]
    """``(len(parts),)``, each of its part's sign or 0: the worth is monotone in every part."""
    parts: tuple[str, ...] = PARTS

    def chances(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the chances ``(n,)`` of rows of parts ``(n, len(parts))``, each the same whatever the others are."""
        log_odds = np.clip(self.intercept + (parts * self.of_parts).sum(axis=1), -MAX_LOG_ODDS, MAX_LOG_ODDS)
        return 1.0 / (1.0 + np.exp(-log_odds))


class WorthReference(Typed):
    """Parts of a simulated object, and the chance that training gave it."""

    parts: tuple[float, ...]
    chance: float


class WorthManifest(Typed):
    """The weights, what they were made from, and what they must answer."""

    name: str
    version: str
    """Of the model set they belong to."""
    survey: str
    preprocess_version: str
    parts: tuple[str, ...]
    intercept: float
    weights: tuple[float, ...]
    weights_sha256: str
    """As :func:`digest_of` takes it."""
    training: Mapping
    metrics: Mapping
    references: Annotated[
        tuple[WorthReference, ...], Meta(min_length=1, description="references, at least one to prove the weights by")
    ]

    def as_weights(self) -> Weights:
        """Return what is computed with."""
        return Weights(self.intercept, np.array(self.weights), self.parts)


def digest_of(intercept: float, weights: tuple[float, ...]) -> str:
    """Take the digest of weights as they are written."""
    return hashlib.sha256(json.dumps([intercept, *weights]).encode()).hexdigest()


def load_worth(place: Traversable, survey: str, version: str) -> WorthManifest:
    """Load and check the weights of a model set.

    Raises
    ------
    ModelError
        If they are damaged, changed, of another survey, preprocessing or model set, of other parts or signs, or do not
        reproduce their references.
    """
    path = place / f"{NAME}.json"
    where = str(path)
    manifest = parse_as(WorthManifest, read_file(path), where)
    expected = {"name": NAME, "survey": survey, "version": version, "preprocess_version": PREPROCESS_VERSION}
    check_identity(where, {key: (value, getattr(manifest, key)) for key, value in expected.items()})
    parts = parts_of_survey(survey)
    if manifest.parts != parts or len(manifest.weights) != len(parts):
        raise ModelError(
            f"{where}: expected weights of {', '.join(parts)}, found {len(manifest.weights)} of "
            f"{', '.join(manifest.parts)}; fit them again with aha-train worth"
        )
    found_sha256 = digest_of(manifest.intercept, manifest.weights)
    if found_sha256 != manifest.weights_sha256:
        raise ModelError(
            f"{where}: expected weights with sha256 {manifest.weights_sha256}, found {found_sha256}; the file is "
            f"changed: copy it or fit the weights again"
        )
    numbers = np.array([manifest.intercept, *manifest.weights])
    if not np.isfinite(numbers).all() or (numbers[1:] * signs_of(parts) < 0).any():
        raise ModelError(
            f"{where}: expected weights of the signs of their parts, found {manifest.weights}; fit them again"
        )
    weights = manifest.as_weights()
    for number, reference in enumerate(manifest.references):
        is_row = len(reference.parts) == len(parts)
        found = float(weights.chances(np.array([reference.parts]))[0]) if is_row else math.nan
        if not math.isclose(found, reference.chance, rel_tol=0, abs_tol=REFERENCE_ATOL):
            raise ModelError(
                f"{where}: expected {reference.chance} for reference {number}, as in training, found {found}; fit the "
                f"weights again"
            )
    return manifest
