"""What is known between passes: one folder because each owner of a part of it has its file beside the others."""

from annotator.ledger.ledger import Ledger, open_for_pass, open_known, open_or_begin, open_to_read
from annotator.ledger.store.database import MEMORY
from annotator.ledger.store.identity import forget_known

__all__ = ["MEMORY", "Ledger", "forget_known", "open_for_pass", "open_known", "open_or_begin", "open_to_read"]
