"""The trained models, one folder a survey; read through `importlib.resources`."""
