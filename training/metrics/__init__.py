"""How good a ranking or a calibration is: one implementation for all models."""
