"""What README, and the pages it leads to, tell to type runs as pasted; every command and option is written down."""

import argparse
import configparser
import dataclasses
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import annotator.onnx_models
import pytest

from annotator.cli import parser as annotator_parser
from annotator.commands.common import EXIT_USAGE
from annotator.config import ScheduleConfig
from annotator.lasair_token import CREDENTIAL
from annotator.report.digest import WEBHOOK_VARIABLE
from annotator.sandbox import Account, Sandbox, Topic, simulate_night
from annotator.sandbox.sky.night import Night
from annotator.schedule import trigger
from tests.conftest import TOKEN, write_config
from training.cli import _parser as train_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/night.md", "docs/records.md", "docs/operating.md", "docs/rubin.md")
OTHER_PAGES = ("docs/commands.md", "docs/faults.md", "docs/speed.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
"""Whose links are followed, and whose commands are not run."""
TEXT = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

OPERATING = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
PROGRAM = "/opt/aha/now/bin/aha-annotator"
"""Where docs/operating.md installs the command."""

NAMED = "ZTF20abcdefg"
"""The object that README explains."""

UNTIL_STOPPED = ("aha-annotator run ", "aha-annotator inspect ")

NOT_RUN: Mapping[str, str] = {
    "make demo": "is the demo, which test_demo runs",
    "make test": "is these tests",
    "pip install '.[report]'": "installs, which test_package does",
    "pip install .": "installs, which test_package does",
    "pip install torch==2.13.0 '.[train]'": "fetches a large package",
    "export LASAIR_TOKEN=...": "is where one's own token goes",
    "sudo ": "is for root, on a machine with systemd",
    "aha-train ": "trains or fetches for minutes to hours; tests/training runs each on few objects",
}
"""What the pages' blocks tell to type and is not run here, by how it begins, and why."""


def pasted() -> list[str]:
    """Return the lines of the pages' blocks of commands, without their comments."""
    lines, block = [], None
    for line in map(str.strip, TEXT.splitlines()):
        if line.startswith("```"):
            block = line.removeprefix("```") if block is None else None
        elif block in ("", "sh"):
            lines.append(re.sub(r"\s+#.*", "", line))
    in_text = re.findall(r"`(aha-(?:annotator \w+ -c aha\.yaml|train \w+ [^`]*--out)[^`]*)`", TEXT)
    return [line for line in dict.fromkeys(lines + in_text) if line]


def is_run(line: str) -> bool:
    return not any(line.startswith(start) for start in NOT_RUN)


@pytest.fixture(scope="module")
def night() -> Night:
    """A night in which one object has the name that README's has."""
    simulated = simulate_night(seed=5, n_objects=40)
    first, *others = simulated.objects
    named = dataclasses.replace(
        first,
        object_id=NAMED,
        columns=dict(first.columns) | {"objectId": NAMED},
        sherlock=dict(first.sherlock) | {"objectId": NAMED},
        tns=None,
    )
    return dataclasses.replace(simulated, objects=(named, *others))


@pytest.fixture(scope="module")
def place(night, tmp_path_factory) -> Iterator[Path]:
    """A folder as README's reader has it, after one pass over the sandbox's objects."""
    folder = tmp_path_factory.mktemp("readme")
    accounts, topics = [Account(TOKEN, "power")], [Topic("aha_ztf", TOKEN)]
    with Sandbox(night, accounts=accounts, topics=topics) as server:
        write_config(folder, server)
        (folder / "night.jsonl").write_text(
            f'{{"objectId": "{NAMED}", "gmag": 19.0, "rmag": 19.1, "maggmin": 19.0, "ncand": 3}}\n'
        )
        shutil.copytree(annotator.onnx_models.__path__[0], folder / "models")
        tool = folder / "bin" / "aha-annotator"
        tool.parent.mkdir()
        tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m annotator "$@"\n')
        tool.chmod(0o755)
        paste("aha-annotator once -c aha.yaml", folder)
        yield folder


def skip_where_served() -> None:
    """Skip a test where somebody on this machine inspects a night at the address that README names."""
    with socket.socket() as asked:
        if asked.connect_ex(("localhost", 8765)) == 0:
            pytest.skip("port 8765 is taken on this machine")


def paste(line: str, folder: Path) -> str:
    """Run a line in a shell and return what it printed; one that goes on for ever is ended once it has begun."""
    variables = os.environ | {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LASAIR_TOKEN": TOKEN,
    }
    outs = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    if not line.startswith(UNTIL_STOPPED):
        done = subprocess.run(
            ["sh", "-c", line], cwd=folder, env=variables, text=True, timeout=300, check=False, **outs
        )
        assert done.returncode == 0, done.stdout
        return done.stdout
    with subprocess.Popen(["sh", "-c", f"exec {line} -v"], cwd=folder, env=variables, text=True, **outs) as process:
        begun = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=120)
        assert process.returncode == 0, begun + rest
        return begun + rest


def test_a_line_that_is_not_run_stands_on_a_page():
    for start in NOT_RUN:
        assert any(line.startswith(start) for line in pasted()), (
            f"no page has a line any longer that begins with {start}"
        )


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES])
def test_what_a_page_leads_to_is_there(page):
    path = ROOT / page
    for name, _, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#([\w-]+))?\)", path.read_text(encoding="utf-8")):
        target = path.parent / name if name else path
        assert target.exists(), f"{page} leads to {name}, which is not there"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]


@pytest.mark.parametrize("line", [line for line in pasted() if is_run(line)])
def test_a_command_of_a_page_runs_as_pasted(line, place):
    if line.startswith("aha-annotator inspect "):
        skip_where_served()
    printed = paste(line, place)
    written = [place / name for name in re.findall(r"(?:--out|--plot|>) (\S+)", line)]
    assert printed or written
    assert all(path.stat().st_size for path in written)


def block(language: str) -> str:
    """Return the block of docs/operating.md that is in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", OPERATING, re.DOTALL | re.MULTILINE)
    return found


def test_the_unit_of_systemd_starts_a_command_that_there_is_and_hands_it_the_token():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string(block("ini"))
    service = unit["Service"]
    program, *rest = shlex.split(service["ExecStart"])
    assert program == PROGRAM and f"{annotator_parser().parse_args(rest).config}" == "aha.yaml"
    name, _, file = service["LoadCredential"].partition(":")
    assert name == CREDENTIAL and f"install -m 600 my-token {file}\n" in OPERATING
    assert service.getint("RestartPreventExitStatus") == EXIT_USAGE
    assert service["ReadWritePaths"] == service["WorkingDirectory"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_finds_nothing_wrong_in_the_unit(tmp_path):
    unit = tmp_path / "aha.service"
    unit.write_text(block("ini").replace(PROGRAM, "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "aha.service" in line]) == (0, [])


def crontab() -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the variables of the crontab in docs/operating.md, and its lines as schedule and command."""
    lines = block("crontab").splitlines()
    variables = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))
    jobs = [re.fullmatch(r"((?:\S+ ){4}\S+)  +(.*)", line).groups() for line in lines if not re.match(r"\w+=", line)]
    return variables, jobs


def test_the_crontab_is_one():
    variables, jobs = crontab()
    assert set(variables) == {"PATH", "MAILTO", WEBHOOK_VARIABLE}
    assert variables["PATH"].startswith(f"{Path(PROGRAM).parent}:")
    assert all(trigger(ScheduleConfig(cron=schedule)) for schedule, _ in jobs)


@pytest.mark.parametrize("which", ["ledger backup", "status"])
def test_a_line_of_the_crontab_runs(which, place, tmp_path):
    _, jobs = crontab()
    (command,) = [command for _, command in jobs if f"aha-annotator {which}" in command]
    # Cron makes a percent sign of one behind a backslash.
    printed = paste(command.replace("\\%", "%").replace("/backups", str(tmp_path)), place)
    assert not printed, "cron mails what is printed"
    assert which == "status" or any(path.stat().st_size for path in tmp_path.iterdir())


def test_what_root_types_and_cron_starts_are_commands_that_there_are():
    by_cron = re.findall(r"aha-annotator ([^&)>\n]*)", re.sub(r"\$\(date .*?\)", "DATE", block("crontab")))
    typed = re.findall(rf"{PROGRAM} ([^\n'>]*)", OPERATING)
    assert len(typed) > 4 and len(by_cron) == 4
    for arguments in typed + by_cron:
        annotator_parser().parse_args(shlex.split(arguments))


@pytest.mark.parametrize("line", [line for line in pasted() if line.startswith("aha-train ")])
def test_a_training_of_a_page_is_a_command_that_there_is(line):
    train_parser().parse_args(shlex.split(line)[1:])


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield the parsers of a command that have no further commands."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for inner in group.choices.values():
            yield from leaves(inner)


LEAVES = [*leaves(annotator_parser()), *leaves(train_parser())]


def section(title: str) -> str:
    """Return what docs/commands.md says of a command."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", COMMANDS, re.DOTALL | re.MULTILINE)
    assert found, f"docs/commands.md has no section {title}"
    return found[1]


@pytest.mark.parametrize("parser", LEAVES, ids=lambda parser: parser.prog)
def test_a_command_is_written_down_with_all_its_options_and_no_other(parser):
    text = section(parser.prog)
    assert f"```sh\n{parser.prog}" in text, "an example is missing"
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    common = options & {"--help", "--verbose", "--config"}
    named = "".join(line.partition(":")[0] for line in text.splitlines() if line.startswith("- "))
    assert set(re.findall(r"--[\w-]+", named)) == options - common
    for action in parser._actions:
        if not action.option_strings:
            assert f"`{action.metavar or action.dest.upper()}`" in named


def test_no_command_is_written_down_that_there_is_not():
    assert re.findall(r"^## (aha-.*)$", COMMANDS, re.MULTILINE) == [parser.prog for parser in LEAVES]


def test_the_page_of_commands_begins_with_a_link_to_each():
    anchors = re.findall(r"\(#(aha-[\w-]+)\)", COMMANDS.partition("\n## ")[0])
    assert anchors == [parser.prog.replace(" ", "-") for parser in LEAVES]


def test_the_options_of_all_commands_are_written_down_once():
    preamble = COMMANDS.partition("\n## ")[0]
    assert {"--help", "--version", "--config", "--verbose"} <= set(re.findall(r"--[a-z]+", preamble))
