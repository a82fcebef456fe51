"""What carries a score, and the sentence that says it."""
