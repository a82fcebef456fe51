"""What one of many fails at, told apart from what all of them fail at.

Whoever goes through many records, views, answers or pages refuses the one that fails, by name, and goes on. A fault
that is not theirs (the ledger's, the disk's, a bug, a damaged model) must not refuse them all: nobody reads on with
what was refused.
"""

import errno
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from annotator.errors import GeneralFaultError, LedgerError, LedgerValueError

MIN_ALIKE = 10
"""Fewer failures are never taken for a general fault: a quiet stream's batch may be one bad record."""
MOSTLY = 0.9
"""The share of those that were tried which must have failed alike in a general fault."""
MAX_REASON = 500
"""Characters of a reason that are kept."""

_OF_THE_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
)


@dataclass(frozen=True)
class Failure:
    """Why one of many failed."""

    kind: str
    """Name of the exception's class."""
    reason: str
    """What it said, in characters that can be printed anywhere."""

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"


def failure_of(error: Exception) -> Failure:
    """Return why one of many failed; raise the exception again where the fault is not of that one.

    Not theirs are what the ledger complains of, a full or broken disk, and what was found to be a general fault before.
    """
    if isinstance(error, LedgerError | GeneralFaultError) and not isinstance(error, LedgerValueError):
        raise error
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        raise error
    kind = type(error).__name__
    return Failure(kind, printable(str(error))[:MAX_REASON] or kind)


def printable(text: str) -> str:
    """Escape what cannot be written as UTF-8: halves of surrogate pairs."""
    return text.encode(errors="backslashreplace").decode()


def require_own_faults(failures: Iterable[Failure], tried: int, what: str) -> None:
    """Refuse to take for faults of the single ones what nearly all of those that were tried failed at.

    Parameters
    ----------
    failures
        Why those that failed did.
    tried
        How many were tried.
    what
        What they are, such as "records".

    Raises
    ------
    GeneralFaultError
        If at least :data:`MIN_ALIKE`, and :data:`MOSTLY` of all, failed with one kind of exception.
    """
    failures = list(failures)
    for kind, count in Counter(failure.kind for failure in failures).most_common(1):
        if count >= max(MIN_ALIKE, MOSTLY * tried):
            reason = next(failure.reason for failure in failures if failure.kind == kind)
            raise GeneralFaultError(
                f"{count} of {tried} {what} failed alike, so that the fault is hardly theirs ({kind}: {reason}); none "
                f"of them was refused, and they are tried again"
            )
