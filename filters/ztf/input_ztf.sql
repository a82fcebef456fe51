-- Input filter for Lasair-ZTF: every transient with an alert in the last seven days, for aha-annotator to score.
-- No cut on brightness, colour, host or latitude. Sherlock's variable stars (VS) are out, as in AHA; AHA says nothing of
-- bright stars (BS), and classified supernovae have that class, so they stay: bad subtractions are told by their detections.
-- What was detected once beside a known solar-system object is taken for it. A transient that one passes by stays in.
-- The labels of SELECT are the keys of the record: add columns if you like, but rename none, and leave each behind the
-- name of its table: Lasair joins what is named there, and there alone it leaves a word of SQL as it is typed.
SELECT
objects.objectId,
objects.ramean, objects.decmean, objects.glatmean,
objects.jdmin, objects.jdmax, objects.jdgmax, objects.jdrmax,
objects.ncand, objects.ncandgp, objects.ncandgp_7, objects.ssnamenr,
objects.gmag, objects.rmag, objects.g_minus_r, objects.jd_g_minus_r,
objects.dmdt_g, objects.dmdt_g_err, objects.dmdt_r, objects.dmdt_r_err,
objects.mag_g02, objects.mag_g08, objects.mag_g28, objects.maggmin, objects.maggmean, objects.maggmax,
objects.mag_r02, objects.mag_r08, objects.mag_r28, objects.magrmin, objects.magrmean, objects.magrmax,
objects.distpsnr1, objects.sgscore1, objects.sgmag1, objects.srmag1,
sherlock_classifications.classification, sherlock_classifications.classificationReliability,
sherlock_classifications.catalogue_object_id, sherlock_classifications.separationArcsec,
sherlock_classifications.northSeparationArcsec, sherlock_classifications.eastSeparationArcsec,
sherlock_classifications.major_axis_arcsec, sherlock_classifications.physical_separation_kpc,
sherlock_classifications.distance
FROM
objects, sherlock_classifications
WHERE
objects.jdmax > jdnow() - 7
AND COALESCE(sherlock_classifications.classification, "") != "VS"
AND (objects.ssnamenr IS NULL OR objects.ncand > 1)
