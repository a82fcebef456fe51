"""AHA for Lasair: score a filter's objects for anomaly and write annotations back."""

__version__ = "0.1.0"
