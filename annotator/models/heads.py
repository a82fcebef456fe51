"""Heads: small models of what the others say, which learn from labels and from people's verdicts.

A head is given numbers by name (:func:`annotator.models.head_numbers`), NaN where one is missing, and gives one
probability. It can be swapped by itself, so that its revision stands in the model set's version.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from annotator.errors import ModelError
from annotator.models.files import check_identity, open_graph, read_file
from annotator.models.manifest import parse_as
from annotator.models.rows import filled_up, parts
from annotator.preprocess import PREPROCESS_VERSION
from annotator.typed import Typed

if TYPE_CHECKING:
    from annotator.models.runtime import onnxruntime


HEADS = ("exotic", "artefact")
"""Names of heads, and of their files."""

REFERENCE_ATOL = 1e-4
"""How far a reference's probability may be from the training framework's."""


class HeadReference(Typed):
    """Numbers of a simulated record, and the probability that the training framework gave them."""

    numbers: Mapping
    probability: float


class HeadManifest(Typed):
    """What a head is, what it was made from, and what it must answer."""

    name: str
    """One of :data:`HEADS`."""
    version: str
    """Of the model set it belongs to."""
    revision: int
    """0 as released with the set; one more each time it was trained again."""
    survey: str
    preprocess_version: str
    graph_sha256: str
    graph_bytes: int
    opset: int
    inputs: tuple[str, ...]
    """Names of the numbers it is given, in order."""
    needs: str
    """The number without which it says nothing."""
    threshold: float
    """The probability from which on it decides; :attr:`training` says how it was found."""
    training: Mapping
    metrics: Mapping
    references: Annotated[
        tuple[HeadReference, ...], Meta(min_length=1, description="references, at least one to prove the head by")
    ]
    provisional: str = ""
    """As a model's manifest has it."""


@dataclass(frozen=True)
class Head:
    """A head, ready to run."""

    manifest: HeadManifest
    session: "onnxruntime.InferenceSession"

    def probability(self, numbers: Mapping[str, float]) -> float | None:
        """Return what the head says of one object, as :meth:`probabilities` does."""
        return self.probabilities([numbers])[0]

    def probabilities(self, numbers: Sequence[Mapping[str, float]]) -> list[float | None]:
        """Return what the head says of objects' numbers, in order; None where the one it needs is missing.

        Each gets the same to the bit whatever the others are (:mod:`annotator.models.rows`).

        Raises
        ------
        ModelError
            If the graph fails, or gives no probability.
        """
        found: list[float | None] = [None] * len(numbers)
        places = [place for place, item in enumerate(numbers) if self.manifest.needs in item]
        for part in parts(places):
            rows = [[numbers[place].get(name, math.nan) for name in self.manifest.inputs] for place in part]
            for place, probability in zip(part, self._run(filled_up(np.array(rows, np.float32))), strict=False):
                found[place] = probability
        return found

    def _run(self, rows: NDArray[np.float32]) -> list[float]:
        try:
            (values,) = self.session.run(["probability"], {"inputs": rows})
        except Exception as failure:  # onnxruntime's exceptions share no base below Exception
            raise ModelError(f"head {self.manifest.name}: the graph does not run: {failure}") from failure
        for probability in values.tolist():
            if not 0.0 <= probability <= 1.0:
                raise ModelError(
                    f"head {self.manifest.name}: expected a probability, found {probability}; the graph is faulty, "
                    f"train or install another"
                )
        return values.tolist()


def load_head(place: Traversable, name: str, survey: str, version: str) -> Head:
    """Load and check the head of a model set.

    Raises
    ------
    ModelError
        If it is damaged, changed, of another survey, preprocessing or model set, or does not reproduce its references.
    """
    path = place / f"{name}.json"
    where = str(path)
    manifest = parse_as(HeadManifest, read_file(path), where)
    expected = {"name": name, "survey": survey, "version": version, "preprocess_version": PREPROCESS_VERSION}
    check_identity(where, {key: (value, getattr(manifest, key)) for key, value in expected.items()})
    if manifest.needs not in manifest.inputs:
        raise ModelError(f"{where}: expected {manifest.needs!r} among its inputs; train it again")
    head = Head(manifest, open_graph(place / f"{name}.onnx", manifest.graph_sha256, manifest.graph_bytes))
    for number, reference in enumerate(manifest.references):
        found = head.probability(reference.numbers)
        if found is None or not math.isclose(found, reference.probability, rel_tol=0, abs_tol=REFERENCE_ATOL):
            raise ModelError(
                f"{where}: expected probability {reference.probability} for reference {number}, as in training, found "
                f"{found}; the graph or onnxruntime changed: train the head again"
            )
    return head
