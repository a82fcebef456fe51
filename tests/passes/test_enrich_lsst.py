"""What a record of Rubin's lacks: light curves by `object` without additions, stamps by the number of a detection."""

import dataclasses
from collections import Counter

import pytest

from annotator.config import LasairConfig
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.cutouts import CutoutFetcher, moved_root
from annotator.lasair.filters import load_filter
from annotator.ledger import Ledger
from annotator.models import ModelSet, load_models
from annotator.passes.run import run_pass
from annotator.passes.scoring.enrich import Enricher
from annotator.reasons import find
from annotator.sandbox import Account, LsstSandbox, Topic, simulate_rubin_night
from annotator.sandbox.kafka import StreamBroker
from annotator.sandbox.lasair.lsst.queue import Queueing
from annotator.sandbox.lasair.lsst.stream import encoded, stream_messages
from annotator.surveys import SURVEYS
from tests.conftest import TOKEN
from tests.lsst_records import rubin_object, shapes
from tests.stand_ins import STAND_INS

LSST, ZTF = SURVEYS["lsst"], SURVEYS["ztf"]
NOW_MJD = 61400.4
READING, WRITING = ("query", "object", "cone"), ("annotate", "annotatelist")
NOW_S = (NOW_MJD - 40587.0) * 86400


@pytest.fixture(scope="module")
def rubin_night():
    return simulate_rubin_night(7, 24, now_mjd=NOW_MJD)


@pytest.fixture
def now():
    return [NOW_S]


@pytest.fixture
def server(rubin_night, now):
    accounts, topics = [Account(TOKEN, "power")], [Topic("aha_lsst", TOKEN)]
    queueing = Queueing(delay_s=5.0, late_share=0.2, late_s=120.0)
    with LsstSandbox(
        rubin_night, accounts=accounts, topics=topics, clock=lambda: now[0], queueing=queueing, tells_time=False
    ) as running:
        yield running


def input_rows(server):
    query = load_filter("input_lsst", "lsst")
    return server.database.query(query.selected, query.tables, query.conditions)


def test_an_object_of_a_plain_row_gets_its_light_curve_and_its_stamps(server, rubin_night):
    config = LasairConfig(endpoint=server.url, calls_per_hour=10_000, object_share=0.95, random_share=0.0)
    with Ledger(":memory:") as ledger:
        budget = CallBudget(ledger, 5000, 0.5, lambda: NOW_S)
        api = LasairApi(LSST, server.url, TOKEN, 30.0, budget)
        hosts, moved = config.allowed_cutout_hosts(LSST), moved_root(LSST, config)
        fetcher = CutoutFetcher(hosts, breakers=api.breakers, moved=moved)
        enricher = Enricher(("lightcurve", "triplet"), api, config, fetcher, ledger.kept, 1, parse=LSST.parse)
        plain = [LSST.parse(row) for row in input_rows(server)]
        found = enricher.changed(plain)
    of_id = {str(item.object_id): item for item in rubin_night.objects}
    assert len(found) > 8 and all(item.transient.light_curve is not None for item in found)
    for item in found:
        transient, simulated = item.transient, of_id[item.transient.object_id]
        assert transient.n_det == len(simulated.source_ids)
        visits = set(simulated.observed.sources.visit) | set(simulated.observed.forced.visit)
        assert len(transient.light_curve) == len(visits)  # forced and detected of one visit count once
        assert transient.triplet is None or transient.triplet.science.shape[0] >= 30
    assert sum(item.transient.triplet is not None for item in found) >= len(found) - 2
    endpoints = [call.endpoint for call in server.calls]
    assert endpoints.count("object") == len(found) and endpoints.count("query") == 0


def test_where_stamps_are_follows_the_lasair_that_is_configured():
    def of(survey, **keys):
        return moved_root(survey, LasairConfig(**keys))

    said = "https://lasair.lsst.ac.uk"
    assert of(LSST, endpoint=LSST.endpoint) is of(LSST, endpoint="https://lasair.lsst.ac.uk/api") is None
    assert of(LSST, endpoint="http://127.0.0.1:80/api") == (said, "http://127.0.0.1:80")
    dev = {"endpoint": "https://api.dev.lasair.example/api", "cutout_hosts": ("dev.lasair.example",)}
    assert of(LSST, **dev) == (said, "https://dev.lasair.example")
    assert of(ZTF, endpoint=ZTF.endpoint) is of(ZTF, endpoint="http://127.0.0.1:80/api") is None


@pytest.mark.parametrize("output", ["lite", "full"])
def test_a_stream_with_light_curves_needs_next_to_no_reads_and_is_annotated_once(
    server, now, configure, monkeypatch, output
):
    # What is scored stands in for a model of Rubin's, and has no reasons; what is read and written does not.
    monkeypatch.setitem(find._REASONS_OF, "lightcurve", lambda *of: ())
    stand_in = ModelSet("aha-lsst-0.1", "lsst", {"lightcurve": STAND_INS["lightcurve"]})
    query = load_filter("input_lsst", "lsst")
    messages = stream_messages(server.database, server.records, query, output, duplicated=0.5, now_s=NOW_S)
    with StreamBroker() as broker:
        broker.publish_raw("lasair_1input", encoded(messages))
        config = configure(
            server,
            survey="lsst",
            annotation={"topic": "aha_lsst", "classes": ["anomaly", "watch", "artefact", "normal"]},
            source={"kind": "stream", "topic": "lasair_1input", "group_id": "test", "broker": broker.bootstrap},
        )
        reports = []
        for _ in range(4):
            reports.append(run_pass(config, stand_in, clock=lambda: now[0]))
            now[0] += 300.0
    objects = {message["diaObjectId"] for message in messages}
    assert reports[0].scored == len(objects) > 8 and reports[0].refused == 0
    assert {row["diaObjectId"] for row in server.annotations()} == objects
    assert [report.problems for report in reports] == [[], [], [], []]
    endpoints = [call.endpoint for call in server.calls]
    assert endpoints.count("object") == 0 and endpoints.count("annotatelist") == 1
    assert endpoints.count("query") <= 5 + 4  # a pass that has something to read back asks once
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.states()["stored"] == len(objects)


def test_a_thousand_objects_cost_ten_writes_and_few_reads_where_the_stream_carries_light_curves(
    configure, now, monkeypatch
):
    monkeypatch.setitem(find._REASONS_OF, "lightcurve", lambda *of: ())
    stand_in = ModelSet("aha-lsst-0.1", "lsst", {"lightcurve": STAND_INS["lightcurve"]})
    n = 1000
    messages = [shapes(rubin_object(seed, n_nights=2))["lite"] for seed in range(n)]
    accounts, topics = [Account(TOKEN, "power")], [Topic("aha_lsst", TOKEN)]
    with StreamBroker() as broker, LsstSandbox(accounts=accounts, topics=topics, clock=lambda: now[0]) as server:
        server.load({"diaObjectId": message["diaObjectId"]} for message in messages)
        broker.publish_raw("lasair_1input", encoded(messages))
        config = configure(
            server,
            survey="lsst",
            annotation={"topic": "aha_lsst", "classes": ["anomaly", "watch", "artefact", "normal"]},
            source={"kind": "stream", "topic": "lasair_1input", "group_id": "test", "broker": broker.bootstrap},
        )
        reports = []
        for _ in range(2):
            reports.append(run_pass(config, stand_in, clock=lambda: now[0]))
            now[0] += 300.0
        written, endpoints = len(server.annotations()), Counter(call.endpoint for call in server.calls)
    with Ledger(config.ledger) as ledger:
        assert ledger.outbox.states()["stored"] == written == reports[0].scored == n
    print(dict(endpoints))
    reads, writes = (sum(endpoints[name] for name in names) for names in (READING, WRITING))
    assert reads + writes == sum(endpoints.values())
    assert writes <= n / 100 and reads <= 5 * n / 1000 + n / 100


def test_a_row_s_light_curve_is_asked_for_since_the_shipped_models_score_nothing_else(server, now, configure):
    keys = {"survey": "lsst", "annotation__topic": "aha_lsst", "lasair__read_share": 0.04, "lasair__object_share": 0.05}
    models, n_rows = load_models(None, "lsst"), len(input_rows(server))
    config = configure(server, **keys, lasair__calls_per_hour=2600, lasair__random_share=0.0)
    first = run_pass(config, models, clock=lambda: now[0])
    asked = [call.endpoint for call in server.calls].count("object")
    assert first.read == n_rows > 8 and asked == int(1300 * 0.04 * 0.05) == 2 and first.problems == []
    with Ledger(config.ledger) as ledger:
        waiting = ledger.kept.waiting_records(100, 0)
        assert len(waiting) == n_rows - asked
    config = configure(
        server, **keys | {"lasair__read_share": 0.9, "lasair__object_share": 0.95}, lasair__random_share=1
    )
    again = run_pass(config, models, clock=lambda: now[0] + 60)
    assert again.completed_later == n_rows - asked
    with Ledger(config.ledger) as ledger:
        assert not ledger.kept.waiting_records(100, 0)
        # Of what was seen in one band of one night there is nothing to say.
        why = {item.refusal.reason for item in ledger.refused.open()}
    assert again.refused <= 1 and all("by night and band: 1 of the 2 that are needed" in reason for reason in why), why


def test_light_curves_of_the_four_shapes_are_one(server, rubin_night):
    item = max(rubin_night.objects, key=lambda item: len(item.forced_ids) * (len(item.source_ids) < 60))
    curves = []
    with Ledger(":memory:") as ledger:
        api = LasairApi(LSST, server.url, TOKEN, 30.0, CallBudget(ledger, 5000, 0.5, lambda: NOW_S))
        for added in (False, True):
            api.survey = dataclasses.replace(LSST, object_with_additions=added)
            curves.append(LSST.parse(api.object(str(item.object_id))).light_curve)
    message = next(
        message
        for message in stream_messages(server.database, server.records, load_filter("input_lsst", "lsst"), "full")
        if message["diaObjectId"] == item.object_id
    )
    curves.append(LSST.parse(message).light_curve)
    assert len({tuple(curve.flux_njy) for curve in curves}) == 1
