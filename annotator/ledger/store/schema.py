"""The tables of a ledger, as the newest migration leaves them.

Times are seconds since 1970 (``_at``) or MJD (``_mjd``). Ids of objects are text, since those of Rubin have up to 19
digits. JSON is kept as text: what comes back is what was written, to the bit, on either database.

Other programs read `scores`, `objects`, `outbox`, `verdicts` and `tns`: names of these, and of their columns, stay.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
)

NEWEST = "0005"
"""The migration that a ledger of this release is at."""
VERSION_TABLE = "ledger_version"


class OutsideText(TypeDecorator[str]):
    """Text that came from outside: what PostgreSQL or UTF-8 has no place for is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace NUL and halves of surrogate pairs."""
        return (
            None
            if value is None
            else value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
        )

    def process_result_value(self, value: str | bytes | None, dialect: Dialect) -> str | None:
        """Read bytes, which SQLite lets people write, as text."""
        return value.decode(errors="replace") if isinstance(value, bytes) else value


LEAST_NUMBER, MOST_NUMBER = -1e10, 1e11
"""Between these is every number that a ledger holds: moments of the years 1654 to 5138, MJDs, scores and counts."""


class _Number(TypeDecorator[float]):
    """A number; what is none, which SQLite lets people write, is read as nothing, or as 0 where there must be one.

    So a wrong edit costs what was edited, and never the pass.
    """

    cache_ok = True

    def __init__(self, nothing: int | None) -> None:
        super().__init__()
        self.nothing = nothing

    def process_result_value(self, value: object, dialect: Dialect) -> float | None:
        """Read what is there."""
        is_number = isinstance(value, int | float) and LEAST_NUMBER < value < MOST_NUMBER
        return value if is_number or value is None else self.nothing


class Real(_Number):
    """A real number."""

    impl = Double
    cache_ok = True


class Whole(_Number):
    """A whole number."""

    impl = Integer
    cache_ok = True


_REAL, _REAL_OR_NOTHING = Real(0), Real(None)
_WHOLE, _WHOLE_OR_NOTHING = Whole(0), Whole(None)
# Sorted by code point, as SQLite and Python do: a server may be set up to sort as some language does.
_ID = Text().with_variant(Text(collation="C"), "postgresql")
# Of SQLite only "INTEGER PRIMARY KEY" numbers its rows.
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

objects = Table(
    "objects",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("state", Text, nullable=False),
    Column("model_set", Text, nullable=False),
    Column("last_mjd", _REAL_OR_NOTHING),
    Column("first_flagged_mjd", _REAL_OR_NOTHING),
    Column("numbers", Text),
)
"""Every object as it was scored last: digest of what it was scored on, and the numbers that heads learn from (JSON)."""

scores = Table(
    "scores",
    metadata,
    Column("score_id", _NUMBER, primary_key=True, autoincrement=False),
    Column("object_id", _ID, ForeignKey("objects.object_id"), nullable=False),
    Column("scored_at", _REAL, nullable=False),
    Column("last_mjd", _REAL_OR_NOTHING),
    Column("n_det", _WHOLE_OR_NOTHING),
    Column("model_set", Text, nullable=False),
    Column("classification", Text, nullable=False),
    Column("score", _REAL, nullable=False),
    Column("modalities", Text, nullable=False),
    Column("explanation", Text, nullable=False),
    Column("reasons", Text),
    Index("scores_of_object", "object_id", "score_id", "scored_at", "model_set", "classification"),
    Index("scores_by_time", "model_set", "scored_at", "classification", "object_id"),
)
"""Every score that is kept (:mod:`annotator.ledger.retention`).

Modalities and reasons are JSON; reasons are null where nobody asked for them yet, or they are forgotten.
"""

lifetimes = Table(
    "lifetimes",
    metadata,
    Column("model_set", Text, primary_key=True),
    Column("object_id", _ID, primary_key=True),
    Column("times", _WHOLE, nullable=False),
    Column("flags", _WHOLE, nullable=False),
    sqlite_with_rowid=False,
)
"""How often each model set that is in use scored each object, and flagged it, forgotten scores included."""

snapshots = Table(
    "snapshots",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("score_id", _NUMBER, ForeignKey("scores.score_id"), nullable=False, unique=True),
    Column("transient", Text, nullable=False),
    Column("stamps", LargeBinary),
    Column("model_scores", Text, nullable=False),
)
"""What was scored and what the models said, of the objects that were scored last (:mod:`annotator.ledger.snapshot`)."""

waiting = Table(
    "waiting",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("score_id", _NUMBER, ForeignKey("scores.score_id"), nullable=False, unique=True),
    Column("record", Text, nullable=False),
    Column("since", _REAL, nullable=False),
    Column("refused_nights", _WHOLE, nullable=False, server_default="0"),
    Column("refused_night", _WHOLE_OR_NOTHING),
)
"""Records (JSON) that wait for a modality to be fetched, with the scoring that had to do without.

On so many nights, the last of them `refused_night`, Lasair said that there is none.
"""

positions = Table(
    "positions",
    metadata,
    Column("source", Text, primary_key=True),
    Column("position", Text, nullable=False),
)
"""How far each source was read."""

identity = Table(
    "identity",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Who this ledger is: `ledger`, drawn when it was made; `fence`, the number of the pass that may write."""

gaps = Table(
    "gaps",
    metadata,
    Column("gap_id", _NUMBER, primary_key=True),
    Column("found_at", _REAL, nullable=False),
    Column("source", OutsideText, nullable=False),
    Column("missed", BigInteger),
    Column("reason", OutsideText, nullable=False),
)
"""Messages of a stream that nobody can read any longer, the newest; `missed` is null where nobody knows how many."""

breakers = Table(
    "breakers",
    metadata,
    Column("endpoint", Text, primary_key=True),
    Column("opened_at", _REAL, nullable=False),
    Column("paused_until", _REAL, nullable=False),
    Column("times", _WHOLE, nullable=False),
    Column("cause", OutsideText, nullable=False),
)
"""Endpoints that are left alone for a while since they answered nothing of use, several times in a row."""

refused = Table(
    "refused",
    metadata,
    Column("refused_id", _NUMBER, primary_key=True, autoincrement=False),
    Column("refused_at", _REAL, nullable=False),
    Column("object_id", OutsideText, nullable=False),
    Column("reason", OutsideText, nullable=False),
    Column("record", OutsideText, nullable=False),
    Column("part", Text, nullable=False, server_default="record"),
    Column("kind", Text, nullable=False, server_default="RecordError"),
    Column("scored_at", _REAL_OR_NOTHING),
)
"""Records that could not be used, or parts of them; their numbers have no gaps, so that the highest says how many there
ever were."""

night_counts = Table(
    "night_counts",
    metadata,
    Column("night", Integer, primary_key=True, autoincrement=False),
    Column("model_set", Text, primary_key=True),
    Column("counts", Text, nullable=False),
)
"""How many objects of a night were in each bin of what is watched for drift (JSON)."""

stream_scores = Table(
    "stream_scores",
    metadata,
    Column("night", Integer, primary_key=True, autoincrement=False),
    Column("object_id", _ID, primary_key=True),
    Column("model_set", Text, nullable=False),
    Column("sampling", Text, nullable=False),
    Column("is_candidate", _WHOLE, nullable=False),
    Column("score", _REAL, nullable=False),
    Column("features", _REAL_OR_NOTHING),
    Column("lightcurve", _REAL_OR_NOTHING),
    Column("triplet", _REAL_OR_NOTHING),
    Column("exotic", _REAL_OR_NOTHING),
)
"""Each object once a night, as it was scored last in it: what a stream's own scale is made of."""

night_thresholds = Table(
    "night_thresholds",
    metadata,
    Column("night", Integer, primary_key=True, autoincrement=False),
    Column("model_set", Text, primary_key=True),
    Column("anomaly_score", _REAL, nullable=False),
    Column("watch_score", _REAL, nullable=False),
    Column("exotic", _REAL_OR_NOTHING),
    Column("n_objects", _WHOLE, nullable=False),
    Column("n_nights", _WHOLE, nullable=False),
)
"""What made a flag in a night with a budget, fixed at its start."""

outbox = Table(
    "outbox",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("annotation", Text, nullable=False),
    Column("classification", Text, nullable=False),
    Column("score", _REAL, nullable=False),
    Column("queued_at", _REAL, nullable=False),
    Column("sent_at", _REAL_OR_NOTHING),
    Column("verified_at", _REAL_OR_NOTHING),
    Column("attempts", _WHOLE, nullable=False, server_default="0"),
    Column("next_try_at", _REAL, nullable=False, server_default="0"),
    Column("failure", OutsideText),
    Column("asked_at", _REAL_OR_NOTHING),
    Column("under_way", Text),
    Column("held_since", _REAL_OR_NOTHING),
    Column("visible_at", _REAL_OR_NOTHING),
)
"""The newest annotation of each object (JSON), sent or to be sent.

`asked_at`: when a write of the object began that may still change what Lasair holds, and `under_way` what it writes
(JSON) where a newer annotation has taken its place here; `held_since`: since when it has waited for Lasair's main
database to have the object; `sent_at`: when it was acknowledged; `verified_at`: when it was read back as it was
written; `visible_at`: when a query first showed that the main database has the object.
"""
Index(
    "outbox_waiting",
    outbox.c.score,
    sqlite_where=outbox.c.sent_at.is_(None),
    postgresql_where=outbox.c.sent_at.is_(None),
)
Index(
    "outbox_unverified",
    outbox.c.score,
    sqlite_where=outbox.c.sent_at.is_not(None) & outbox.c.verified_at.is_(None),
    postgresql_where=outbox.c.sent_at.is_not(None) & outbox.c.verified_at.is_(None),
)
Index(
    "outbox_anomalies",
    outbox.c.sent_at,
    sqlite_where=outbox.c.classification == "anomaly",
    postgresql_where=outbox.c.classification == "anomaly",
)

to_announce = Table(
    "to_announce",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("score_id", _NUMBER, ForeignKey("scores.score_id"), nullable=False),
)
"""Anomalies that no report has named since they were scored."""

announced = Table(
    "announced",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("score", _REAL, nullable=False),
    Column("modalities", Text, nullable=False),
    Column("model_set", Text, nullable=False),
    Column("score_id", _NUMBER, nullable=False),
    Column("announced_at", _REAL, nullable=False),
)
"""Anomalies as a report named them last; modalities are names with blanks between."""

posted = Table(
    "posted",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("score", _REAL, nullable=False),
    Column("modalities", Text, nullable=False),
    Column("posted_at", _REAL, nullable=False),
)
"""Objects as a digest posted them last."""

calls = Table(
    "calls",
    metadata,
    Column("called_at", _REAL, nullable=False),
    Column("endpoint", Text, nullable=False),
    Index("calls_by_time", "called_at"),
)
"""Calls to Lasair, and its refusals for their number."""

verdicts = Table(
    "verdicts",
    metadata,
    Column("verdict_id", _NUMBER, primary_key=True),
    Column("object_id", _ID, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("given_at", _REAL, nullable=False),
    Column("note", Text, nullable=False),
    Column("undone_at", _REAL_OR_NOTHING),
    Column("undone_by", Text),
    Index("verdicts_of_object", "object_id", "verdict_id"),
)
"""What people said of objects; what was undone stays."""

sweeps = Table(
    "sweeps",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("night", Integer, primary_key=True, autoincrement=False),
    Column("begun_at", _REAL, nullable=False),
    Column("ended_at", _REAL_OR_NOTHING),
    Column("after", Text, nullable=False),
    Column("counts", Text, nullable=False),
)
"""Comparisons of all that Lasair holds of a topic with the outbox: up to which object, and what was found (JSON)."""

strangers = Table(
    "strangers",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("annotation", OutsideText, nullable=False),
    Column("found_at", _REAL, nullable=False),
)
"""Annotations (JSON) of our topic that Lasair holds and the last sweep did not find in the outbox."""

tns = Table(
    "tns",
    metadata,
    Column("object_id", _ID, primary_key=True),
    Column("name", OutsideText),
    Column("type", OutsideText),
    Column("looked_up_at", _REAL, nullable=False),
)
"""What the Transient Name Server said of objects; name and type are null where it knows none."""

passes = Table(
    "passes",
    metadata,
    Column("pass_id", _NUMBER, primary_key=True),
    Column("started_at", _REAL, nullable=False),
    Column("ended_at", _REAL_OR_NOTHING),
    Column("outcome", OutsideText),
    Column("counts", Text),
    Column("scored", _WHOLE_OR_NOTHING),
    Column("news", _WHOLE_OR_NOTHING),
    Index("passes_by_time", "ended_at", "news"),
)
"""Passes and how they ended; of the counts (JSON), two that are looked for among many passes: the scorings, and the
records that say something new of the source, null where it was not read to its end."""
