"""Messages of Rubin's stream through `score` and a pass: a line each, none lost, and of copies the whole one counts."""

import json
import math
import random
import re
from types import MappingProxyType

import msgspec
import pytest

from annotator.cli import main
from annotator.decision.config import DecisionConfig
from annotator.lasair.filters import load_filter
from annotator.ledger import Ledger
from annotator.models import ModelSet, load_models
from annotator.models.scores import NO_MODEL
from annotator.passes.run import run_pass
from annotator.passes.score_file import score_lines
from annotator.report.pages.render import page_name
from annotator.report.read import read_night
from annotator.report.tables import to_table
from annotator.sources.files import read_records
from annotator.surveys import SURVEYS
from tests import lsst_recorded
from tests.lsst_records import rubin_object, shapes
from tests.stand_ins import STAND_INS

LSST = SURVEYS["lsst"]
NOW = 1.79e9
LARGEST = 2**63 - 1
LISTS = ("diaSourcesList", "diaForcedSourcesList")
LITE = ("diaSourceId", "midpointMjdTai", "band", "psfFlux", "psfFluxErr", "reliability")

MODELS = ModelSet("aha-lsst-0.1", "lsst", MappingProxyType({"lightcurve": STAND_INS["lightcurve"]}))
"""Not those that ship, which change: this one says how many points a light curve has."""


def written(folder, messages):
    """Write a stream down as it came: integers for ids, NaN for what a source lacks."""
    path = folder / "night.jsonl"
    path.write_text("\n".join(map(json.dumps, messages)))
    return path


def scored(path):
    lines = [json.loads(line.text) for line in score_lines(read_records(path, LSST), MODELS, DecisionConfig())]
    return lines, [line for line in lines if "refused" not in line]


@pytest.fixture
def messages():
    """Ten objects twice in a second, with `alert` and without, in either order; one has the largest id there can be."""
    found, draw = [], random.Random(3)
    for seed in range(10):
        of_object = shapes(rubin_object(seed, n_nights=4, object_id=LARGEST if seed == 4 else None))
        copies = [of_object["row"], of_object["full"]]
        found += draw.sample(copies, 2)
    return found


@pytest.fixture
def take(configure, sandbox, tmp_path, monkeypatch):
    """Make one pass over messages; return its report and its configuration."""
    # What stands in has no parts that could carry its score.
    monkeypatch.setattr("annotator.passes.scoring.batch.reasons_of", lambda *_: {})

    def take(messages):
        written(tmp_path, messages)
        config = configure(sandbox, source={"kind": "file", "path": "night.jsonl"}, decision={"watch_score": 0.0})
        lasair = msgspec.structs.replace(config.lasair, endpoint="http://127.0.0.1:9/api")
        config = msgspec.structs.replace(config, survey="lsst", lasair=lasair)
        return run_pass(config, MODELS, clock=lambda: NOW), config

    return take


def test_score_prints_one_line_a_message_duplicates_too(messages, tmp_path):
    lines, whole = scored(written(tmp_path, messages))
    assert [line["objectId"] for line in lines] == [str(message["diaObjectId"]) for message in messages]
    assert len(whole) == 20 and len({json.dumps(line) for line in lines}) == 10


def test_a_copy_without_a_light_curve_stays_without_where_the_file_has_no_other_of_its_epoch(messages, tmp_path):
    later = [message | {"lastDiaSourceMjdTai": 62000.0} for message in messages if "alert" not in message]
    whole = [message for message in messages if "alert" in message]
    lines, with_score = scored(written(tmp_path, [*whole, *later]))
    assert [line for line in lines if line not in with_score] == lines[10:]
    assert all("no light curve" in line["refused"] for line in lines[10:])


def test_in_a_pass_the_copy_with_the_light_curve_counts_whichever_came_first(messages, take):
    report, config = take(messages)
    assert (report.read, report.scored, report.refused) == (20, 10, 0)
    with Ledger(config.ledger) as ledger:
        kept = ledger.kept.snapshots([str(message["diaObjectId"]) for message in messages])
    assert len(kept) == 10 and all(transient.light_curve is not None for _, transient in kept.values())


def test_a_bare_copy_in_a_later_pass_takes_nothing_away(messages, take):
    whole, bare = ([item for item in messages if ("alert" in item) is has] for has in (True, False))
    assert take(whole)[0].scored == 10
    assert take(bare)[0].scored == 0
    assert take(whole)[0].scored == 0


def test_an_id_of_19_digits_is_the_same_in_ledger_annotation_page_and_table(messages, take):
    _, config = take(messages)
    with Ledger(config.ledger) as ledger:
        sent = ledger.outbox.last_sent([str(LARGEST)])
    assert sent[str(LARGEST)].object_id == str(LARGEST)
    night = read_night(config, MODELS, NOW)
    assert str(LARGEST) in {item.object_id for item in night.candidates}
    assert page_name(str(LARGEST)) == f"{LARGEST}.html"
    for kind in ("csv", "votable"):
        assert str(LARGEST) in to_table(night, kind)


def test_where_no_models_ship_it_is_said_by_name(messages, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("annotator.models.load.importlib.resources.files", lambda _: tmp_path)
    assert main(["score", "--survey", "lsst", str(written(tmp_path, messages))]) == 2
    assert "no models for survey lsst yet" in capsys.readouterr().err


@pytest.mark.skipif(not lsst_recorded.STREAM.is_dir(), reason=f"no real data at {lsst_recorded.SHARED}")
def test_two_real_captures_are_scored_a_line_a_message_and_merged_in_a_pass(take, tmp_path):
    paths = [lsst_recorded.STREAM / name for name in lsst_recorded.STREAM_FILES]
    lines = [line for path in paths for line in scored(path)[0]]
    assert len(lines) == 108 and len({line["objectId"] for line in lines}) == 75
    assert not any("refused" in line for line in lines)
    report, _ = take(lsst_recorded.stream_messages())
    # The object that is in both captures is in one state there.
    assert (report.read, report.refused, report.scored) == (108, 0, 75)


@pytest.mark.skipif(not lsst_recorded.STREAM.is_dir(), reason=f"no real data at {lsst_recorded.SHARED}")
def test_of_real_captures_all_that_was_seen_twice_is_scored_by_the_models_that_ship():
    shipped, messages = load_models(None, "lsst"), lsst_recorded.stream_messages()
    lines = [json.loads(line.text) for line in score_lines(messages, shipped, DecisionConfig())]
    has_score = [math.isfinite(line.get("score", math.nan)) for line in lines]
    why = [line.get("refused", "") for line in lines]
    assert len(lines) == 108 and sum(has_score) == 61 and not any("no light curve" in words for words in why)
    # In one night and one band there is neither colour nor shape.
    assert sum("by night and band: 1 of the 2 that are needed" in words for words in why) == 47


@pytest.mark.skipif(not lsst_recorded.STREAM.is_dir(), reason=f"no real data at {lsst_recorded.SHARED}")
def test_a_real_object_gets_the_same_score_whichever_shape_its_light_curve_comes_in():
    shipped, scores = load_models(None, "lsst"), []
    for message in lsst_recorded.stream_messages():
        alert = message.get("alert")
        if not alert:
            continue
        newest_first = {name: list(reversed(alert.get(name) or [])) for name in LISTS}
        kept = {"diaObjectId": str(message["diaObjectId"])}
        lite = [{key: source.get(key) for key in LITE} for source in alert["diaSourcesList"]]
        in_shapes = [message, kept | newest_first, message | {"alert": newest_first | {"diaSourcesList": lite}}]
        scores.append([item.score for item in shipped.score([LSST.parse(record) for record in in_shapes])])
    assert len(scores) == 76 and max(map(max, scores)) > 2
    for of_object in scores:
        assert of_object == pytest.approx([of_object[0]] * len(of_object), rel=1e-6)


def test_a_view_without_a_model_says_so_in_the_line_of_score(messages, tmp_path):
    _, (line, *_) = scored(written(tmp_path, messages))
    assert {line[name]["missing"] for name in ("features", "triplet")} == {NO_MODEL}


def test_the_input_filter_selects_all_that_is_read_of_a_row():
    selected = load_filter(LSST.input_filter, "lsst").selected
    assert {*LSST.needed_columns, *LSST.other_columns} <= {name.split(".")[-1] for name in re.split(r",\s*", selected)}
