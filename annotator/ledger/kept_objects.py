"""Objects that are kept for later: as they were scored, and as records that wait for a call."""

import json
from collections.abc import Sequence

from annotator.decision.assessment import Assessment
from annotator.ledger.database import Database
from annotator.ledger.evidence import (
    model_scores_json,
    read_evidence,
    read_model_scores,
    stamps_bytes,
    transient_json,
)
from annotator.models import ModalityScore
from annotator.transient import Transient

MAX_WAITING = 20_000
"""Records that wait for a call, the newest."""
MAX_EVIDENCE = 5000
"""Objects of which what was scored is kept, the last scored: a quarter of a gigabyte where all have stamps."""


class KeptObjects:
    """What was scored, kept for the page, and records that wait for a call."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, item: Assessment, score_id: int, now: float) -> None:
        """Keep what was scored, and the record where a modality is still to be fetched."""
        if item.transient is not None:
            self._database.execute(
                "INSERT OR REPLACE INTO evidence VALUES (?, ?, ?, ?, ?)",
                (
                    item.object_id,
                    score_id,
                    transient_json(item.transient),
                    stamps_bytes(item.transient),
                    model_scores_json(item.model_scores),
                ),
            )
        if item.waiting_record is None:
            self._database.execute("DELETE FROM waiting WHERE object_id = ?", (item.object_id,))
        else:
            values = (item.object_id, json.dumps(item.waiting_record, default=str), now)
            self._database.execute("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?)", values)

    def trim(self) -> None:
        """Forget the oldest beyond what is kept."""
        self._database.execute(
            "DELETE FROM waiting WHERE rowid <= (SELECT max(rowid) FROM waiting) - ?", (MAX_WAITING,)
        )  # a row that is replaced gets a new rowid
        self._database.execute(
            "DELETE FROM evidence WHERE rowid IN (SELECT rowid FROM evidence ORDER BY rowid DESC LIMIT -1 OFFSET ?)",
            (MAX_EVIDENCE,),
        )

    def snapshots(self, object_ids: Sequence[str]) -> dict[str, tuple[int, Transient]]:
        """Return what is kept of these objects as they were scored last, each with the number of that scoring."""
        rows = self._database.rows_of("SELECT * FROM evidence WHERE object_id IN ({})", object_ids)
        return {row["object_id"]: (row["score_id"], read_evidence(row["transient"], row["stamps"])) for row in rows}

    def model_scores(self, object_ids: Sequence[str]) -> dict[str, dict[str, ModalityScore]]:
        """Return what the models said of these objects when they were scored last, by modality."""
        rows = self._database.rows_of(
            "SELECT object_id, model_scores FROM evidence WHERE object_id IN ({})", object_ids
        )
        return {row["object_id"]: read_model_scores(row["model_scores"] or "{}") for row in rows}

    def without_reasons(self, model_set: str, most: int) -> list[str]:
        """Return the kept objects that one model set scored and whose reasons nobody found yet, highest score first."""
        rows = self._database.execute(
            "SELECT evidence.object_id FROM evidence JOIN scores USING (score_id)"
            " WHERE reasons IS NULL AND model_set = ? ORDER BY score DESC, evidence.object_id LIMIT ?",
            (model_set, most),
        )
        return [row["object_id"] for row in rows]

    def waiting_records(self, most: int) -> list[object]:
        """Draw records at random whose objects wait for a modality to be fetched."""
        rows = self._database.execute("SELECT record FROM waiting ORDER BY random() LIMIT ?", (most,)).fetchall()
        return [json.loads(row["record"]) for row in rows]

    def waiting_of(self, object_ids: Sequence[str]) -> set[str]:
        """Return those of these objects that wait for a modality to be fetched."""
        rows = self._database.rows_of("SELECT object_id FROM waiting WHERE object_id IN ({})", object_ids)
        return {row["object_id"] for row in rows}

    def count_waiting(self) -> int:
        """Count the objects that wait for a modality to be fetched."""
        return self._database.execute("SELECT count(*) FROM waiting").fetchone()[0]
