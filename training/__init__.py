"""Runs when someone retrains: from a labelled table to the models that `annotator` serves."""
