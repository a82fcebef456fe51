"""The object features' model: Lasair's columns."""
