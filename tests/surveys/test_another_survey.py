"""A survey that is made up, with numbers of 19 digits for ids, goes all the way of an object: its record is enough."""

import dataclasses
import json
import math
import re
import sys
from types import SimpleNamespace

import msgspec
import pytest

from annotator import demo  # noqa: F401  # it knows every room, and each has to know the made-up survey
from annotator.annotation import Annotation
from annotator.decision.config import DecisionConfig
from annotator.errors import RecordError
from annotator.lasair.api import LasairApi
from annotator.lasair.breaker import Breakers
from annotator.lasair.budget import CallBudget
from annotator.lasair.filters import FilterFile
from annotator.ledger import Ledger
from annotator.passes.delivery import deliver
from annotator.passes.run import run_pass
from annotator.passes.score_file import score_lines
from annotator.passes.tns import tns_entries
from annotator.report.pages.render import page_name
from annotator.report.read import read_night
from annotator.report.tables import to_table
from annotator.sources.query import query_batches
from annotator.sources.records import decoded
from annotator.surveys import SURVEYS
from annotator.surveys.survey import Survey
from annotator.surveys.ztf.record import ZTF
from annotator.verdicts import read_verdicts, verdicts_csv

OBJECT_ID = "9223372036854775807"
"""The largest there can be; a float would make ...5808 of it."""
NEIGHBOUR = "9223372036854775806"
NOW = 1.79e9


def _renamed(name: str) -> str:
    return f"made_up_{name}"


def _parse(record: object, latest_mjd: float = math.inf):
    object_id = OTHER.object_id(record)
    if not object_id:
        raise RecordError(f"expected {OTHER.id_column} to be a number")
    columns = {name.removeprefix("made_up_"): value for name, value in record.items()}
    as_ztf = ZTF.parse(columns | {"objectId": object_id}, latest_mjd)
    features = {_renamed(name): value for name, value in as_ztf.features.items()}
    last_mjd = record.get(OTHER.epoch_column)
    return dataclasses.replace(as_ztf, survey=OTHER.name, features=features, last_mjd=last_mjd)


OTHER = dataclasses.replace(
    ZTF,
    name="made_up",
    endpoint="https://lasair.invalid/api",
    object_pages={"Lasair": "https://lasair.invalid/objects/{}/"},
    id_column="diaObjectId",
    id_pattern=re.compile(r"\d{1,19}"),
    id_is_number=True,
    epoch_column="lastDiaSourceMjdTai",
    first_epoch_column="firstDiaSourceMjdTai",
    epoch_minus_mjd=0.0,
    epoch_scale="tai",
    count_column="nDiaSources",
    now_sql="mjdnow()",
    features=tuple(
        dataclasses.replace(
            feature,
            name=_renamed(feature.name),
            between=tuple(map(_renamed, feature.between)),
            error=feature.error and _renamed(feature.error),
        )
        for feature in ZTF.features
    ),
    other_columns=tuple(map(_renamed, ZTF.other_columns)),
    parse=_parse,
    real_bogus=("reliability",),
    good_detection="is good",
    batch_annotations=50,
    queues_annotations=True,
)


@pytest.fixture
def other(monkeypatch) -> Survey:
    """Let every room that asks for a survey find this one, too."""
    both = {**SURVEYS, OTHER.name: OTHER}
    for name, module in list(sys.modules.items()):
        if name.startswith("annotator.") and getattr(module, "SURVEYS", None) is SURVEYS:
            monkeypatch.setattr(module, "SURVEYS", both)
    return OTHER


@pytest.fixture
def its_models(all_models):
    return dataclasses.replace(all_models, survey=OTHER.name)


@pytest.fixture
def messages(night) -> list[str]:
    """Two objects as messages of its stream: the ids are numbers there."""
    texts = []
    for object_id, row in zip((OBJECT_ID, NEIGHBOUR), night.rows(), strict=False):
        record = {_renamed(name): value for name, value in row.items() if name != "objectId"}
        record |= {OTHER.epoch_column: row["jdmax"] - 2400000.5, "diaObjectId": 0}
        texts.append(json.dumps(record).replace('"diaObjectId": 0', f'"diaObjectId": {object_id}'))
    return texts


class Lasair:
    """Answers as its Lasair would: ids are whole numbers in rows."""

    def __init__(self) -> None:
        self.survey, self.asked, self.taken = OTHER, [], []
        self.budget, self.breakers = SimpleNamespace(left=lambda: (20, 30)), Breakers()

    def query(self, selected, tables, conditions, limit, offset=0):
        self.asked.append(conditions)
        if tables == "objects":
            return [{"diaObjectId": int(number)} for number in re.findall(r"\d+", conditions)]
        taken = {item.object_id: item for item in self.taken}
        return [
            {"diaObjectId": int(object_id), "classification": item.classification, "version": item.version}
            | {"classdict": json.dumps(item.classdict)}
            | {"tns_prefix": "AT", "tns_name": "2099abc", "type": ""}
            for object_id, item in taken.items()
        ]

    def annotate(self, annotations: list[Annotation]) -> None:
        self.taken += annotations


def test_its_records_are_scored_as_the_same_numbers_of_ztf_are(other, its_models, all_models, messages, night):
    lines = [json.loads(line.text) for line in score_lines(map(decoded, messages), its_models, DecisionConfig())]
    of_ztf = [json.loads(line.text) for line in score_lines(night.rows()[:2], all_models, DecisionConfig())]
    assert [line.pop("objectId") for line in lines] == [OBJECT_ID, NEIGHBOUR]
    assert lines == [{key: value for key, value in line.items() if key != "objectId"} for line in of_ztf]


@pytest.mark.parametrize("wire", ["1.5e18", "-3", "0", "9223372036854775808", '"12a"', "null", "true"])
def test_what_is_no_number_of_64_bits_is_refused_and_claims_no_name(other, its_models, wire):
    (line,) = score_lines([decoded(f'{{"diaObjectId": {wire}}}')], its_models, DecisionConfig())
    assert json.loads(line.text) == {"objectId": "", "refused": "expected diaObjectId to be a number"}


def test_a_number_and_its_text_are_one_id(other):
    assert {other.object_id({"diaObjectId": value}) for value in (int(OBJECT_ID), OBJECT_ID)} == {OBJECT_ID}


def test_a_pass_writes_it_down_sends_it_and_reads_it_back(other, its_models, messages, configure, sandbox, tmp_path):
    (tmp_path / "night.jsonl").write_text("\n".join(messages))
    config = configure(sandbox, source={"kind": "file", "path": "night.jsonl"}, decision={"watch_score": 0.0})
    lasair = msgspec.structs.replace(config.lasair, endpoint="http://127.0.0.1:9/api")
    config = msgspec.structs.replace(config, survey=other.name, lasair=lasair)
    run_pass(config, its_models, clock=lambda: NOW)
    its_lasair = Lasair()
    with Ledger(config.ledger) as ledger:
        sent, stored = (
            deliver(ledger.outbox, its_lasair, other.batch_annotations, lambda: at, lambda: False)  # noqa: B023
            for at in (NOW + 1e6, NOW + 1e6 + 600)
        )
        entries = tns_entries(ledger.tns, its_lasair, [OBJECT_ID], NOW)
    assert {item.object_id for item in its_lasair.taken} == {OBJECT_ID, NEIGHBOUR}
    assert (sent.sent, stored.stored, sent.lost + stored.lost, sent.problem + stored.problem) == (2, 2, 0, "")
    assert all(re.fullmatch(r"objects\.diaObjectId IN \((\d+(, )?)+\)", asked) for asked in its_lasair.asked)
    assert entries[OBJECT_ID].name == "AT 2099abc"
    seen = read_night(config, its_models, NOW)
    assert {item.object_id for item in seen.candidates} == {OBJECT_ID, NEIGHBOUR}
    assert f"https://lasair.invalid/objects/{OBJECT_ID}/" in to_table(seen, "csv")


def test_a_page_and_a_verdict_go_by_all_its_digits(tmp_path):
    assert page_name(OBJECT_ID) == f"{OBJECT_ID}.html"
    path = tmp_path / "verdicts.csv"
    path.write_text(f"objectId,verdict,person,when\n{OBJECT_ID},anomaly,Ada,2026-11-28T20:00Z\n")
    read = read_verdicts(path).verdicts
    path.write_text(verdicts_csv(read))
    assert [item.object_id for item in read_verdicts(path).verdicts] == [OBJECT_ID]


def test_its_query_is_paged_by_its_columns_and_ids_are_compared_as_numbers(other):
    pages = [[(61000.0, 9), (61000.0, 10)], [(61001.0, int(OBJECT_ID))], []]
    asked = []

    def query(selected, tables, conditions, limit):
        asked.append(conditions)
        return [{"diaObjectId": number, "lastDiaSourceMjdTai": mjd} for mjd, number in pages[len(asked) - 1]]

    only = FilterFile("mine", "", "objects.diaObjectId", "objects", "objects.nDiaSources > 1")
    *_, last = query_batches(query, other, only, 1, 2.0, None)
    assert json.loads(last.position) == {"lastDiaSourceMjdTai": 61001.0}
    order = " ORDER BY objects.lastDiaSourceMjdTai, objects.diaObjectId"
    assert all(conditions.endswith(order) for conditions in asked)
    assert "objects.lastDiaSourceMjdTai = 61000.0 AND objects.diaObjectId > 10)" in asked[1]
    assert f"objects.diaObjectId > {OBJECT_ID})" in asked[2]


def test_its_object_is_recognised_by_its_own_column(other):
    class Client:
        def object(self, object_id):
            return {"diaObjectId": OBJECT_ID, "diaSourcesList": []}

    with Ledger(":memory:") as ledger:
        api = LasairApi(other, "http://127.0.0.1:9/api", "token", 1.0, CallBudget(ledger, 10, 0.5))
        api._client = Client()
        assert api.object(OBJECT_ID)["diaObjectId"] == OBJECT_ID
