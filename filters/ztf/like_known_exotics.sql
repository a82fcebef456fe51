-- Like known exotics: what resembles the superluminous supernovae and tidal disruption events that earned a night before.
-- For whoever has time for a few candidates of known kinds. exotic is a probability among classified objects, of which
-- 2.6 % are SLSN or TDE; in a stream it is lower. prior_score says how blue, nuclear and slow an object is: 2 is reached by
-- one in a hundred classified supernovae. It is the annotation's prior: Lasair would stream that word of SQL as PRIOR.
-- Known AGN are out: they flood a stream.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.exotic") + 0 AS exotic,
JSON_EXTRACT(aha_ztf.classdict, "$.prior") + 0 AS prior_score,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.classification AS aha_class, aha_ztf.explanation,
objects.gmag, objects.rmag, objects.g_minus_r, objects.ncand,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
JSON_EXTRACT(aha_ztf.classdict, "$.exotic") >= 0.1
AND aha_ztf.classification IN ("anomaly", "watch")
AND COALESCE(sherlock_classifications.classification, "") != "AGN"
AND objects.jdmax > jdnow() - 14
ORDER BY exotic DESC
