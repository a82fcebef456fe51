"""The filters of Lasair for Rubin on a real MariaDB: by the API, saved, in lower case, triggered by an annotation."""

import json
import re

import pytest

from annotator.lasair.filters import load_filter
from annotator.sandbox.lasair.lsst.schema import DOUBLE_COLUMNS, LSST
from tests.lasair.test_filters_lsst import CASES, COMMUNITY, rows_of
from tests.lasair.test_filters_mariadb import BINARIES, Server, insert, lasair_sql

pytestmark = pytest.mark.skipif(None in BINARIES.values(), reason="MariaDB is not installed")

SAVED_OR_NOT = pytest.mark.parametrize("is_saved", [False, True], ids=["by the API", "saved"])
TABLES = ("objects", "sherlock_classifications", "annotations")


def kind(name: str) -> str:
    if name == "diaObjectId":
        return "bigint PRIMARY KEY"
    if name in LSST.text:
        return "text"
    return "int" if name in LSST.integers else "double" if name in DOUBLE_COLUMNS else "float"


def table(name: str, columns: tuple[str, ...]) -> str:
    return f"CREATE TABLE {name} ({', '.join(f'{column} {kind(column)}' for column in columns)});\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mariadb"))
    try:
        server.wait()
        server.run("CREATE DATABASE ztf", database="")  # Lasair for Rubin calls its own so, too
        server.run(
            table("objects", LSST.objects)
            + table("sherlock_classifications", LSST.sherlock)
            + """
            CREATE TABLE annotations (annotationID int NOT NULL AUTO_INCREMENT PRIMARY KEY, diaObjectId bigint NOT NULL,
              topic varchar(255), version varchar(256), timestamp timestamp DEFAULT CURRENT_TIMESTAMP,
              classification varchar(256) NOT NULL, explanation text, classdict JSON, url text,
              UNIQUE KEY one_per_object (diaObjectId, topic));
            CREATE FUNCTION mjdnow() RETURNS double RETURN UNIX_TIMESTAMP(NOW(6)) / 86400 + 40587.0;
            CREATE FUNCTION flux2mag(flux float) RETURNS float
              RETURN IF(flux > 0, 31.4 - 2.5 * LOG10(flux), NULL);
            """
        )
        yield server
    finally:
        server.stop()


def literal(name: str, value: object) -> str:
    if value is None:
        return "NULL"
    return f"mjdnow() + {value}" if name.endswith("MjdTai") else json.dumps(value)


def plant(server: Server, name: str) -> list[str]:
    """Fill the tables with a filter's rows; return the ids that it must find, in order."""
    cases, sql = CASES["filters"][name], "".join(f"TRUNCATE {each};\n" for each in TABLES)
    planted = [*cases["missed"].values(), *reversed(cases["found"].values())]
    for number, case in enumerate(planted):
        rows, object_id = rows_of(case), {"diaObjectId": str(2**62 + number)}
        annotation, known = dict(rows.pop("annotation") or {}), rows.pop("classdict")
        for where, row in zip(TABLES, rows.values(), strict=False):
            if row is not None:
                sql += insert(where, object_id | {key: literal(key, value) for key, value in row.items()})
        if annotation:
            moment = f"NOW() + INTERVAL {round(86400 * float(annotation.pop('annotated')))} SECOND"
            numbers = json.dumps({key: value for key, value in known.items() if value is not None})
            texts = {key: json.dumps(value) for key, value in annotation.items()}
            sql += insert("annotations", object_id | texts | {"timestamp": moment, "classdict": f"'{numbers}'"})
    server.run(sql)
    return [str(2**62 + number) for number in range(len(planted))][: len(cases["missed"]) - 1 : -1]


def statement(name: str, **how: object) -> str:
    return re.sub(r"\bobjectId\b", "diaObjectId", lasair_sql(load_filter(name, "lsst"), **how))


def ids(rows: list[dict[str, str]]) -> list[str]:
    return [row.get("diaObjectId") or row["diaobjectid"] for row in rows]


@SAVED_OR_NOT
@pytest.mark.parametrize("name", CASES["filters"])
def test_a_filter_finds_its_rows_and_no_near_miss(server, name, is_saved):
    expected = plant(server, name)
    found = ids(server.run(statement(name, is_saved=is_saved)))
    assert found == expected if name in COMMUNITY else sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", CASES["filters"])
def test_a_filter_survives_a_server_that_lowers_the_whole_statement(server, name):
    expected = plant(server, name)
    assert sorted(ids(server.run(statement(name).lower()))) == sorted(expected)


@pytest.mark.parametrize("name", COMMUNITY)
def test_a_saved_filter_that_an_annotation_triggers_gives_that_object_alone(server, name):
    *_, last = plant(server, name)
    assert ids(server.run(statement(name, triggered_by=last, is_saved=True))) == [last]


@pytest.mark.parametrize("name", CASES["filters"])
def test_no_column_of_a_filter_is_a_decimal(server, name):
    plant(server, name)
    made = statement(name).removeprefix("SET STATEMENT max_statement_time=20 FOR ")
    server.run(f"CREATE OR REPLACE TABLE probe AS {made}")
    kinds = {row["Field"]: row["Type"] for row in server.run("SHOW COLUMNS FROM probe")}
    assert not {label: kind for label, kind in kinds.items() if kind.startswith("decimal")}
