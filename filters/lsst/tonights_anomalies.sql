-- Tonight's anomalies: what was called an anomaly within the last day, what is worth most a look first.
-- For whoever has time for a few objects a night. A score of 3 is reached by one in a thousand classified supernovae.
-- Read the explanation first: it says what is unusual. first_mjd is the night the object was first flagged.
-- Let it run on updated annotation: on alerts it sees annotations up to a day late. Magnitudes of negative fluxes are null.
SELECT
objects.diaObjectId,
JSON_EXTRACT(aha_lsst.classdict, "$.worth") + 0 AS worth,
JSON_EXTRACT(aha_lsst.classdict, "$.score") + 0 AS score,
aha_lsst.explanation,
objects.latest_psfFlux, flux2mag(objects.r_psfFlux) AS mag_r, flux2mag(objects.i_psfFlux) AS mag_i, objects.nDiaSources,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ra, objects.decl,
JSON_EXTRACT(aha_lsst.classdict, "$.first_mjd") + 0 AS first_mjd
FROM
objects, sherlock_classifications, annotator:aha_lsst
WHERE
aha_lsst.classification = "anomaly"
AND aha_lsst.timestamp > NOW() - INTERVAL 1 DAY
ORDER BY worth DESC, score DESC
