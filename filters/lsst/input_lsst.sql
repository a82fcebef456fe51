-- Input filter for Lasair-LSST: every transient with two sources or more, the last of them trusted and of the last seven days.
-- Rubin sends every change in the sky, most of it in known AGN, variable and bright stars (AGN, VS, BS): these are out.
-- No cut on brightness, sign, colour, host or latitude: what is only negative is scored as its mirror.
-- Choose Kafka with the light curve or with the full alert as output: what a light curve says is computed from it.
-- The labels of SELECT are the keys of the record: add columns if you like, but rename none, diaObjectId above all, without
-- which no light curve comes. Leave each behind the name of its table: Lasair joins what is named there.
SELECT
objects.diaObjectId,
objects.ra, objects.decl, objects.glat,
objects.firstDiaSourceMjdTai, objects.lastDiaSourceMjdTai,
objects.nDiaSources, objects.nPosDiaSources, objects.nSourcesGood, objects.latestR, objects.latest_psfFlux,
objects.jump1, objects.jump2, objects.BBBRiseRate, objects.BBBFallRate, objects.BBBTemp,
objects.latestPairColourTemp, objects.penultimatePairColourTemp,
sherlock_classifications.classification, sherlock_classifications.separationArcsec,
sherlock_classifications.major_axis_arcsec, sherlock_classifications.physical_separation_kpc,
sherlock_classifications.distance
FROM
objects, sherlock_classifications
WHERE
objects.lastDiaSourceMjdTai > mjdnow() - 7
AND objects.nDiaSources > 1
AND objects.latestR >= 0.5
AND COALESCE(sherlock_classifications.classification, "") NOT IN ("AGN", "VS", "BS")
