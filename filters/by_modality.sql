-- By modality: what one model alone finds unusual, whatever the combined score says, strangest first.
-- For whoever wants to know which view of the object is odd. Here the object features: colours, rates, means, host.
-- features_score 2 is reached by one in a hundred classified supernovae; features_error is AHA's reconstruction error.
-- Each model writes NAME_score and NAME_error, absent where an object lacks what it needs. To ask for another model that
-- your annotator runs, put its name in the places of `features`.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.features_score") + 0 AS features_score,
JSON_EXTRACT(aha_ztf.classdict, "$.features_error") + 0 AS features_error,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.classification AS aha_class, aha_ztf.explanation,
objects.gmag, objects.rmag, objects.g_minus_r, objects.ncand,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
JSON_EXTRACT(aha_ztf.classdict, "$.features_score") >= 2
AND aha_ztf.classification != "artefact"
AND objects.jdmax > jdnow() - 14
ORDER BY features_score DESC
