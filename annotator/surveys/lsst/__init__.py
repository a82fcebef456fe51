"""Rubin's LSST, as Lasair serves it: the only place that knows its field names."""
