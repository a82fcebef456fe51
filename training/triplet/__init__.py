"""The triplet's model: science, template and difference cutouts of the brightest epoch."""
