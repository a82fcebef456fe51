"""The filters on a real MariaDB with Lasair-ZTF's tables, its joins and its rules for building SQL.

The server is private: started here by the current user, on a socket only, and gone with the module.
"""

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlparse
import yaml

from annotator.errors import ConfigError
from annotator.lasair.filters import FilterFile, for_topic, list_filters, load_filter

BINARIES = {
    name: shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/libexec:/usr/local/sbin")
    for name in ("mariadbd", "mariadb-install-db", "mariadb")
}
pytestmark = pytest.mark.skipif(
    None in BINARIES.values(),
    reason=f"MariaDB is not installed: no {', '.join(name for name, path in BINARIES.items() if path is None)}",
)

CASES = yaml.load((Path(__file__).parent / "filter_cases.yaml").read_text(), yaml.CSafeLoader)
SAVED_OR_NOT = pytest.mark.parametrize("is_saved", [False, True], ids=["by the API", "saved"])
COMMUNITY = [name for name in CASES["filters"] if name != "input_ztf"]

DOUBLES = "ramean decmean glatmean jdmin jdmax jdgmax jdrmax jd_g_minus_r"
FLOATS = (
    "gmag rmag g_minus_r dmdt_g dmdt_g_err dmdt_r dmdt_r_err distpsnr1 sgscore1 sgmag1 srmag1"
    " mag_g02 mag_g08 mag_g28 maggmin maggmean maggmax mag_r02 mag_r08 mag_r28 magrmin magrmean magrmax"
)
COUNTS = "ncand ncandgp ncandgp_7 ncandgp_14"
SHERLOCK_FLOATS = (
    "separationArcsec northSeparationArcsec eastSeparationArcsec physical_separation_kpc distance major_axis_arcsec"
)


def _columns(names: str, kind: str) -> str:
    return "".join(f"{name} {kind}, " for name in names.split())


TABLES = f"""
CREATE TABLE objects (objectId varchar(16) CHARACTER SET utf8 COLLATE utf8_unicode_ci PRIMARY KEY,
  {_columns(DOUBLES, "double")} {_columns(FLOATS, "float")} {_columns(COUNTS, "int")} ssnamenr varchar(16));
CREATE TABLE sherlock_classifications (objectId varchar(16) CHARACTER SET utf8 COLLATE utf8_unicode_ci PRIMARY KEY,
  classification varchar(16), catalogue_object_id varchar(80), {_columns(SHERLOCK_FLOATS, "float")}
  classificationReliability int);
CREATE TABLE annotations (annotationID int NOT NULL AUTO_INCREMENT PRIMARY KEY, objectId varchar(16) NOT NULL,
  topic varchar(16), version varchar(16), timestamp timestamp DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  classification varchar(16) NOT NULL, explanation text, classdict JSON CHECK (json_valid(classdict)), url text,
  UNIQUE KEY one_per_object (objectId, topic));
CREATE TABLE crossmatch_tns (tns_name varchar(16) PRIMARY KEY, type varchar(80), z float);
CREATE TABLE watchlist_hits (wl_id int, objectId varchar(16), name varchar(80));
CREATE FUNCTION jdnow() RETURNS double RETURN UNIX_TIMESTAMP(NOW(6)) / 86400 + 2440587.5;
"""
TNS_WATCHLIST = 1


class Server:
    """A private MariaDB server, spoken to by its own command-line client."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        # Two that begin at once in one folder for temporary files take each other's tables for left-overs.
        own = os.environ | {"TMPDIR": str(folder)}
        user = ["--user=root"] if os.geteuid() == 0 else []
        install = [BINARIES["mariadb-install-db"], "--no-defaults", *user, f"--datadir={self.data}", "--skip-test-db"]
        subprocess.run(
            [*install, "--auth-root-authentication-method=normal"],
            env=own,
            check=True,
            capture_output=True,
            timeout=120,
        )
        serve = [BINARIES["mariadbd"], "--no-defaults", *user, f"--datadir={self.data}", "--skip-networking"]
        # A relative socket lies in the data folder, and is reached from there: full paths can be too long for a socket.
        options = ["--socket=sock", "--pid-file=pid", "--default-time-zone=+00:00", "--innodb-buffer-pool-size=16M"]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*serve, *options], env=own, stdout=log, stderr=log)

    def wait(self) -> None:
        deadline = time.monotonic() + 120
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self.run("SELECT 1", database="")
                return
            except AssertionError:
                time.sleep(0.05)
        raise AssertionError(f"MariaDB did not start:\n{self.log.read_text()}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def run(self, sql: str, database: str = "ztf") -> list[dict[str, str]]:
        client = [BINARIES["mariadb"], "--no-defaults", "--socket=sock", "--user=root", "--batch", database]
        done = subprocess.run(
            [argument for argument in client if argument],
            input=sql,
            cwd=self.data,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        header, *rows = [line.split("\t") for line in done.stdout.splitlines()] or [[]]
        return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mariadb"))
    try:
        server.wait()
        server.run("CREATE DATABASE ztf", database="")
        server.run(TABLES)
        yield server
    finally:
        server.stop()


def planted(case: dict) -> dict:
    """One object's rows by table: the base with the case's changes; None is no row."""
    changes = {table: case.get(table, {}) for table in CASES["base"]}
    return {table: None if changes[table] is None else row | changes[table] for table, row in CASES["base"].items()}


def literal(key: str, value: object) -> str:
    if value is None:
        return "NULL"
    return f"jdnow() + {value}" if key.startswith("jd") else json.dumps(value)


def insert(table: str, row: dict[str, str]) -> str:
    return f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())});\n"


def rows_sql(object_id: str, case: dict) -> str:
    rows = planted(case)
    literals = {
        table: {"objectId": json.dumps(object_id)} | {key: literal(key, value) for key, value in row.items()}
        for table, row in rows.items()
        if row is not None
    }
    sql = insert("objects", literals["objects"])
    if rows["sherlock"] is not None:
        sql += insert("sherlock_classifications", literals["sherlock"])
    if rows["annotation"] is not None:
        annotation = literals["annotation"]
        annotation["timestamp"] = f"NOW() + INTERVAL {round(86400 * float(annotation.pop('annotated')))} SECOND"
        known = {key: value for key, value in rows["classdict"].items() if value is not None}
        sql += insert("annotations", annotation | {"classdict": f"'{json.dumps(known)}'"})
    return sql


def plant(server: Server, name: str) -> list[str]:
    """Fill the tables with a filter's rows; return the ids that it must find, in order."""
    cases = CASES["filters"][name]
    # Found ones last and turned round, so that the order of the answer is not the order of the table.
    rows = [*cases["missed"].values(), *reversed(cases["found"].values())]
    object_ids = [f"ZTF99aaaaa{number // 26 + 97:c}{number % 26 + 97:c}" for number in range(len(rows))]
    tables = ("objects", "sherlock_classifications", "annotations")
    server.run("".join(f"TRUNCATE {table};\n" for table in tables) + "".join(map(rows_sql, object_ids, rows)))
    return object_ids[: len(cases["missed"]) - 1 : -1]


def lasair_sql(query: FilterFile, triggered_by: str | None = None, rows: int = 1000, is_saved: bool = False) -> str:
    """Build the statement as Lasair-ZTF does: implicit joins, then the user's WHERE after AND, without brackets.

    The form has its words of SQL in capitals when it saves it.
    """
    tables, joins = ["objects"], []
    for name in (part.strip().lower() for part in query.tables.split(",")):
        if name == "sherlock_classifications":
            tables.append(name)
            joins.append("objects.objectId=sherlock_classifications.objectId")
        elif name == "crossmatch_tns":
            tables += ["watchlist_hits", "crossmatch_tns"]
            joins += ["objects.objectId=watchlist_hits.objectId", f"watchlist_hits.wl_id={TNS_WATCHLIST}"]
            joins += ["watchlist_hits.name=crossmatch_tns.tns_name"]
        elif name.startswith("annotator:"):
            topic = name.removeprefix("annotator:")
            tables.append(f"annotations AS {topic}")
            joins += [f"objects.objectId={topic}.objectId", f'{topic}.topic="{topic}"']
    where = " AND\n".join([*joins, query.conditions])
    sql = f"SELECT {query.selected}\nFROM {', '.join(tables)}\nWHERE {where}".replace("'", '"')
    if is_saved:
        sql = sqlparse.format(sql, reindent=True, keyword_case="upper", strip_comments=True)
    if triggered_by:
        before, order, after = sql.partition("ORDER BY")
        sql = f'{before} AND objects.objectId="{triggered_by}" {order}{after}'
    return f"SET STATEMENT max_statement_time=20 FOR {sql} LIMIT {rows} OFFSET 0"


def ids(rows: list[dict[str, str]]) -> list[str]:
    return [row.get("objectId") or row["objectid"] for row in rows]


def test_every_filter_has_planted_rows():
    assert {query.name for query in list_filters()} == set(CASES["filters"])


@SAVED_OR_NOT
@pytest.mark.parametrize("name", COMMUNITY)
def test_a_community_filter_finds_its_rows_in_order_and_no_near_miss(server, name, is_saved):
    expected = plant(server, name)

    assert ids(server.run(lasair_sql(load_filter(name), is_saved=is_saved))) == expected


@SAVED_OR_NOT
def test_the_input_filter_finds_its_rows_and_no_near_miss(server, is_saved):
    expected = plant(server, "input_ztf")

    assert sorted(ids(server.run(lasair_sql(load_filter("input_ztf"), is_saved=is_saved)))) == sorted(expected)


@pytest.mark.parametrize("name", CASES["filters"])
def test_a_filter_gives_the_same_rows_with_the_same_labels_saved_or_by_the_api(server, name):
    plant(server, name)

    by_api, saved = (server.run(lasair_sql(load_filter(name), is_saved=is_saved)) for is_saved in (False, True))

    assert sorted(map(str, saved)) == sorted(map(str, by_api))


def test_a_label_that_is_a_word_of_sql_comes_out_in_capitals_once_the_filter_is_saved(server):
    plant(server, "like_known_exotics")
    ours = load_filter("like_known_exotics")
    query = replace(ours, selected=ours.selected.replace("AS prior_score", "AS prior"))

    by_api, saved = (server.run(lasair_sql(query, is_saved=is_saved))[0] for is_saved in (False, True))

    assert by_api["prior"] == saved["PRIOR"] == "10.5"
    assert "prior" not in saved


@pytest.mark.parametrize("name", CASES["filters"])
def test_every_condition_of_a_filter_keeps_a_near_miss_out(server, name):
    expected = plant(server, name)
    ours = load_filter(name)
    conditions, order, by = ours.conditions.partition("ORDER BY")
    clauses = re.split(r"\nAND ", conditions)

    for number, clause in enumerate(clauses):
        others = "\nAND ".join(clauses[:number] + clauses[number + 1 :])
        without = ids(server.run(lasair_sql(replace(ours, conditions=f"{others} {order}{by}"))))
        assert set(without) > set(expected), f"no planted row needs: {clause}"


@pytest.mark.parametrize("name", CASES["filters"])
def test_a_filter_survives_a_server_that_lowers_the_whole_statement(server, name):
    expected = plant(server, name)

    assert sorted(ids(server.run(lasair_sql(load_filter(name)).lower()))) == sorted(expected)


@pytest.mark.parametrize("name", COMMUNITY)
def test_a_saved_filter_that_an_annotation_triggers_gives_that_object_alone(server, name):
    *_, last = plant(server, name)

    assert ids(server.run(lasair_sql(load_filter(name), triggered_by=last, is_saved=True))) == [last]
    assert ids(server.run(lasair_sql(load_filter(name), triggered_by="ZTF99aaaaaaa", is_saved=True))) == []


@pytest.mark.parametrize("name", COMMUNITY)
def test_a_filter_works_for_an_annotator_of_another_name(server, name):
    expected = plant(server, name)
    server.run(
        'DELETE FROM annotations WHERE topic="other_topic"; UPDATE annotations SET topic="aha2", timestamp=timestamp'
    )

    assert ids(server.run(lasair_sql(load_filter(name)))) == []
    assert ids(server.run(lasair_sql(for_topic(load_filter(name), "aha2")))) == expected


@pytest.mark.parametrize("name", CASES["filters"])
def test_no_column_of_a_filter_is_a_decimal(server, name):
    plant(server, name)
    # Lasair's JSON has no DECIMAL: such a value arrives as null.
    statement = lasair_sql(load_filter(name)).removeprefix("SET STATEMENT max_statement_time=20 FOR ")
    server.run(f"CREATE OR REPLACE TABLE probe AS {statement}")

    kinds = {row["Field"]: row["Type"] for row in server.run("SHOW COLUMNS FROM probe")}

    assert not {label: kind for label, kind in kinds.items() if kind.startswith("decimal")}
    assert {kinds[label] for label in kinds if label.endswith("score")} <= {"double"}


@pytest.mark.parametrize("topic", ["system", "source", "variable"])
def test_a_topic_that_is_a_word_of_sql_makes_a_filter_that_cannot_be_saved(server, topic):
    plant(server, "tonights_anomalies")
    ours = load_filter("tonights_anomalies")
    parts = (ours.selected, ours.tables, ours.conditions)
    query = FilterFile(ours.name, ours.summary, *(part.replace("aha_ztf", topic) for part in parts))

    assert server.run(lasair_sql(query)) == []
    with pytest.raises(AssertionError, match="Unknown column"):
        server.run(lasair_sql(query, is_saved=True))
    with pytest.raises(ConfigError, match="no word of SQL"):
        for_topic(ours, topic)


def test_scores_sort_as_numbers_where_the_bare_json_value_sorts_as_text(server):
    strangest, strange, *_ = plant(server, "tonights_anomalies")
    ours = load_filter("tonights_anomalies")
    bare = replace(ours, selected=ours.selected.replace(" + 0", ""))

    numeric, text = (ids(server.run(lasair_sql(query))) for query in (ours, bare))

    assert numeric.index(strangest) < numeric.index(strange)
    assert text.index(strange) < text.index(strangest)


def test_without_its_brackets_an_or_lets_other_peoples_annotations_in(server):
    expected = plant(server, "hostless_or_far")
    ours = load_filter("hostless_or_far")
    head, _, rest = ours.conditions.partition("AND (\n")
    inner, _, tail = rest.partition("\n)\n")
    unbracketed = replace(ours, conditions=f"{head}AND {inner}\n{tail}")

    leaked = set(ids(server.run(lasair_sql(unbracketed)))) - set(expected)

    assert leaked


def test_joining_tns_would_lose_what_has_no_tns_name(server):
    named, *_ = expected = plant(server, "input_ztf")
    server.run(
        f'INSERT INTO crossmatch_tns VALUES ("2099abc", "SN Ia", 0.1);'
        f'INSERT INTO watchlist_hits VALUES ({TNS_WATCHLIST}, "{named}", "2099abc")'
    )
    ours = load_filter("input_ztf")
    joined = replace(ours, tables=f"{ours.tables}, crossmatch_tns")

    assert ids(server.run(lasair_sql(joined))) == [named]
    assert len(expected) > 1
