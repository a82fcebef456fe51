import gzip
import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.attention.dates import Dates
from annotator.cli import main
from annotator.decision.config import DecisionConfig
from annotator.errors import RecordError, SourceError, TableError
from annotator.models import load_models
from annotator.passes.score_file import score_lines
from annotator.passes.scoring.parsing import parsed
from annotator.sandbox import simulate_night
from annotator.sources.files import read_records
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.columns import FEATURE_NAMES
from annotator.surveys.ztf.parse import SENTINEL


@pytest.fixture(scope="module")
def models():
    return load_models(None, "ztf")


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return simulate_night(seed=5, n_objects=60).rows()


def scored(records, models) -> list[dict]:
    return [json.loads(line.text) for line in score_lines(records, models, DecisionConfig())]


def test_every_record_gets_its_line_in_order_repeats_included(rows, models):
    records = [rows[3], rows[1], rows[3], {"objectId": ""}, rows[2]]
    lines = scored(records, models)
    assert [line["objectId"] for line in lines] == [record["objectId"] for record in records]
    assert lines[0] == lines[2]
    assert set(lines[0]) == {"objectId", "score", "classification", "exotic", "prior", *models.models}
    assert set(lines[0]["features"]) == {"score", "error"}
    assert "refused" in lines[3]


def test_scores_do_not_depend_on_order_or_company(rows, models):
    alone = {row["objectId"]: next(score_lines([row], models, DecisionConfig())) for row in rows}
    shuffled = random.Random(3).sample(rows * 2, 2 * len(rows))
    for row, line in zip(shuffled, score_lines(shuffled, models, DecisionConfig()), strict=True):
        assert line == alone[row["objectId"]]


def test_the_columns_the_model_does_not_use_change_nothing(rows, models):
    used = {*FEATURE_NAMES, "dmdt_g_err", "dmdt_r_err", "objectId", "ncand", "jdmin", "jdmax", "jd_g_minus_r"}
    used |= {"classification", "physical_separation_kpc", "distance"}
    forbidden = {"z": 3.0, "type": "SLSN-I", "tns_name": "2099aaa", "glatmean": 5.0, "source_label": "Exotic"}
    for row in rows[:20]:
        bare = {name: value for name, value in row.items() if name in used}
        whole, cut, dressed = scored([row, bare, row | forbidden], models)
        for said in ("features", "exotic", "prior"):
            assert cut[said] == whole[said] == dressed[said]


def test_numbers_as_text_score_as_numbers(rows, models):
    for row in rows[:20]:
        as_text = {name: str(value) if isinstance(value, float) else value for name, value in row.items()}
        assert scored([as_text], models) == scored([row], models)


@pytest.mark.parametrize(
    "value", [None, math.nan, math.inf, -999, -999.0, "", "bright", [19.0], {}, True, 1e300, -1e300, 10**400, "1e999"]
)
def test_a_value_that_is_none_scores_as_if_its_column_were_absent(rows, models, value):
    for name in FEATURE_NAMES:
        damaged, absent = scored([rows[0] | {name: value}, {k: v for k, v in rows[0].items() if k != name}], models)
        named = damaged.pop("left_out", [])
        assert damaged == absent
        assert all(words.startswith(f"{name} is no number but ") for words in named)


@given(st.dictionaries(st.sampled_from(FEATURE_NAMES), st.floats(allow_nan=True) | st.integers() | st.text(max_size=5)))
def test_no_combination_of_values_gives_a_huge_or_an_unfinite_score(models, values):
    (line,) = scored([{"objectId": "any"} | values], models)
    if "refused" in line:
        assert set(line) == {"objectId", "refused"}
        return
    assert line["classification"] in ("anomaly", "watch", "normal")
    assert 0 <= line["score"] < 6
    assert 0 <= line["features"]["error"] < 1000


def test_an_object_of_which_nothing_can_be_scored_is_refused_and_says_of_each_view_why(models):
    for value in (SENTINEL, 0, 1e9, None):
        (line,) = scored([{"objectId": "x"} | dict.fromkeys(FEATURE_NAMES, value)], models)
        assert set(line) == {"objectId", "refused"} and line["objectId"] == "x"
        assert "nothing of it can be scored (features: 0 of 21 object features have a physical" in line["refused"]
        assert "lightcurve: " in line["refused"] and "triplet: no cutouts" in line["refused"]


def test_an_object_without_one_band_is_scored_all_the_same(rows, models):
    for band in "gr":
        columns = [name for name in FEATURE_NAMES if f"mag{band}" in name or f"_{band}" in name or name == f"{band}mag"]
        (line,) = scored([rows[0] | dict.fromkeys(columns)], models)
        assert "score" in line["features"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_json_gets_a_line_without_null_nan_or_infinity(models, record):
    (scored,) = score_lines([record], models, DecisionConfig())
    line = scored.text
    parsed = json.loads(line, parse_constant=pytest.fail)
    assert scored.is_refused is ("refused" in parsed)
    assert parsed.keys() >= {"objectId", "refused"} or parsed.keys() >= {"objectId", "score"}
    assert "null" not in line.replace(json.dumps(parsed["objectId"]), "").replace(
        json.dumps(parsed.get("refused", "")), ""
    )


@given(st.text().filter(str.strip))
def test_any_text_is_an_id_without_the_blanks_around_it(models, object_id):
    (line,) = scored([{"objectId": object_id, "gmag": 19.0, "maggmin": 19.0, "maggmax": 19.0}], models)
    assert line["objectId"] == object_id.strip() and "refused" not in line


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({}, "found nothing"),
        ({"objectId": " \n"}, "found nothing"),
        ({"alert": {"objectId": "a"}, "topic": "t"}, "found nothing, only 'alert', 'topic'"),
        ({"objectId": None}, "found nothing"),
        ({"objectId": 5}, "found a number"),
        ({"objectId": ["a"]}, "found a list"),
        ([1, 2], "found a list"),
        ("text", "found text"),
        (None, "found null"),
    ],
)
def test_a_record_without_an_id_is_refused_and_says_why(models, record, why):
    (line,) = scored([record], models)
    assert line["objectId"] == "" and why in line["refused"]


def test_a_record_or_a_table_of_another_survey_is_refused_as_that(models, tmp_path):
    (line,) = scored([{"diaObjectId": 170000000000000001, "nDiaSources": 4}], models)
    assert line["refused"].endswith("; it is a record of survey lsst")
    assert not scored([{"diaObjectId": "none"}], models)[0]["refused"].endswith("lsst")
    (tmp_path / "night.csv").write_text("diaObjectId,ra,decl\n170000000000000001,5.0,-40.0\n")
    with pytest.raises(TableError, match="no column objectId; it is a table of survey lsst"):
        list(read_records(tmp_path / "night.csv", SURVEYS["ztf"]))
    with pytest.raises(RecordError, match="it is a record of survey lsst"):
        parsed({"diaObjectId": 5}, Dates("ztf", lambda: 1.79e9))


def test_what_was_read_of_a_file_before_it_breaks_off_is_scored(models, tmp_path):
    row = json.dumps({"objectId": "a", "gmag": 19.0, "maggmin": 19.0, "maggmax": 19.0}).encode() + b"\n"
    file = tmp_path / "cut.jsonl.gz"
    file.write_bytes(gzip.compress(row * 3 + random.Random(1).randbytes(9999), mtime=0)[:-99])
    lines = []
    with pytest.raises(SourceError, match="cannot read"):
        lines.extend(score_lines(read_records(file, SURVEYS["ztf"]), models, DecisionConfig()))
    lines = [json.loads(line.text) for line in lines]
    assert [line["objectId"] for line in lines if "score" in line] == ["a"] * 3


def test_an_object_answer_is_scored_from_its_candidates(models):
    night = simulate_night(seed=5, n_objects=60)
    item = night.objects[0]
    candidates = [{k: v for k, v in epoch.__dict__.items() if v is not None} for epoch in reversed(item.epochs)]
    host = {name: item.sherlock.get(name) for name in ("classification", "separationArcsec", "major_axis_arcsec")}
    ps1 = {name: item.columns.get(name) for name in ("distpsnr1", "sgmag1", "srmag1")}
    from_candidates, from_columns = scored(
        [{"objectId": item.object_id, "candidates": candidates, "sherlock": host} | ps1, night.rows()[0]], models
    )
    assert from_candidates["features"]["error"] == pytest.approx(from_columns["features"]["error"], rel=1e-3)


def test_the_command_prints_lines_and_nothing_else(tmp_path, rows, capsys):
    (tmp_path / "night.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n{broken\n")
    (tmp_path / "night.json").write_text(json.dumps(rows[:2]))
    assert main(["score", str(tmp_path / "night.jsonl"), str(tmp_path / "night.json")]) == 0
    printed = capsys.readouterr()
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert len(lines) == len(rows) + 1 + 2
    assert lines[len(rows)]["refused"].startswith("not JSON")
    assert f"1 of the {len(rows) + 1} records of {tmp_path / 'night.jsonl'} refused" in printed.err


def test_of_models_that_are_provisional_the_command_says_so_beside_the_lines(tmp_path, capsys):
    (tmp_path / "night.json").write_text('{"diaObjectId": 9}')
    assert main(["score", "--survey", "lsst", str(tmp_path / "night.json")]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("aha-annotator: provisional models: of light curves alone")
    assert [json.loads(line)["objectId"] for line in printed.out.splitlines()] == ["9"]


def test_a_file_of_which_every_record_is_refused_needs_attention_and_the_others_are_scored(tmp_path, rows, capsys):
    (tmp_path / "none.jsonl").write_text('{"objectId": "a"}\n{"objectId": "b", "gmag": 19.5}\n')
    (tmp_path / "good.jsonl").write_text(json.dumps(rows[0]))
    assert main(["score", str(tmp_path / "none.jsonl"), str(tmp_path / "good.jsonl")]) == 1
    printed = capsys.readouterr()
    assert ["refused" in json.loads(line) for line in printed.out.splitlines()] == [True, True, False]
    assert "2 of the 2 records" in printed.err


def test_a_file_that_is_not_there_is_usage_and_a_broken_one_needs_attention(tmp_path, capsys):
    assert main(["score", str(tmp_path / "absent.json")]) == 2
    assert "no such file" in capsys.readouterr().err
    (tmp_path / "broken.json").write_text('[{"objectId": "a"},]')
    assert main(["score", str(tmp_path / "broken.json")]) == 1
    captured = capsys.readouterr()
    assert "is none" in captured.err and captured.out == ""


def test_models_that_are_not_there_are_an_error(tmp_path, capsys):
    (tmp_path / "a.json").write_text('{"objectId": "a"}')
    assert main(["score", "--models", str(tmp_path / "none"), str(tmp_path / "a.json")]) == 1
    assert "expected a folder of models" in capsys.readouterr().err
