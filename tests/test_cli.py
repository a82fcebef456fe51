import os
import subprocess
import sys

import pytest

from annotator.cli import main, parser

HEAVY = ("onnxruntime", "astropy", "torch", "sklearn", "pandas", "imblearn", "requests", "yaml", "numpy")
FORBIDDEN = ("torch", "sklearn", "pandas", "imblearn", "training", "matplotlib", "jinja2", "flask", "waitress")


def imported_by(code: str) -> set[str]:
    code += "\nimport sys; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.splitlines()}


def commands() -> list[str]:
    action = next(a for a in parser()._actions if a.dest != "help" and getattr(a, "choices", None))
    return list(action.choices)


def test_help_is_light_to_start():
    loaded = imported_by("from annotator.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert not loaded & set(HEAVY)


def test_scoring_loads_nothing_that_only_training_and_reports_may():
    loaded = imported_by(
        "import annotator.passes.schedule, annotator.passes.score_file, annotator.demo, annotator.report.tables;"
        "import annotator.report.digest;"
        "from annotator.models import *;"
        "load_models(None, 'ztf')"
    )
    assert "onnxruntime" in loaded
    assert not loaded & set(FORBIDDEN)


@pytest.mark.parametrize("command", commands())
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert "usage: aha-annotator " + command in capsys.readouterr().out


def test_wrong_usage_is_exit_status_2(capsys):
    for arguments in ([], ["fly"], ["once"], ["once", "-c", "absent.yaml"], ["filters", "absent"]):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
        assert status == 2
    assert "there are" in capsys.readouterr().err


def test_the_filters_are_listed_and_printed_as_the_form_takes_them(capsys):
    assert main(["filters"]) == 0
    listing = capsys.readouterr().out
    assert "input_ztf" in listing and "tonights_anomalies" in listing
    assert main(["filters", "tonights_anomalies", "--topic", "aha_mine"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("= SELECT =") < printed.index("= WHERE =") < printed.index("menu =====\naha_mine\n")
    assert "annotator:aha_mine" in printed and "aha_ztf" not in printed.partition("SELECT")[2]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_name_that_the_terminal_has_no_letters_for_ends_nothing(tmp_path, encoding):
    folder = tmp_path / os.fsdecode(b"snow \xe2\x98\x83 and no text \xff")
    folder.mkdir()
    command = [sys.executable, "-m", "annotator", "check", "-c", str(folder / "aha.yaml")]
    environ = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environ, check=False)
    assert done.returncode == 1 and b"cannot read the configuration" in done.stdout and done.stderr == b""


def test_a_filter_that_is_none_is_said_before_a_pass_and_not_in_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LASAIR_TOKEN", "t")
    lasair, source = '{endpoint: "http://127.0.0.1:9/api"}', "{kind: query, filter: input_lsts}"
    (tmp_path / "aha.yaml").write_text(
        f"survey: lsst\nlasair: {lasair}\nsource: {source}\nannotation: {{topic: aha_lsst}}\n"
    )
    for command in ("once", "run"):
        assert main([command, "-c", str(tmp_path / "aha.yaml")]) == 2
        said = capsys.readouterr()
        assert "no filter is called 'input_lsts'; there are artefacts" in said.err and not said.out
    assert [path.name for path in tmp_path.iterdir()] == ["aha.yaml"]


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    (tmp_path / "many.jsonl").write_text('{"objectId": "a", "gmag": 19}\n' * 20_000)
    command = [sys.executable, "-m", "annotator", "score", str(tmp_path / "many.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=120) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize("words", [["filters"], ["filters", "input_ztf"]], ids=["list", "one"])
def test_where_there_is_no_room_for_what_is_printed_one_line_says_so(words):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "annotator", *words], stdout=full, stderr=subprocess.PIPE, text=True
        )
    said = "aha-annotator: a file, or what is printed, cannot be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, said)
