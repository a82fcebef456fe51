"""The ranked night: its data, its pages, its tables, its digest, and the server that takes verdicts on it."""
