"""The head that tells bogus detections."""
