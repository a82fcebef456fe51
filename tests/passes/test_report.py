"""What is said and kept of a pass."""

import dataclasses

from annotator.decision.objects import ScoredObject
from annotator.decision.stream import NightThresholds
from annotator.passes.delivery import Delivery
from annotator.passes.report import PassReport
from annotator.passes.report_text import summary
from annotator.passes.scoring.batch import Taken
from annotator.passes.tally import add_taken, counts


def assessed(object_id: str, classification: str, score: float) -> ScoredObject:
    return ScoredObject(object_id, "", "1.0", 61000.0, 3, classification, score, {}, None, None, None)


def test_artefacts_are_counted_and_never_listed_among_the_flagged_however_high_they_score():
    report = PassReport()
    add_taken(
        report, Taken([assessed("a", "artefact", 9.0), assessed("b", "anomaly", 3.5), assessed("c", "anomaly", 4.0)])
    )
    assert [item.object_id for item in report.flagged] == ["c", "b"]
    add_taken(report, Taken([assessed("c", "artefact", 4.0)]))
    assert [item.object_id for item in report.flagged] == ["b"]
    assert report.classes == {"anomaly": 2, "artefact": 2}
    assert "2 artefact" in summary(report)


def test_the_thresholds_of_a_nightly_budget_stand_in_the_report_with_what_they_are_made_of():
    report = PassReport(thresholds=NightThresholds(3.41, 2.5, 0.417, 9000, 30))
    said = (
        "anomaly from 3.41 or exotic from 0.42, watch from 2.50: a night's budget, by 9000 objects of 30 nights before"
    )
    assert f"thresholds: {said}" in summary(report).splitlines()
    assert "thresholds" not in summary(PassReport())


def test_every_number_of_a_report_is_kept_under_its_own_name():
    numbers = [
        field.name
        for kind in (PassReport, Delivery)
        for field in dataclasses.fields(kind)
        if repr(field.default) == "0"
    ]
    values = {name: number for number, name in enumerate(numbers, 1)}
    of_delivery = {field.name for field in dataclasses.fields(Delivery)}
    report = PassReport(
        classes={"anomaly": 99},
        delivery=Delivery(**{name: value for name, value in values.items() if name in of_delivery}),
        **{name: value for name, value in values.items() if name not in of_delivery},
    )
    assert counts(report) == values | {"class_anomaly": 99, "unusual": 0}
