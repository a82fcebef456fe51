-- Young and rising: unusual, first seen within twenty days, seen within three, and brightening; youngest first.
-- For whoever can point a telescope before the peak. Brightening: in g, r, i or z the latest flux is above the mean of the
-- band by three times the mean error or more. What is below its template and comes back to it looks the same, so the
-- latest flux has to be positive.
SELECT
objects.diaObjectId,
JSON_EXTRACT(aha_lsst.classdict, "$.score") + 0 AS score,
aha_lsst.classification AS aha_class, aha_lsst.explanation,
objects.lastDiaSourceMjdTai - objects.firstDiaSourceMjdTai AS age_days,
objects.latest_psfFlux, flux2mag(objects.r_psfFlux) AS mag_r, flux2mag(objects.i_psfFlux) AS mag_i, objects.nDiaSources,
sherlock_classifications.classification AS sherlock_class, sherlock_classifications.separationArcsec,
objects.ra, objects.decl
FROM
objects, sherlock_classifications, annotator:aha_lsst
WHERE
aha_lsst.classification IN ("anomaly", "watch")
AND objects.firstDiaSourceMjdTai > mjdnow() - 20
AND objects.lastDiaSourceMjdTai > mjdnow() - 3
AND objects.latest_psfFlux > 0
AND (
  objects.g_psfFlux - objects.g_psfFluxMean >= 3 * objects.g_psfFluxErrMean
  OR objects.r_psfFlux - objects.r_psfFluxMean >= 3 * objects.r_psfFluxErrMean
  OR objects.i_psfFlux - objects.i_psfFluxMean >= 3 * objects.i_psfFluxErrMean
  OR objects.z_psfFlux - objects.z_psfFluxMean >= 3 * objects.z_psfFluxErrMean
)
ORDER BY age_days
