"""The order of attention: its weights, fitted on simulated nights of which the truth is known."""
