import csv
import dataclasses
import io
import json
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.annotation import Annotation, Classification, safe_text
from annotator.decision.classify import classdict, decide
from annotator.decision.config import DecisionConfig
from annotator.errors import AnnotationError
from annotator.models import Missing, ModalityScore, Scores
from annotator.transient import Modality, Transient
from annotator.verdicts import VerdictKind

SAFE = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,:;+-_/()=<>")

HOSTILE = [
    "O'Neill's host",
    "back\\slash\\",
    'double "quoted"',
    "line\nbreak\r\ttab",
    "'; DROP TABLE annotations; --",
    "σ Orionis at 3″",
    "é\u0301\u202e\ufeff",
    "\ud800",
    "NaN' \x00",
    "日本語",
    "🚀" * 400,
]


def annotation(**changes) -> Annotation:
    values = {
        "object_id": "ZTF99aaaaaaa",
        "topic": "aha_ztf",
        "classification": "anomaly",
        "version": "aha-ztf-1.0",
        "explanation": "r brightens 1.2 mag/day",
        "classdict": {"score": 3.2, "n_det": 5},
    }
    return Annotation(**(values | changes))


@given(st.text() | st.sampled_from(HOSTILE), st.integers(0, 400))
def test_any_text_comes_out_safe_and_short_enough(text, max_length):
    safe = safe_text(text, max_length)
    assert set(safe) <= SAFE
    assert len(safe) <= max(3, max_length)
    assert "\n" not in safe and safe == safe.strip()


@given(st.text(alphabet=sorted(SAFE - {" "}), max_size=200))
def test_text_that_is_safe_already_is_unchanged(text):
    assert safe_text(text, 250) == text


def test_accents_are_dropped_and_foreign_characters_become_spaces():
    assert safe_text("Café Müller's  host\n41″ away") == "Cafe Muller s host 41 away"


@given(st.text() | st.sampled_from(HOSTILE))
def test_an_annotation_is_made_only_of_safe_text(text):
    for field in ("object_id", "topic", "classification", "version", "explanation", "url"):
        try:
            made = annotation(**{field: text})
        except AnnotationError:
            continue
        assert set(getattr(made, field)) <= SAFE


@given(st.dictionaries(st.text(max_size=20), st.floats() | st.integers() | st.text() | st.none() | st.booleans()))
def test_a_classdict_holds_finite_numbers_under_plain_keys_or_is_refused(content):
    try:
        made = annotation(classdict=content)
    except AnnotationError:
        return
    text = json.dumps(dict(made.classdict), allow_nan=False)
    assert not set(text) & set("'\\\n")
    assert all(key == key.lower() and "limit" not in key for key in made.classdict)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("object_id", "ZTF 99"),
        ("object_id", ""),
        ("topic", "AHA"),
        ("classification", "supernova"),
        ("version", "v" * 17),
        ("explanation", "it's"),
        ("explanation", "x" * 251),
        ("url", "javascript:alert(1)"),
        ("classdict", {"maglimit": 1.0}),
        ("classdict", {"score": float("nan")}),
        ("classdict", {f"key_{n}": 1.0 for n in range(1000)}),
    ],
)
def test_what_lasair_would_choke_on_is_refused_by_name(field, value):
    with pytest.raises(AnnotationError, match=field):
        annotation(**{field: value})


@given(st.floats(0, 10), st.integers(0, 10**6))
def test_an_annotation_survives_the_ledger(score, n_det):
    made = annotation(classdict={"score": score, "n_det": n_det}, url="https://example.org/aha/ZTF99aaaaaaa")
    assert Annotation.from_json(made.to_json()) == made


def scores(score: float) -> Scores:
    return Scores(score, {"features": ModalityScore(score, 0.1, (0.0,), (0.0,))})


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.0, "normal"), (1.9999, "normal"), (2.0, "watch"), (2.9999, "watch"), (3.0, "anomaly"), (3.6, "anomaly")],
)
def test_the_combined_score_decides(score, expected):
    assert decide(Transient("x", "ztf"), scores(score), DecisionConfig()) == expected


@pytest.mark.parametrize(
    ("n_det", "n_good", "expected"),
    [(5, 0, "artefact"), (2, 0, "artefact"), (1, 0, "anomaly"), (5, 1, "anomaly"), (None, None, "anomaly")],
)
def test_an_object_without_one_good_detection_is_an_artefact_however_high_it_scores(n_det, n_good, expected):
    transient = Transient("x", "ztf", n_det=n_det, n_det_good=n_good)
    assert decide(transient, scores(3.5), DecisionConfig()) == expected


@pytest.mark.parametrize(
    ("exotic", "threshold", "expected"),
    [(0.5, 0.4, "anomaly"), (0.4, 0.4, "anomaly"), (0.39, 0.4, "normal"), (0.9, None, "normal"), (None, 0.4, "normal")],
)
def test_an_object_like_known_exotics_is_an_anomaly_however_ordinary_its_score(exotic, threshold, expected):
    said = dataclasses.replace(scores(0.5), exotic=exotic)
    assert decide(Transient("x", "ztf"), said, DecisionConfig(), threshold) == expected


def test_what_stands_beside_the_score_is_in_the_classdict_and_absent_where_there_is_none():
    said = dataclasses.replace(scores(1.0), exotic=0.123456, prior=2.000049)
    numbers = classdict(Transient("x", "ztf"), said, None)
    assert (numbers["exotic"], numbers["prior"]) == (0.1235, 2.0)
    assert not {"exotic", "prior"} & set(classdict(Transient("x", "ztf"), scores(1.0), None))


@pytest.mark.parametrize(
    ("probability", "n_good", "drb", "expected"),
    [
        *((0.7, 1, None, "artefact"), (0.69, 1, None, "anomaly"), (0.99, 1, 0.99, "artefact")),
        *((0.99, 2, 0.89, "artefact"), (0.99, 2, None, "artefact"), (0.99, None, 0.99, "artefact")),
        *((0.99, 2, 0.9, "anomaly"), (None, 1, 0.01, "anomaly")),
    ],
)
def test_a_probably_bogus_detection_is_an_artefact_unless_good_detections_and_drb_vouch_for_it(
    probability, n_good, drb, expected
):
    extras = {} if drb is None else {"drb": drb}
    transient = Transient("x", "ztf", n_det=3, n_det_good=n_good, extras=extras)
    bogus = dataclasses.replace(scores(3.5), artefact=probability)
    assert decide(transient, bogus, DecisionConfig()) == expected
    strict = DecisionConfig(artefact_probability=1.0)
    assert decide(transient, bogus, strict) == "anomaly"


def test_what_is_never_good_is_an_artefact_whatever_its_drb():
    transient = Transient("x", "ztf", n_det=3, n_det_good=0, extras={"drb": 0.99})
    assert decide(transient, dataclasses.replace(scores(3.5), artefact=0.0), DecisionConfig()) == "artefact"


def test_the_classdict_has_the_contract_s_keys_and_leaves_out_what_is_unknown():
    full = classdict(Transient("x", "ztf", n_det=7, last_mjd=61000.123456), scores(3.5), 60990.0)
    assert full == {
        "score": 3.5,
        "features_score": 3.5,
        "features_error": 0.1,
        "n_det": 7,
        "mjd": 61000.12346,
        "first_mjd": 60990.0,
    }
    bare = classdict(Transient("x", "ztf"), Scores(0.0, {"features": Missing("nothing there")}), None)
    assert bare == {"score": 0.0}


@pytest.mark.parametrize("member", [*Classification, *Modality, *VerdictKind])
def test_a_word_of_ours_is_written_as_the_plain_text_that_it_is(member):
    text = str.__str__(member)
    assert type(text) is str and (f"{member}", json.dumps({member: [member]})) == (text, json.dumps({text: [text]}))
    rows = io.StringIO()
    csv.writer(rows).writerow([member])
    (stored, kind) = sqlite3.connect(":memory:").execute("SELECT ?, typeof(?)", (member, member)).fetchone()
    assert (rows.getvalue().strip(), stored, type(stored), kind) == (text, text, str, "text")
