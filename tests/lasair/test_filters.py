"""The shipped filters: Lasair's rules, what they select, and what the sandbox finds with them, saved or by the API."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlparse
import yaml

from annotator.annotation import check_topic
from annotator.errors import ConfigError
from annotator.lasair.filters import (
    CAPITALISED,
    FilterFile,
    as_form,
    for_topic,
    list_filters,
    load_filter,
    parse_filter,
)
from annotator.sandbox import simulate_night
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.filter_form import form_tables, saved_statement
from annotator.sandbox.lasair.query_rules import check_query
from annotator.surveys.ztf import parse as ztf
from annotator.surveys.ztf.columns import FEATURE_NAMES, QUALITY_NAMES

CASES = yaml.load((Path(__file__).parent / "filter_cases.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
FILTERS = {query.name: query for query in list_filters()}
EXAMPLE = FilterFile("example", "", "objects.objectId", "objects", "objects.ncand > 3")

FORBIDDEN_STRINGS = ("#", "/*", "*/", ";", "||", "\\")
FORBIDDEN_IN_SELECT = (
    "create select from where join inner outer with high_priority straight_join sql_small_result sql_big_result"
    " sql_buffer_result sql_no_cache sql_calc_found_rows sleep"
)
FORBIDDEN_IN_WHERE = "create select union exists window for into outfile dumpfile"
MAX_SAVED_CHARACTERS = 4096
MAX_CHARACTERS = {"selected": 4096, "tables": 1024, "conditions": 4096}


def words(text: str) -> set[str]:
    return set(re.split(r"[\s(){}]", text.lower()))


def top_level(text: str) -> str:
    """What stands outside all brackets and texts."""
    text = re.sub(r'"[^"]*"', "", text)
    while (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    return text


def labels(selected: str) -> list[str]:
    """The keys of a record: what follows AS, or the column's own name."""
    return [re.split(r"\s+AS\s+|\.", column.strip())[-1] for column in top_level(selected).split(",")]


def in_capitals(sql: str) -> str:
    """The words of SQL in capitals, as Lasair's form saves them."""
    return sqlparse.format(sql, reindent=True, keyword_case="upper", strip_comments=True)


def broken_rules(query: FilterFile) -> list[str]:
    """Lasair's rules and its traps, written from its documentation and not from this project's code."""
    conditions, *order = re.split(r"\border\s+by\b", query.conditions, flags=re.IGNORECASE)
    everything = f"{query.selected} {query.conditions}"
    names = labels(query.selected)
    tables = {name.strip() for name in query.tables.split(",") if ":" not in name}
    broken = {
        "too long": any(len(getattr(query, part)) > most for part, most in MAX_CHARACTERS.items()),
        "forbidden string": any(text in everything for text in FORBIDDEN_STRINGS),
        "forbidden word in SELECT": bool(words(query.selected) & set(FORBIDDEN_IN_SELECT.split())),
        "forbidden word in WHERE": bool(words(query.conditions) & set(FORBIDDEN_IN_WHERE.split())),
        "limit or offset": any(word in query.conditions for word in ("limit", "offset")),
        "comment": "--" in everything,
        "apostrophe": "'" in everything,
        "->>": "->" in everything,
        "top-level OR": "or" in top_level(conditions).lower().split(),
        # An annotation's trigger adds its own condition before this very text.
        "ORDER BY not in one piece": bool(order) and query.conditions.count("ORDER BY") != 1,
        "capital in a topic": any(t != t.lower() for t in re.findall(r"annotator:(\S+)", query.tables)),
        "capital in a key": any(key != key.lower() for key in re.findall(r"\$\.(\w+)", everything)),
        "DECIMAL": bool(re.search(r"\b(round|format|avg|truncate|decimal)\b", everything, re.IGNORECASE)),
        "a label twice": len(set(names)) < len(names),
        "a JSON value as text": bool(re.search(r"JSON_EXTRACT\([^)]*\)(?! \+ 0\b)", query.selected)),
        "a label that saving changes": labels(in_capitals(query.selected)) != names,
        "a table that SELECT does not name": bool(tables - set(re.findall(r"(\w+)\.\w", query.selected))),
        "no object id": names[0] != "objectId",
    }
    return [rule for rule, is_broken in broken.items() if is_broken]


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
def test_a_shipped_filter_keeps_lasairs_rules(query):
    assert broken_rules(query) == []


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("too long", {"conditions": "objects.ncand > 3 AND " * 200 + "1"}),
        ("forbidden string", {"conditions": "objects.ncand > 3;"}),
        ("forbidden word in SELECT", {"selected": "objects.objectId, SLEEP (1)"}),
        ("forbidden word in WHERE", {"conditions": "EXISTS (objects.ncand)"}),
        ("limit or offset", {"conditions": 'JSON_EXTRACT(aha_ztf.classdict, "$.limit_mag") > 3'}),
        ("comment", {"conditions": "objects.ncand > 3 -- three"}),
        ("apostrophe", {"conditions": "objects.objectId = 'x'"}),
        ("->>", {"conditions": 'aha_ztf.classdict->>"$.score" > 3'}),
        ("top-level OR", {"conditions": "(objects.ncand > 3) or objects.ncandgp > 3"}),
        ("ORDER BY not in one piece", {"conditions": "objects.ncand > 3 order by objects.ncand"}),
        ("capital in a topic", {"tables": "objects, annotator:AHA"}),
        ("capital in a key", {"conditions": 'JSON_EXTRACT(aha_ztf.classdict, "$.anomalyScore") > 3'}),
        ("DECIMAL", {"selected": "objects.objectId, ROUND(objects.gmag, 1) AS g"}),
        (
            "a label twice",
            {"selected": "objects.objectId, aha_ztf.classification, sherlock_classifications.classification"},
        ),
        ("a JSON value as text", {"selected": 'objects.objectId, JSON_EXTRACT(aha_ztf.classdict, "$.score") AS score'}),
        ("a label that saving changes", {"selected": "objects.objectId, objects.gmag AS level"}),
        ("a table that SELECT does not name", {"tables": "objects, sherlock_classifications"}),
        ("no object id", {"selected": "objects.gmag"}),
    ],
)
def test_each_rule_is_really_looked_at(rule, change):
    assert broken_rules(EXAMPLE) == []
    assert broken_rules(replace(EXAMPLE, **change)) == [rule]


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
def test_the_sandbox_accepts_a_shipped_filter(query):
    check_query(query.selected, query.tables, query.conditions)


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
def test_lasairs_form_makes_of_select_and_menu_the_tables_that_the_api_is_given(query):
    # Of "$.score" the form makes a table without a name, which Lasair ignores.
    made = {name.strip() for name in form_tables(query.selected, query.annotators).split(",")} - {""}

    assert made == {name.strip() for name in query.tables.split(",")}


@pytest.mark.parametrize("query", FILTERS.values(), ids=FILTERS)
def test_a_shipped_filter_fits_into_the_column_of_saved_filters(query):
    assert len(saved_statement(query.selected, query.conditions, query.annotators)) <= MAX_SAVED_CHARACTERS


def test_a_night_of_the_input_filter_is_understood_alike_saved_or_by_the_api():
    query, database = FILTERS["input_ztf"], Database()
    database.put_rows(simulate_night(7, 40).rows())

    saved = database.run(saved_statement(query.selected, query.conditions))
    by_api = database.query(query.selected, query.tables, query.conditions)
    database.close()

    assert len(saved) > 30
    assert saved == by_api
    assert [ztf.parse(row) for row in saved] == [ztf.parse(row) for row in by_api]


def test_the_input_filter_carries_all_that_the_model_and_its_quality_cuts_need():
    names = labels(FILTERS["input_ztf"].selected)

    assert set(FEATURE_NAMES) | set(QUALITY_NAMES) <= set(names)
    assert {"ramean", "decmean", "jdmin", "jdmax", "ncand", "ncandgp", "classification"} <= set(names)


def test_a_record_with_the_input_filters_labels_is_understood_whole():
    values = {"objectId": "ZTF99aaaaaaa", "classification": "SN", "catalogue_object_id": "SIMULATED", "ssnamenr": None}
    numbers = {"jdmax": 2461368.5, "ramean": 150.1, "decmean": 12.5, "ncand": 14, "ncandgp": 12, "g_minus_r": -0.3}
    values |= numbers | dict.fromkeys(("dmdt_g", "dmdt_g_err", "dmdt_r", "dmdt_r_err"), 0.05)
    record = {name: values.get(name, 18.0) for name in labels(FILTERS["input_ztf"].selected)}

    transient = ztf.parse(record)

    assert set(transient.features) == set(FEATURE_NAMES)
    assert (transient.n_det, transient.n_det_good, transient.last_mjd) == (14, 12, 61368.0)
    assert (transient.ra_deg, transient.dec_deg, transient.sherlock_class) == (150.1, 12.5, "SN")


def test_the_input_filter_joins_sherlock_only_and_can_be_extended_with_and():
    query = FILTERS["input_ztf"]

    assert query.tables == "objects, sherlock_classifications"
    assert "ORDER BY" not in query.conditions


def test_every_community_filter_says_what_it_gives_and_joins_our_annotations():
    community = [query for name, query in FILTERS.items() if name != "input_ztf"]

    assert len(community) >= 4
    for query in community:
        assert 2 <= len(query.summary.splitlines()) <= 6
        assert query.tables.endswith("annotator:aha_ztf")


def test_a_filter_is_read_with_its_header_and_three_parts():
    text = "-- Many.\n-- For tests.\nSELECT\nobjects.objectId\nFROM objects\nWHERE objects.ncand > 3\nORDER BY ncand\n"

    assert parse_filter("many", text) == FilterFile(
        "many", "Many.\nFor tests.", "objects.objectId", "objects", "objects.ncand > 3\nORDER BY ncand"
    )


@pytest.mark.parametrize("part", ["-- Many", "SELECT", "FROM", "WHERE"])
def test_a_file_without_one_of_its_parts_is_refused_by_name(part):
    text = "-- Many detections.\nSELECT objects.objectId\nFROM objects\nWHERE objects.ncand > 3\n"
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith(part)]

    with pytest.raises(ConfigError, match=r"filter many: expected .* SELECT, FROM and WHERE"):
        parse_filter("many", "".join(lines))


def test_an_unknown_filter_is_answered_with_the_known_names():
    with pytest.raises(ConfigError, match=r"no_such_filter.*by_modality.*input_ztf"):
        load_filter("no_such_filter")


def test_a_filter_of_ones_own_is_given_as_a_path(tmp_path):
    path = tmp_path / "mine.sql"
    path.write_text("-- Mine.\nSELECT objects.objectId\nFROM objects\nWHERE objects.ncand > 3\n")

    assert load_filter(str(path)).conditions == "objects.ncand > 3"
    with pytest.raises(ConfigError, match=r"other\.sql cannot be read"):
        load_filter(str(tmp_path / "other.sql"))


def test_a_filter_is_printed_as_the_form_takes_it_with_its_parts_unchanged():
    query = FILTERS["tonights_anomalies"]

    printed = as_form(query)

    assert printed.startswith(f"tonights_anomalies\n\n{query.summary}\n")
    _, selected, conditions, rest = re.split(r"^=+ .* =+$", printed, flags=re.MULTILINE)
    assert re.findall(r"^=+ (.*) =+$", printed, re.MULTILINE) == [
        "SELECT",
        "WHERE",
        "annotators, to be chosen from the menu",
    ]
    assert (selected.strip(), conditions.strip()) == (query.selected, query.conditions)
    annotators, says = rest.strip().split("\n\n")
    assert annotators == "aha_ztf"
    assert says.endswith(f"The API takes them as a third part: {query.tables}")


def test_a_filter_without_annotations_has_nothing_to_choose():
    assert "from the menu =====\nnone\n" in as_form(FILTERS["input_ztf"])


def test_a_table_that_the_form_would_not_join_is_told():
    query = replace(EXAMPLE, tables="objects,\nsherlock_classifications", conditions="sherlock_classifications.z > 1")

    assert "SELECT names no column of sherlock_classifications: the form would not join it" in as_form(query)
    assert "would not join" not in as_form(EXAMPLE)


def test_a_label_that_is_a_word_of_sql_is_told_with_what_it_will_be():
    query = replace(EXAMPLE, selected="objects.objectId, objects.ncand AS count, objects.rmag AS mag_r")

    assert "count is a word of SQL: the saved filter streams it as COUNT" in as_form(query)
    assert "mag_r is" not in as_form(query)
    assert not any(shipped.capitalised_labels for shipped in FILTERS.values())


@pytest.mark.parametrize("label", sorted(CAPITALISED))
def test_a_saved_filter_streams_every_capitalised_label_in_capitals(label):
    assert in_capitals(f"SELECT objects.ncand AS {label} FROM objects").split()[3] == label.upper()


def test_the_annotators_of_a_filter_are_those_of_its_tables():
    assert EXAMPLE.annotators == ()
    assert replace(EXAMPLE, tables="objects, annotator:aha_ztf&other").annotators == ("aha_ztf", "other")
    assert replace(EXAMPLE, tables="annotator:aha_ztf,annotator:other").annotators == ("aha_ztf", "other")


def test_another_topic_replaces_ours_as_a_whole_name_only():
    query = replace(EXAMPLE, tables="objects, annotator:aha_ztf", conditions="aha_ztf.url > my_aha_ztf.url")

    changed = for_topic(query, "aha_lab2")

    assert changed == replace(query, tables="objects, annotator:aha_lab2", conditions="aha_lab2.url > my_aha_ztf.url")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "AHA",
        "my-topic",
        "a" * 17,
        "1aha",
        "aha;drop",
        "aha\n",
        "tags_aha",
        "object",
        "sherlock_class",
        "annotations",
    ],
)
def test_a_topic_that_is_no_plain_name_of_its_own_is_refused(topic):
    with pytest.raises(ConfigError, match="topic must be a lower-case SQL name"):
        for_topic(EXAMPLE, topic)


@pytest.mark.parametrize("topic", ["select", "or", "in", "order", "mag_limit", "offsets", "system", "prior"])
def test_a_topic_that_lasair_would_refuse_in_a_filter_is_refused(topic):
    with pytest.raises(ConfigError, match="topic must be a lower-case SQL name"):
        for_topic(EXAMPLE, topic)


@pytest.mark.parametrize("topic", ["aha_ztf", "aha_lsst", "aha2", "a" * 16])
def test_an_ordinary_topic_is_accepted(topic):
    check_topic(topic)


NOW = 1795000000.0  # Unix seconds; a night of November 2026
NOW_JD = NOW / 86400 + 2440587.5


class Clock:
    def __init__(self):
        self.days = 0.0

    def __call__(self) -> float:
        return NOW + 86400 * self.days


def put(database: Database, clock: Clock, object_id: str, case: dict) -> None:
    """Plant one object: the base of the cases with this case's changes."""
    changes = {table: case.get(table, {}) for table in CASES["base"]}
    rows = {table: None if changes[table] is None else row | changes[table] for table, row in CASES["base"].items()}
    dates = {key: NOW_JD + days for key, days in rows["objects"].items() if key.startswith("jd") and days is not None}
    database.put_rows([{"objectId": object_id} | rows["objects"] | rows["sherlock"] | dates])
    if annotation := rows["annotation"]:
        classdict = json.dumps({key: value for key, value in rows["classdict"].items() if value is not None})
        clock.days = annotation["annotated"]
        database.annotate(annotation | {"objectId": object_id, "classdict": classdict, "version": "1", "url": ""})
        clock.days = 0.0


def by_api(database: Database, query: FilterFile) -> list[dict]:
    return database.query(query.selected, query.tables, query.conditions)


def saved(database: Database, query: FilterFile) -> list[dict]:
    return database.run(saved_statement(query.selected, query.conditions, query.annotators))


@pytest.mark.parametrize("run", [by_api, saved], ids=["by the API", "saved"])
@pytest.mark.parametrize("name", CASES["filters"])
def test_in_the_sandbox_a_filter_finds_its_planted_rows_in_order_and_no_near_miss(name, run):
    clock, cases = Clock(), CASES["filters"][name]
    database = Database(clock)
    # The sandbox gives every object a Sherlock row.
    missed = [case for case in cases["missed"].values() if case.get("sherlock", {}) is not None]
    planted = [*missed, *reversed(cases["found"].values())]
    object_ids = [f"ZTF99aaaaa{number // 26 + 97:c}{number % 26 + 97:c}" for number in range(len(planted))]
    for object_id, case in zip(object_ids, planted, strict=True):
        put(database, clock, object_id, case)

    query = FILTERS[name]
    rows = run(database, query)
    database.close()

    found = [row["objectId"] for row in rows]
    expected = object_ids[: len(missed) - 1 : -1]
    assert sorted(found) == sorted(expected)
    assert found == expected or "ORDER BY" not in query.conditions
    assert all(isinstance(row["score"], float) for row in rows if "score" in row)
    assert all(list(row) == labels(query.selected) for row in rows)


def test_the_filter_of_the_readme_finds_the_nights_anomalies_as_it_is_saved():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    selected, conditions = re.search(r"```sql\nSELECT +(.*?)\nWHERE +(.*?)\n```", readme, re.DOTALL).groups()
    clock, cases = Clock(), CASES["filters"]["tonights_anomalies"]
    database = Database(clock)
    put(database, clock, "ZTF99aaaaaaa", {"classdict": {"score": 10.5, "worth": 0.75}})
    put(database, clock, "ZTF99aaaaaab", cases["missed"]["only watched"])

    rows = database.run(saved_statement(selected, conditions, ["aha_ztf"]))
    database.close()

    assert [(row["objectId"], row["worth"]) for row in rows] == [("ZTF99aaaaaaa", 0.75)]
