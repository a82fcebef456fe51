"""What is there: simulated transients, hosts and cutouts, as a survey would see them."""
