"""How models do on typed objects of the survey itself, which they were not trained on."""
