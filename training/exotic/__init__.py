"""The head that learns from known exotics and from people's verdicts."""
