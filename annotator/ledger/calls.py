"""The calls of the last hour."""

HOUR_S = 3600.0
WRITING = ("annotate", "annotatelist")
"""Endpoints that write; all others read."""
THROTTLED = "429"
