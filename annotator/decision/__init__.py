"""Decisions: what has changed, what the scores mean, what is sent, what is announced. Values in, values out."""
