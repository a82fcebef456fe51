"""Models of light-curve quantities: what of a source's colour and brightness tells, whichever survey saw them."""
