"""The walls of the house: which room may use which, what a wheel carries, and how much stands in one place."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for room in ("annotator", "training") for path in (ROOT / room).rglob("*.py"))

MOST_LINES = 400
MOST_MODULES = 16
"""In one folder, beside its __init__."""


def test_every_contract_about_imports_is_kept():
    # In a process of its own: import-linter silences every logger that was there before it.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "5 kept, 0 broken" in said.stdout


def test_every_package_is_in_the_wheel():
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    listed = set(declared["options"]["packages"].split())
    there = {path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in SOURCES}
    assert there | {"annotator.onnx_models", "annotator.filters"} == listed


def _docstring(path: Path) -> str:
    found = re.match(r'"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL)
    return found[1] if found else ""


def test_a_module_says_what_it_is_and_is_short_or_says_why_not():
    for path in SOURCES:
        assert _docstring(path), f"{path} begins with no docstring"
        n_lines = len(path.read_text(encoding="utf-8").splitlines())
        assert n_lines <= MOST_LINES or "one file because" in _docstring(path), f"{path} has {n_lines} lines"


def test_a_folder_is_a_room_and_no_corridor():
    for folder in {path.parent for path in SOURCES}:
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        reason = _docstring(folder / "__init__.py")
        assert len(modules) <= MOST_MODULES or "one folder because" in reason, f"{folder} has {len(modules)} modules"
