"""How the ledger is stored: its database and tables, their migrations, whose it is, and who may write to it."""
