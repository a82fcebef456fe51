"""What is installed beside us: each package at one version, with its digests, named and with its licence."""

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "requirements"
LOCKED = re.compile(r"^([\w.-]+)==(\S+) \\((?:\n    --hash=sha256:[0-9a-f]{64}(?: \\)?)+)", re.MULTILINE)
TEXT = (PLACE / "report.txt").read_text(encoding="utf-8")
VERSIONS = {canonicalize_name(name): version for name, version, _ in LOCKED.findall(TEXT)}
BILL = json.loads((PLACE / "report.cdx.json").read_text(encoding="utf-8"))


def test_every_package_of_the_lock_file_has_one_version_and_digests():
    lines = [line for line in TEXT.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(lines) == len(VERSIONS) > 20 and "://" not in TEXT


def test_the_lock_file_holds_what_the_annotator_and_its_reports_need():
    declared = configparser.ConfigParser()
    declared.read(ROOT / "setup.cfg")
    needed = [
        Requirement(line)
        for text in (declared["options"]["install_requires"], declared["options.extras_require"]["report"])
        for line in text.split()
    ]
    wrong = [str(item) for item in needed if not item.specifier.contains(VERSIONS[canonicalize_name(item.name)])]
    assert wrong == [] and len(needed) > 10


def test_the_bill_of_materials_names_what_is_locked_and_nothing_else():
    named = {canonicalize_name(item["name"]): item["version"] for item in BILL["components"]}
    assert BILL["bomFormat"] == "CycloneDX" and named == VERSIONS


def test_the_licence_of_each_package_is_listed():
    command = [sys.executable, str(PLACE / "licences.py"), str(PLACE / "report.cdx.json")]
    written = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert written == (PLACE / "LICENCES.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w.-]+) \| (\S+) \| (.+) \|$", written, re.MULTILINE)
    assert {canonicalize_name(name): version for name, version, _ in rows if name != "package"} == VERSIONS


def test_neither_place_names_a_path_of_a_machine():
    for path in PLACE.iterdir():
        assert not re.search(r"/(tmp|home|root|work|opt)/", path.read_text(encoding="utf-8")), path
