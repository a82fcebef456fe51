"""The ranked night as a folder of pages that open from disk."""
