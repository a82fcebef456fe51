"""What an object is given is the same to the bit in any company, at any place of a batch."""

import dataclasses
import math

import numpy as np
import pytest

from annotator.errors import ModelError
from annotator.models.inputs import PREPARATIONS
from annotator.models.rows import ROWS, filled_up, parts
from annotator.transient import Modality

FEW, MANY = 200, 10_000
"""Companies that are drawn."""


def companies(n_objects: int, how_many: int) -> list[np.ndarray]:
    """Draw batches: of few or many, of an object and itself, of all others."""
    rng = np.random.default_rng(1)
    drawn = []
    for number in range(how_many):
        places = rng.integers(0, n_objects, rng.integers(1, ROWS + 1))
        drawn.append(np.full_like(places, places[0]) if number % 5 == 0 else places)
    return drawn


def assert_the_same_in_any_company(models, transients, modality, how_many):
    model = models.models[modality]
    preparation, taken = PREPARATIONS[modality], []
    for transient in transients:
        try:
            taken.append(preparation.take(transient))
        except Exception as error:
            raise AssertionError(f"{transient.object_id} lacks {modality}") from error
    known = {}
    for places in companies(len(taken), how_many):
        prepared = preparation.lay_out([taken[place] for place in places])
        found = model.score_prepared(prepared, ["" for _ in places])
        for place, scored in zip(places.tolist(), found, strict=True):
            assert known.setdefault(place, scored) == scored, f"object {place} in the company of {places}"
    assert len(known) == len(taken) > 24


def assert_a_head_says_the_same_in_any_company(models, transients, name, how_many):
    head = models.heads[name]
    numbers = [scores.numbers for scores in models.score(transients)]
    known = {}
    for places in companies(len(numbers), how_many):
        found = head.probabilities([numbers[place] for place in places])
        for place, probability in zip(places.tolist(), found, strict=True):
            assert known.setdefault(place, probability) == probability, f"object {place} in the company of {places}"
    assert len(known) == len(numbers) and None not in known.values()


@pytest.mark.parametrize("modality", list(Modality))
def test_a_graph_gives_an_object_the_same_to_the_bit_in_any_company(all_models, transients, modality):
    assert_the_same_in_any_company(all_models, transients, modality, FEW)


@pytest.mark.parametrize("name", ["exotic", "artefact"])
def test_a_head_says_the_same_to_the_bit_in_any_company(all_models, transients, name):
    assert_a_head_says_the_same_in_any_company(all_models, transients, name, FEW)


@pytest.mark.long
@pytest.mark.parametrize("modality", list(Modality))
def test_a_graph_gives_an_object_the_same_to_the_bit_in_ten_thousand_companies(all_models, transients, modality):
    assert_the_same_in_any_company(all_models, transients, modality, MANY)


@pytest.mark.long
@pytest.mark.parametrize("name", ["exotic", "artefact"])
def test_a_head_says_the_same_to_the_bit_in_ten_thousand_companies(all_models, transients, name):
    assert_a_head_says_the_same_in_any_company(all_models, transients, name, MANY)


def test_a_night_is_scored_the_same_in_parts_and_in_another_order(all_models, transients):
    together = all_models.score(transients)
    assert all_models.score(transients[::-1])[::-1] == together
    assert [all_models.score([transient])[0] for transient in transients[:3]] == together[:3]
    gaps = [dataclasses.replace(item, triplet=None) if number % 3 else item for number, item in enumerate(transients)]
    for number, scores in enumerate(all_models.score(gaps)):
        if number % 3 == 0:
            assert scores == together[number]


def test_an_object_that_a_graph_fails_at_is_named_and_the_others_are_scored_as_ever(all_models, transients):
    model = all_models.models["features"]
    expected = model.score_all(transients)
    victim = PREPARATIONS["features"](transients[5]).tensors["features"][0]

    class Session:
        def run(self, names, tensors):
            outputs = model.session.run(names, tensors)
            is_victim = np.array([row.tobytes() == victim.tobytes() for row in tensors["features"]])
            return [np.where(is_victim, math.nan, values) if values.ndim == 1 else values for values in outputs]

    broken = dataclasses.replace(model, session=Session())
    with pytest.raises(ModelError, match=transients[5].object_id):
        broken.score_prepared(PREPARATIONS["features"](transients[5]), [transients[5].object_id])
    found = broken.score_all(transients)
    assert transients[5].object_id in found[5].failure.reason
    assert found[:5] + found[6:] == expected[:5] + expected[6:]


def test_what_is_left_of_a_batch_is_filled_up():
    rows = [np.full((2, 3), number, np.float32) for number in range(ROWS + 3)]
    first, last = parts(rows)
    assert len(first) == ROWS and len(last) == 3
    batch = filled_up(last)
    assert batch.shape == (ROWS, 2, 3) and batch.dtype == np.float32
    assert batch[:, 0, 0].tolist() == [ROWS, ROWS + 1] + [ROWS + 2] * (ROWS - 2)
