"""How Lasair for Rubin answers: its tables, its four shapes of an object, its queue of annotations, its streams."""
