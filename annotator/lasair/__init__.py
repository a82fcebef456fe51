"""Lasair's outside: its API, the budget of calls, the filters' files, and the cutouts."""
