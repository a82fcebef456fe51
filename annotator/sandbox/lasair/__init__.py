"""How Lasair answers: its REST API, its SQL, its faults."""
