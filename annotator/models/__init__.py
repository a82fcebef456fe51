"""The models: manifests, sessions, inputs, calibration, heads, known objects; scores."""
