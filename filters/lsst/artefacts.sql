-- Artefacts: what was set aside as a bad subtraction within the last day, and would have been strangest, first.
-- For whoever runs or checks the annotator: a real transient here has been lost to the artefact rule.
-- nSourcesGood counts the sources with a reliability above 0.5.
SELECT
objects.diaObjectId,
JSON_EXTRACT(aha_lsst.classdict, "$.score") + 0 AS score,
aha_lsst.explanation,
objects.nDiaSources, objects.nSourcesGood, objects.latestR, objects.medianR,
objects.latest_psfFlux,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ra, objects.decl
FROM
objects, sherlock_classifications, annotator:aha_lsst
WHERE
aha_lsst.classification = "artefact"
AND aha_lsst.timestamp > NOW() - INTERVAL 1 DAY
ORDER BY score DESC
