-- Changing look: flagged though the source has been known for years, since it does what it never did before; strangest first.
-- For whoever hunts flares in known sources: AGN that change their look, tidal disruptions in them, rare outbursts.
-- A source that is known to vary is called variable whatever its scores, unless it is brighter or bluer than its past by
-- more than that ever allowed; then it keeps its flag, and the explanation says since when it is known and what is new.
-- years counts from the first alert at the place. Those that stay variable are written where the annotator is set to.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
JSON_EXTRACT(aha_ztf.classdict, "$.exotic") + 0 AS exotic,
JSON_EXTRACT(aha_ztf.classdict, "$.years") + 0 AS known_years,
aha_ztf.classification AS aha_class, aha_ztf.explanation,
objects.gmag, objects.rmag, objects.g_minus_r, objects.ncand,
objects.distpsnr1, objects.sgscore1,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
aha_ztf.classification IN ("anomaly", "watch")
AND (
  JSON_EXTRACT(aha_ztf.classdict, "$.years") >= 3
  OR sherlock_classifications.classification IN ("AGN", "CV", "VS")
)
AND objects.jdmax > jdnow() - 14
ORDER BY score DESC
