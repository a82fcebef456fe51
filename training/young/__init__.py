"""Young objects: how many known exotics the whole chain flags, and how many normals, day by day since discovery."""
