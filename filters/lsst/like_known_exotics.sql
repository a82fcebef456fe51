-- Like known exotics: what resembles the superluminous supernovae and tidal disruption events that earned a night before.
-- For whoever has time for a few candidates of known kinds. exotic is a probability, learned from simulated and from ZTF's
-- objects. prior_score says how blue, steady in colour and slow an object is. It is the annotation's prior: Lasair would
-- stream that word of SQL as PRIOR. Known AGN are out: they flood a stream.
SELECT
objects.diaObjectId,
JSON_EXTRACT(aha_lsst.classdict, "$.exotic") + 0 AS exotic,
JSON_EXTRACT(aha_lsst.classdict, "$.prior") + 0 AS prior_score,
JSON_EXTRACT(aha_lsst.classdict, "$.score") + 0 AS score,
aha_lsst.classification AS aha_class, aha_lsst.explanation,
objects.latest_psfFlux, flux2mag(objects.r_psfFlux) AS mag_r, flux2mag(objects.i_psfFlux) AS mag_i, objects.nDiaSources,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ra, objects.decl
FROM
objects, sherlock_classifications, annotator:aha_lsst
WHERE
JSON_EXTRACT(aha_lsst.classdict, "$.exotic") >= 0.1
AND aha_lsst.classification IN ("anomaly", "watch")
AND COALESCE(sherlock_classifications.classification, "") != "AGN"
AND objects.lastDiaSourceMjdTai > mjdnow() - 14
ORDER BY exotic DESC
