"""A night of real objects, as a live stream brings them: what would be flagged of it, and in which order."""
