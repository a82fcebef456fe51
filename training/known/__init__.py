"""The index of known objects, by the models' latents."""
