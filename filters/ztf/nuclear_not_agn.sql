-- Nuclear and not AGN: unusual, within one arcsecond of a host's centre, and no AGN that Sherlock knows; strangest first.
-- For tidal disruption events and whatever else happens in nuclei. An AGN that no catalogue has yet comes through:
-- look whether it varied before. Separation 0 is Lasair's "no host", not a centre, and is left out.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.classification AS aha_class, aha_ztf.explanation,
objects.gmag, objects.rmag, objects.g_minus_r, objects.ncand,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
sherlock_classifications.distance,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
aha_ztf.classification IN ("anomaly", "watch")
AND sherlock_classifications.classification IN ("SN", "NT", "UNCLEAR")
AND sherlock_classifications.separationArcsec > 0
AND sherlock_classifications.separationArcsec < 1
AND objects.jdmax > jdnow() - 14
ORDER BY score DESC
