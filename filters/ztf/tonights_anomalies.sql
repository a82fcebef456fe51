-- Tonight's anomalies: what was called an anomaly within the last day, what is worth most a look first.
-- For whoever has time for a few objects a night. A score of 3 is reached by one in a thousand classified supernovae.
-- Read the explanation first: it says what is unusual. first_mjd is the night the object was first flagged.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.worth") + 0 AS worth,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.explanation,
objects.gmag, objects.rmag, objects.g_minus_r, objects.ncand,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ramean, objects.decmean,
JSON_EXTRACT(aha_ztf.classdict, "$.first_mjd") + 0 AS first_mjd
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
aha_ztf.classification = "anomaly"
AND aha_ztf.timestamp > NOW() - INTERVAL 1 DAY
ORDER BY worth DESC, score DESC
