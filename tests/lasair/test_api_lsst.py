"""Lasair's API as Lasair for Rubin has it: numbers for ids on the wire, and objects without what fails after a year."""

import dataclasses

import pytest

from annotator.annotation import Annotation
from annotator.errors import RejectedError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.filters import load_filter
from annotator.ledger import Ledger
from annotator.sandbox import LsstSandbox, simulate_rubin_night
from annotator.sandbox.lasair.lsst.stream import encoded, stream_messages
from annotator.sources.records import decoded
from annotator.surveys import SURVEYS

OBJECT_ID = str(2**63 - 1)
NOW_S = (61400.0 - 40587.0) * 86400
SOURCE = {"diaSourceId": 5, "midpointMjdTai": 61000.0, "band": "r", "psfFlux": 2e3, "psfFluxErr": 1e2}
LSST = SURVEYS["lsst"]


@pytest.fixture
def server():
    with LsstSandbox(clock=lambda: NOW_S) as running:
        running.load([{"diaObjectId": int(OBJECT_ID), "alert": {"diaSourcesList": [SOURCE]}}])
        yield running


@pytest.fixture
def api(server):
    with Ledger(":memory:") as ledger:
        yield LasairApi(LSST, server.url, "sandbox-token", 30.0, CallBudget(ledger, 5000, 0.4))


def test_an_object_with_a_source_of_more_than_a_year_is_given_all_the_same(api):
    answer = api.object(OBJECT_ID)
    assert answer["diaObjectId"] == OBJECT_ID and answer["diaSourcesList"] == [SOURCE]
    assert "lasairData" not in answer


@pytest.fixture
def night():
    return simulate_rubin_night(7, 30, now_mjd=61400.4)


def test_an_object_is_the_same_asked_for_as_in_its_stream(night):
    with LsstSandbox(night, clock=lambda: NOW_S) as server, Ledger(":memory:") as ledger:
        api = LasairApi(LSST, server.url, "sandbox-token", 30.0, CallBudget(ledger, 5000, 0.4))
        messages = stream_messages(server.database, server.records, load_filter("input_lsst", "lsst"), "full")
        of_stream = [LSST.parse(decoded(text)) for text in encoded(messages)]
        assert len(of_stream) > 5
        for expected in of_stream:
            found = api.transient(expected.object_id, LSST.parse)
            for name in ("time_mjd", "flux_njy", "flux_error_njy"):
                of_each = [getattr(item.light_curve, name).tolist() for item in (found, expected)]
                assert of_each[0] == pytest.approx(of_each[1], rel=1e-12)
            assert found.light_curve.band.tolist() == expected.light_curve.band.tolist()
            assert (found.n_det, found.fades, found.cutouts) == (expected.n_det, expected.fades, expected.cutouts)
            assert (found.ra_deg, found.dec_deg) == pytest.approx((expected.ra_deg, expected.dec_deg), abs=1e-5)


def test_with_additions_it_would_have_been_refused(api):
    api.survey = dataclasses.replace(LSST, object_with_additions=True)
    with pytest.raises(RejectedError, match="image_urls"):
        api.object(OBJECT_ID)


def test_ids_are_sent_as_whole_numbers_one_or_many(api, server, monkeypatch):
    sent = []
    client = api._client
    monkeypatch.setattr(client, "annotate", lambda **fields: sent.append(fields) or {"status": "success"})
    monkeypatch.setattr(client, "annotate_list", lambda fields: sent.extend(fields) or {"status": "success"})
    item = Annotation(OBJECT_ID, "aha_lsst", "anomaly", "aha-lsst-1.0", "Why.", {"score": 3.0})
    api.annotate([item])
    api.annotate([item, dataclasses.replace(item, object_id="17")])
    assert [fields["objectId"] for fields in sent] == [2**63 - 1, 2**63 - 1, 17]
    names = {"objectId", "topic", "classification", "version", "explanation", "classdict", "url"}
    assert all(fields.keys() == names for fields in sent)
