"""What needs a person although nothing failed: a source that is silent, views that are missing, dates and clocks."""
