"""Write the list of licences of what is installed from the lock file, of its bill of materials.

python requirements/licences.py requirements/report.cdx.json > requirements/LICENCES.md
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_HEAD = """# Licences

AHA for Lasair is under Apache-2.0 ([LICENSE](../LICENSE)). Nothing of anybody else's code is in the repository or the
wheel. It needs, with the extra `report`, at the versions of [report.txt](report.txt), as each package says of itself
(the whole bill of materials, in CycloneDX: [report.cdx.json](report.cdx.json)):

| package | version | licence |
|---|---|---|
"""


_SAID_OTHERWISE = {"protobuf": "BSD-3-Clause"}
"""Of packages that say theirs in words which the bill of materials does not take over."""


def licence_of(component: Mapping) -> str:
    """Return what a package says that its licence is: an expression, else names, else the classifiers' names."""
    said: Sequence[Mapping] = component.get("licenses", ())
    texts = [item.get("expression") or item["license"].get("id") or item["license"].get("name", "") for item in said]
    short = list(dict.fromkeys(text for text in texts if text and "\n" not in text and len(text) < 100))
    if not short:
        return _SAID_OTHERWISE.get(component["name"], "")
    return "; ".join(short).replace("License :: OSI Approved :: ", "")


def listed(bill: Mapping) -> str:
    """Return the list as text, of a bill of materials in CycloneDX."""
    rows = sorted(bill["components"], key=lambda item: item["name"].lower())
    return _HEAD + "".join(f"| {item['name']} | {item['version']} | {licence_of(item)} |\n" for item in rows)


if __name__ == "__main__":
    sys.stdout.write(listed(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
