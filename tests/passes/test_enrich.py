"""What records lack, fetched within the quota, over HTTP against the sandbox, with models that stand in."""

import dataclasses
import json
import sqlite3
import time
from collections import Counter

import lasair
import numpy as np
import pytest

from annotator.annotation import Annotation
from annotator.decision.changes import state_digest
from annotator.decision.objects import ScoredObject
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutouts import CutoutFetcher
from annotator.ledger import Ledger
from annotator.models import Missing
from annotator.passes.run import run_pass
from annotator.passes.scoring.enrich import NO_ANSWER, NO_CALL, Enricher
from annotator.sandbox import Account, Sandbox, Topic, simulate_night
from annotator.sandbox.lasair.answers import candidate
from annotator.sandbox.sky.stamps import KINDS, simulate, to_fits
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.parse import parse
from annotator.transient import CutoutReference, LightCurve, Transient, Triplet
from tests.conftest import TOKEN, of_the_long_suite
from tests.stand_ins import with_stand_ins

ALL = {"lasair__object_share": 0.95, "lasair__random_share": 0.0}


@pytest.fixture(scope="module")
def night():
    return simulate_night(seed=5, n_objects=40)


@pytest.fixture
def sandbox(night):
    with Sandbox(
        night, accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False
    ) as server:
        yield server


@pytest.fixture(scope="module")
def three(models):
    return with_stand_ins(models, "lightcurve", "triplet")


def modalities_of(config) -> dict[str, dict]:
    """Return what the last score of every object says of each modality."""
    db = sqlite3.connect(config.ledger)
    rows = db.execute("SELECT object_id, modalities FROM scores ORDER BY score_id").fetchall()
    db.close()
    return {object_id: json.loads(text) for object_id, text in rows}


def calls_to(server: Sandbox, endpoint: str) -> int:
    return sum(call.endpoint == endpoint for call in server.calls)


def test_the_objects_of_a_query_get_their_light_curves_and_cutouts(sandbox, configure, three, night):
    config = configure(sandbox, **ALL)
    report = run_pass(config, three)
    found = modalities_of(config)
    assert len(found) == report.scored == calls_to(sandbox, "object") > 25
    epochs = {item.object_id: [e for e in item.epochs if e.candid is not None] for item in night.objects}
    for object_id, modalities in found.items():
        assert abs(modalities["lightcurve"]["error"] - len(epochs[object_id])) <= 1  # two of one exposure count once
        positive = [e for e in epochs[object_id] if e.isdiffpos == "t"]
        assert "error" in modalities["triplet"] or not positive or "empty" in modalities["triplet"]["missing"]
    assert sum("error" in modalities["triplet"] for modalities in found.values()) > 0.85 * len(found)
    for row in sandbox.annotations():
        assert row["classdict"].keys() >= {"features_score", "lightcurve_score", "lightcurve_error"}
    with Ledger(config.ledger) as ledger:
        assert ledger.kept.count_waiting() == 0


def test_the_stamps_are_of_the_brightest_positive_detection(sandbox, configure, three, night):
    run_pass(configure(sandbox, **ALL), three)
    found = modalities_of(configure(sandbox, **ALL))
    item = next(
        i for i in night.objects if i.kind == "SN Ia" and "error" in found.get(i.object_id, {}).get("triplet", {})
    )
    epoch = min((e for e in item.epochs if e.isdiffpos == "t"), key=lambda e: e.magpsf)
    expected = sum(float(simulate(item, epoch, night.seed)[kind][31, 31]) for kind in KINDS)
    assert found[item.object_id]["triplet"]["error"] == pytest.approx(expected, rel=1e-5)
    assert found[item.object_id]["triplet"]["mjd"] == pytest.approx(epoch.jd - 2400000.5, abs=1e-4)


def test_models_that_need_no_more_than_the_row_cost_no_call(sandbox, configure, models):
    run_pass(configure(sandbox), with_stand_ins(models))
    assert calls_to(sandbox, "object") == calls_to(sandbox, "cutout") == 0


def test_a_light_curve_alone_fetches_no_cutout(sandbox, configure, models):
    run_pass(configure(sandbox, **ALL), with_stand_ins(models, "lightcurve"))
    assert calls_to(sandbox, "object") > 25 and calls_to(sandbox, "cutout") == 0


def test_an_unchanged_object_is_not_asked_for_again_and_a_changed_one_is(sandbox, configure, three, night):
    config = configure(sandbox, **ALL)
    run_pass(config, three)
    asked = calls_to(sandbox, "object")
    assert run_pass(config, three).scored == 0 and calls_to(sandbox, "object") == asked
    row = night.rows()[0]
    sandbox.update([{"objectId": row["objectId"], "gmag": 18.0, "jdmax": max(r["jdmax"] for r in night.rows()) + 0.01}])
    assert run_pass(config, three).scored == 1 and calls_to(sandbox, "object") == asked + 1


def detected(jd: float) -> list[dict[str, object]]:
    """Return a light curve of one detection the day before."""
    return [{"candid": 1, "jd": jd - 1, "fid": 1, "magpsf": 18.0, "sigmapsf": 0.1, "isdiffpos": "t"}]


def small_quota(night, now, objects=40) -> Sandbox:
    server = Sandbox(
        accounts=[Account(TOKEN, "user")], topics=[Topic("aha_ztf", TOKEN)], clock=lambda: now[0], night=None
    )
    jd = 2440587.5 + now[0] / 86400
    # The later in the list, the newer.
    rows = night.rows()[:objects]
    server.load([{**row, "jdmax": jd - 0.5 + n / 1000, "candidates": detected(jd)} for n, row in enumerate(rows)])
    return server


def test_without_calls_left_it_is_said_and_the_newest_come_first(night, configure, models):
    now = [1e9]
    with small_quota(night, now) as server:
        changes = {"lasair__calls_per_hour": 100, "lasair__random_share": 0.0}
        config = configure(server, **changes)
        run_pass(config, with_stand_ins(models, "lightcurve"), clock=lambda: now[0])
        found = modalities_of(config)
        fetched = [object_id for object_id, said in found.items() if "error" in said["lightcurve"]]
        assert calls_to(server, "object") == len(fetched) == 10  # half of the twenty calls that are kept to read
        assert all(said["lightcurve"] == {"missing": NO_CALL} for i, said in found.items() if i not in fetched)
        assert all("error" in said["features"] or "missing" in said["features"] for said in found.values())
        newest = [row["objectId"] for row in night.rows()[:40] if row["objectId"] in found][-10:]
        assert sorted(fetched) == sorted(newest)
        assert not [call for call in server.calls if call.status == 429]


def test_what_waited_joins_in_a_later_pass_whatever_its_score_and_is_annotated_once_more(night, configure, models):
    now = [1e9]
    with small_quota(night, now) as server:
        changes = {"lasair__calls_per_hour": 100, "lasair__random_share": 0.5, "decision__watch_score": 0.0}
        config = configure(server, **changes)
        set_of_two = with_stand_ins(models, "lightcurve")
        reports = []
        for _ in range(30):
            reports.append(run_pass(config, set_of_two, clock=lambda: now[0]))
            now[0] += 1200
        found = modalities_of(config)
        assert all("error" in said["lightcurve"] for said in found.values()) and len(found) > 30
        assert sum(report.completed_later for report in reports) > 15
        assert not [call for call in server.calls if call.status == 429]
        with Ledger(config.ledger) as ledger:
            assert ledger.kept.count_waiting() == 0
            # Scored when it was new, and once more when the light curve had come; never in between.
            assert Counter(len(ledger.scores.history(object_id)) for object_id in found).keys() <= {1, 2}
        held = {row["objectId"]: row for row in server.annotations()}
        assert all("lightcurve_score" in row["classdict"] for row in held.values())
        sends = Counter(call.status for call in server.calls if call.endpoint == "annotate")
        assert sends[200] <= 2 * len(found)
        assert run_pass(config, set_of_two, clock=lambda: now[0]).scored == 0


def test_a_random_share_of_the_calls_goes_to_what_waits_though_there_is_always_something_new(night, configure, models):
    now = [1e9]
    with small_quota(night, now, objects=60) as server:
        changes = {"lasair__calls_per_hour": 100, "lasair__random_share": 0.3, "source__reread_days": 0.0}
        config = configure(server, **changes)
        set_of_two = with_stand_ins(models, "lightcurve")
        later = 0
        for step in range(14):
            jd = 2440587.5 + now[0] / 86400
            names = [f"ZTF98a{step:03d}{n:03d}" for n in range(15)]
            news = [
                {**row, "objectId": name, "jdmax": jd + n / 1000, "candidates": detected(jd)}
                for n, (name, row) in enumerate(zip(names, night.rows(), strict=False))
            ]
            server.load(news)
            report = run_pass(config, set_of_two, clock=lambda: now[0])
            assert report.scored >= len(news) == 15
            later += report.completed_later
            now[0] += 3700
        assert later > 14  # of 140 calls, 42 are expected


@pytest.mark.parametrize("kind", [*of_the_long_suite("drop", "truncate", "garble"), "refuse"])
def test_an_object_that_cannot_be_asked_for_now_waits_and_does_not_hold_the_pass_up(sandbox, configure, three, kind):
    config = configure(sandbox, **(ALL | {"lasair__random_share": 0.5}))
    sandbox.misbehave("object", kind, status=503)
    report = run_pass(config, three)
    found = modalities_of(config)
    assert report.scored == len(found) > 25 and "object: no good answer 3 times in a row" in report.problem
    assert calls_to(sandbox, "object") == 3
    assert {said["lightcurve"]["missing"] for said in found.values()} <= {NO_ANSWER, NO_CALL}
    sandbox.behave()
    for _ in range(8):
        run_pass(config, three)
    assert all("error" in said["lightcurve"] for said in modalities_of(config).values())


@pytest.mark.parametrize("status", [400, *of_the_long_suite(403, 404, 405, 500)])
def test_what_every_object_is_told_is_about_lasair_and_all_of_them_wait(sandbox, configure, three, status):
    config = configure(sandbox, **(ALL | {"lasair__random_share": 1.0}))
    sandbox.misbehave("object", "refuse", status=status)
    asked = 0
    for _ in range(3):
        report = run_pass(config, three)
        calls, asked = calls_to(sandbox, "object") - asked, calls_to(sandbox, "object")
        assert 0 < calls <= 3 and "about the server" in report.problem
    with Ledger(config.ledger) as ledger:
        assert ledger.kept.count_waiting() == len(modalities_of(config)) > 25
        assert ledger.kept.refused_before(list(modalities_of(config)), 0) == {}
    sandbox.behave()
    assert run_pass(config, three).problem == ""
    assert all("error" in said["lightcurve"] for said in modalities_of(config).values())


@pytest.fixture
def asking(sandbox, configure):
    """A ledger in which objects wait, and what asks Lasair for them on a night; Lasair refuses some."""
    config = configure(sandbox, **ALL)
    refused: set[str] = set()
    with Ledger(":memory:") as ledger:

        def enricher(night: int) -> Enricher:
            budget = CallBudget(ledger, 10_000, 0.9)
            api = LasairApi(SURVEYS["ztf"], config.lasair.endpoint, TOKEN, 30.0, budget)
            answer = api._client.object

            def refusing(object_id):
                if object_id in refused:
                    raise lasair.LasairError("Internal Server Error")
                return answer(object_id)

            api._client.object = refusing
            return Enricher(["lightcurve"], api, config.lasair, CutoutFetcher(()), ledger.kept, night, parse=parse)

        yield ledger, enricher, refused


def test_an_object_that_lasair_refuses_and_others_not_is_asked_for_on_three_nights_and_no_more(asking, night):
    ledger, enricher, refused = asking
    bad, *good = [Transient(row["objectId"], "ztf") for row in night.rows()[:3]]
    refused.add(bad.object_id)
    ledger.record([waiting(bad)], [], 0.0)
    for number in range(2):
        asked = enricher(number)
        said = dict(zip("bg", asked.changed([bad, good[0]]), strict=True))
        asked.note_refused()
        assert said["b"].waits and "on another night" in said["b"].transient.why_missing["lightcurve"]
        assert not said["g"].waits and said["g"].transient.light_curve is not None
        assert not ledger.kept.waiting_records(9, number) and len(ledger.kept.waiting_records(9, number + 1)) == 1
    last, _ = enricher(2).changed([bad, good[1]])
    assert not last.waits and last.transient.why_missing["lightcurve"].endswith("on 3 nights")


def test_objects_that_were_refused_before_do_not_tell_whether_lasair_answers(asking, night):
    ledger, enricher, refused = asking
    items = [Transient(row["objectId"], "ztf") for row in night.rows()[:5]]
    refused.update(item.object_id for item in items)
    ledger.record([waiting(item) for item in items], [], 0.0)
    ledger.kept.note_refused([item.object_id for item in items], 0)
    alone = enricher(1)
    assert all(item.waits for item in alone.waiting(items)) and ledger.calls.last_hour_to("object", time.time()) == 2
    alone.note_refused()
    assert set(ledger.kept.refused_before([item.object_id for item in items], 2).values()) == {1}
    refused.clear()
    (one,) = enricher(1).waiting(items[:1])
    assert not one.waits and one.transient.light_curve is not None
    assert not any(item.waits for item in enricher(1).waiting(items))


def waiting(transient: Transient) -> ScoredObject:
    return ScoredObject(
        transient.object_id,
        "state",
        "set",
        61000.0,
        3,
        "normal",
        1.0,
        {},
        None,
        None,
        waiting_record=transient.object_id,
    )


@pytest.mark.parametrize("answer", [None, 5, [], {}, {"objectId": {}}, {"candidates": 5}, {"candidates": [[]]}])
def test_an_answer_of_another_shape_is_no_answer_and_is_asked_for_three_times(asking, night, monkeypatch, answer):
    _, enricher, _ = asking
    asked = enricher(0)
    seen = []

    def shaped(object_id):
        seen.append(object_id)
        return {"objectId": object_id} | answer if isinstance(answer, dict) and answer else answer

    asked._api._client.object = shaped
    items = asked.changed([Transient(row["objectId"], "ztf") for row in night.rows()[:9]])
    assert all(item.waits and item.transient.why_missing["lightcurve"] == NO_ANSWER for item in items)
    assert len(seen) == 3


def test_answers_without_a_detection_are_about_lasair_unless_others_have_some(asking, night):
    _, enricher, _ = asking
    asked = enricher(0)
    answer, empty = asked._api._client.object, set()

    def emptied(object_id):
        whole = answer(object_id)
        return whole | {"candidates": []} if object_id in empty or not empty else whole

    asked._api._client.object = emptied
    items = asked.changed([Transient(row["objectId"], "ztf") for row in night.rows()[:9]])
    assert all(item.waits and item.transient.why_missing["lightcurve"] == NO_ANSWER for item in items)
    assert "without a detection" in asked._api.breakers.problem
    asked = enricher(1)
    asked._api._client.object = emptied
    good, bad = (Transient(row["objectId"], "ztf") for row in night.rows()[:2])
    empty.add(bad.object_id)
    said = dict(zip("gb", asked.changed([good, bad]), strict=True))
    assert said["b"].waits and "on another night" in said["b"].transient.why_missing["lightcurve"]
    assert not said["g"].waits


@pytest.mark.parametrize("status", [*of_the_long_suite(403, 429), 404, 503])
def test_what_every_stamp_is_answered_is_about_their_host_and_all_of_them_wait(sandbox, configure, three, status):
    config = configure(sandbox, **(ALL | {"lasair__random_share": 1.0}))
    sandbox.misbehave("cutout", "refuse", status=status)
    report = run_pass(config, three)
    assert "cutouts 127.0.0.1 science: no good answer 3 times in a row" in report.problem
    assert calls_to(sandbox, "cutout") <= 3 + config.cutouts.parallel
    found = modalities_of(config)
    assert all("error" in said["lightcurve"] for said in found.values())
    sandbox.behave()
    assert run_pass(config, three).problem == ""
    assert sum("error" in said["triplet"] for said in modalities_of(config).values()) > 0.85 * len(found)


def test_stamps_of_which_their_host_has_none_at_all_join_later(sandbox, configure, three, monkeypatch):
    config = configure(sandbox, **(ALL | {"lasair__random_share": 1.0}))
    with monkeypatch.context() as away:
        away.setattr("annotator.lasair.cutouts.CutoutFetcher._get", lambda *_: b"None")
        run_pass(config, three)
    found = modalities_of(config)
    assert {said["triplet"]["missing"] for said in found.values()} == {"science cutout: its host has an empty file"}
    run_pass(config, three)
    assert sum("error" in said["triplet"] for said in modalities_of(config).values()) > 0.85 * len(found)


def test_cutouts_that_do_not_come_leave_the_light_curve_and_join_later(sandbox, configure, three, monkeypatch):
    monkeypatch.setattr("annotator.lasair.cutouts._RETRY_PAUSE_S", 0.0)
    config = configure(sandbox, cutouts__parallel=2, **(ALL | {"lasair__random_share": 0.5}))
    sandbox.misbehave("cutout", "refuse", status=503)
    run_pass(config, three)
    found = modalities_of(config)
    assert any("error" in said["lightcurve"] for said in found.values())
    assert not any("error" in said["triplet"] for said in found.values())
    sandbox.behave()
    for _ in range(8):
        run_pass(config, three)
    assert sum("error" in said["triplet"] for said in modalities_of(config).values()) > 0.8 * len(found)


def test_a_recorded_file_is_taken_as_it_is_with_the_stamps_beside_it(sandbox, configure, three, night, tmp_path):
    pixels = np.random.default_rng(1).normal(size=(63, 63)).astype(np.float32)
    pixels[31, 31] = 2.0  # what the stand-in looks at
    for name in ("s", "t", "d"):
        (tmp_path / f"{name}.fits").write_bytes(to_fits(pixels, name))
    candidates = [candidate(epoch, "https://host") for epoch in night.objects[0].epochs]
    paths = {"science": "s.fits", "template": "t.fits", "difference": "d.fits"}
    records = [
        {"objectId": "ZTF99aaaaaaa", "candidates": candidates, "cutouts": paths},
        {"objectId": "ZTF99aaaaaab", "candidates": candidates},
        night.rows()[2],
    ]
    (tmp_path / "night.json").write_text(json.dumps(records))
    config = configure(sandbox, source={"kind": "file", "path": "night.json"})
    run_pass(config, three)
    found = modalities_of(config)
    assert found["ZTF99aaaaaaa"]["triplet"]["error"] == 6.0 and found["ZTF99aaaaaaa"]["lightcurve"]["error"] > 0
    assert "none of the survey's hosts" in found["ZTF99aaaaaab"]["triplet"]["missing"]
    assert found[night.rows()[2]["objectId"]]["lightcurve"] == {"missing": "the record has no light curve"}
    assert calls_to(sandbox, "object") == 0


def test_a_dry_run_fetches_and_leaves_nothing_behind_but_the_calls(sandbox, configure, three):
    config = configure(sandbox, **ALL)
    shown: list[Annotation] = []
    run_pass(config, three, on_dry_annotation=shown.append)
    assert shown and all("lightcurve_score" in item.classdict for item in shown)
    assert modalities_of(config) == {}


def test_the_reason_of_the_source_is_the_one_that_is_told(models):
    (scores,) = with_stand_ins(models).score([Transient("a", "ztf", why_missing={"features": "the source said so"})])
    assert scores.modalities["features"] == Missing("the source said so")


# What counts as changed


def test_the_digest_tells_light_curves_stamps_and_addresses_apart(night):
    curve = LightCurve(*(np.array([1.0]), np.array(["zg"]), np.array([18.0]), np.array([0.1]), np.array([False])))
    stamp = np.ones((63, 63), dtype=np.float32)
    changed_stamp = stamp.copy()
    changed_stamp[3, 4] = np.nan
    base = parse(night.rows()[0])
    variants = [
        base,
        dataclasses.replace(base, light_curve=curve),
        dataclasses.replace(base, light_curve=dataclasses.replace(curve, flux_njy=np.array([18.1]))),
        dataclasses.replace(base, light_curve=dataclasses.replace(curve, limit_time_mjd=np.array([1.0]))),
        dataclasses.replace(base, triplet=Triplet(stamp, stamp, stamp)),
        dataclasses.replace(base, triplet=Triplet(stamp, stamp, changed_stamp)),
        dataclasses.replace(base, cutouts=CutoutReference("a", "b", "c")),
        dataclasses.replace(base, cutouts=CutoutReference("a", "b", "c", 61000.0)),
        dataclasses.replace(base, why_missing={"triplet": "none"}),
    ]
    digests = [state_digest(item) for item in variants]
    assert len(set(digests)) == len(variants)
    assert digests == [state_digest(dataclasses.replace(item)) for item in variants]
