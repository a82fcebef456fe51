"""Keep what a stream's own scale is made of, and the thresholds of nights with a budget."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

OBJECT_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _needed(name: str, kind: type = sa.Double) -> sa.Column:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    """Add two tables, which fill with the nights that come."""
    op.create_table(
        "stream_scores",
        sa.Column("night", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("object_id", OBJECT_ID, primary_key=True),
        _needed("model_set", sa.Text),
        _needed("sampling", sa.Text),
        _needed("is_candidate", sa.Integer),
        _needed("score"),
        *(sa.Column(name, sa.Double) for name in ("features", "lightcurve", "triplet", "exotic")),
    )
    op.create_table(
        "night_thresholds",
        sa.Column("night", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("model_set", sa.Text, primary_key=True),
        _needed("anomaly_score"),
        _needed("watch_score"),
        sa.Column("exotic", sa.Double),
        _needed("n_objects", sa.Integer),
        _needed("n_nights", sa.Integer),
    )
