"""The order of attention: its weights, fitted to simulated nights with truth and to a databank."""
