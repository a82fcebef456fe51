"""Where records come from. Each source yields batches of records with a position."""
