from urllib.parse import parse_qs, urlsplit

from annotator.surveys.links import lasair_page, links
from annotator.transient import Transient

HERE = Transient("ZTF20abcdefg", "ztf", ra_deg=210.9107, dec_deg=-5.4316)


def test_an_object_is_linked_by_name_and_by_position():
    found = links("ztf", "ZTF20abcdefg", HERE)
    assert list(found) == ["Lasair", "TNS", "SIMBAD", "NED", "ALeRCE", "Fink"]
    assert (
        found["Lasair"] == lasair_page("ztf", "ZTF20abcdefg") == "https://lasair-ztf.lsst.ac.uk/objects/ZTF20abcdefg/"
    )
    assert parse_qs(urlsplit(found["SIMBAD"]).query)["Coord"] == ["210.910700 -5.431600"]
    assert parse_qs(urlsplit(found["NED"]).query)["coordinates"] == ["210.910700d -5.431600d"]
    assert parse_qs(urlsplit(found["TNS"]).query)["decl"] == ["-5.431600"]
    assert all(address.startswith("https://") for address in found.values())


def test_a_name_in_tns_leads_to_its_page():
    assert links("ztf", "ZTF20abcdefg", HERE, "SN 2020xyz")["TNS"] == "https://www.wis-tns.org/object/2020xyz"


def test_a_name_from_outside_stays_inside_the_path():
    address = links("ztf", "ZTF20abcdefg", HERE, "SN 2020/../?x#y")["TNS"]
    assert (
        urlsplit(address).netloc == "www.wis-tns.org" and not urlsplit(address).query and not urlsplit(address).fragment
    )


def test_a_name_of_nothing_is_none():
    assert links("ztf", "ZTF20abcdefg", HERE, " ") == links("ztf", "ZTF20abcdefg", HERE)


def test_without_a_position_what_is_searched_by_position_is_left_out():
    assert list(links("ztf", "ZTF20abcdefg", None)) == ["Lasair", "ALeRCE", "Fink"]
