-- By modality: what any one model finds unusual, whatever the combined score says, strangest first.
-- For whoever wants to know which view of an object is odd: quantities of its light curve, the light curve whole, or its
-- stamps (host out of place, second source, trail, dipole). A score of 2 is reached by one in a hundred classified
-- supernovae. Each model writes NAME_score, absent where an object lacks what it needs, and where no such model ships.
SELECT
objects.diaObjectId,
JSON_EXTRACT(aha_lsst.classdict, "$.features_score") + 0 AS features_score,
JSON_EXTRACT(aha_lsst.classdict, "$.lightcurve_score") + 0 AS lightcurve_score,
JSON_EXTRACT(aha_lsst.classdict, "$.triplet_score") + 0 AS triplet_score,
JSON_EXTRACT(aha_lsst.classdict, "$.score") + 0 AS score,
aha_lsst.classification AS aha_class, aha_lsst.explanation,
objects.latest_psfFlux, flux2mag(objects.r_psfFlux) AS mag_r, flux2mag(objects.i_psfFlux) AS mag_i, objects.nDiaSources,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ra, objects.decl
FROM
objects, sherlock_classifications, annotator:aha_lsst
WHERE
(
  JSON_EXTRACT(aha_lsst.classdict, "$.features_score") >= 2
  OR JSON_EXTRACT(aha_lsst.classdict, "$.lightcurve_score") >= 2
  OR JSON_EXTRACT(aha_lsst.classdict, "$.triplet_score") >= 2
)
AND aha_lsst.classification NOT IN ("artefact", "variable")
AND objects.lastDiaSourceMjdTai > mjdnow() - 14
ORDER BY score DESC
