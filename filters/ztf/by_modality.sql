-- By modality: what any one model finds unusual, whatever the combined score says, strangest first.
-- For whoever wants to know which view of an object is odd: its features (colours, rates, means, host), its light curve, or
-- its stamps (host out of place, second source, trail, dipole). A score of 2 is reached by one in a hundred classified
-- supernovae. Each model writes NAME_score and NAME_error (AHA's reconstruction error), absent where an object lacks what
-- it needs. For one model alone keep its line of the bracket.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.features_score") + 0 AS features_score,
JSON_EXTRACT(aha_ztf.classdict, "$.lightcurve_score") + 0 AS lightcurve_score,
JSON_EXTRACT(aha_ztf.classdict, "$.triplet_score") + 0 AS triplet_score,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.classification AS aha_class, aha_ztf.explanation,
objects.gmag, objects.rmag, objects.g_minus_r, objects.ncand,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
(
  JSON_EXTRACT(aha_ztf.classdict, "$.features_score") >= 2
  OR JSON_EXTRACT(aha_ztf.classdict, "$.lightcurve_score") >= 2
  OR JSON_EXTRACT(aha_ztf.classdict, "$.triplet_score") >= 2
)
AND aha_ztf.classification NOT IN ("artefact", "variable")
AND objects.jdmax > jdnow() - 14
ORDER BY score DESC
