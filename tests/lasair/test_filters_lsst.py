"""The filters of Lasair for Rubin: its rules and traps, what they select, what an annotation triggers."""

import json
import re
from pathlib import Path

import pytest
import yaml

from annotator.lasair.filters import FilterFile, list_filters, load_filter
from annotator.sandbox import LsstSandbox, simulate_rubin_night
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.filter_form import form_tables, saved_statement
from annotator.sandbox.lasair.lsst.queue import Queueing
from annotator.sandbox.lasair.lsst.schema import LSST
from annotator.sandbox.lasair.lsst.stream import stream_messages
from annotator.sandbox.lasair.lsst.triggers import ActiveFilter
from tests.lasair.test_filters import broken_rules, labels

CASES = yaml.load((Path(__file__).parent / "filter_cases_lsst.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
FILTERS = {query.name: query for query in list_filters("lsst")}
COMMUNITY = [name for name in FILTERS if name != "input_lsst"]
NOW = 1795000000.0
NOW_MJD = NOW / 86400 + 40587.0


class Clock:
    def __init__(self):
        self.days = 0.0

    def __call__(self) -> float:
        return NOW + 86400 * self.days


def rows_of(case: dict) -> dict:
    """The tables' rows of one object: the base of the cases with this case's changes; None is no row."""
    changes = {table: case.get(table, {}) for table in CASES["base"]}
    return {table: None if changes[table] is None else row | changes[table] for table, row in CASES["base"].items()}


def put(database: Database, clock: Clock, object_id: int, case: dict) -> None:
    rows = rows_of(case)
    dates = {key: NOW_MJD + days for key, days in rows["objects"].items() if key.endswith("MjdTai")}
    database.put_rows([{"diaObjectId": object_id} | rows["objects"] | (rows["sherlock"] or {}) | dates])
    if annotation := rows["annotation"]:
        classdict = json.dumps({key: value for key, value in rows["classdict"].items() if value is not None})
        clock.days = annotation["annotated"]
        database.annotate(annotation | {"objectId": str(object_id), "classdict": classdict, "version": "1", "url": ""})
        clock.days = 0.0


def by_api(database: Database, query: FilterFile) -> list[dict]:
    return database.query(query.selected, query.tables, query.conditions)


def saved(database: Database, query: FilterFile) -> list[dict]:
    return database.run(saved_statement(query.selected, query.conditions, query.annotators, LSST))


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
def test_a_filter_keeps_lasairs_rules_and_selects_the_id_under_its_own_name(query):
    assert broken_rules(query) == ["no object id"]  # as Lasair for ZTF calls it
    assert query.selected.split(",")[0].strip() == "objects.diaObjectId"
    everything = f"{query.selected} {query.conditions}"
    assert "jdnow()" not in everything.replace("mjdnow()", "") and "watchlists:" not in query.tables
    assert not query.capitalised_labels and not query.unselected_tables
    assert 2 <= len(query.summary.splitlines()) <= 6
    assert len(saved_statement(query.selected, query.conditions, query.annotators, LSST)) <= 4096
    made = {name.strip() for name in form_tables(query.selected, query.annotators).split(",")} - {""}
    assert made == {name.strip() for name in query.tables.split(",")}


def test_there_are_an_input_filter_and_filters_on_our_annotations():
    assert len(COMMUNITY) >= 6 and set(FILTERS) == set(CASES["filters"])
    assert all(FILTERS[name].annotators == ("aha_lsst",) for name in COMMUNITY)
    assert FILTERS["input_lsst"].annotators == ()
    assert load_filter("tonights_anomalies", "lsst") != load_filter("tonights_anomalies")


@pytest.mark.parametrize("run", [by_api, saved], ids=["by the API", "saved"])
@pytest.mark.parametrize("name", CASES["filters"])
def test_a_filter_finds_its_planted_rows_in_order_and_no_near_miss(name, run):
    clock, cases = Clock(), CASES["filters"][name]
    database = Database(clock, LSST)
    planted = [*cases["missed"].values(), *reversed(cases["found"].values())]
    object_ids = [2**62 + number for number in range(len(planted))]
    for object_id, case in zip(object_ids, planted, strict=True):
        put(database, clock, object_id, case)

    query = FILTERS[name]
    rows = run(database, query)
    database.close()

    found = [row["diaObjectId"] for row in rows]
    expected = object_ids[: len(cases["missed"]) - 1 : -1]
    assert sorted(found) == sorted(expected)
    assert found == expected or "ORDER BY" not in query.conditions
    assert all(list(row) == labels(query.selected) for row in rows)


@pytest.mark.parametrize("name", CASES["filters"])
def test_every_condition_keeps_a_near_miss_out(name):
    clock, cases = Clock(), CASES["filters"][name]
    database = Database(clock, LSST)
    for number, case in enumerate([*cases["missed"].values(), *cases["found"].values()], 1):
        put(database, clock, number, case)
    query = FILTERS[name]
    whole = {row["diaObjectId"] for row in by_api(database, query)}
    conditions, order, by = query.conditions.partition("ORDER BY")
    clauses = re.split(r"\nAND ", conditions)
    for number, clause in enumerate(clauses):
        others = "\nAND ".join(clauses[:number] + clauses[number + 1 :])
        without = database.query(query.selected, query.tables, f"{others} {order}{by}")
        assert {row["diaObjectId"] for row in without} > whole, f"no planted row needs: {clause}"
    database.close()


@pytest.mark.parametrize("release", ["main", "develop"])
def test_every_filter_on_annotations_runs_when_triggered_and_stops_nobody(release):
    clock = Clock()
    with LsstSandbox(clock=clock, release=release, queueing=Queueing(late_share=0.0)) as server:
        for name in COMMUNITY:
            server.filters.add(ActiveFilter(FILTERS[name], "full"))
        case = CASES["filters"]["young_and_rising"]["found"]["rising in g since yesterday"]
        case = case | {"sherlock": {"classification": "ORPHAN"}, "annotation": None}
        put(server.database, clock, 2**62, case)
        numbers = {"score": 3.5, "exotic": 0.5, "lightcurve_score": 3.5}
        fields = {"topic": "aha_lsst", "classification": "anomaly", "version": "1", "explanation": "x", "url": ""}
        server.queue.put(fields | {"objectId": str(2**62), "classdict": json.dumps(numbers)})
        for _ in range(2):
            clock.days += 30.0 / 86400
            server.settle()
        sent = {name: server.filters.sent(name) for name in COMMUNITY}
        assert server.filters.why_dead == "" and server.queue.why_dead == ""
    id_label = "diaobjectid" if release == "main" else "diaObjectId"
    for name in ("tonights_anomalies", "like_known_exotics", "by_modality", "hostless_or_far", "young_and_rising"):
        assert [message[id_label] for message in sent[name]] == [2**62], name


def test_a_night_of_the_input_filter_is_transients_with_a_light_curve():
    night = simulate_rubin_night(7, 24, now_mjd=NOW_MJD)
    kinds = {item.object_id: item for item in night.objects}
    with LsstSandbox(night, clock=Clock()) as server:
        messages = stream_messages(server.database, server.records, FILTERS["input_lsst"], "lite")
    taken = [kinds[message["diaObjectId"]] for message in messages]
    assert len(taken) > 8
    assert {item.sherlock["classification"] for item in taken} <= {"SN", "NT", "ORPHAN", "UNCLEAR", "CV"}
    assert all(len(message["alert"]["diaSourcesList"]) >= 2 for message in messages)
