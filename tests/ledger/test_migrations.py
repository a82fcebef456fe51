"""A ledger is brought to the newest schema when it is opened, or refused and left as it is."""

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from annotator.errors import LedgerError
from annotator.ledger import Ledger
from annotator.ledger.snapshot import transient_json
from annotator.ledger.store import migrate
from annotator.ledger.store.database import Database
from annotator.ledger.store.identity import draw_identity
from annotator.ledger.store.schema import NEWEST, VERSION_TABLE, metadata, snapshots
from annotator.transient import Transient
from tests.ledger.test_ledger import annotation, scored_object

NEXT = f'''"""Add a note."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{NEWEST}"


def upgrade() -> None:
    """Add a note."""
    op.add_column("objects", sa.Column("note", sa.Text, nullable=False, server_default="none"))
'''


LAYOUT = {
    "sqlite": (
        "SELECT m.name, c.* FROM sqlite_master m, pragma_table_xinfo(m.name) c WHERE m.type = 'table'",
        "SELECT m.name, k.* FROM sqlite_master m, pragma_foreign_key_list(m.name) k",
        "SELECT m.name, i.name, i.[unique], i.origin, i.partial, x.* "
        "FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_xinfo(i.name) x",
        "SELECT name, sql FROM sqlite_master WHERE type <> 'table'",
    ),
    "postgresql": (
        "SELECT table_name, ordinal_position, column_name, column_default, is_nullable, data_type, "
        "character_maximum_length, collation_name FROM information_schema.columns "
        "WHERE table_schema = current_schema()",
        "SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = current_schema()::regnamespace",
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()",
        "SELECT sequencename, data_type::text, start_value, increment_by FROM pg_sequences "
        "WHERE schemaname = current_schema()",
    ),
}
"""What a database says itself of its tables, columns in their order, constraints, indexes and counters."""


def layout(database: Database) -> dict[str, list[str]]:
    found = {sql: database.rows(sqlalchemy.text(sql)) for sql in LAYOUT[database.kind]}
    return {sql: sorted(map(repr, rows)) for sql, rows in found.items()}


def number_of_rows(database: Database) -> dict[str, int]:
    return {
        table.name: database.value(sqlalchemy.select(sqlalchemy.func.count()).select_from(table))
        for table in (*metadata.tables.values(), migrate.VERSIONS)
    }


def test_a_new_ledger_is_what_the_migrations_make_of_an_empty_database(ledger):
    database = ledger.database
    made, rows = layout(database), number_of_rows(database)
    assert len(made[LAYOUT[database.kind][0]]) > 100
    metadata.drop_all(database.connection)
    migrate.VERSIONS.drop(database.connection)
    with database.transaction():
        migrate._upgrade(database)
        draw_identity(database)
    assert layout(database) == made and number_of_rows(database) == rows
    context = MigrationContext.configure(
        database.connection, opts={"compare_server_default": True, "version_table": VERSION_TABLE}
    )
    assert compare_metadata(context, metadata) == []
    assert context.get_current_heads() == (NEWEST,)
    assert ScriptDirectory(str(migrate.SCRIPTS)).get_current_head() == NEWEST


@pytest.fixture
def later_release(tmp_path):
    scripts = shutil.copytree(migrate.SCRIPTS, tmp_path / "later 100%", ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "9999_next.py").write_text(NEXT)

    @contextlib.contextmanager
    def later() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(migrate, "SCRIPTS", scripts)
            patch.setattr(migrate, "NEWEST", "9999")
            yield

    return later


def test_a_ledger_of_an_older_release_is_brought_up_to_date_with_all_it_holds(ledger, address, later_release):
    ledger.record([scored_object()], [], 0.0)
    who = ledger.identity.ledger_id
    ledger.close()
    with later_release():
        with pytest.raises(LedgerError, match=r"older release: .*check.*save it before that by .*ledger backup"):
            Ledger(address, read_only=True)
        with Ledger(address) as again:
            assert again.outbox.last_sent(["ZTF99aaaaaaa"]) == {"ZTF99aaaaaaa": annotation()}
            assert again.database.value(sqlalchemy.text("SELECT note FROM objects")) == "none"
            assert again.identity.ledger_id == who
        Ledger(address, read_only=True).close()


def test_a_ledger_of_a_newer_release_is_refused(address, later_release):
    with later_release():
        Ledger(address).close()
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=f"has schema version 9999, and this release reads up to {NEWEST}"):
            Ledger(address, read_only=read_only)


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(ledger, address, later_release):
    ledger.close()
    with later_release():
        with (migrate.SCRIPTS / "versions" / "9999_next.py").open("a") as script:
            script.write('    op.execute("SELECT FROM nowhere")\n')
        with pytest.raises(LedgerError, match="cannot open the ledger"):
            Ledger(address)
    with Ledger(address) as again:
        assert "note" not in {column["name"] for column in columns(again, "objects")}


def columns(ledger: Ledger, table: str) -> list:
    return sqlalchemy.inspect(ledger.database.connection).get_columns(table)


def test_tables_of_something_else_are_refused_and_left_alone(ledger, address):
    ledger.database.execute("CREATE TABLE somebody_elses (x INTEGER)")
    ledger.database.execute(f"DROP TABLE {VERSION_TABLE}")
    ledger.close()
    for read_only in (False, True):
        with pytest.raises(
            LedgerError, match=r"tables of something else .*name another file, or a database of its own"
        ):
            Ledger(address, read_only=read_only)


# --- files


def file_with(path: Path, sql: str) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(sql)
    return path.read_bytes()


def test_a_foreign_file_keeps_every_byte(tmp_path):
    before = file_with(tmp_path / "foreign.sqlite", "CREATE TABLE somebody_elses (x)")
    with pytest.raises(LedgerError, match="somebody_elses"):
        Ledger(tmp_path / "foreign.sqlite")
    assert (tmp_path / "foreign.sqlite").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["foreign.sqlite"]


def test_a_ledger_of_the_old_layout_is_refused_with_what_to_do(tmp_path):
    tables = ("waiting", "objects", "scores", "outbox", "drift", "verdicts")
    sql = "".join(f"CREATE TABLE {name} (object_id TEXT);" for name in tables) + "PRAGMA user_version = 5"
    before = file_with(tmp_path / "old.sqlite", sql)
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=r"layout from before the first release.*keep the file aside") as refused:
            Ledger(tmp_path / "old.sqlite", read_only=read_only)
        assert "aha-annotator verdicts" in str(refused.value)
    assert (tmp_path / "old.sqlite").read_bytes() == before


def test_what_is_no_database_or_cannot_be_opened_is_said(tmp_path):
    (tmp_path / "text.sqlite").write_text("this is no database, it is a text of some length " * 50)
    with pytest.raises(LedgerError, match=r"cannot open the ledger .*text.sqlite: file is not a database"):
        Ledger(tmp_path / "text.sqlite")
    with pytest.raises(LedgerError, match="cannot open the ledger"):
        Ledger(tmp_path / "no" / "such" / "folder.sqlite")


def test_a_file_is_safe_from_power_cuts_and_read_while_it_is_written(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        settings = {
            name: ledger.database.value(sqlalchemy.text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_the_common_reads_look_objects_up_instead_of_reading_every_row(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        plans = []

        @sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
        def explain(connection, cursor, statement, values, *context):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.append(" / ".join(row[-1] for row in cursor.fetchall()))

        try:
            ledger.outbox.classified_flags()
            ledger.outbox.anomalies_sent_since(0.0, 1.0)
            ledger.outbox.due(0.0)
            ledger.scores.histories(["ZTF99aaaaaaa"])
            ledger.calls.take("query", 1, 0.0)
            ledger.scores.between("aha-ztf-1.0", 0.0, 1.0)
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", explain)
    print("\n".join(plans))
    assert not [
        plan for plan in plans if "SCAN outbox" in plan.replace("SCAN outbox USING", "") or "SCAN scores" in plan
    ]


# --- what earlier releases kept


CURVE_OF_0003 = {
    "time_mjd": [61000.1, 61001.2, 61003.3],
    "band": ["g", "r", "g"],
    "magnitude": [18.25, 19.5, 20.125],
    "magnitude_error": [0.05, None, 0.2],
    "is_positive": [True, False, True],
    "limit_time_mjd": [60990.5],
    "limit_band": ["i"],
    "limit_magnitude": [20.5],
}


def snapshots_of_0003(ledger: Ledger) -> None:
    """Make a ledger what it was before light curves were in flux, with objects that were kept, some of them damaged."""
    whole = {**json.loads(transient_json(Transient("ZTF99aaaaaaa", "ztf"))), "light_curve": CURVE_OF_0003}
    kept = {
        "ZTF99aaaaaaa": json.dumps(whole),
        "ZTF99aaaaaab": transient_json(Transient("ZTF99aaaaaab", "ztf", features={"gmag": 18.5})),
        "ZTF99aaaaaac": "damaged",
        "ZTF99aaaaaad": json.dumps(whole | {"light_curve": CURVE_OF_0003 | {"magnitude": [18.25, -1e4, 20.125]}}),
    }
    ledger.record([scored_object(name) for name in kept], [], 0.0)
    numbers = dict(ledger.database.rows(sqlalchemy.text("SELECT object_id, score_id FROM scores")))
    for name, text in kept.items():
        values = {"object_id": name, "score_id": numbers[name], "transient": text, "model_scores": "{}"}
        ledger.database.write(sqlalchemy.insert(snapshots).values(values))
    ledger.database.execute("DROP TABLE lifetimes")
    ledger.database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0003'")


def test_how_often_objects_were_scored_is_counted_when_a_ledger_is_brought_up_to_date(ledger, address):
    for name, classification in (("a", "normal"), ("a", "watch"), ("b", "normal")):
        ledger.record([scored_object(f"ZTF99aaaaaa{name}", classification=classification)], [], 0.0)
    counted = ledger.counts.lifetimes("aha-ztf-1.0")
    ledger.database.execute("DROP TABLE lifetimes")
    ledger.database.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0004'")
    ledger.close()
    with Ledger(address) as again:
        assert again.counts.lifetimes("aha-ztf-1.0") == counted


def test_light_curves_that_were_kept_in_magnitudes_are_kept_in_flux(ledger, address, caplog):
    snapshots_of_0003(ledger)
    ledger.close()
    with Ledger(address) as again:
        found = again.kept.snapshots([f"ZTF99aaaaaa{letter}" for letter in "abcd"])
    assert sorted(found) == ["ZTF99aaaaaaa", "ZTF99aaaaaab", "ZTF99aaaaaad"]
    (warned,) = (record.message for record in caplog.records if "in flux" in record.message)
    assert "no flux can be made of are missing values now, in 1 object (ZTF99aaaaaad)" in warned
    assert "stays as it was, of 1 object (ZTF99aaaaaac)" in warned
    in_part = found["ZTF99aaaaaad"][1].light_curve
    assert in_part.magnitude == pytest.approx([18.25, np.nan, 20.125], nan_ok=True)
    assert found["ZTF99aaaaaab"][1].features == {"gmag": 18.5} and found["ZTF99aaaaaab"][1].light_curve is None
    curve = found["ZTF99aaaaaaa"][1].light_curve
    assert curve.time_mjd.tolist() == CURVE_OF_0003["time_mjd"] and curve.band.tolist() == ["zg", "zr", "zg"]
    assert curve.magnitude.tolist() == CURVE_OF_0003["magnitude"]
    assert curve.is_positive.tolist() == CURVE_OF_0003["is_positive"]
    assert curve.magnitude_error == pytest.approx([0.05, np.nan, 0.2], nan_ok=True)
    assert curve.limit_band.tolist() == ["zi"] and curve.limit_magnitude.tolist() == [20.5]
    assert not curve.is_forced.any()
