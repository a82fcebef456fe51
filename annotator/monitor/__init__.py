"""Whether the annotator is alive, keeps up, and still fits the stream."""
