"""`aha-annotator report`, `explain` and `verdicts`, as a person runs them on a ledger that a pass has written."""

import json

import pytest

from annotator.cli import main
from annotator.ledger import Ledger
from annotator.passes.run import run_pass
from annotator.report.digest import WEBHOOK_VARIABLE
from annotator.sandbox import Account, Sandbox, Topic
from annotator.verdicts import read_verdicts
from tests.conftest import TOKEN, copy_features_model, write_config
from tests.passes.test_verdicts import verdict
from tests.report.test_digest import webhook


@pytest.fixture(scope="module")
def config(tmp_path_factory, night, models):
    """A pass by the one model that needs no more than a row, so that reports are quick."""
    folder = tmp_path_factory.mktemp("operator")
    copy_features_model(folder)
    with Sandbox(
        night, accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False
    ) as server:
        config = write_config(folder, server, models="models")
        run_pass(config, models)
    return config


@pytest.fixture
def run(config, capsys, monkeypatch):
    """Run a command on that ledger; return its exit status, and what it printed."""
    monkeypatch.delenv(WEBHOOK_VARIABLE, raising=False)

    def command(name: str, *arguments: str) -> tuple[int, str, str]:
        status = main([name, "-c", str(config.ledger.parent / "aha.yaml"), *arguments])
        return status, *capsys.readouterr()

    return command


def test_pages_are_written_and_the_last_line_says_where(run, tmp_path):
    status, printed, _ = run("report", "--out", str(tmp_path / "report"), "--most", "8")
    index = tmp_path / "report" / "index.html"
    assert status == 0 and printed.splitlines()[-1] == str(index.resolve())
    assert len(list((tmp_path / "report" / "objects").iterdir())) == 8
    assert "objects that are worth less are not listed" in index.read_text(encoding="utf-8")


@pytest.mark.parametrize("format_name", ["csv", "json", "votable"])
def test_a_table_goes_to_standard_output_or_to_a_file(run, tmp_path, format_name):
    status, printed, _ = run("report", "--format", format_name)
    assert status == 0 and "ZTF99" in printed
    path = tmp_path / "night"
    assert run("report", "--format", format_name, "--out", str(path))[:2] == (0, "")
    assert path.read_text(encoding="utf-8").count("ZTF99") == printed.count("ZTF99")


def test_a_digest_names_the_best_as_text_or_markdown(run):
    status, text, _ = run("report", "--digest", "--top", "3")
    assert status == 0 and text.count("https://lasair-ztf.lsst.ac.uk/objects/") == 3
    assert run("report", "--digest", "markdown", "--top", "3")[1].startswith("## AHA for Lasair: night of ")


def test_what_is_new_in_a_digest_is_posted_once_to_the_webhook_of_the_environment(run, config, monkeypatch):
    with webhook() as server:
        monkeypatch.setenv(WEBHOOK_VARIABLE, server.url)
        assert run("report", "--digest", "--top", "2")[2] == "posted 2 objects\n"
        run("report", "--digest", "--top", "1000")
        assert run("report", "--digest")[2] == "nothing new to post\n"
    assert len(server.received) == 2


def test_a_webhook_that_fails_needs_a_person_and_the_digest_is_printed_all_the_same(run, config, monkeypatch):
    with Ledger(config.ledger) as ledger:
        ledger.database.execute("DELETE FROM posted")
    with webhook((403, {})) as server:
        monkeypatch.setenv(WEBHOOK_VARIABLE, server.url)
        status, printed, complaint = run("report", "--digest")
    assert status == 1 and "AHA for Lasair" in printed
    assert "it answered 403" in complaint and "SECRET" not in complaint


def test_an_object_is_explained_and_drawn(run, tmp_path):
    objects = json.loads(run("report", "--format", "json")[1])["objects"]
    best = next(item for item in objects if item["reasons"]["features"])
    picture = tmp_path / "why.png"
    status, printed, _ = run("explain", best["objectId"], "--plot", str(picture))
    assert status == 0 and best["explanation"] in printed and best["reasons"]["features"][0]["words"] in printed
    assert picture.read_bytes().startswith(b"\x89PNG") and str(picture.resolve()) in printed
    status, _, complaint = run("explain", "ZTF18zzzzzzz")
    assert status == 2 and "ZTF18zzzzzzz was not scored" in complaint


def test_verdicts_are_printed_as_training_reads_them(run, config, tmp_path):
    said = verdict("anomaly", "ZTF99aaaaaaa")
    with Ledger(config.ledger) as ledger:
        ledger.verdicts.add(said)
    status, printed, _ = run("verdicts")
    (tmp_path / "verdicts.csv").write_text(printed, encoding="utf-8")
    assert status == 0 and read_verdicts(tmp_path / "verdicts.csv").verdicts == (said,)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--night", "yesterday"], "expected a date such as 2026-11-24"),
        (["--most", "0"], "expected a whole number above 0"),
        (["--digest", "--format", "csv"], "not allowed with"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(run, capsys, arguments, complaint):
    with pytest.raises(SystemExit, match="2"):
        run("report", *arguments)
    assert complaint in capsys.readouterr().err


def test_a_night_without_scores_is_said(run):
    status, _, complaint = run("report", "--night", "2020-01-01")
    assert status == 2 and "nothing was scored in the night of 2020-01-01" in complaint
