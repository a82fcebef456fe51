"""The one report of all models, by kept out-of-fold values."""
