"""What people said of objects, as the ledger keeps it."""

import datetime
import sqlite3
from dataclasses import dataclass

from annotator.verdicts import Verdict


@dataclass(frozen=True)
class KeptVerdict:
    """A verdict as the ledger keeps it: one that was undone stays for the record."""

    verdict_id: int
    verdict: Verdict
    undone_at: float | None
    """Seconds since 1970; None while it holds."""
    undone_by: str | None


def _verdict(row: sqlite3.Row) -> Verdict:
    when = datetime.datetime.fromtimestamp(row["given_at"], datetime.UTC)
    return Verdict(row["object_id"], row["verdict"], row["person"], when, row["note"])


def _said(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.person, verdict.verdict, verdict.note
