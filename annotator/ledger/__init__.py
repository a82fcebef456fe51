"""What is known between passes."""

from annotator.ledger.ledger import Ledger
from annotator.ledger.lock import pass_lock

__all__ = ["Ledger", "pass_lock"]
