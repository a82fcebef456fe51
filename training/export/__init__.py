"""From a trained network to what ships: graph, manifest, and the gate between."""
