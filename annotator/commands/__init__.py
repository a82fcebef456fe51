"""What the command `aha-annotator` can be told to do, one file for each group of commands."""
