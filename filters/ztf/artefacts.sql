-- Artefacts: what was set aside as a bad subtraction within the last day, and would have been strangest, first.
-- For whoever runs or checks the annotator: a real transient here has been lost to the artefact rule.
-- ncandgp counts the detections that are positive and pass real-bogus; 0 reads as null in Lasair.
SELECT
objects.objectId,
JSON_EXTRACT(aha_ztf.classdict, "$.score") + 0 AS score,
aha_ztf.explanation,
objects.ncand, objects.ncandgp,
objects.gmag, objects.rmag,
objects.distpsnr1, objects.sgscore1, objects.srmag1,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ramean, objects.decmean
FROM
objects, sherlock_classifications, annotator:aha_ztf
WHERE
aha_ztf.classification = "artefact"
AND aha_ztf.timestamp > NOW() - INTERVAL 1 DAY
ORDER BY score DESC
