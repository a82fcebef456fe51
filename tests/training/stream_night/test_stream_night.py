"""A night of real objects, by the models that ship: what is flagged of it, held loosely.

The card has it by models that did not see the objects, which differ little: most of them are of no training set.
"""

import pytest

from annotator.models.load import load_models
from training.stream_night.card import stream_card
from training.stream_night.known_exotics import KnownExotic, known_exotics
from training.stream_night.night import ORDERS, StreamNight, stream_night
from training.stream_night.objects import read_stream
from training.stream_night.steps import Step, never_fading, steps_table


@pytest.fixture(scope="module")
def data(shared):
    return shared / "data"


@pytest.fixture(scope="module")
def night(data) -> StreamNight:
    models = load_models(None, "ztf")
    return stream_night(read_stream(data), lambda items: models.score([item.transient for item in items]), models)


def test_the_filter_lets_through_what_it_says(night, data):
    objects = read_stream(data)
    assert (len(objects), sum(item.passes for item in objects)) == (817, 398)
    assert len(night.judged) >= 397  # one has stamps alone
    assert sum(item.object.is_exotic for item in night.judged) == 10
    assert len(night.hostless) == len(night.hostless_hidden) == 113


def test_few_of_a_night_are_flagged_that_are_no_known_exotics(night):
    others = {name: sum(not item.object.is_exotic for item in night.flags(name)) for name in ("anomaly", "watch")}
    assert others["anomaly"] <= 5
    assert others["watch"] <= 10
    assert len(night.flags("variable")) >= 20


def test_what_is_known_to_vary_takes_flags_from_what_varies(night):
    taken = [
        item for item in night.judged if item.classification == "variable" and item.by_scores in ("anomaly", "watch")
    ]
    assert taken
    assert all(item.standing for item in taken)
    assert sum(item.object.is_supernova for item in night.flags("variable")) <= 3


@pytest.mark.parametrize("order", ORDERS)
def test_none_of_the_first_ten_is_known_to_vary_or_to_move(night, order):
    assert not any(item.leads_nowhere for item in night.ranked(order)[:10])


def test_few_known_exotics_are_called_variable(data):
    known = known_exotics(data)
    assert len(known) > 250
    assert sum(item.is_variable for item in known) <= 0.09 * len(known)


def test_a_step_that_is_taken_away_alone_stands_in_a_row_of_its_own(night):
    rows = steps_table([Step("nothing", night, {"auc": [0.9, 0.8, 1.0], "ap": [0.4, 0.3, 0.5]}), Step("one", night)])
    header, _, whole, one = rows.splitlines()
    assert whole.startswith("| nothing | 0.900 [0.800, 1.000] | 0.400 [0.300, 0.500] | ")
    assert one.startswith("| one | as above | as above | ") and one.count("|") == header.count("|")


def test_a_negative_difference_counts_as_a_bad_subtraction_where_fading_is_taken_away(data):
    fading = [item for item in read_stream(data) if item.transient.triplet and item.transient.triplet.is_negative]
    assert fading
    for item in fading:
        without = never_fading(item).transient
        assert not without.triplet.is_negative and without.n_det_fading is None


def test_the_purity_of_all_is_that_of_its_parts(night):
    lines = [line.split(" | ") for line in stream_card(night, load_models(None, "ztf"), []).splitlines()]
    counts = {
        row[0].removeprefix("| "): (int(row[1]), int(row[3]))
        for row in lines
        if len(row) == 7 and row[1].isdigit() and row[3].isdigit()
    }
    whole = counts.pop("all")
    by_place = [counts[words] for words in ("in a nucleus, or on a star", "beside a source", "no source near")]
    assert tuple(map(sum, zip(*by_place, strict=True))) == whole


def test_the_card_names_no_object_and_says_what_was_met(night):
    known = [KnownExotic("TDE", True, "a variable star by Sherlock", "")]
    card = stream_card(night, load_models(None, "ztf"), known)
    assert "ZTF1" not in card and "ZTF2" not in card
    assert card.count("target") == 6
    assert "| TDE | a variable star by Sherlock |" in card
    total = sum(len(night.flags(name)) for name in ("artefact", "variable", "anomaly", "watch", "normal"))
    assert total == len(night.judged)
