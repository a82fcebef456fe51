"""AHA for Lasair: score a filter's objects for anomaly and write annotations back.

Of modules, one folder because the nouns that all rooms share are a file each, and so is the ground they stand on.
"""

__version__ = "0.1.0"
