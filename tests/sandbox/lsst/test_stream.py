"""Streams of Lasair for Rubin: three kinds, NaN, lists oldest first, and some messages twice in a second."""

import json
import math
from collections import defaultdict

import pytest

from annotator.lasair.filters import parse_filter
from annotator.sandbox.kafka import StreamBroker
from annotator.sandbox.lasair.lsst.stream import encoded, stream_messages

FILTER = parse_filter(
    "input", "-- Everything.\nSELECT objects.diaObjectId, objects.nDiaSources\nFROM objects\nWHERE nDiaSources > 0"
)


def messages(sandbox, output, **changes):
    return stream_messages(sandbox.database, sandbox.records, FILTER, output, now_s=sandbox.clock(), **changes)


def test_a_plain_stream_is_the_columns_and_when_they_were_sent(sandbox, rubin_night):
    plain = messages(sandbox, "plain")
    assert {tuple(message) for message in plain} == {("diaObjectId", "nDiaSources", "UTC")}
    assert {message["diaObjectId"] for message in plain} == {item.object_id for item in rubin_night.objects}


def test_a_short_light_curve_has_five_and_four_keys_and_no_nan(sandbox):
    for message in messages(sandbox, "lite"):
        assert {len(row) for row in message["alert"]["diaSourcesList"]} == {5}
        assert {len(row) for row in message["alert"]["diaForcedSourcesList"]} <= {4}
        assert "NaN" not in json.dumps(message)


def test_a_full_alert_has_all_keys_and_hundreds_of_nans_and_is_oldest_first(sandbox):
    for message, text in zip(messages(sandbox, "full"), encoded(messages(sandbox, "full")), strict=True):
        alert = message["alert"]
        assert list(alert) == [
            "diaObject",
            "diaSourcesList",
            "diaForcedSourcesList",
            "diaNondetectionLimitsList",
            "ebv",
        ]
        assert text.count(b"NaN") > 30 and len(alert["diaSourcesList"]) == message["nDiaSources"]
        for name in ("diaSourcesList", "diaForcedSourcesList"):
            dates = [row["midpointMjdTai"] for row in alert[name]]
            assert dates == sorted(dates)
        assert math.isnan(alert["diaObject"]["firstDiaSourceMjdTai"])


def test_of_a_message_that_comes_twice_one_copy_has_the_alert_whichever_is_first(sandbox):
    copies = defaultdict(list)
    for message in messages(sandbox, "full", duplicated=1.0):
        copies[message["diaObjectId"]].append(message)
    assert {len(pair) for pair in copies.values()} == {2}
    firsts = {"alert" in pair[0] for pair in copies.values()}
    assert firsts == {True, False} and all(("alert" in a) != ("alert" in b) for a, b in copies.values())
    assert all(a["UTC"] == b["UTC"] for a, b in copies.values())


def test_without_the_id_under_its_own_name_there_is_no_alert(sandbox):
    other = parse_filter("input", "-- Renamed.\nSELECT objects.diaObjectId AS id\nFROM objects\nWHERE nDiaSources > 0")
    sent = stream_messages(sandbox.database, sandbox.records, other, "full")
    assert {tuple(message) for message in sent} == {("id", "UTC")}


@pytest.mark.filterwarnings("ignore")
def test_a_stream_goes_through_kafka_as_it_is(sandbox):
    import confluent_kafka

    with StreamBroker() as broker:
        sent = encoded(messages(sandbox, "lite", duplicated=0.5))
        broker.publish_raw("lasair_1input", sent)
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": broker.bootstrap, "group.id": "test", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe(["lasair_1input"])
        got = []
        while len(got) < len(sent):
            found = consumer.poll(60)
            assert found is not None and not found.error()
            got.append(found.value())
        consumer.close()
    assert sorted(got) == sorted(sent)
