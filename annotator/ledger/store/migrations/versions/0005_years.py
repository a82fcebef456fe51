"""Count how often each object was scored and flagged, so that old scores can be forgotten; index all that is asked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

OBJECT_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table, fill it from the scores, all of which are still there, and make anew the indexes."""
    op.create_table(
        "lifetimes",
        sa.Column("model_set", sa.Text, primary_key=True),
        sa.Column("object_id", OBJECT_ID, primary_key=True),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("flags", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO lifetimes (model_set, object_id, times, flags) SELECT model_set, object_id, COUNT(*), "
        "SUM(CASE WHEN classification IN ('anomaly', 'watch') THEN 1 ELSE 0 END) FROM scores "
        "GROUP BY model_set, object_id"
    )
    op.drop_index("scores_of_object", "scores")
    op.create_index("scores_of_object", "scores", ["object_id", "score_id", "scored_at", "model_set", "classification"])
    op.drop_index("scores_by_time", "scores")
    op.create_index("scores_by_time", "scores", ["model_set", "scored_at", "classification", "object_id"])
