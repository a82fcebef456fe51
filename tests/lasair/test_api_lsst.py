"""Lasair's API as Lasair for Rubin has it: numbers for ids on the wire, and objects without what fails after a year."""

import dataclasses

import pytest

from annotator.annotation import Annotation
from annotator.errors import RejectedError
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger
from annotator.sandbox import LsstSandbox
from annotator.surveys import SURVEYS

OBJECT_ID = str(2**63 - 1)
NOW_S = (61400.0 - 40587.0) * 86400
SOURCE = {"diaSourceId": 5, "midpointMjdTai": 61000.0, "band": "r", "psfFlux": 2e3, "psfFluxErr": 1e2}
LSST = dataclasses.replace(
    SURVEYS["ztf"],
    id_column="diaObjectId",
    id_is_number=True,
    batch_annotations=100,
    queues_annotations=True,
    object_with_additions=False,
)


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
