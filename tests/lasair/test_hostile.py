"""Whatever a server answers: the answer in its own shape, or an error that says so; never anything else."""

import gzip
import io
import json

import numpy as np
import pytest

from annotator.annotation import Annotation
from annotator.errors import LasairApiError, LasairUnreachableError, MissingModalityError
from annotator.lasair import breaker
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.lasair.client import MAX_BYTES
from annotator.lasair.cutouts import CutoutFetcher
from annotator.lasair.http import Reply
from annotator.ledger import Ledger
from annotator.passes.tns import tns_entries
from annotator.sandbox.lasair.answers import candidate
from annotator.sandbox.sky.stamps import to_fits
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.parse import parse
from annotator.transient import CutoutReference, Triplet
from tests.hostile import hostile_bytes

NAME = "ZTF99aaaaaaa"
SEEDS = range(600)


@pytest.fixture
def server(monkeypatch):
    """What answers calls, without a network, and a breaker that stays closed."""
    monkeypatch.setattr(breaker, "MAX_IN_A_ROW", 10**9)

    class Server:
        status, body, headers = 200, b"", {"Date": "Sun, 29 Nov 2026 05:00:00 GMT"}

        def call(self, method, url, **request):
            return Reply(self.status, self.headers, self.body, url)

    return Server()


@pytest.fixture
def api(server):
    with Ledger(":memory:") as ledger:
        api = LasairApi(
            SURVEYS["ztf"], "http://127.0.0.1:9/api", "token-of-the-tests", 1.0, CallBudget(ledger, 10**9, 0.5)
        )
        api._client._http = server
        yield api


def outcome(call):
    try:
        return call()
    except LasairApiError as error:
        str(error).encode()
        return error


@pytest.mark.parametrize("status", [200, 400, 500, 503])
def test_a_query_gives_rows_or_says_that_lasair_is_not_there(api, server, night, status):
    valid = [{key: row[key] for key in ("objectId", "jdmax", "gmag")} for row in night.rows()[:4]]
    server.status = status
    for seed in SEEDS:
        server.body = hostile_bytes(valid, seed)
        said = outcome(lambda: api.query("objects.objectId", "objects", "", 10))
        assert isinstance(said, LasairApiError) or all(isinstance(row, dict) for row in said)
        assert status == 200 or isinstance(said, LasairApiError)


def test_an_answer_that_a_gateway_has_packed_is_unpacked_up_to_the_limit_of_any(api, server):
    rows = [{"objectId": NAME}]
    server.body = whole = gzip.compress(json.dumps(rows).encode())
    assert api.query("objectId", "objects", "", 9) == rows
    for damaged in (whole[:-12], whole[:12] + b"x" * 40, gzip.compress(b" " * (MAX_BYTES + 1))):
        server.body = damaged
        assert isinstance(outcome(lambda: api.query("objectId", "objects", "", 9)), LasairUnreachableError)
    server.status, server.body = 503, gzip.compress(b"<h1>Back soon</h1>")
    assert "Back soon" in str(outcome(lambda: api.query("objectId", "objects", "", 9)))


def test_an_object_is_read_as_that_object_or_lasair_is_not_there(api, server, night):
    item = night.objects[0]
    valid = {"objectId": item.object_id, "candidates": [candidate(e, "https://host") for e in item.epochs[:4]]}
    for seed in SEEDS:
        server.body = hostile_bytes(valid, seed)
        said = outcome(lambda: api.transient(item.object_id, parse))
        assert isinstance(said, LasairApiError) or said.object_id == item.object_id


def test_only_a_success_is_one(api, server):
    item = Annotation(NAME, "aha_ztf", "watch", "aha-ztf-1.0", "why", {"score": 2.0})
    valid = {"status": "success", "message": "annotated", "query": {}}
    for seed in SEEDS:
        server.body = hostile_bytes(valid, seed)
        said = outcome(lambda: api.annotate([item]))
        body = gzip.decompress(server.body) if server.body.startswith(b"\x1f\x8b") else server.body
        assert isinstance(said, LasairApiError) or "success" in json.loads(body.decode("utf-8-sig")).values()


def test_what_tns_is_called_and_classified_as_is_short_text(api, server):
    valid = [{"objectId": NAME, "tns_prefix": "SN", "tns_name": "2026xyz", "type": "SN Ia"}] * 2
    cache = api.budget.ledger.tns
    for seed in SEEDS:
        server.body = hostile_bytes(valid, seed)
        said = outcome(lambda seed=seed: tns_entries(cache, api, [NAME], seed * 1e6))
        if not isinstance(said, LasairApiError):
            assert all(len(entry.name) < 200 and len(entry.type) < 200 for entry in said.values())


def test_a_stamp_is_one_or_there_is_none_or_not_now(server):
    stamp = io.BytesIO(to_fits(np.ones((63, 63), dtype=np.float32), "science")).getvalue()
    fetcher = CutoutFetcher(["127.0.0.1"], parallel=1)
    fetcher._http = server
    for seed in SEEDS:
        if seed % 2:
            place = seed * 37 % len(stamp)
            server.body = stamp[:place] + bytes([seed % 256] * (seed % 90)) + stamp[place + seed % 80 :]
        else:
            server.body = hostile_bytes({"detail": "gone"}, seed)
        (said,) = fetcher.fetch([CutoutReference(*(f"http://127.0.0.1/{seed}/{n}" for n in range(3)))])
        assert isinstance(said, Triplet | MissingModalityError | LasairApiError)
