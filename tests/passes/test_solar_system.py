"""Objects that a known solar-system object passed by, and those that are nothing else, from record to annotation."""

import datetime
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from annotator.annotation import Annotation
from annotator.attention.dates import Dates
from annotator.cli import main
from annotator.decision.config import DecisionConfig
from annotator.decision.objects import Enriched, Refusal
from annotator.errors import SolarSystemObjectError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutouts import CutoutFetcher
from annotator.ledger import Ledger
from annotator.passes.judging import PASSER_BY, take_back_passers_by
from annotator.passes.refused import Retried
from annotator.passes.report import PassReport
from annotator.passes.report_text import summary
from annotator.passes.run import run_pass
from annotator.passes.score_file import score_lines
from annotator.passes.scoring.enrich import Enricher
from annotator.passes.scoring.parsing import parse_batch
from annotator.passes.tally import add_taken
from annotator.reasons.sentence import explain, explain_verdict
from annotator.sandbox.lasair.answers import candidate
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.parse import parse
from annotator.verdicts import Verdict
from tests.conftest import TOKEN
from tests.stand_ins import with_stand_ins

ASTEROID = {"ssdistnr": 0.4, "ssnamenr": "20595"}


def answer(item, **more) -> dict:
    candidates = [candidate(epoch, "https://host") for epoch in item.epochs]
    return {"objectId": item.object_id, "sherlock": dict(item.sherlock), "candidates": candidates, **more}


def passing(item, magnitude=14.5, **more) -> dict:
    """Return a detection of an asteroid that passed by an hour after the object's last detection."""
    last = item.detections[-1]
    seen = candidate(last, "https://host")
    seen |= {"candid": last.candid + 10**9, "jd": last.jd + 1 / 24, "magpsf": magnitude, "ra": last.ra + 5e-4}
    return seen | {"ssmagnr": magnitude + 0.3} | ASTEROID | more


@pytest.fixture
def supernova(night):
    return next(item for item in night.objects if item.kind == "SN Ia" and len(item.detections) > 10)


def scored(records, models) -> list[dict]:
    return [json.loads(line.text) for line in score_lines(records, models, DecisionConfig())]


@pytest.mark.parametrize("more", [{}, {"ssmagnr": None}, {"ssmagnr": -999.0, "ssdistnr": "1.9"}], ids=str)
def test_an_asteroid_that_passes_by_changes_no_score_and_is_named(supernova, all_models, more):
    record = answer(supernova)
    crossed = record | {"candidates": [passing(supernova, **more), *record["candidates"]]}
    found, expected = scored([crossed, record], all_models)
    (left_out,) = found.pop("left_out")
    assert found == expected
    assert "1 of " in left_out and "20595" in left_out
    transient, alone = parse(crossed), parse(record)
    assert (transient.n_det, transient.last_mjd, transient.cutouts) == (alone.n_det, alone.last_mjd, alone.cutouts)


def test_the_explanation_says_what_was_left_out(supernova, all_models):
    record = answer(supernova)
    transient = parse(record | {"candidates": [passing(supernova), *record["candidates"]]})
    (scores,) = all_models.score([transient])
    said = explain(transient, scores, "normal", {})
    assert said.startswith("Not unusual") and said.endswith("detections, at the known solar-system object 20595.")


@pytest.mark.parametrize(
    "more",
    [{"ssdistnr": 5.2}, {"ssmagnr": 18.0}, {"ssdistnr": -999.0, "ssmagnr": None}, {"ssdistnr": 2.5, "ssmagnr": None}],
)
def test_what_is_not_where_and_as_bright_as_the_asteroid_stays(supernova, more):
    record = answer(supernova)
    crossed = parse(record | {"candidates": [passing(supernova, **more), *record["candidates"]]})
    assert crossed.left_out == () and crossed.last_mjd == pytest.approx(parse(record).last_mjd + 1 / 24)


def test_what_a_record_s_own_columns_count_of_an_asteroid_is_counted_again_without_it(supernova):
    record = answer(supernova)
    spoilt = {"rmag": 14.5, "magrmin": 14.5, "ncand": 99, "ramean": 12.0, "dmdt_r": 9.0}
    crossed = parse(record | spoilt | {"candidates": [passing(supernova), *record["candidates"]]})
    alone = parse(record)
    assert (crossed.features, crossed.n_det, crossed.ra_deg) == (alone.features, alone.n_det, alone.ra_deg)


def test_stamps_of_an_asteroid_are_none_of_the_object_s(supernova):
    paths = {"science": "s.fits", "template": "t.fits", "difference": "d.fits"}
    record = answer(supernova, cutouts=paths)
    crossed = parse(record | {"candidates": [passing(supernova), *record["candidates"]]})
    assert crossed.cutouts is None and "solar-system" in crossed.why_missing["triplet"]
    fainter = parse(record | {"candidates": [passing(supernova, magnitude=20.9), *record["candidates"]]})
    assert fainter.cutouts == parse(record).cutouts


@pytest.mark.parametrize("more", [{}, {"ssmagnr": None}, {"ssnamenr": None}])
def test_an_object_that_is_nothing_else_is_refused_and_counted(supernova, models, more):
    record = answer(supernova) | {"candidates": [passing(supernova, **more)]}
    (line,) = scored([record], models)
    assert line["objectId"] == supernova.object_id and "solar-system object" in line["refused"]
    seen, refusals = parse_batch([record, answer(supernova)], Dates("ztf", lambda: 1.9e9))
    report = PassReport()
    add_taken(report, SimpleNamespace(read=2, unchanged=0, refusals=refusals, scored_objects=()))
    assert len(seen) == 1 and (report.refused, report.solar_system, report.faults) == (1, 1, {})
    assert "1 refused, 1 of them known solar-system objects" in summary(report)


def test_a_packet_s_own_detection_at_an_asteroid_leaves_its_history(supernova):
    packet = {"objectId": supernova.object_id, "candidate": passing(supernova)}
    history = answer(supernova)["candidates"]
    assert parse(packet | {"prv_candidates": history}).n_det == parse(answer(supernova)).n_det
    with pytest.raises(SolarSystemObjectError):
        parse(packet | {"prv_candidates": [item for item in history if "candid" not in item]})


class Lasair:
    """Answers `object` from a dictionary."""

    def __init__(self, answers):
        self.answers = answers

    def object(self, object_id):
        return self.answers[object_id]


@pytest.fixture
def enrich(models, configure, sandbox):
    """Return what is fetched of flat rows where Lasair answers in a certain way."""

    def fetch(rows, answers) -> list[Enriched]:
        with Ledger(":memory:") as ledger:
            api = LasairApi(SURVEYS["ztf"], "http://127.0.0.1:9/api", "token", 1.0, CallBudget(ledger, 1000, 0.9))
            api._client = Lasair({item["objectId"]: item for item in answers})
            config = configure(sandbox, lasair__object_share=0.9, lasair__random_share=0.0).lasair
            enricher = Enricher(("lightcurve",), api, config, CutoutFetcher([]), ledger.kept, 0, parse=parse)
            found = enricher.changed([parse(row) for row in rows])
            assert api.breakers["object"].has_answered
            return found

    return fetch


def test_columns_that_lasair_made_of_an_asteroid_too_are_made_again_without_it(night, supernova, enrich):
    row = next(row for row in night.rows() if row["objectId"] == supernova.object_id)
    record = answer(supernova)
    crossed = record | {"candidates": [passing(supernova), *record["candidates"]]}
    spoilt = row | {"rmag": 14.5, "magrmin": 14.5, "ncand": row["ncand"] + 1, "jdmax": row["jdmax"] + 1 / 24}
    (found,) = enrich([spoilt], [crossed])
    alone, of_row = parse(record), parse(row)
    assert found.refused is None and found.transient.n_solar_system == 1
    around = ("distpsnr1", "sgmag1", "srmag1")
    expected = alone.features | {name: of_row.features[name] for name in around if name in of_row.features}
    assert found.transient.features == expected
    assert (found.transient.n_det, found.transient.last_mjd) == (alone.n_det, alone.last_mjd)


def test_a_row_whose_object_is_an_asteroid_by_lasair_s_answer_is_refused_in_a_pass(night, sandbox, configure, models):
    first = night.objects[0]
    sandbox.update([{"objectId": first.object_id, "candidates": [passing(first)]}])
    config = configure(sandbox, lasair__object_share=0.9, lasair__random_share=0.0)
    report = run_pass(config, with_stand_ins(models, "lightcurve"))
    assert report.solar_system == report.refused == 1 and report.problem == ""
    with Ledger(config.ledger) as ledger:
        (item,) = ledger.refused.open()
        assert item.refusal.object_id == first.object_id and "solar-system object 20595" in item.refusal.reason
        assert first.object_id not in ledger.scores.states([first.object_id])


def test_a_flag_is_taken_back_once_all_of_its_object_turns_out_to_be_an_asteroid(night, sandbox, configure, models):
    first = night.objects[0]
    config = configure(sandbox, lasair__object_share=0.9, lasair__random_share=0.0)
    stand_ins = with_stand_ins(models, "lightcurve")
    run_pass(config, stand_ins)
    flag = Annotation(first.object_id, config.annotation.topic, "anomaly", models.version, "Odd.", {"score": 3.5})
    with Ledger(config.ledger) as ledger:
        ledger.outbox.queue([flag], 0.0)
    sandbox.update([{"objectId": first.object_id, "candidates": [passing(first)]}])
    sandbox.update([{"objectId": first.object_id, "jdmax": first.detections[-1].jd + 1 / 24}])
    run_pass(config, stand_ins)
    with Ledger(config.ledger) as ledger:
        held = ledger.outbox.last_sent([first.object_id])[first.object_id]
        assert (held.classification, held.explanation) == ("normal", PASSER_BY) and "score" not in held.classdict
        assert take_back_passers_by(ledger, 2e9) == 0  # and no second time
        verdict = Verdict(first.object_id, "artefact", "somebody", datetime.datetime.now(datetime.UTC))
        ledger.outbox.queue([replace(flag, explanation=explain_verdict(verdict))], 0.0)
        assert take_back_passers_by(ledger, 2e9) == 0  # a person knows better


def test_asteroids_among_the_refused_are_nothing_that_a_person_must_look_at(sandbox, configure, tmp_path, monkeypatch):
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    config = configure(sandbox)
    asteroid = Refusal("ZTF26aaaaaaa", "an asteroid", "{}", kind=SolarSystemObjectError.__name__)
    with Ledger(config.ledger) as ledger:
        ledger.refused.add([asteroid], 1.9e9)
    command = ["refused", "--retry", "-c", str(tmp_path / "aha.yaml")]
    with monkeypatch.context() as patched:
        patched.setattr("annotator.passes.refused.retry_refused", lambda *_: Retried(0, 1))
        assert main(command) == 0
        with Ledger(config.ledger) as ledger:
            ledger.refused.add([replace(asteroid, kind="RecordError")], 1.9e9)
        assert main(command) == 1
