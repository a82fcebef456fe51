"""One pass, and the steps it is made of."""
