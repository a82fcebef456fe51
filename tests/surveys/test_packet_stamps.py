"""The stamps that an alert packet carries itself are those of its own detection, whichever way they came."""

import json
from pathlib import Path

import numpy as np
import pytest

from annotator.models import load_models
from annotator.sandbox.sky.stamps import to_fits
from annotator.sources.files import read_records
from annotator.surveys import SURVEYS
from annotator.surveys.json_values import text_of, undecoded
from annotator.surveys.packet_stamps import STAMPS
from annotator.transient import Modality

ZTF, LSST = SURVEYS["ztf"], SURVEYS["lsst"]
ALERTS = Path(__file__).resolve().parents[3] / "shared/fixtures/alerts"
RNG = np.random.default_rng(3)
PIXELS = [RNG.normal(size=(63, 63)).astype(np.float32) for _ in STAMPS]
FILES = dict(zip(STAMPS, (to_fits(stamp, name) for stamp, name in zip(PIXELS, STAMPS, strict=True)), strict=True))


def candidate(jd=2461000.7, candid=2000000000000000001, **more) -> dict:
    seen = {"candid": candid, "jd": jd, "fid": 1, "magpsf": 18.5, "sigmapsf": 0.05, "isdiffpos": "t"}
    return seen | {"ra": 10.0, "dec": 20.0} | more


def ztf_packet(own: dict | None = None, **changes) -> dict:
    stamps = {name: {"fileName": f"{name}.fits.gz", "stampData": file} for name, file in FILES.items()}
    earlier = candidate(2460998.7, 2000000000000000002, magpsf=17.0)
    return {"objectId": "ZTF26aaaaaaa", "candidate": own or candidate(), "prv_candidates": [earlier]} | stamps | changes


def lsst_packet(**own) -> dict:
    seen = {"diaSourceId": 170000000000000001, "diaObjectId": 170055002004914263, "midpointMjdTai": 61000.2}
    seen |= {"band": "g", "psfFlux": 1e3, "psfFluxErr": 50.0, "ra": 10.0, "dec": -30.0, "reliability": 0.9}
    earlier = seen | {"diaSourceId": 170000000000000002, "midpointMjdTai": 60998.2, "psfFlux": 9e3}
    return {"diaSource": seen | own, "prvDiaSources": [earlier], **FILES}


def pixels_of(triplet) -> list[list[list[float]]]:
    return [stamp.tolist() for stamp in (triplet.science, triplet.template, triplet.difference)]


def test_they_are_read_as_bytes_and_as_text_alike():
    own, stamps = candidate(isdiffpos="f", xpos=40.0, ypos=3000.0), [stamp.tolist() for stamp in PIXELS]
    for survey, packet in ((ZTF, ztf_packet(own)), (LSST, lsst_packet(psfFlux=-1e3))):
        for record in (packet, undecoded(text_of(packet)), json.loads(text_of(packet))):
            found = survey.parse(record)
            assert pixels_of(found.triplet) == stamps and found.triplet.is_negative
            assert found.triplet.time_mjd == pytest.approx(61000.2, abs=1e-3)
            assert found.cutouts is None and not found.fades and not found.why_missing
    whole = ZTF.parse(ztf_packet(own)).triplet
    assert (whole.x_pixel, whole.y_pixel) == (40.0, 3000.0)


@pytest.mark.parametrize("name", STAMPS)
def test_one_that_is_missing_or_damaged_costs_the_stamps_alone(name):
    damaged = (None, b"", b"none", 5, "no base 64", [], {}, {"stampData": None}, FILES[name][:4000])
    for survey, packet in ((ZTF, ztf_packet()), (LSST, lsst_packet())):
        whole = survey.parse(packet)
        for damage in damaged:
            found = survey.parse(packet | {name: damage})
            assert found.triplet is None and found.cutouts is None and set(found.why_missing) == {Modality.TRIPLET}
            assert found.light_curve.flux_njy.tolist() == whole.light_curve.flux_njy.tolist()


def test_those_of_a_detection_that_is_not_the_object_s_own_are_not_its():
    found = ZTF.parse(ztf_packet(candidate(ssdistnr=1.0, ssmagnr=18.5, ssnamenr="1")))
    assert found.triplet is None and "solar-system object" in found.why_missing[Modality.TRIPLET]
    for own in ({"ssObjectId": 23133931615303, "ra": 10.1}, {"timeWithdrawnMjdTai": 61001.0}):
        found = LSST.parse(lsst_packet(**own))
        assert found.n_det == 1 and found.triplet is None and "left out" in found.why_missing[Modality.TRIPLET]


def test_a_packet_without_any_says_nothing_of_them():
    found = ZTF.parse({name: value for name, value in ztf_packet().items() if name not in STAMPS})
    assert found.triplet is None and found.cutouts is None and not found.why_missing


@pytest.mark.skipif(not ALERTS.is_dir(), reason=f"no real packets at {ALERTS}")
def test_real_packets_of_ztf_are_scored_by_their_own_stamps():
    pytest.importorskip("fastavro", reason="needs the extra avro")
    models = load_models(None, "ztf")
    packets = [record for path in sorted(ALERTS.glob("*ztf*.avro")) for record in read_records(path, ZTF)]
    scored = models.score([ZTF.parse(packet) for packet in packets])
    missing = [item.modalities[Modality.TRIPLET] for item in scored if Modality.TRIPLET not in item.present]
    assert len(packets) == 33 and not missing
