"""The light-curve model of a survey of six bands: course and colour about the peak, provisional for LSST."""
