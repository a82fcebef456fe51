"""Objects that are kept for later: as they were scored, and as records that wait for a call."""

MAX_WAITING = 20_000
"""Records that wait for a call, the newest."""
MAX_EVIDENCE = 5000
"""Objects of which what was scored is kept, the last scored: a quarter of a gigabyte where all have stamps."""
