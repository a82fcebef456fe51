"""Where simulated transients happen: what Sherlock and Pan-STARRS1 would say of the place.

Absent values are written as Lasair-ZTF serves them: 0 where Sherlock found nothing to say, null for a size that its
catalogue has no number for, -999 for a Pan-STARRS1 magnitude that does not exist.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from annotator.sandbox.sky.light_curves import distance_modulus_mag, luminosity_distance_mpc

ARCSEC_PER_RADIAN = 206264.806
UNKNOWN_MAG = -999.0
_FAINTEST_PS1_MAG = 22.1
_FAINTEST_SHERLOCK_MAG = 22.2
# About 10 sources an arcmin^2 outside the Galactic plane at Pan-STARRS1's depth (Chambers et al. 2016).
PS1_SOURCES_PER_ARCSEC2 = 0.0028

_HOST_ABSOLUTE_MAG: Mapping[str, tuple[float, float]] = MappingProxyType(
    # r magnitude of the hosts: mean and scatter. Supernovae: Schulze et al. 2021; TDE: van Velzen et al. 2021.
    {
        "SN Ia": (-20.9, 1.2),
        "SN II": (-19.6, 1.6),
        "SN Ib/c": (-20.0, 1.5),
        "SLSN": (-18.6, 1.3),
        "TDE": (-20.2, 0.8),
        "AGN": (-21.6, 0.8),
        "fast blue": (-18.8, 1.0),
    }
)

_RELIABILITY = MappingProxyType({"SN": 2, "NT": 1, "AGN": 1, "CV": 1, "VS": 1, "BS": 2, "UNCLEAR": 3, "ORPHAN": 0})


@dataclass(frozen=True)
class Surroundings:
    """What the catalogues have near a transient."""

    sherlock: Mapping[str, object]
    """The row of Lasair's sherlock_classifications, without objectId."""
    ps1: Mapping[str, float]
    """distpsnr1 (arcsec), sgmag1, srmag1, sgscore1: the nearest Pan-STARRS1 source."""


def galaxy_surroundings(rng: np.random.Generator, kind: str, redshift: float, nuclear: bool) -> Surroundings:
    """Draw the galaxy in which something of this class and redshift happens, and how far from its centre."""
    absolute_mag = rng.normal(*_HOST_ABSOLUTE_MAG[kind])
    if not nuclear and rng.random() < 0.08:  # dwarf galaxies have supernovae, too
        absolute_mag = rng.normal(-16.0, 1.2)
    total_mag = absolute_mag + distance_modulus_mag(redshift)
    kpc_per_arcsec = luminosity_distance_mpc(redshift) * 1000 / (1 + redshift) ** 2 / ARCSEC_PER_RADIAN
    # Scale length of the disc after Shen et al. 2003; supernovae follow the light, bulge included.
    scale_kpc = 2.3 * 10 ** (-0.1 * (absolute_mag + 20.5)) * rng.lognormal(0.0, 0.45)
    if nuclear:
        separation_arcsec = abs(rng.normal(0.0, 0.25)) + 0.03
    else:
        separation_arcsec = 1.45 * scale_kpc * rng.gamma(1.3) / kpc_per_arcsec + 0.05
    if total_mag > _FAINTEST_SHERLOCK_MAG:
        return orphan_surroundings(rng)
    scale_arcsec = scale_kpc / kpc_per_arcsec
    sherlock_class = _galaxy_class(rng, kind, separation_arcsec)
    # A catalogue has a spectroscopic distance of the bright, a size of the large.
    distance_known = rng.random() < 1 / (1 + math.exp((total_mag - 16.2) / 0.8))
    diameter_arcsec = 6.0 * scale_arcsec * rng.lognormal(0.0, 0.2)
    size_known = diameter_arcsec > 4.0 and rng.random() < 0.5
    distance_mpc = luminosity_distance_mpc(redshift) * rng.normal(1.0, 0.02) if distance_known else 0.0
    sherlock = sherlock_row(
        rng,
        sherlock_class,
        separation_arcsec,
        distance_mpc=distance_mpc,
        physical_separation_kpc=separation_arcsec * distance_mpc * 1000 / ARCSEC_PER_RADIAN / (1 + redshift),
        redshift=redshift if distance_known else 0.0,
        photometric_redshift=0.0 if distance_known else max(0.01, redshift + rng.normal(0, 0.03)),
        major_axis_arcsec=diameter_arcsec if size_known else (None if rng.random() < 0.22 else 0.0),
        magnitude=total_mag,
    )
    colour = rng.normal(0.6, 0.2) if kind in ("SN Ia", "TDE") else rng.normal(0.42, 0.25)
    return Surroundings(sherlock, _nearest_ps1(rng, separation_arcsec, total_mag, scale_arcsec, colour))


def orphan_surroundings(rng: np.random.Generator) -> Surroundings:
    """Draw an empty field: Sherlock finds nothing, Pan-STARRS1 something unrelated far off."""
    return Surroundings(sherlock_row(rng, "ORPHAN", 0.0), _field_source(rng, math.inf, at_least_arcsec=6.0))


def wrong_host_surroundings(rng: np.random.Generator) -> Surroundings:
    """Draw a true host too faint for the catalogues behind a large nearby galaxy that Sherlock takes for the host."""
    separation_arcsec = rng.uniform(400.0, 1500.0)
    distance_mpc = rng.uniform(1.0, 12.0)
    sherlock = sherlock_row(
        rng,
        "SN",
        separation_arcsec,
        distance_mpc=distance_mpc,
        physical_separation_kpc=separation_arcsec * distance_mpc * 1000 / ARCSEC_PER_RADIAN,
        redshift=distance_mpc * 70 / 299792.458,
        major_axis_arcsec=separation_arcsec * rng.uniform(0.3, 1.2),
        magnitude=rng.uniform(9.0, 12.0),
    )
    return Surroundings(sherlock, _field_source(rng, math.inf))


def far_host_surroundings(rng: np.random.Generator, redshift: float) -> Surroundings:
    """Draw a bright host, tens of kiloparsecs of halo away."""
    physical_kpc = rng.uniform(60.0, 250.0)
    distance_mpc = luminosity_distance_mpc(redshift)
    separation_arcsec = physical_kpc / (distance_mpc * 1000) * ARCSEC_PER_RADIAN * (1 + redshift)
    sherlock = sherlock_row(
        rng,
        "SN",
        separation_arcsec,
        distance_mpc=distance_mpc,
        physical_separation_kpc=physical_kpc,
        redshift=redshift,
        major_axis_arcsec=40.0 * 0.03 / redshift,
        magnitude=-22.0 + distance_modulus_mag(redshift),
    )
    return Surroundings(sherlock, _field_source(rng, separation_arcsec))


def star_surroundings(rng: np.random.Generator, sherlock_class: str) -> Surroundings:
    """Draw the faint star that a cataclysmic variable is in quiescence, or that an artefact sits on."""
    distance_arcsec = rng.exponential(0.15) + 0.03
    r_mag = rng.uniform(19.0, 21.8) if sherlock_class == "CV" else rng.uniform(13.5, 16.0)
    ps1 = {
        "distpsnr1": distance_arcsec,
        "sgmag1": r_mag + rng.normal(0.2, 0.2),
        "srmag1": r_mag,
        "sgscore1": rng.uniform(0.9, 1.0),
    }
    return Surroundings(sherlock_row(rng, sherlock_class, distance_arcsec, magnitude=r_mag), ps1)


def unsure_surroundings(rng: np.random.Generator) -> Surroundings:
    """Draw a star that is too bright for the catalogues: Pan-STARRS1 is unsure, and Sherlock takes it for a galaxy."""
    found = star_surroundings(rng, "NT")
    return Surroundings(found.sherlock, dict(found.ps1) | {"sgscore1": 0.5})


def sherlock_row(
    rng: np.random.Generator,
    sherlock_class: str,
    separation_arcsec: float,
    *,
    distance_mpc: float = 0.0,
    physical_separation_kpc: float = 0.0,
    redshift: float = 0.0,
    photometric_redshift: float = 0.0,
    major_axis_arcsec: float | None = 0.0,
    magnitude: float = 0.0,
) -> dict[str, object]:
    """Write a row of sherlock_classifications; positions of the host are filled in with the object's own."""
    angle = rng.uniform(0.0, 2 * math.pi)
    orphan = sherlock_class == "ORPHAN"
    identifier = "0" if orphan else f"SIM{rng.integers(10**8):08d}"
    where = "no catalogued source near it" if orphan else f'{separation_arcsec:.2f}" from simulated source {identifier}'
    return {
        "classification": sherlock_class,
        "association_type": sherlock_class,
        "catalogue_table_name": "0" if orphan else "SIMULATED",
        "catalogue_object_id": identifier,
        "catalogue_object_type": "0" if orphan else ("star" if sherlock_class in ("CV", "VS", "BS") else "galaxy"),
        "separationArcsec": round(separation_arcsec, 3),
        "northSeparationArcsec": round(separation_arcsec * math.cos(angle), 5),
        "eastSeparationArcsec": round(separation_arcsec * math.sin(angle), 5),
        "physical_separation_kpc": round(physical_separation_kpc, 3),
        "direct_distance": 0.0,
        "distance": round(distance_mpc, 3),
        "z": round(redshift, 6),
        "photoZ": round(photometric_redshift, 4),
        "photoZErr": 0.03 if photometric_redshift else 0.0,
        "Mag": round(magnitude, 2),
        "MagFilter": "r" if magnitude else "0",
        "MagErr": 0.05 if magnitude else 0.0,
        "classificationReliability": _RELIABILITY[sherlock_class],
        "major_axis_arcsec": round(major_axis_arcsec, 3) if major_axis_arcsec is not None else None,
        "annotator": "simulated",
        "additional_output": "0",
        "description": f"SIMULATED. The transient has {where}.",
        "summary": "simulated",
    }


def _galaxy_class(rng: np.random.Generator, kind: str, separation_arcsec: float) -> str:
    if kind == "AGN":
        # Of 33 classified AGN that are no variable star to Sherlock it knows 12; the others are nuclei or supernovae.
        return str(rng.spawn(1)[0].choice(("AGN", "NT", "SN"), p=(0.36, 0.38, 0.26)))
    chance = rng.random()
    if separation_arcsec < 1.5:  # Sherlock's radius for a nuclear transient
        if kind == "TDE":
            return "NT"
        return "NT" if chance < 0.6 else ("VS" if chance < 0.75 else "SN")  # a compact core passes for a star
    return "UNCLEAR" if chance < 0.01 else "SN"


def _nearest_ps1(
    rng: np.random.Generator, separation_arcsec: float, total_mag: float, scale_arcsec: float, colour: float
) -> dict[str, float]:
    """Draw the nearest source: the host's nucleus, a knot in its disc, or something unrelated."""
    # The catalogue's magnitude is that of a point source: what an exponential disc has within the seeing.
    central_mag = total_mag - 2.5 * math.log10(1 - math.exp(-1.0 / max(scale_arcsec, 0.3))) + rng.normal(0.6, 0.4)
    field = _field_source(rng, separation_arcsec)
    if central_mag > _FAINTEST_PS1_MAG or field["distpsnr1"] < separation_arcsec:
        return field
    # Large discs are broken into knots by the catalogue.
    if rng.random() < 1 - math.exp(-separation_arcsec / 14.0):
        distance_arcsec, r_mag = separation_arcsec * math.sqrt(rng.uniform(0.02, 0.95)), rng.uniform(17.8, 21.8)
        colour = rng.normal(0.35, 0.35)
    else:
        distance_arcsec, r_mag = abs(separation_arcsec + rng.normal(0.0, 0.1)) + 0.01, central_mag
    extended = 1 - math.exp(-separation_arcsec / 15.0)
    return {"distpsnr1": distance_arcsec, "sgscore1": rng.beta(0.6, 8.0)} | _magnitudes(
        rng, r_mag, colour, 0.04 + 0.2 * extended
    )


def _field_source(
    rng: np.random.Generator, host_distance_arcsec: float, at_least_arcsec: float = 0.0
) -> dict[str, float]:
    area = rng.exponential(1 / PS1_SOURCES_PER_ARCSEC2) / math.pi
    distance_arcsec = math.sqrt(area + at_least_arcsec**2)
    if distance_arcsec > 30.0 and host_distance_arcsec > 30.0:  # the alert lists what is within 30 arcsec
        return dict.fromkeys(("distpsnr1", "sgmag1", "srmag1", "sgscore1"), UNKNOWN_MAG)
    r_mag = min(22.0, 14.0 + rng.gamma(9.0, 0.7))
    return {"distpsnr1": distance_arcsec, "sgscore1": rng.random()} | _magnitudes(
        rng, r_mag, rng.normal(0.6, 0.4), 0.22
    )


def _magnitudes(rng: np.random.Generator, r_mag: float, colour: float, missing: float) -> dict[str, float]:
    r_missing = r_mag > _FAINTEST_PS1_MAG or rng.random() < missing
    g_missing = r_mag + colour > _FAINTEST_PS1_MAG or rng.random() < (0.6 if r_missing else 0.08)
    return {
        "sgmag1": UNKNOWN_MAG if g_missing else r_mag + colour,
        "srmag1": UNKNOWN_MAG if r_missing else r_mag,
    }
