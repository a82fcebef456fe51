"""How often something is flagged, against counts made by hand and by another way."""

import json
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.cli import main
from annotator.decision.config import DecisionConfig
from annotator.ledger import Ledger
from annotator.ledger.counts import NightCount
from annotator.monitor.flag_rate import NIGHTS, flag_rate, flags_text
from annotator.nights import DAY_S, night_of, start_of
from annotator.passes.run import run_pass
from tests.conftest import examples
from tests.ledger.test_ledger import scored_object

FIRST = 61000
NOW = start_of(FIRST + 1000)


def filled(scorings, model_set="aha-ztf-1.0") -> Ledger:
    """Make a ledger of (night, object, classification), in the middle of each night."""
    ledger = Ledger(":memory:")
    for night, name, classification in scorings:
        item = scored_object(name, classification=classification, send=False, model_set=model_set)
        ledger.record([item], [], start_of(FIRST + night) + DAY_S / 2)
    return ledger


def test_an_object_is_a_new_flag_once_and_once_more_when_it_becomes_an_anomaly():
    ledger = filled(
        [
            (0, "a", "watch"),
            (0, "a", "watch"),
            (0, "b", "anomaly"),
            (0, "c", "normal"),
            (1, "a", "anomaly"),
            (1, "b", "watch"),
            (1, "d", "artefact"),
            (3, "a", "anomaly"),
            (3, "c", "watch"),
        ]
    )
    assert ledger.counts.of_nights("aha-ztf-1.0", 9) == [
        NightCount(FIRST, scored=3, anomalies=1, watches=1),
        NightCount(FIRST + 1, scored=3, anomalies=1, watches=0),
        NightCount(FIRST + 3, scored=2, anomalies=0, watches=1),
    ]
    assert [count.night for count in ledger.counts.of_nights("aha-ztf-1.0", 2)] == [FIRST + 1, FIRST + 3]
    assert ledger.counts.of_nights("aha-ztf-2.0", 9) == []


classes = st.sampled_from(["normal", "watch", "anomaly", "artefact"])


@settings(max_examples=examples(40))  # each makes a ledger
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abcd"), classes), max_size=20))
def test_nights_and_lives_are_counted_as_one_would_by_hand(scorings):
    scorings.sort(key=lambda item: item[0])
    ledger = filled(scorings)
    expected, seen = {}, defaultdict(set)
    for night, name, classification in scorings:
        scored, anomalies, watches = expected.setdefault(night, (set(), set(), set()))
        scored.add(name)
        if classification == "anomaly" and "anomaly" not in seen[name]:
            anomalies.add(name)
        if classification == "watch" and not seen[name] & {"anomaly", "watch"}:
            watches.add(name)
        seen[name].add(classification)
    assert ledger.counts.of_nights("aha-ztf-1.0", 9) == [
        NightCount(FIRST + night, *map(len, sets)) for night, sets in sorted(expected.items())
    ]
    lives = ledger.counts.lifetimes("aha-ztf-1.0")
    flags = [name for _, name, classification in scorings if classification in ("anomaly", "watch")]
    assert sum(count.objects * count.times_scored for count in lives) == len(scorings)
    assert sum(count.objects for count in lives) == len(seen)
    assert sum(count.ever_flagged for count in lives) == len(set(flags))
    assert sum(count.flags for count in lives) == len(flags)


def nights(numbers, classification="anomaly", first_night=0):
    """Let so many objects be flagged for the first time in each night."""
    return [
        (first_night + night, f"{classification}{night}x{n}", classification)
        for night, number in enumerate(numbers)
        for n in range(number)
    ]


def test_the_rate_is_of_the_last_thirty_nights_without_the_first_and_the_one_that_is_not_over():
    numbers = [50, *range(5), *range(1, NIGHTS + 1), 40]
    now = start_of(FIRST + len(numbers) - 1) + DAY_S / 2 + 1
    rate = flag_rate(filled(nights(numbers)), "aha-ztf-1.0", DecisionConfig(), now)
    assert (rate.nights, rate.is_preliminary) == (NIGHTS, False)
    # 1 to 30: the mean by Gauss; three of thirty are set aside at either end.
    assert (rate.anomalies.mean, rate.anomalies.low, rate.anomalies.high) == (15.5, 4, 27)
    assert (rate.watches.mean, rate.watches.low, rate.watches.high) == (0.0, 0, 0)
    (words, *_) = flags_text(rate)
    assert words == (
        "about 16 anomalies and 0.0 watches a night, new ones, of 16 objects scored (30 nights, 80 % of nights 4 to 27 "
        "and 0)"
    )


def test_before_a_second_full_night_the_first_counts_and_it_is_said():
    rate = flag_rate(filled(nights([3])), "aha-ztf-1.0", DecisionConfig(), start_of(FIRST + 1) - 1)
    assert (rate.nights, rate.is_preliminary, rate.anomalies.mean) == (1, True, 3.0)
    assert "(so far, with the first night, in which all is new)" in flags_text(rate)[0]
    rate = flag_rate(filled(nights([90, 3])), "aha-ztf-1.0", DecisionConfig(), NOW)
    assert (rate.nights, rate.is_preliminary, rate.anomalies.mean) == (1, False, 3.0)
    assert "of 3 objects scored (1 night)" in flags_text(rate)[0]
    rate = flag_rate(filled(nights([90, 3, 5])), "aha-ztf-1.0", DecisionConfig(), NOW)
    assert "(2 nights, all 3 to 5 and 0)" in flags_text(rate)[0]


def test_a_new_model_set_starts_its_own_count():
    ledger = filled(nights([90, 3]))
    assert flag_rate(ledger, "aha-ztf-2.0", DecisionConfig(), NOW) is None
    ledger.record([scored_object("a", model_set="aha-ztf-2.0", send=False)], [], start_of(FIRST + 9))
    assert flag_rate(ledger, "aha-ztf-2.0", DecisionConfig(), NOW).lifetime.objects == 1


def test_thirty_scorings_are_thirty_chances():
    scorings = [(night, "often", "normal") for night in range(30)] + [(0, "once", "watch"), (5, "twice", "normal")]
    scorings += [(6, "twice", "normal"), (7, "again", "normal")]
    lifetime = flag_rate(filled(scorings), "aha-ztf-1.0", DecisionConfig(), NOW).lifetime
    assert (lifetime.objects, lifetime.median_times_scored, lifetime.max_times_scored) == (4, 1, 30)
    assert lifetime.flagged_share_of_objects == 1 / 4
    assert lifetime.flagged_share_of_scorings == 1 / 34
    # 1 - 0.99**30 = 0.2603 and 1 - 0.999**30 = 0.02957, from tables
    assert lifetime.chance_flag_share == pytest.approx((0.260299 + 0.01 + 0.0199 + 0.01) / 4, abs=1e-6)
    assert lifetime.chance_anomaly_share == pytest.approx((0.029569 + 0.001 + 0.001999 + 0.001) / 4, abs=1e-6)
    always = DecisionConfig(watch_score=0.0)
    assert flag_rate(filled(scorings), "aha-ztf-1.0", always, NOW).lifetime.chance_flag_share == 1.0


def test_status_says_how_often_something_is_flagged_and_relative_to_what(sandbox, configure, models, tmp_path, capsys):
    config = configure(sandbox)
    assert main(["status", "-c", str(tmp_path / "aha.yaml"), "--json"]) == 1
    assert "flags" not in json.loads(capsys.readouterr().out)
    report = run_pass(config, models)
    assert main(["status", "-c", str(tmp_path / "aha.yaml"), "--json"]) == 0
    flags = json.loads(capsys.readouterr().out)["flags"]
    assert flags["anomalies"]["mean"] == report.classes["anomaly"] > 0
    assert flags["watches"]["mean"] == report.classes["watch"] > 0
    assert flags["objects_a_night"] == flags["lifetime"]["objects"] == report.scored
    main(["status", "-c", str(tmp_path / "aha.yaml")])
    words = capsys.readouterr().out
    assert f"flags      about {report.classes['anomaly']}" in words
    assert "relative to the supernovae that the models know, not to this stream" in words
    with Ledger(config.ledger) as ledger:
        (count,) = ledger.counts.of_nights(models.version, 9)
        assert count.night == night_of(ledger.passes.last().ended_at)
