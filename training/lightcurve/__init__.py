"""The light curve's model: g and r about the peak."""
