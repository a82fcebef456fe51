"""Keep what it takes to lose nothing: who the ledger is, gaps in streams, states of annotations, pauses, refusals."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

OBJECT_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str) -> sa.Column:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column:
    return sa.Column(name, sa.Double)


def upgrade() -> None:
    """Add tables, and columns that are empty where nothing was known."""
    op.create_table("identity", sa.Column("name", sa.Text, primary_key=True), _text("value"))
    op.create_table(
        "gaps",
        sa.Column("gap_id", NUMBER, primary_key=True),
        sa.Column("found_at", sa.Double, nullable=False),
        _text("source"),
        sa.Column("missed", sa.BigInteger),
        _text("reason"),
    )
    op.create_table(
        "breakers",
        sa.Column("endpoint", sa.Text, primary_key=True),
        sa.Column("opened_at", sa.Double, nullable=False),
        sa.Column("paused_until", sa.Double, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        _text("cause"),
    )
    op.create_table(
        "sweeps",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("night", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("begun_at", sa.Double, nullable=False),
        _number("ended_at"),
        _text("after"),
        _text("counts"),
    )
    op.create_table(
        "strangers",
        sa.Column("object_id", OBJECT_ID, primary_key=True),
        _text("annotation"),
        sa.Column("found_at", sa.Double, nullable=False),
    )
    for column in (_number("asked_at"), sa.Column("under_way", sa.Text), _number("held_since"), _number("visible_at")):
        op.add_column("outbox", column)
    where = sa.text("sent_at IS NOT NULL AND verified_at IS NULL")
    op.create_index("outbox_unverified", "outbox", ["score"], sqlite_where=where, postgresql_where=where)
    op.add_column("waiting", sa.Column("refused_nights", sa.Integer, nullable=False, server_default="0"))
    op.add_column("waiting", sa.Column("refused_night", sa.Integer))
    op.add_column("refused", sa.Column("part", sa.Text, nullable=False, server_default="record"))
    op.add_column("refused", sa.Column("kind", sa.Text, nullable=False, server_default="RecordError"))
    op.add_column("refused", _number("scored_at"))
    op.add_column("passes", sa.Column("scored", sa.Integer))
    op.add_column("passes", sa.Column("news", sa.Integer))
    op.create_index("passes_by_time", "passes", ["ended_at", "news"])
