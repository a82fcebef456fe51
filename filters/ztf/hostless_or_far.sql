-- Hostless or far from the host: unusual, and Sherlock finds no host, or one more than 30 kpc or its own size away.
-- For whoever looks for faint hosts, superluminous supernovae, intergalactic transients; strangest first.
-- A separation of many arcminutes is a nearby dwarf galaxy taken for the host: read such an object as hostless.
-- Three good detections are asked for, because asteroids and bad subtractions have no host either.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.classification AS aha_class, aha_ztf.explanation,
objects.gmag, objects.rmag, objects.g_minus_r, objects.ncandgp,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
sherlock_classifications.physical_separation_kpc, sherlock_classifications.major_axis_arcsec,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
aha_ztf.classification IN ("anomaly", "watch")
AND (
  sherlock_classifications.classification = "ORPHAN"
  OR (
    sherlock_classifications.classification IN ("SN", "UNCLEAR")
    AND (
      sherlock_classifications.physical_separation_kpc > 30
      OR (
        sherlock_classifications.major_axis_arcsec > 0
        AND sherlock_classifications.separationArcsec > sherlock_classifications.major_axis_arcsec
      )
    )
  )
)
AND objects.ncandgp > 2
AND objects.jdmax > jdnow() - 14
ORDER BY score DESC
