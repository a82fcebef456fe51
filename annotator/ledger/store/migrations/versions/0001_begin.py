"""Begin: the tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

OBJECT_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, each before those that point to it."""
    _make_scores()
    _make_what_is_kept_of_records()
    _make_outbox()
    _make_announcements()
    _make_the_rest()


def _object_id(**options: object) -> sa.Column:
    return sa.Column("object_id", OBJECT_ID, **{"primary_key": True, **options})


def _text(name: str, is_required: bool = True) -> sa.Column:
    return sa.Column(name, sa.Text, nullable=not is_required)


def _number(name: str, is_required: bool = False) -> sa.Column:
    return sa.Column(name, sa.Double, nullable=not is_required)


def _score_id(unique: bool = False) -> sa.Column:
    return sa.Column("score_id", NUMBER, sa.ForeignKey("scores.score_id"), nullable=False, unique=unique)


def _make_scores() -> None:
    op.create_table(
        "objects",
        _object_id(),
        _text("state"),
        _text("model_set"),
        _number("last_mjd"),
        _number("first_flagged_mjd"),
        _text("numbers", False),
    )
    op.create_table(
        "scores",
        sa.Column("score_id", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("object_id", OBJECT_ID, sa.ForeignKey("objects.object_id"), nullable=False),
        _number("scored_at", True),
        _number("last_mjd"),
        sa.Column("n_det", sa.Integer),
        _text("model_set"),
        _text("classification"),
        _number("score", True),
        _text("modalities"),
        _text("explanation"),
        _text("reasons", False),
    )
    op.create_index("scores_of_object", "scores", ["object_id", "score_id"])
    op.create_index("scores_by_time", "scores", ["model_set", "scored_at"])
    op.create_table(
        "night_counts",
        sa.Column("night", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_set", sa.Text, primary_key=True),
        _text("counts"),
    )


def _make_what_is_kept_of_records() -> None:
    op.create_table(
        "snapshots",
        _object_id(),
        _score_id(unique=True),
        _text("transient"),
        sa.Column("stamps", sa.LargeBinary),
        _text("model_scores"),
    )
    op.create_table("waiting", _object_id(), _score_id(unique=True), _text("record"), _number("since", True))
    op.create_table("positions", sa.Column("source", sa.Text, primary_key=True), _text("position"))
    op.create_table(
        "refused",
        sa.Column("refused_id", NUMBER, primary_key=True, autoincrement=False),
        _number("refused_at", True),
        _text("object_id"),
        _text("reason"),
        _text("record"),
    )


def _make_outbox() -> None:
    op.create_table(
        "outbox",
        _object_id(),
        _text("annotation"),
        _text("classification"),
        _number("score", True),
        _number("queued_at", True),
        _number("sent_at"),
        _number("verified_at"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("next_try_at", sa.Double, nullable=False, server_default="0"),
        _text("failure", False),
    )
    for name, column, condition in (
        ("outbox_waiting", "score", "sent_at IS NULL"),
        ("outbox_anomalies", "sent_at", "classification = 'anomaly'"),
    ):
        where = sa.text(condition)
        op.create_index(name, "outbox", [column], sqlite_where=where, postgresql_where=where)


def _make_announcements() -> None:
    op.create_table("to_announce", _object_id(), _score_id())
    op.create_table(
        "announced",
        _object_id(),
        _number("score", True),
        _text("modalities"),
        _text("model_set"),
        sa.Column("score_id", NUMBER, nullable=False),
        _number("announced_at", True),
    )
    op.create_table("posted", _object_id(), _number("score", True), _text("modalities"), _number("posted_at", True))


def _make_the_rest() -> None:
    op.create_table("calls", _number("called_at", True), _text("endpoint"))
    op.create_index("calls_by_time", "calls", ["called_at"])
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", NUMBER, primary_key=True),
        _object_id(primary_key=False, nullable=False),
        _text("verdict"),
        _text("person"),
        _number("given_at", True),
        _text("note"),
        _number("undone_at"),
        _text("undone_by", False),
    )
    op.create_index("verdicts_of_object", "verdicts", ["object_id", "verdict_id"])
    op.create_table("tns", _object_id(), _text("name", False), _text("type", False), _number("looked_up_at", True))
    op.create_table(
        "passes",
        sa.Column("pass_id", NUMBER, primary_key=True),
        _number("started_at", True),
        _number("ended_at"),
        _text("outcome", False),
        _text("counts", False),
    )
