"""Decisions on batches of objects: values in, values out."""

import dataclasses
import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.annotation import Annotation
from annotator.decision.attention import WORTH_A_LOOK
from annotator.decision.changes import as_seen, changed
from annotator.decision.classify import decide
from annotator.decision.config import DecisionConfig
from annotator.decision.decide import decide_batch
from annotator.decision.objects import Case, Enriched, Known, ScoredObject, ScoredState, Seen
from annotator.decision.rules import Rules
from annotator.models import Missing, ModalityScore, Scores
from annotator.models.worth import PARTS, Weights
from annotator.transient import Transient
from annotator.verdicts import Verdict

NAME, OTHER = "ZTF99aaaaaaa", "ZTF99aaaaaab"
RECORD = {"objectId": NAME}
RULES = Rules(
    thresholds=DecisionConfig(),
    exotic_threshold=None,
    topic="aha_ztf",
    classes=("anomaly", "watch", "artefact"),
    resend_margin=0.3,
    model_set="aha-ztf-1.0",
    head_inputs=frozenset(),
    distributions=(),
)
REGULAR = Verdict(NAME, "regular", "Ada", datetime.datetime(2099, 3, 1, tzinfo=datetime.UTC))


def case(score=3.2, object_id=NAME, mjd=61000.0, waits=False, lightcurve=None) -> Case:
    transient = Transient(object_id, "ztf", last_mjd=mjd, n_det=5)
    modalities = {
        "features": ModalityScore(score=score, error=0.1, residual=(), latent=()),
        "lightcurve": Missing("no call left to fetch it")
        if lightcurve is None
        else ModalityScore(score=lightcurve, error=0.1, residual=(), latent=()),
    }
    scores = Scores(score=score, modalities=modalities)
    seen = Seen(transient, RECORD, f"digest at {mjd} of {score}")
    classification = decide(transient, scores, RULES.thresholds)
    reasons = None if classification == "normal" else {}
    return Case(seen, Enriched(transient, waits), scores, classification, reasons)


def decided(item: Case, known: Known | None = None, **rules: object) -> ScoredObject:
    before = {item.object_id: known} if known else {}
    (found,) = decide_batch([item], before, dataclasses.replace(RULES, **rules))
    return found


def sent(score=3.2, **rules: object) -> Annotation:
    """What Lasair holds of an object after it was scored so."""
    return decided(case(score), **rules).outgoing


def test_what_stands_out_is_written_and_what_does_not_is_not_even_made_an_annotation(monkeypatch):
    made = []
    monkeypatch.setattr(Annotation, "__post_init__", lambda annotation: made.append(annotation.object_id))
    anomaly, normal = decide_batch([case(3.2), case(0.5, OTHER)], {}, RULES)
    assert anomaly.outgoing.classification == anomaly.classification == "anomaly"
    assert normal.outgoing is None and normal.classification == "normal" and normal.reasons is None
    assert made == [NAME]


def test_a_class_that_is_not_written_is_written_over_what_lasair_holds():
    assert decided(case(0.5)).outgoing is None
    assert decided(case(0.5), Known(last_sent=sent())).outgoing.classification == "normal"
    assert decided(case(2.5), classes=("anomaly",)).outgoing is None


@pytest.mark.parametrize(
    ("odds", "words"), [(6.0, "Below the thresholds, yet worth a look: odd as a whole."), (0.0, "Not unusual")]
)
def test_the_sentence_of_what_is_no_flag_and_its_worth_tell_one_story(odds, words):
    weights = Weights(-2.0, np.array([odds if name == "odd" else 0.0 for name in PARTS]))
    found = decided(case(1.9), worth=weights)
    assert found.classification == "normal" and found.explanation.startswith(words)
    assert (found.worth >= WORTH_A_LOOK) is (odds > 0)
    known = decided(case(1.9), Known(tns_type="SN Ia"), worth=weights)
    assert known.explanation.startswith("Not unusual") and known.worth < WORTH_A_LOOK


def test_the_second_state_of_an_object_is_decided_on_as_if_the_first_was_written_down():
    first, same, other = decide_batch([case(3.2), case(3.3, mjd=61001.0), case(2.5, mjd=61002.0)], {}, RULES)
    assert first.outgoing is not None and same.outgoing is None
    assert other.outgoing.classification == "watch"
    assert {item.first_flagged_mjd for item in (first, same, other)} == {61000.0}
    assert [item.last_mjd for item in (first, same, other)] == [61000.0, 61001.0, 61002.0]


def test_when_it_was_first_flagged_is_what_was_known_of_it():
    known = Known(state=ScoredState("digest", "aha-ztf-1.0", 60000.0, 59999.0))
    found = decided(case(), known)
    assert found.first_flagged_mjd == found.outgoing.classdict["first_mjd"] == 59999.0


def test_a_ledger_that_was_made_anew_goes_on_with_when_lasair_says_it_was_first_flagged():
    known = Known(last_sent=dataclasses.replace(sent(), classdict=sent().classdict | {"first_mjd": 59999.0}))
    found = decided(case(3.9), known)
    assert found.first_flagged_mjd == found.outgoing.classdict["first_mjd"] == 59999.0


def test_a_person_has_the_last_word_and_the_score_stays():
    found = decided(case(), Known(last_sent=sent(), verdict=REGULAR))
    assert (found.classification, found.score) == ("normal", 3.2)
    assert found.outgoing.explanation == "Judged regular by a person on 2099-03-01."
    assert "Judged" not in found.explanation
    assert decided(case(), Known(verdict=REGULAR)).outgoing is None


@pytest.mark.parametrize(("classified", "expected"), [("state", "anomaly"), ("demote", "watch")])
def test_a_class_in_tns_is_stated_and_demotes_where_so_configured(classified, expected):
    found = decided(case(), Known(tns_type="SN Ia"), thresholds=DecisionConfig(classified=classified))
    assert found.outgoing.classification == expected
    assert found.outgoing.explanation == f"SN Ia in TNS. {found.explanation}"


def test_a_lower_score_is_not_written_while_the_modality_that_made_it_higher_is_still_to_be_fetched():
    both = decided(case(3.2, lightcurve=3.2)).outgoing
    known = Known(last_sent=both)
    waiting = decided(case(2.1, waits=True), known)
    assert waiting.outgoing is None and waiting.waiting_record == RECORD
    assert decided(case(2.1, lightcurve=2.1), known).outgoing.classification == "watch"
    assert decided(case(2.1), known).waiting_record is None


SCORES = st.sampled_from([0.5, 1.9, 2.0, 2.2, 2.9, 3.0, 3.2, 3.6])


@given(st.lists(st.tuples(st.sampled_from([NAME, OTHER]), SCORES, st.booleans()), max_size=12), st.integers(0, 12))
def test_where_a_batch_ends_makes_no_difference(states, cut):
    cases = [
        case(score, name, 61000.0 + number, waits, lightcurve=None if waits else score)
        for number, (name, score, waits) in enumerate(states)
    ]
    first = decide_batch(cases[:cut], {}, RULES)
    known: dict[str, Known] = {}
    for item in first:
        state = ScoredState(item.state, item.model_set, item.last_mjd, item.first_flagged_mjd)
        known[item.object_id] = Known(state, item.outgoing or known.get(item.object_id, Known()).last_sent)
    before = dict(known)
    assert first + decide_batch(cases[cut:], known, RULES) == decide_batch(cases, {}, RULES)
    assert known == before  # what is passed in stays as it is


def test_what_has_changed_is_told_by_digest_model_set_and_epoch():
    old, new = (as_seen(Transient(NAME, "ztf", n_det=n, last_mjd=61000.0 + n), RECORD) for n in (5, 6))
    known = {NAME: ScoredState(old.digest, "aha-ztf-1.0", old.transient.last_mjd, None)}
    assert changed([old], known, "aha-ztf-1.0") == []
    assert changed([new, new, old], known, "aha-ztf-1.0") == [new]
    assert changed([old], known, "aha-ztf-1.1") == [old]
    assert changed([old], {}, "aha-ztf-1.0") == [old]
    late = {NAME: ScoredState(new.digest, "aha-ztf-1.0", new.transient.last_mjd, None)}
    assert changed([old], late, "aha-ztf-1.0") == []
