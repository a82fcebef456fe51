"""What makes each schema version of the one before, run by Alembic when a ledger is opened."""
