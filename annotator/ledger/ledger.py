"""The ledger: one SQLite file that holds all state between passes.

It knows which objects were scored and in what state, every score ever given, what people said of objects, the outbox,
the calls of the last hour, the passes and the refused records. Scores, outgoing annotations and the source's position
are written in one transaction: after a crash at any point the next pass repeats at most what was not yet committed.
"""

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from annotator.annotation import Annotation
from annotator.decision.announcement import Anomaly
from annotator.decision.assessment import Assessment, Refusal, ScoredState, TnsEntry
from annotator.errors import LedgerError
from annotator.ledger.calls import HOUR_S, THROTTLED, WRITING
from annotator.ledger.counts import MAX_NIGHTS, NIGHT_COUNT, LifetimeCount, NightCount, add
from annotator.ledger.database import BUSY_TIMEOUT_S
from annotator.ledger.evidence import read_evidence, stamps_bytes, transient_json
from annotator.ledger.kept_objects import MAX_EVIDENCE, MAX_WAITING
from annotator.ledger.outbox import ClassifiedFlag
from annotator.ledger.pass_log import PassRecord
from annotator.ledger.scores import SCORED_BETWEEN, NightScore, _scored, night_score
from annotator.ledger.verdicts import KeptVerdict, _said, _verdict
from annotator.nights import night_of, start_of
from annotator.reasons import reason
from annotator.reasons.reason import Reasons
from annotator.transient import Transient
from annotator.verdicts import Verdict, latest

MAX_REFUSED = 10_000
"""Refused records that are kept, the newest."""
MAX_REFUSED_TEXT = 2000
"""Characters of a refused record that are kept for inspection."""

_MIGRATIONS = (
    """
CREATE TABLE waiting (object_id TEXT PRIMARY KEY, record TEXT NOT NULL, since REAL NOT NULL);
CREATE TABLE objects (
    object_id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    model_set TEXT NOT NULL,
    last_mjd REAL,
    first_flagged_mjd REAL
);
CREATE TABLE scores (
    score_id INTEGER PRIMARY KEY,
    object_id TEXT NOT NULL,
    scored_at REAL NOT NULL,
    last_mjd REAL,
    n_det INTEGER,
    model_set TEXT NOT NULL,
    classification TEXT NOT NULL,
    score REAL NOT NULL,
    modalities TEXT NOT NULL
);
CREATE INDEX scores_of_object ON scores (object_id, score_id);
CREATE TABLE outbox (
    object_id TEXT PRIMARY KEY,
    annotation TEXT NOT NULL,
    score REAL NOT NULL,
    queued_at REAL NOT NULL,
    sent_at REAL,
    verified_at REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at REAL NOT NULL DEFAULT 0,
    failure TEXT
);
CREATE INDEX outbox_waiting ON outbox (score) WHERE sent_at IS NULL;
CREATE TABLE positions (source TEXT PRIMARY KEY, position TEXT NOT NULL);
CREATE TABLE calls (called_at REAL NOT NULL, endpoint TEXT NOT NULL);
CREATE INDEX calls_by_time ON calls (called_at);
CREATE TABLE tns (object_id TEXT PRIMARY KEY, name TEXT, type TEXT, looked_up_at REAL NOT NULL);
CREATE TABLE passes (
    pass_id INTEGER PRIMARY KEY,
    started_at REAL NOT NULL,
    ended_at REAL,
    outcome TEXT,
    counts TEXT
);
CREATE TABLE refused (
    refused_id INTEGER PRIMARY KEY,
    refused_at REAL NOT NULL,
    object_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    record TEXT NOT NULL
);
""",
    "ALTER TABLE objects ADD COLUMN numbers TEXT",
    """
CREATE TABLE drift (
    night INTEGER NOT NULL,
    model_set TEXT NOT NULL,
    counts TEXT NOT NULL,
    PRIMARY KEY (night, model_set)
);
""",
    """
CREATE TABLE announced (
    object_id TEXT PRIMARY KEY,
    score REAL NOT NULL,
    modalities TEXT NOT NULL,
    model_set TEXT NOT NULL,
    score_id INTEGER NOT NULL,
    announced_at REAL NOT NULL
);
CREATE TABLE to_announce (object_id TEXT PRIMARY KEY, score_id INTEGER NOT NULL);
CREATE INDEX scores_by_time ON scores (model_set, scored_at);
CREATE INDEX outbox_anomalies ON outbox (sent_at) WHERE json_extract(annotation, '$.classification') = 'anomaly'
""",
    """
ALTER TABLE scores ADD COLUMN explanation TEXT;
ALTER TABLE scores ADD COLUMN reasons TEXT;
CREATE TABLE evidence (
    object_id TEXT PRIMARY KEY,
    score_id INTEGER NOT NULL,
    transient TEXT NOT NULL,
    stamps BLOB
);
CREATE TABLE posted (
    object_id TEXT PRIMARY KEY,
    score REAL NOT NULL,
    modalities TEXT NOT NULL,
    posted_at REAL NOT NULL
);
CREATE TABLE verdicts (
    verdict_id INTEGER PRIMARY KEY,
    object_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    person TEXT NOT NULL,
    given_at REAL NOT NULL,
    note TEXT NOT NULL,
    undone_at REAL,
    undone_by TEXT
);
CREATE INDEX verdicts_of_object ON verdicts (object_id, verdict_id)
""",
)
"""What makes each schema version out of the one before; a ledger is brought to the newest when it is opened."""


class Ledger:
    """The open ledger of one annotator.

    Parameters
    ----------
    path
        The SQLite file; made where it does not exist. ":memory:" holds nothing after it is closed.
    busy_timeout_s
        How long to wait for another writer before it is an error.

    Raises
    ------
    LedgerError
        If the file is no ledger, or one of a newer release.
    """

    def __init__(self, path: Path | str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        try:
            self._db = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except sqlite3.Error as error:
            raise LedgerError(f"cannot open the ledger {path}: {error}") from error

    def _prepare(self) -> None:
        if self._execute("PRAGMA user_version").fetchone()[0] == len(_MIGRATIONS):
            return  # the usual case needs no lock
        with self._transaction():
            version = self._execute("PRAGMA user_version").fetchone()[0]
            tables = self._execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version > len(_MIGRATIONS) or (version == 0 and tables):
                raise LedgerError(
                    f"the ledger {self.path} has schema version {version}, this release reads 1 to {len(_MIGRATIONS)}: "
                    "use the release that wrote it, or another file"
                )
            for migration in _MIGRATIONS[version:]:
                for statement in migration.split(";"):
                    self._execute(statement)
            self._execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._execute("BEGIN IMMEDIATE")
        try:
            yield
            self._execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._execute("ROLLBACK")
            raise

    def _execute(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger {self.path} cannot be used: {error}") from error

    def copy_in_memory(self) -> "Ledger":
        """Return a copy that forgets everything when it is closed, for a dry run."""
        copy = Ledger(":memory:")
        self._db.backup(copy._db)
        return copy

    # --- objects and scores

    def scored_states(self, object_ids: Sequence[str]) -> dict[str, ScoredState]:
        """Look up the objects that were scored before."""
        rows = self._rows_of("SELECT * FROM objects WHERE object_id IN ({})", object_ids)
        return {
            row["object_id"]: ScoredState(row["state"], row["model_set"], row["last_mjd"], row["first_flagged_mjd"])
            for row in rows
        }

    def last_annotations(self, object_ids: Sequence[str]) -> dict[str, Annotation]:
        """Look up what Lasair holds, or will hold once the outbox is empty."""
        rows = self._rows_of("SELECT object_id, annotation FROM outbox WHERE object_id IN ({})", object_ids)
        return {row["object_id"]: Annotation.from_json(row["annotation"]) for row in rows}

    def _rows_of(self, query: str, object_ids: Sequence[str]) -> list[sqlite3.Row]:
        rows: list[sqlite3.Row] = []
        for start in range(0, len(object_ids), 500):  # well under SQLite's limit on parameters
            part = object_ids[start : start + 500]
            rows += self._execute(query.format(",".join("?" * len(part))), part).fetchall()
        return rows

    def record(
        self,
        assessments: Iterable[Assessment],
        refusals: Iterable[Refusal],
        now: float,
        position: tuple[str, str] | None = None,
    ) -> None:
        """Write one batch's results, outgoing annotations and the source's new position in one transaction.

        Parameters
        ----------
        assessments, refusals
            The batch.
        now
            Seconds since 1970.
        position
            Name of the source and how far it was read.
        """
        with self._transaction():
            assessments = list(assessments)
            self._count_for_drift([item for item in assessments if any(item.bins.values())], now)
            for item in assessments:
                self._record_assessment(item, now)
            for item in refusals:
                self._execute(
                    "INSERT INTO refused (refused_at, object_id, reason, record) VALUES (?, ?, ?, ?)",
                    (now, item.object_id[:64], item.reason, item.record[:MAX_REFUSED_TEXT]),
                )
            self._execute(
                "DELETE FROM refused WHERE refused_id <= (SELECT max(refused_id) FROM refused) - ?", (MAX_REFUSED,)
            )
            self._execute(
                "DELETE FROM waiting WHERE rowid <= (SELECT max(rowid) FROM waiting) - ?", (MAX_WAITING,)
            )  # a row that is replaced gets a new rowid
            self._execute(
                "DELETE FROM evidence WHERE rowid IN"
                " (SELECT rowid FROM evidence ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
                (MAX_EVIDENCE,),
            )
            if position is not None:
                self._execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", position)

    def _record_assessment(self, item: Assessment, now: float) -> None:
        self._execute(
            "INSERT OR REPLACE INTO objects (object_id, state, model_set, last_mjd, first_flagged_mjd, numbers)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (item.object_id, item.state, item.model_set, item.last_mjd, item.first_flagged_mjd, item.numbers),
        )
        scored = self._execute(
            "INSERT INTO scores (object_id, scored_at, last_mjd, n_det, model_set, classification, score, modalities,"
            " explanation, reasons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                item.object_id,
                now,
                item.last_mjd,
                item.n_det,
                item.model_set,
                item.classification,
                item.score,
                item.modalities,
                item.explanation,
                None if item.reasons is None else reason.to_json(item.reasons),
            ),
        )
        if item.transient is not None:
            self._execute(
                "INSERT OR REPLACE INTO evidence VALUES (?, ?, ?, ?)",
                (item.object_id, scored.lastrowid, transient_json(item.transient), stamps_bytes(item.transient)),
            )
        if item.outgoing is not None:
            self._queue(item.outgoing, now)
        if item.classification == "anomaly":
            self._execute("INSERT OR REPLACE INTO to_announce VALUES (?, ?)", (item.object_id, scored.lastrowid))
        else:
            self._execute("DELETE FROM to_announce WHERE object_id = ?", (item.object_id,))
        if item.waiting_record is None:
            self._execute("DELETE FROM waiting WHERE object_id = ?", (item.object_id,))
        else:
            values = (item.object_id, item.waiting_record, now)
            self._execute("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)", values)

    def _count_for_drift(self, assessments: Sequence[Assessment], now: float) -> None:
        """Add to the night's counts, each modality of an object once a night: a busy object is no more of a sample."""
        if not assessments:
            return
        night = night_of(now)
        earlier = self._rows_of(
            "SELECT object_id, model_set, modalities FROM scores WHERE object_id IN ({})"
            f" AND scored_at >= {start_of(night)}",
            sorted({item.object_id for item in assessments}),
        )
        counted = {
            (row["object_id"], row["model_set"], modality)
            for row in earlier
            for modality in _scored(json.loads(row["modalities"]))
        }
        for model_set in {item.model_set for item in assessments}:
            counts = self.nightly_counts(model_set).get(night, {})
            for item in assessments:
                for modality, bins in item.bins.items():
                    key = (item.object_id, item.model_set, modality)
                    if item.model_set == model_set and key not in counted:
                        counted.add(key)
                        add(counts, bins)
            self._execute("INSERT OR REPLACE INTO drift VALUES (?, ?, ?)", (night, model_set, json.dumps(counts)))
        self._execute("DELETE FROM drift WHERE night <= ?", (night - MAX_NIGHTS,))

    def nightly_counts(self, model_set: str) -> dict[int, dict[str, list[int]]]:
        """Return how many objects were in each bin, by night, then by the name of what is watched for drift.

        Bins after the last that had an object are left out.
        """
        rows = self._execute("SELECT night, counts FROM drift WHERE model_set = ?", (model_set,))
        return {row["night"]: json.loads(row["counts"]) for row in rows}

    def position(self, source: str) -> str | None:
        """Return how far a source was read, None if never."""
        row = self._execute("SELECT position FROM positions WHERE source = ?", (source,)).fetchone()
        return row["position"] if row else None

    def score_history(self, object_id: str) -> list[Mapping[str, object]]:
        """Return every score an object was ever given, oldest first."""
        return self.score_histories([object_id]).get(object_id, [])

    def evidence(self, object_ids: Sequence[str]) -> dict[str, tuple[int, Transient]]:
        """Return what is kept of these objects as they were scored last, each with the number of that scoring."""
        rows = self._rows_of("SELECT * FROM evidence WHERE object_id IN ({})", object_ids)
        return {row["object_id"]: (row["score_id"], read_evidence(row["transient"], row["stamps"])) for row in rows}

    def record_reasons(self, found: Mapping[int, Reasons]) -> None:
        """Write down what carries the scores of scorings, by their number, that nobody had asked for before."""
        with self._transaction():
            for score_id, of_scoring in found.items():
                values = (reason.to_json(of_scoring), score_id)
                self._execute("UPDATE scores SET reasons = ? WHERE score_id = ?", values)

    def waiting_records(self, most: int) -> list[object]:
        """Draw records at random whose objects wait for a modality to be fetched."""
        rows = self._execute("SELECT record FROM waiting ORDER BY random() LIMIT ?", (most,)).fetchall()
        return [json.loads(row["record"]) for row in rows]

    def waiting_of(self, object_ids: Sequence[str]) -> set[str]:
        """Return those of these objects that wait for a modality to be fetched."""
        rows = self._rows_of("SELECT object_id FROM waiting WHERE object_id IN ({})", object_ids)
        return {row["object_id"] for row in rows}

    def count_waiting(self) -> int:
        """Count the objects that wait for a modality to be fetched."""
        return self._execute("SELECT count(*) FROM waiting").fetchone()[0]

    # --- outbox

    def due_annotations(self, now: float) -> Iterator[Annotation]:
        """Yield the annotations that wait and may be tried now, highest score first."""
        waiting = self._execute(
            "SELECT annotation FROM outbox WHERE sent_at IS NULL AND next_try_at <= ? ORDER BY score DESC, object_id",
            (now,),
        ).fetchall()
        return (Annotation.from_json(row["annotation"]) for row in waiting)

    def mark_sent(self, annotation: Annotation, now: float) -> None:
        """Note that Lasair acknowledged this annotation, unless a newer one has taken its place meanwhile."""
        self._execute(
            "UPDATE outbox SET sent_at = ?, failure = NULL WHERE object_id = ? AND annotation = ?",
            (now, annotation.object_id, annotation.to_json()),
        )

    def mark_failed(self, annotation: Annotation, reason: str, now: float) -> None:
        """Note why an annotation was not taken, or is not there though it was acknowledged.

        It waits again; the pause before the next try doubles, from a minute to six hours.
        """
        self._execute(
            "UPDATE outbox SET sent_at = NULL, attempts = attempts + 1, failure = ?,"
            " next_try_at = ? + min(21600.0, 60.0 * (1 << min(attempts, 10))) WHERE object_id = ? AND annotation = ?",
            (reason, now, annotation.object_id, annotation.to_json()),
        )

    def unverified_annotations(self, most: int) -> list[Annotation]:
        """Return a random sample of what Lasair acknowledged and nobody has read back."""
        rows = self._execute(
            "SELECT annotation FROM outbox WHERE sent_at IS NOT NULL AND verified_at IS NULL ORDER BY random() LIMIT ?",
            (most,),
        )
        return [Annotation.from_json(row["annotation"]) for row in rows.fetchall()]

    def mark_verified(self, annotation: Annotation, now: float) -> None:
        """Note that an annotation was read back."""
        self._execute(
            "UPDATE outbox SET verified_at = ? WHERE object_id = ? AND annotation = ?",
            (now, annotation.object_id, annotation.to_json()),
        )

    def last_failure(self) -> str:
        """Return why an annotation was not taken, of the newest one that waits for another try."""
        row = self._execute(
            "SELECT failure FROM outbox WHERE sent_at IS NULL AND failure IS NOT NULL ORDER BY next_try_at DESC LIMIT 1"
        ).fetchone()
        return row["failure"] if row else ""

    def annotations_of_version(self, version: str) -> list[Annotation]:
        """Return what Lasair holds, or will hold, of one model set."""
        rows = self._execute("SELECT annotation FROM outbox ORDER BY object_id").fetchall()
        annotations = (Annotation.from_json(row["annotation"]) for row in rows)
        return [annotation for annotation in annotations if annotation.version == version]

    def queue(self, annotations: Iterable[Annotation], now: float) -> None:
        """Put annotations into the outbox, each in the place of what was there for its object."""
        with self._transaction():
            for annotation in annotations:
                self._queue(annotation, now)

    def _queue(self, annotation: Annotation, now: float) -> None:
        self._execute(
            "INSERT OR REPLACE INTO outbox (object_id, annotation, score, queued_at) VALUES (?, ?, ?, ?)",
            (annotation.object_id, annotation.to_json(), annotation.classdict.get("score", 0.0), now),
        )
        if annotation.classification != "anomaly":
            self._execute("DELETE FROM to_announce WHERE object_id = ?", (annotation.object_id,))

    def classified_flags(self) -> list[ClassifiedFlag]:
        """Return the flags with a class in TNS that still wait, and the anomalies among those that were sent."""
        rows = self._execute(
            "SELECT annotation, type, sent_at IS NULL AS waits FROM tns CROSS JOIN outbox USING (object_id)"
            " WHERE type != '' AND (json_extract(annotation, '$.classification') = 'anomaly'"
            " OR sent_at IS NULL AND json_extract(annotation, '$.classification') = 'watch')"
        )  # a cross join looks the few with a class up in the outbox, and not the other way
        return [
            ClassifiedFlag(Annotation.from_json(row["annotation"]), row["type"], bool(row["waits"])) for row in rows
        ]

    def amend(self, changes: Iterable[tuple[Annotation, Annotation]], now: float) -> None:
        """Replace annotations: in place where they still wait, with their failures and pauses; else by a new write."""
        with self._transaction():
            for old, new in changes:
                amended = self._execute(
                    "UPDATE outbox SET annotation = ? WHERE object_id = ? AND annotation = ? AND sent_at IS NULL",
                    (new.to_json(), old.object_id, old.to_json()),
                )
                if not amended.rowcount:
                    self._queue(new, now)
                elif new.classification != "anomaly":
                    self._execute("DELETE FROM to_announce WHERE object_id = ?", (new.object_id,))

    def waiting_flags(self, most: int) -> list[str]:
        """Return the objects that are to be sent as anomalies or to be watched, highest score first."""
        rows = self._execute(
            "SELECT object_id FROM outbox WHERE sent_at IS NULL"
            " AND json_extract(annotation, '$.classification') IN ('anomaly', 'watch')"
            " ORDER BY score DESC, object_id LIMIT ?",
            (most,),
        )
        return [row["object_id"] for row in rows]

    def anomalies_sent_since(self, since: float) -> list[str]:
        """Return the objects that Lasair holds as anomalies, the newest first."""
        rows = self._execute(
            "SELECT object_id FROM outbox"
            " WHERE sent_at > ? AND json_extract(annotation, '$.classification') = 'anomaly'"
            " ORDER BY sent_at DESC, object_id",
            (since,),
        )
        return [row["object_id"] for row in rows]

    # --- what people were told

    def to_announce(self) -> list[Anomaly]:
        """Return what was scored as an anomaly, each object as it was scored last, since a report was given out."""
        rows = self._execute(
            "SELECT object_id, score, modalities, model_set, score_id FROM to_announce"
            " JOIN scores USING (object_id, score_id) ORDER BY object_id"
        )
        return [Anomaly(*row[:2], _scored(json.loads(row["modalities"])), *row[3:]) for row in rows]

    def announced(self, object_ids: Sequence[str]) -> dict[str, Anomaly]:
        """Look up what people were told last of these objects."""
        rows = self._rows_of("SELECT * FROM announced WHERE object_id IN ({})", object_ids)
        return {row["object_id"]: Anomaly(*row[:2], frozenset(row["modalities"].split()), *row[3:5]) for row in rows}

    def mark_announced(self, told: Iterable[Anomaly], unchanged: Iterable[Anomaly], now: float) -> None:
        """Note what people were told, and what was as they had been told; what was scored since is left to be told.

        A modality that they once heard of is known to them, though the next score had to do without it.
        """
        with self._transaction():
            for item in told:
                before = self.announced([item.object_id]).get(item.object_id)
                known = item.modalities | (before.modalities if before else frozenset())
                values = (item.object_id, item.score, " ".join(sorted(known)), item.model_set, item.score_id, now)
                self._execute("INSERT OR REPLACE INTO announced VALUES (?, ?, ?, ?, ?, ?)", values)
            for item in (*told, *unchanged):
                values = (item.object_id, item.score_id)
                self._execute("DELETE FROM to_announce WHERE object_id = ? AND score_id = ?", values)

    def posted(self, object_ids: Sequence[str]) -> dict[str, Anomaly]:
        """Look up these objects as they were when they were last posted in a digest."""
        rows = self._rows_of("SELECT * FROM posted WHERE object_id IN ({})", object_ids)
        return {
            row["object_id"]: Anomaly(row["object_id"], row["score"], frozenset(row["modalities"].split()), "", 0)
            for row in rows
        }

    def mark_posted(self, items: Iterable[Anomaly], now: float) -> None:
        """Note what was posted in a digest."""
        with self._transaction():
            for item in items:
                values = (item.object_id, item.score, " ".join(sorted(item.modalities)), now)
                self._execute("INSERT OR REPLACE INTO posted VALUES (?, ?, ?, ?)", values)

    def leave_unannounced(self, object_ids: Iterable[str]) -> None:
        """Take objects off the list of what is to be announced."""
        with self._transaction():
            for object_id in object_ids:
                self._execute("DELETE FROM to_announce WHERE object_id = ?", (object_id,))

    def outbox_counts(self) -> dict[str, int]:
        """Count the annotations that wait, those of them that failed before, and those that Lasair took."""
        row = self._execute(
            "SELECT total(sent_at IS NULL) AS waiting, total(sent_at IS NULL AND failure IS NOT NULL) AS failed,"
            " total(sent_at IS NOT NULL) AS sent FROM outbox"
        ).fetchone()
        return {name: int(row[name]) for name in ("waiting", "failed", "sent")}

    # --- calls

    def count_call(self, endpoint: str, now: float) -> None:
        """Note one call, before it is made: a call that is lost was still counted by Lasair."""
        with self._transaction():
            self._execute("DELETE FROM calls WHERE called_at < ?", (now - 2 * HOUR_S,))
            self._execute("INSERT INTO calls VALUES (?, ?)", (now, endpoint))

    def calls_last_hour(self, now: float) -> tuple[int, int]:
        """Count the calls of the sliding hour: those that read, and those that write."""
        query = "SELECT endpoint, count(*) AS made FROM calls WHERE called_at > ? AND endpoint != ? GROUP BY endpoint"
        made = {row["endpoint"]: row["made"] for row in self._execute(query, (now - HOUR_S, THROTTLED))}
        writes = sum(count for endpoint, count in made.items() if endpoint in WRITING)
        return sum(made.values()) - writes, writes

    def calls_last_hour_to(self, endpoint: str, now: float) -> int:
        """Count the calls of the sliding hour to one endpoint."""
        query = "SELECT count(*) FROM calls WHERE called_at > ? AND endpoint = ?"
        return self._execute(query, (now - HOUR_S, endpoint)).fetchone()[0]

    def note_throttled(self, now: float) -> None:
        """Note that Lasair refused a call for the number of them."""
        self._execute("INSERT INTO calls VALUES (?, ?)", (now, THROTTLED))

    def last_throttled(self, now: float) -> float | None:
        """Return when Lasair last refused a call for the number of them, None if not within the hour."""
        query = "SELECT max(called_at) FROM calls WHERE endpoint = ? AND called_at > ?"
        return self._execute(query, (THROTTLED, now - HOUR_S)).fetchone()[0]

    # --- names

    def without_tns_since(self, object_ids: Sequence[str], since: float) -> list[str]:
        """Return the objects that were not looked up after `since`, in their order."""
        query = "SELECT object_id, looked_up_at FROM tns WHERE object_id IN ({})"
        recent = {row["object_id"] for row in self._rows_of(query, object_ids) if row["looked_up_at"] > since}
        return [object_id for object_id in object_ids if object_id not in recent]

    def remember_tns(self, entries: Mapping[str, TnsEntry | None], now: float) -> None:
        """Keep what was found, or that nothing was."""
        with self._transaction():
            for object_id, entry in entries.items():
                values = (object_id, entry.name if entry else None, entry.type if entry else None, now)
                self._execute("INSERT OR REPLACE INTO tns VALUES (?, ?, ?, ?)", values)

    def tns(self, object_ids: Sequence[str]) -> dict[str, TnsEntry]:
        """Return the objects that have a name."""
        rows = self._rows_of("SELECT * FROM tns WHERE name IS NOT NULL AND object_id IN ({})", object_ids)
        return {row["object_id"]: TnsEntry(row["name"], row["type"]) for row in rows}

    # --- passes

    def begin_pass(self, now: float) -> int:
        """Note that a pass begins; return its number."""
        return self._execute("INSERT INTO passes (started_at) VALUES (?)", (now,)).lastrowid

    def end_pass(self, pass_id: int, outcome: str, counts: Mapping[str, int], now: float) -> None:
        """Note how a pass ended: `outcome` is "done", or what went wrong in plain words."""
        self._execute(
            "UPDATE passes SET ended_at = ?, outcome = ?, counts = ? WHERE pass_id = ?",
            (now, outcome, json.dumps(dict(counts)), pass_id),
        )

    def last_pass(self) -> PassRecord | None:
        """Return the pass that ended last, None before the first."""
        row = self._execute(
            "SELECT ended_at, outcome, counts FROM passes WHERE ended_at IS NOT NULL ORDER BY pass_id DESC LIMIT 1"
        ).fetchone()
        return PassRecord(row["ended_at"], row["outcome"], json.loads(row["counts"])) if row else None

    def passes_between(self, since: float, until: float) -> list[PassRecord]:
        """Return the passes that ended in a span of time, oldest first."""
        rows = self._execute(
            "SELECT ended_at, outcome, counts FROM passes WHERE ended_at >= ? AND ended_at < ? ORDER BY pass_id",
            (since, until),
        )
        return [PassRecord(row["ended_at"], row["outcome"], json.loads(row["counts"])) for row in rows]

    # --- a night's objects

    def last_scored(self, before: float = math.inf) -> tuple[float, str] | None:
        """Return when something was last scored, and with which model set; None where nothing was."""
        row = self._execute(
            "SELECT scored_at, model_set FROM scores WHERE scored_at < ? ORDER BY score_id DESC LIMIT 1", (before,)
        ).fetchone()
        return (row["scored_at"], row["model_set"]) if row else None

    def scored_between(self, model_set: str, since: float, until: float) -> list[NightScore]:
        """Return the last scoring of each object that one model set scored in a span of time, highest score first."""
        rows = self._execute(SCORED_BETWEEN, {"model_set": model_set, "since": since, "until": until})
        return [night_score(row) for row in rows]

    def score_histories(self, object_ids: Sequence[str]) -> dict[str, list[Mapping[str, object]]]:
        """Return every score these objects were ever given, oldest first."""
        rows = self._rows_of("SELECT * FROM scores WHERE object_id IN ({}) ORDER BY score_id", object_ids)
        histories: dict[str, list[Mapping[str, object]]] = {}
        for row in map(dict, rows):
            histories.setdefault(row["object_id"], []).append({**row, "modalities": json.loads(row["modalities"])})
        return histories

    # --- what people said

    def add_verdict(self, verdict: Verdict, in_file: Iterable[Verdict] = ()) -> int:
        """Keep a verdict; return its number.

        Who repeats what holds already, word for word, adds nothing: a form that is sent twice is one verdict. Where one
        of the configured file holds, nothing in here is repeated.
        """
        with self._transaction():
            kept = [item for item in self.verdicts_of(verdict.object_id) if item.undone_at is None]
            holds = latest([*in_file, *(item.verdict for item in kept)]).get(verdict.object_id)
            for item in kept:
                if item.verdict is holds and _said(holds) == _said(verdict):
                    return item.verdict_id
            return self._execute(
                "INSERT INTO verdicts (object_id, verdict, person, given_at, note) VALUES (?, ?, ?, ?, ?)",
                (verdict.object_id, verdict.verdict, verdict.person, verdict.when.timestamp(), verdict.note),
            ).lastrowid

    def undo_verdict(self, verdict_id: int, person: str, now: float) -> bool:
        """Take a verdict back; return whether it held until now. It stays for the record."""
        undone = self._execute(
            "UPDATE verdicts SET undone_at = ?, undone_by = ? WHERE verdict_id = ? AND undone_at IS NULL",
            (now, person, verdict_id),
        )
        return undone.rowcount > 0

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts that were not undone, oldest first; of an object, the newest holds, whoever gave it."""
        rows = self._execute("SELECT * FROM verdicts WHERE undone_at IS NULL ORDER BY given_at, verdict_id")
        return [_verdict(row) for row in rows]

    def ever_judged(self) -> list[str]:
        """Return the objects of which anything was ever said, undone or not."""
        rows = self._execute("SELECT DISTINCT object_id FROM verdicts ORDER BY object_id")
        return [row["object_id"] for row in rows]

    def verdicts_of(self, object_id: str) -> list[KeptVerdict]:
        """Return all that people said of one object, undone or not, in the order in which it was stored."""
        rows = self._execute("SELECT * FROM verdicts WHERE object_id = ? ORDER BY verdict_id", (object_id,))
        return [KeptVerdict(row["verdict_id"], _verdict(row), row["undone_at"], row["undone_by"]) for row in rows]

    # --- how often something is flagged

    def night_counts(self, model_set: str, most: int) -> list[NightCount]:
        """Count by night what one model set scored and flagged, for the newest nights with any score of it."""
        counts: list[NightCount] = []
        before = math.inf
        while len(counts) < most:
            query = "SELECT max(scored_at) FROM scores WHERE model_set = ? AND scored_at < ?"
            newest = self._execute(query, (model_set, before)).fetchone()[0]
            if newest is None:
                break
            night = night_of(newest)
            before, end = start_of(night), start_of(night + 1)
            row = self._execute(NIGHT_COUNT, (model_set, before, end)).fetchone()
            counts.append(NightCount(night, *row))
        return counts[::-1]

    def lifetime_counts(self, model_set: str) -> list[LifetimeCount]:
        """Count the objects of one model set by how often it scored them."""
        rows = self._execute(
            "SELECT times, count(*), sum(flags > 0), sum(flags) FROM (SELECT count(*) AS times,"
            " sum(classification IN ('anomaly', 'watch')) AS flags FROM scores WHERE model_set = ? GROUP BY object_id)"
            " GROUP BY times ORDER BY times",
            (model_set,),
        )
        return [LifetimeCount(*row) for row in rows]

    # --- what was refused, and how much there is

    def count_refused(self) -> int:
        """Count the refused records, those no longer kept included."""
        return self._execute("SELECT coalesce(max(refused_id), 0) FROM refused").fetchone()[0]

    def count_objects(self) -> int:
        """Count the objects that were ever scored."""
        return self._execute("SELECT count(*) FROM objects").fetchone()[0]

    def refusals(self) -> list[Refusal]:
        """Return the refused records that are kept, oldest first."""
        rows = self._execute("SELECT object_id, reason, record FROM refused ORDER BY refused_id")
        return [Refusal(*row) for row in rows]
