"""Rubin's names of a measurement's fields in the tables that models are trained on, by what they hold."""

FLUX = "psfFlux"
"""Of the difference, nJy."""
FLUX_ERROR = "psfFluxErr"
"""nJy."""
