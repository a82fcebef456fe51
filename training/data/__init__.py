"""Training data: tables, light curves and stamps, and how they are fetched from Lasair."""
