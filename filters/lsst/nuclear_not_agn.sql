-- Nuclear and not AGN: unusual, within half an arcsecond of a host's centre, and no AGN that Sherlock knows; strangest first.
-- For tidal disruption events and whatever else happens in nuclei. An AGN that no catalogue has yet comes through:
-- look whether it varied before.
SELECT
objects.diaObjectId,
JSON_EXTRACT(aha_lsst.classdict, "$.score") + 0 AS score,
aha_lsst.classification AS aha_class, aha_lsst.explanation,
objects.latest_psfFlux, flux2mag(objects.r_psfFlux) AS mag_r, flux2mag(objects.i_psfFlux) AS mag_i, objects.nDiaSources,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
sherlock_classifications.z,
objects.ra, objects.decl
FROM
objects, sherlock_classifications, annotator:aha_lsst
WHERE
aha_lsst.classification IN ("anomaly", "watch")
AND sherlock_classifications.classification IN ("SN", "NT", "UNCLEAR")
AND sherlock_classifications.separationArcsec < 0.5
AND objects.lastDiaSourceMjdTai > mjdnow() - 14
ORDER BY score DESC
