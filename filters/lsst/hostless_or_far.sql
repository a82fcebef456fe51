-- Hostless or far from the host: unusual, and Sherlock finds no host, or one more than 30 kpc or its own size away.
-- For whoever looks for faint hosts, superluminous supernovae, intergalactic transients; strangest first. Most of Rubin's
-- hosts are fainter than any catalogue's: no host here means none that is known.
-- Three trusted sources are asked for, because asteroids and bad subtractions have no host either.
SELECT
objects.diaObjectId,
JSON_EXTRACT(aha_lsst.classdict, "$.score") + 0 AS score,
aha_lsst.classification AS aha_class, aha_lsst.explanation,
objects.latest_psfFlux, flux2mag(objects.r_psfFlux) AS mag_r, flux2mag(objects.i_psfFlux) AS mag_i, objects.nSourcesGood,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
sherlock_classifications.physical_separation_kpc, sherlock_classifications.major_axis_arcsec,
objects.ra, objects.decl
FROM
objects, sherlock_classifications, annotator:aha_lsst
WHERE
aha_lsst.classification IN ("anomaly", "watch")
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
AND objects.nSourcesGood > 2
AND objects.lastDiaSourceMjdTai > mjdnow() - 14
ORDER BY score DESC
