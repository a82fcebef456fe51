"""What a pass does for the ledger once a night."""

from annotator.ledger import Ledger
from annotator.ledger.care import faults


def look_after(ledger: Ledger, night: int) -> list[str]:
    """Look through the ledger's file for damage, unless this night's passes have; return what a person must know."""
    if ledger.identity.was_looked_at_in(night):
        return []
    if found := faults(ledger, quick=True):
        return [
            f"the ledger {ledger.address} is damaged ({found[0][:300]}): restore a backup (`aha-annotator ledger "
            "restore`), or make it anew of what Lasair holds (`aha-annotator rebuild`)"
        ]
    ledger.identity.note_looked_at(night)
    return []
