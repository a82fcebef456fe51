-- Young and rising: unusual, first seen within twenty days, seen within three, and brightening; youngest first.
-- For whoever can point a telescope before the peak. The rate in g or r is three times its error or more, and known to
-- one magnitude a day: two detections minutes apart give any rate.
-- Lasair's jdmin looks back thirty days from the last alert, so an old object that was quiet for a month looks young.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.classification AS aha_class, aha_ztf.explanation,
objects.jdmax - objects.jdmin AS age_days,
objects.gmag, objects.rmag, objects.g_minus_r, objects.dmdt_g, objects.dmdt_r, objects.ncand,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
aha_ztf.classification IN ("anomaly", "watch")
AND objects.jdmin > jdnow() - 20
AND objects.jdmax > jdnow() - 3
AND (
  (objects.dmdt_g_err BETWEEN 0 AND 1 AND objects.dmdt_g >= 3 * objects.dmdt_g_err)
  OR (objects.dmdt_r_err BETWEEN 0 AND 1 AND objects.dmdt_r >= 3 * objects.dmdt_r_err)
)
ORDER BY age_days
