"""Annotations at Lasair for Rubin: acknowledged, queued, applied later and in another order, by one consumer of all."""

import lasair
import pytest

from annotator.lasair.filters import parse_filter
from annotator.sandbox import LsstSandbox, Topic
from annotator.sandbox.lasair.lsst.queue import Queueing
from annotator.sandbox.lasair.lsst.triggers import ActiveFilter

TABLES = "objects, annotator:aha_lsst"
ITEM = {"topic": "aha_lsst", "classification": "anomaly", "version": "1", "classdict": {"score": 3.0}}


def held(power, topic="aha_lsst"):
    rows = power.query(
        f"objects.diaObjectId, {topic}.classification, {topic}.version", f"objects, annotator:{topic}", ""
    )
    return {row["diaObjectId"]: row["version"] for row in rows}


@pytest.fixture
def ids(rubin_night):
    return [item.object_id for item in rubin_night.objects]


def refusal(function, *args, **kwargs):
    with pytest.raises(lasair.LasairError) as caught:
        function(*args, **kwargs)
    return caught.value.message


def test_success_means_queued(sandbox, power, clock, ids):
    assert power.annotate(objectId=ids[0], **ITEM)["status"] == "success"
    assert held(power) == {} and len(sandbox.queue) == 1
    clock.now += 60
    assert held(power) == {ids[0]: "1"}


def test_a_hundred_go_in_one_call(sandbox, power, clock, ids):
    sandbox.load([{"diaObjectId": 1000 + i} for i in range(100)])
    assert power.annotate_list([ITEM | {"objectId": 1000 + i} for i in range(100)])["status"] == "success"
    clock.now += 60
    assert len(held(power)) == 100
    assert [call.endpoint for call in sandbox.calls].count("annotatelist") == 1


def test_of_two_a_second_apart_the_older_one_may_be_applied_last(rubin_night, clock):
    topics = (Topic("aha_lsst", "sandbox-token"),)
    with LsstSandbox(None, topics=topics, clock=clock) as sandbox:
        power = lasair.lasair_client("sandbox-token", endpoint=sandbox.url)
        sandbox.load([{"diaObjectId": i} for i in range(1, 201)])
        for version in ("1", "2", "3"):
            power.annotate_list([ITEM | {"objectId": i, "version": version} for i in range(1, 201)])
            clock.now += 1
        clock.now += 60
        last = list(held(power).values())
    # 6 of 40 were measured; which ones is drawn from a seed.
    assert 10 <= last.count("2") <= 45 and last.count("3") > 140


def test_nothing_is_out_of_order_where_nothing_is_late(clock):
    with LsstSandbox(clock=clock, queueing=Queueing(late_share=0.0)) as sandbox:
        power = lasair.lasair_client("sandbox-token", endpoint=sandbox.url)
        sandbox.load([{"diaObjectId": i} for i in range(1, 51)])
        for version in ("1", "2"):
            power.annotate_list([ITEM | {"objectId": i, "version": version} for i in range(1, 51)])
        clock.now += 10
        assert set(held(power).values()) == {"2"}


@pytest.mark.parametrize(
    "changed",
    [
        {"objectId": 2**63},
        {"explanation": "the host's light"},
        {"explanation": "ends in \\"},
        {"classdict": {"score": float("nan")}},
        {"classdict": {"who": 'the "best"'}},
    ],
    ids=["an id beyond 63 bits", "an apostrophe", "a backslash at the end", "not a number", "quotes in classdict"],
)
def test_one_poison_is_acknowledged_and_then_ends_everybodys_annotations(sandbox, power, clock, ids, changed):
    bad = {"objectId": ids[0], **ITEM} | changed
    assert power.annotate(**bad)["status"] == "success"
    clock.now += 10
    assert power.annotate(objectId=ids[1], **ITEM)["status"] == "success"
    clock.now += 60
    assert held(power) == {} and sandbox.queue.why_dead
    sandbox.queue.restart(without_the_poison=False)
    assert held(power) == {} and sandbox.queue.why_dead  # it meets the same message again
    sandbox.queue.restart(without_the_poison=True)
    assert held(power) == {ids[1]: "1"}


def test_unicode_in_an_explanation_is_no_poison(sandbox, power, clock, ids):
    power.annotate(objectId=ids[0], **ITEM, explanation="blå")
    clock.now += 60
    assert held(power) == {ids[0]: "1"}
    assert sandbox.annotations()[0]["explanation"] == "blå"


def test_all_seven_fields_are_needed_and_what_stands_before_a_bad_one_is_taken(sandbox, power, clock, ids):
    whole = ITEM | {"explanation": "", "url": "", "classdict": "{}"}
    for missing in ("version", "explanation", "url", "classdict"):
        bad = {key: value for key, value in whole.items() if key != missing}
        content = {"annotations": [whole | {"objectId": ids[0]}, bad | {"objectId": ids[1]}]}
        answer = power.fetch_from_server
        assert "This field is required." in refusal(answer, "annotatelist", content, use_json=True)
    clock.now += 60
    assert held(power) == {ids[0]: "1"}


def test_of_a_batch_the_first_half_may_be_taken_and_the_rest_lost(sandbox, power, clock, ids):
    sandbox.misbehave("annotatelist", "half", times=1, status=500)
    batch = [ITEM | {"objectId": object_id} for object_id in ids]
    assert "Internal Server Error" in refusal(power.annotate_list, batch)
    clock.now += 60
    assert held(power).keys() == set(ids[: len(ids) // 2])
    power.annotate_list(batch)  # again, whole: harmless
    clock.now += 60
    assert held(power).keys() == set(ids)


def test_who_may_annotate_is_told_at_once(power, ids, sandbox):
    for topic, words in (("nobody", "does not exist"), ("asleep", "is not active")):
        assert words in refusal(power.annotate, objectId=ids[0], **ITEM | {"topic": topic})
    other = lasair.lasair_client("other", endpoint=sandbox.url)
    assert "not allowed to submit" in refusal(other.annotate, objectId=ids[0], **ITEM)
    assert "no more than 80" in refusal(power.annotate, objectId=ids[0], **ITEM | {"classification": "a" * 81})


def test_the_annotation_of_an_object_that_main_lacks_is_stored_and_not_shown(sandbox, power, clock, ids):
    sandbox.hide([ids[0]])
    power.annotate(objectId=ids[0], **ITEM)
    clock.now += 60
    assert held(power) == {} and len(sandbox.annotations()) == 1
    sandbox.show()
    assert held(power) == {ids[0]: "1"}


def test_an_objects_answer_lists_its_annotations(power, clock, ids):
    power.annotate(objectId=ids[0], **ITEM)
    clock.now += 60
    (annotation,) = power.object(ids[0])["lasairData"]["annotations"]
    assert annotation["classdict"] == '{"score": 3.0}' and annotation["topic"] == "aha_lsst"


# Filters that run on annotations


def filter_of(selected="objects.diaObjectId, aha_lsst.classification", topic="aha_lsst", conditions="1=1"):
    return parse_filter(
        "flagged", f"-- What was flagged.\nSELECT {selected}\nFROM objects, annotator:{topic}\nWHERE {conditions}"
    )


def annotated(sandbox, power, clock, object_ids, topic="aha_lsst"):
    for object_id in object_ids:
        power.annotate(objectId=object_id, **ITEM | {"topic": topic})
    clock.now += 10
    sandbox.settle()
    clock.now += 19
    sandbox.settle()
    before = sandbox.filters.sent("flagged")
    clock.now += 2
    sandbox.settle()
    return before, sandbox.filters.sent("flagged")


def test_a_filter_runs_twenty_seconds_after_the_last_annotation_in_lower_case_without_a_light_curve(
    sandbox, power, clock, ids
):
    sandbox.filters.add(ActiveFilter(filter_of(), "lite"))
    before, messages = annotated(sandbox, power, clock, ids[:3])
    assert before == []
    assert {message["diaobjectid"] for message in messages} == set(ids[:3])
    assert {tuple(message) for message in messages} == {("diaobjectid", "classification", "UTC")}


def test_a_key_in_capitals_is_never_found(sandbox, power, clock, ids):
    conditions = "JSON_EXTRACT(aha_lsst.classdict, '$.Score') > 1"
    sandbox.filters.add(ActiveFilter(filter_of(conditions=conditions)))
    power.annotate(objectId=ids[0], **ITEM | {"classdict": {"Score": 3.0}})
    clock.now += 60
    sandbox.settle()
    clock.now += 60
    sandbox.settle()
    assert sandbox.filters.sent("flagged") == []


def test_the_trigger_of_an_object_that_main_lacks_is_lost(sandbox, power, clock, ids):
    sandbox.filters.add(ActiveFilter(filter_of()))
    sandbox.hide(ids[:1])
    assert annotated(sandbox, power, clock, ids[:2])[1][0]["diaobjectid"] == ids[1]
    sandbox.show()
    clock.now += 1000
    sandbox.settle()
    assert len(sandbox.filters.sent("flagged")) == 1


def test_a_topic_in_capitals_is_stored_and_triggers_nothing(sandbox, power, clock, ids):
    sandbox.filters.add(ActiveFilter(filter_of()))
    assert annotated(sandbox, power, clock, ids[:1], topic="AHA_LSST") == ([], [])
    assert len(sandbox.annotations()) == 1


@pytest.mark.parametrize("release", ["main", "develop"])
def test_a_filter_that_wants_light_curves_without_the_id_ends_the_service_for_all(clock, rubin_night, ids, release):
    with LsstSandbox(rubin_night, clock=clock, release=release) as sandbox:
        power = lasair.lasair_client("sandbox-token", endpoint=sandbox.url)
        sandbox.filters.add(ActiveFilter(filter_of("objects.ra, aha_lsst.classification"), "full"))
        assert annotated(sandbox, power, clock, ids[:1])[1] == []
        assert "no diaobjectid" in sandbox.filters.why_dead.lower()
        sandbox.filters.add(ActiveFilter(filter_of()))
        assert annotated(sandbox, power, clock, ids[1:2])[1] == []


def test_in_the_coming_release_an_object_keeps_the_light_curve_of_its_first_annotation(clock, rubin_night, ids):
    with LsstSandbox(rubin_night, clock=clock, release="develop") as sandbox:
        power = lasair.lasair_client("sandbox-token", endpoint=sandbox.url)
        sandbox.filters.add(ActiveFilter(filter_of(), "lite"))
        (first,) = annotated(sandbox, power, clock, ids[:1])[1]
        sandbox.load([{"diaObjectId": ids[0], "alert": {"diaSourcesList": []}}])
        second = annotated(sandbox, power, clock, ids[:1])[1][-1]
    assert first["diaObjectId"] == ids[0] and first["alert"]["diaSourcesList"]
    assert second["alert"] == first["alert"]
