"""The row of Lasair for Rubin's `objects` that an object's measurements make.

Means, scatter, extremes and slopes are those of the pipeline's `diaObject`, of sources alone. Colours are of the last
pairs of visits in two bands within 33 minutes, a jump is how many sigmas the last flux is from its band's mean before.
What Lasair fits (the columns that begin with BBB) is left empty, as it is in all seven rows of Lasair for Rubin that
were recorded; what a fit of few points would say is not known, and no model that ships looks at it.
"""

import math
from collections.abc import Mapping

import numpy as np

from annotator.photometry import magnitude_of
from annotator.sandbox.lasair.lsst.schema import BANDS, DOUBLE_COLUMNS, INTEGER_COLUMNS, OBJECTS_COLUMNS
from annotator.sandbox.sky.coordinates import galactic_deg, htm_id
from annotator.sandbox.sky.rubin.cadence import WAVELENGTH_NM
from annotator.sandbox.sky.rubin.evolutions import temperature_kelvin
from annotator.sandbox.sky.rubin.observe import Measurements

PAIR_MINUTES = 33.0
_GOOD_RELIABILITY = 0.5
_COLOUR_OF_G_MINUS_R = math.log(WAVELENGTH_NM["r"] / WAVELENGTH_NM["g"])


def objects_row(
    sources: Measurements, mjd_tai: np.ndarray, position_deg: tuple[float, float], redshift: float | None
) -> dict[str, object]:
    """Return every column of `objects` but the id, `tns_name` and `timestamp`; None for what there is nothing for.

    Parameters
    ----------
    sources
        In time order.
    mjd_tai
        ``(n,)``: their epochs.
    position_deg
        Right ascension and declination.
    redshift
        Of the host in a catalogue.
    """
    ra_deg, dec_deg = position_deg
    latitude_deg = galactic_deg(ra_deg, dec_deg)[1]
    row: dict[str, object] = dict.fromkeys(OBJECTS_COLUMNS)
    is_positive = sources.flux_njy > 0
    row |= {
        "ra": ra_deg,
        "decl": dec_deg,
        "firstDiaSourceMjdTai": mjd_tai[0],
        "lastDiaSourceMjdTai": mjd_tai[-1],
        "latest_psfFlux": sources.flux_njy[-1],
        "medianR": np.median(sources.reliability),
        "latestR": sources.reliability[-1],
        "nDiaSources": len(sources),
        "nPosDiaSources": is_positive.sum(),
        "nPosDiaSourcesNights": len(np.unique(np.floor(mjd_tai[is_positive] - 0.5))),
        "nSourcesGood": (sources.reliability > _GOOD_RELIABILITY).sum(),
        "glat": latitude_deg,
        "ebv": 0.02 / max(0.05, math.sin(math.radians(abs(latitude_deg)))),
        "jump1": 0.0,
        "jump2": 0.0,
        "htm16": htm_id(ra_deg, dec_deg),
        "validityStartMjdTai": mjd_tai[-1] + 0.002,
        "raErr": 0.2 / 3600 / math.sqrt(len(sources)),
        "decErr": 0.2 / 3600 / math.sqrt(len(sources)),
        "ra_dec_Cov": 0.0,
    }
    for band in BANDS:
        row |= of_band(band, sources, mjd_tai)
    row |= _jumps(sources) | _pairs(sources, mjd_tai)
    if redshift:
        row |= _absolute(sources, mjd_tai, redshift)
    return {name: _as_column(name, value) for name, value in row.items()}


def of_band(band: str, sources: Measurements, mjd_tai: np.ndarray) -> dict[str, object]:
    """Return the columns of a band; only counts where nothing was seen in it."""
    here = sources.band == band
    flux, error, days = sources.flux_njy[here], sources.error_njy[here], mjd_tai[here]
    n = len(flux)
    row: dict[str, object] = {f"n{band}Sources": n, f"{band}_psfFluxNdata": n}
    if not n:
        return row
    weights = 1 / error**2
    mean = float(np.average(flux, weights=weights))
    science = sources.template_njy[here] + flux
    row |= {
        f"{band}_psfFlux": flux[-1],
        f"{band}_latestMJD": days[-1],
        f"{band}_psfFluxMean": mean,
        f"{band}_psfFluxMeanErr": 1 / math.sqrt(weights.sum()),
        f"{band}_psfFluxMin": flux.min(),
        f"{band}_psfFluxMax": flux.max(),
        f"{band}_psfFluxErrMean": error.mean(),
        f"{band}_scienceFluxMean": np.average(science, weights=weights),
        f"{band}_scienceFluxMeanErr": 1 / math.sqrt(weights.sum()),
    }
    if n > 1:
        row[f"{band}_psfFluxSigma"] = flux.std(ddof=1)
        steps = np.diff(days) > 0
        if steps.any():
            row[f"{band}_psfFluxMaxSlope"] = (np.diff(flux)[steps] / np.diff(days)[steps]).max()
    return row


def _jumps(sources: Measurements) -> dict[str, float]:
    """Return how far the last flux of each band is from the mean before, in sigmas: the two largest."""
    jumps = [0.0, 0.0]
    for band in np.unique(sources.band):
        flux, error = sources.flux_njy[sources.band == band], sources.error_njy[sources.band == band]
        if len(flux) > 1:
            jumps.append(abs(flux[-1] - flux[:-1].mean()) / math.hypot(error[-1], error[:-1].mean()))
    first, second = sorted(jumps)[-1:-3:-1]
    return {"jump1": first, "jump2": second}


def _pairs(sources: Measurements, mjd_tai: np.ndarray) -> dict[str, object]:
    """Return the last two pairs of visits with a colour."""
    found: list[dict[str, object]] = []
    for i in range(len(sources) - 2, -1, -1):
        two = (i, i + 1) if _nm(sources, i) < _nm(sources, i + 1) else (i + 1, i)
        blue, red = (sources.flux_njy[k] for k in two)
        is_near = (mjd_tai[i + 1] - mjd_tai[i]) * 1440 < PAIR_MINUTES + 3
        if is_near and sources.band[i] != sources.band[i + 1] and blue > 0 and red > 0:
            colour = -2.5 * math.log10(blue / red)
            in_g_r = colour * _COLOUR_OF_G_MINUS_R / math.log(_nm(sources, two[1]) / _nm(sources, two[0]))
            found.append(
                {
                    "MJD": mjd_tai[i],
                    "ColourMag": colour,
                    "ColourBands": "-".join(str(sources.band[k]) for k in two),
                    "ColourTemp": float(temperature_kelvin(np.array([in_g_r]))[0]) / 1000,
                }
            )
        if len(found) == 2:
            break
    names = ("latestPair", "penultimatePair")
    return {f"{name}{key}": value for name, pair in zip(names, found, strict=False) for key, value in pair.items()}


def _nm(sources: Measurements, i: int) -> float:
    return WAVELENGTH_NM[str(sources.band[i])]


def _absolute(sources: Measurements, mjd_tai: np.ndarray, redshift: float) -> dict[str, float]:
    from annotator.sandbox.sky.light_curves import distance_modulus_mag

    brightest = int(np.argmax(sources.flux_njy))
    if sources.flux_njy[brightest] <= 0:
        return {}
    magnitude = float(magnitude_of(sources.flux_njy[brightest]))
    return {"absMag": magnitude - distance_modulus_mag(redshift), "absMagMJD": mjd_tai[brightest]}


def _as_column(name: str, value: object) -> object:
    """Round what MariaDB keeps in a FLOAT to the six digits that come back from one."""
    if value is None or isinstance(value, str):
        return value
    if name in INTEGER_COLUMNS:
        return int(value)
    return float(value) if name in DOUBLE_COLUMNS else float(f"{float(value):.6g}")


def rounded(row: Mapping[str, object]) -> dict[str, object]:
    """Round the numbers of a row of another table as :func:`objects_row` rounds its own."""
    return {name: _as_column(name, value) if isinstance(value, float) else value for name, value in row.items()}
