"""Alembic's environment: it works on the connection, and in the transaction, of who opens the ledger."""

from alembic import context

from annotator.ledger.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSION_TABLE
)
context.run_migrations()
