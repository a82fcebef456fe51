"""Damaged rows of a ledger, any configuration, and a page that cannot be made: what is shown goes on without."""

import contextlib
import io
import re
import shutil

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from annotator.cli import main
from annotator.config import load_config
from annotator.passes.run import run_pass
from annotator.report.night import PastScore
from annotator.report.pages import write as writing
from annotator.report.pages.text import share_of
from annotator.report.pages.thumbnails import score_history_svg
from annotator.sandbox import Account, Sandbox, Topic
from tests.conftest import TOKEN, copy_features_model, write_config

DAMAGED = ["", "{", "5", "[]", '{"features": null}', '{"features": {"score": "x"}, "read": null, "scored": "x"}']
DAMAGED += ['{"features": {"score": NaN, "error": 1}}', '{"features": [{"words": 5}]}']
COLUMNS = [
    *("scores.modalities", "scores.reasons", "snapshots.transient", "snapshots.model_scores", "snapshots.stamps"),
    *("passes.counts", "night_counts.counts", "objects.numbers", "waiting.record"),
]


@pytest.fixture(scope="module")
def ledger_folder(tmp_path_factory, night, models):
    """What a pass over 25 objects has left."""
    folder = tmp_path_factory.mktemp("operator")
    copy_features_model(folder)
    with Sandbox(accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False) as server:
        server.load(night.rows()[:25])
        run_pass(write_config(folder, server, models="models"), models)
    return folder


@pytest.fixture
def folder(ledger_folder, tmp_path):
    return shutil.copytree(ledger_folder, tmp_path / "copy")


def printed(folder, name: str, *arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = main([name, "-c", str(folder / "aha.yaml"), *arguments])
    return status, out.getvalue()


def damage(folder, column: str, value: str) -> None:
    table, name = column.split(".")
    with sqlalchemy.create_engine(f"sqlite:///{folder / 'aha-ledger.sqlite'}").begin() as connection:
        connection.execute(sqlalchemy.text(f"UPDATE {table} SET {name} = :value"), {"value": value})


@pytest.mark.parametrize("value", DAMAGED)
def test_damaged_rows_end_neither_report_nor_digest_nor_status(folder, value):
    leads = re.search(r"ZTF99\w+", printed(folder, "report", "--digest")[1])[0]
    for column in COLUMNS:
        damage(folder, column, value)
    for command in (["--digest"], ["--format", "json"]):
        status, words = printed(folder, "report", *command)
        assert status == 0 and leads in words
    assert printed(folder, "explain", leads)[0] == 0
    assert "models     aha" in printed(folder, "status")[1]


@pytest.mark.parametrize("value", ["{", '{"features": 5}', ""])
def test_a_pass_goes_on_over_damaged_rows(folder, models, value, night):
    for column in COLUMNS:
        damage(folder, column, value)
    with Sandbox(accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False) as server:
        server.load(night.rows()[:30])
        text = (folder / "aha.yaml").read_text().splitlines()
        (folder / "aha.yaml").write_text(
            "\n".join(f"  endpoint: {server.url}" if "endpoint:" in line else line for line in text)
        )
        report = run_pass(load_config(folder / "aha.yaml", {"LASAIR_TOKEN": TOKEN}), models)
    # This Lasair holds nothing of what the ledger says was sent: that alone is told.
    assert report.problem == report.delivery.problem and "it is not there" in report.problem and report.scored == 5


def test_a_page_that_cannot_be_made_says_so_and_the_others_are_made(folder, monkeypatch):
    made = writing.show

    def show(candidate, *others):
        if candidate.rank == 2:
            raise ZeroDivisionError("float division by zero")
        return made(candidate, *others)

    monkeypatch.setattr(writing, "show", show)
    assert printed(folder, "report", "--most", "3", "--out", str(folder / "report"))[0] == 0
    pages = [path.read_text() for path in (folder / "report" / "objects").iterdir()]
    assert sum("could not be made (ZeroDivisionError: float division by zero)" in page for page in pages) == 1
    assert len(pages) == 3 and (folder / "report" / "index.html").is_file()


@pytest.mark.parametrize(("watch", "anomaly"), [(0, 0), (0, 1e-300), (20, 20)])
def test_any_thresholds_make_a_report(folder, models, watch, anomaly):
    text = (folder / "aha.yaml").read_text()
    text = text.replace("watch_score: 0.6", f"watch_score: {watch:.320f}")
    (folder / "aha.yaml").write_text(text.replace("anomaly_score: 1.0", f"anomaly_score: {anomaly:.320f}"))
    damage_scores = "UPDATE scores SET score = 0"
    with sqlalchemy.create_engine(f"sqlite:///{folder / 'aha-ledger.sqlite'}").begin() as connection:
        connection.execute(sqlalchemy.text(damage_scores))
    assert printed(folder, "report", "--most", "3", "--out", str(folder / "report"))[0] == 0
    for page in (folder / "report" / "objects").iterdir():
        assert "could not be made" not in page.read_text()
    assert printed(folder, "status")[0] in (0, 1)
    assert printed(folder, "report", "--digest")[0] == 0


scores = st.floats(0, 20) | st.sampled_from([0.0, 5e-324, 1e-310])


@given(st.lists(scores, min_size=1, max_size=4), scores, scores)
def test_a_history_is_drawn_whatever_the_scores_and_thresholds(values, watch, anomaly):
    past = [PastScore(1e9 + n, None, None, "aha-ztf-1.0", "normal", value, {}) for n, value in enumerate(values)]
    drawn = score_history_svg(past, watch, anomaly)
    assert "nan" not in drawn and "inf" not in drawn
    assert 0 <= float(share_of(values[0], anomaly)) <= 1
