"""The open database of a ledger, and its transactions."""

BUSY_TIMEOUT_S = 30.0
