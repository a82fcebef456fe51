"""Where else an object can be looked up."""

from urllib.parse import quote, urlencode

from annotator.surveys import SURVEYS
from annotator.transient import Transient

SEARCH_RADIUS_ARCSEC = 5.0
"""About the position, in catalogues that know no survey's names."""
_TNS = "https://www.wis-tns.org"
_SIMBAD = "https://simbad.cds.unistra.fr/simbad/sim-coo"
_NED = "https://ned.ipac.caltech.edu/conesearch"


def lasair_page(survey: str, object_id: str) -> str:
    """Return the address of an object's page at Lasair."""
    return SURVEYS[survey].object_pages["Lasair"].format(object_id)


def links(survey: str, object_id: str, transient: Transient | None, tns_name: str = "") -> dict[str, str]:
    """Return addresses by the name of where they lead: Lasair, TNS, SIMBAD, NED, ALeRCE, Fink.

    Parameters
    ----------
    survey, object_id
        Whose object it is.
    transient
        For its position; without one the catalogues that are searched by position are left out.
    tns_name
        Its name in TNS, such as 2026abc; without one TNS is searched by position.
    """
    pages = {name: page.format(object_id) for name, page in SURVEYS[survey].object_pages.items()}
    found = {"Lasair": pages["Lasair"]}
    if words := tns_name.split():
        found["TNS"] = f"{_TNS}/object/{quote(words[-1], safe='')}"
    if transient is not None and transient.ra_deg is not None and transient.dec_deg is not None:
        place = {"ra": f"{transient.ra_deg:.6f}", "dec": f"{transient.dec_deg:.6f}"}
        near = {"radius": f"{SEARCH_RADIUS_ARCSEC:g}", "coords_unit": "arcsec"}
        found.setdefault("TNS", f"{_TNS}/search?{urlencode({'ra': place['ra'], 'decl': place['dec'], **near})}")
        where = {
            "Coord": f"{place['ra']} {place['dec']}",
            "Radius": f"{SEARCH_RADIUS_ARCSEC:g}",
            "Radius.unit": "arcsec",
        }
        found["SIMBAD"] = f"{_SIMBAD}?{urlencode(where)}"
        cone = {"search_type": "Near Position Search", "coordinates": f"{place['ra']}d {place['dec']}d"}
        cone |= {"radius": f"{SEARCH_RADIUS_ARCSEC / 60:.4f}", "in_csys": "Equatorial", "in_equinox": "J2000"}
        found["NED"] = f"{_NED}?{urlencode(cone)}"
    return found | {name: pages[name] for name in pages if name != "Lasair"}
