"""The one home of input transformations, shared by training and serving."""

PREPROCESS_VERSION = "2"
"""Changes whenever the same record would give other tensors; a model is served only by the version it was made for."""
