"""What a user installs: the wheel, in an environment that has never seen the checkout."""

import hashlib
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


EPOCH = "1764460800"
"""The date of all that is in the wheel, in seconds since 1970."""


def build(folder: Path, **environment: str) -> Path:
    """Build the wheel of a copy of this checkout in a folder."""
    # A copy without build/ and *.egg-info: what is left over from earlier builds would get into the wheel.
    source = folder / "source"
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    )
    for name in filter(None, archive.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder / "dist"), str(source)]
    subprocess.run(
        command, check=True, capture_output=True, env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH} | environment
    )
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_models_filters_and_the_example_are_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    shipped = {f"annotator/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "filters").glob("*/*.sql")}
    models = ("features.onnx", "features.json", "MODEL_CARD.md", "known.npz", "KNOWN_CARD.md")
    models += ("worth.json", "WORTH_CARD.md", "YOUNG_CARD.md")
    shipped |= {f"annotator/onnx_models/ztf/{name}" for name in models}
    of_lsst = ("features.onnx", "features.json", "MODEL_CARD.md", "exotic.onnx", "exotic.json", "EXOTIC_CARD.md")
    shipped |= {f"annotator/onnx_models/lsst/{name}" for name in of_lsst}
    shipped |= {"annotator/example.yaml", "annotator/sandbox/lasair/server.py", "training/data/fetch_table.py"}
    shipped |= {
        f"annotator/report/{path.parent.name}/{path.name}"
        for path in (ROOT / "annotator/report").glob("*/*.*")
        if path.parent.name != "__pycache__"
    }
    assert shipped <= names
    arrays = {name for name in names if name.endswith((".csv", ".parquet", ".npz"))}
    # Names, types and latents, and shares with intervals: no data.
    assert arrays == {"annotator/onnx_models/ztf/known.npz", "annotator/onnx_models/ztf/young.csv"}
    assert not [name for name in names if "test" in name]


@pytest.mark.long
def test_the_wheel_is_the_same_to_the_bit_wherever_and_whenever_it_is_built(wheel, tmp_path):
    again = build(tmp_path / "elsewhere", TZ="Asia/Tokyo", PYTHONHASHSEED="7", LC_ALL="C")
    assert again.name == wheel.name
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


@pytest.mark.long
def test_what_the_lock_file_names_and_the_wheel_alone_run_the_demo_with_its_pages(wheel, tmp_path):
    venv.create(tmp_path / "locked", with_pip=True)
    python = tmp_path / "locked" / "bin" / "python"
    locked = ["install", "--quiet", "--require-hashes", "-r", str(ROOT / "requirements" / "report.txt")]
    installed = subprocess.run([python, "-m", "pip", *locked], capture_output=True, text=True, cwd=tmp_path)
    if "connection" in installed.stderr.lower():
        pytest.skip(f"no package index to install from: {installed.stderr.strip().splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    for command in (["install", "--quiet", "--no-deps", str(wheel)], ["check"]):
        subprocess.run([python, "-m", "pip", *command], check=True, cwd=tmp_path)
    demo = subprocess.run(
        [tmp_path / "locked" / "bin" / "aha-annotator", "demo"], capture_output=True, text=True, cwd=tmp_path
    )
    assert demo.returncode == 0, demo.stderr
    assert demo.stdout.splitlines()[-1].endswith("report/index.html")


@pytest.mark.long
def test_the_wheel_in_a_clean_environment_runs_the_demo(wheel, tmp_path):
    venv.create(tmp_path / "clean", with_pip=True)
    python = tmp_path / "clean" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", str(wheel)], check=True, cwd=tmp_path)
    installed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert not [
        name for name in ("torch", "scikit-learn", "pandas", "matplotlib", "flask") if name in installed.lower()
    ]
    demo = subprocess.run(
        [tmp_path / "clean" / "bin" / "aha-annotator", "demo"], capture_output=True, text=True, cwd=tmp_path
    )
    assert demo.returncode == 0, demo.stderr
    assert "tonights_anomalies" in demo.stdout
    assert "pip install 'lasair-aha[report]'" in demo.stdout.splitlines()[-1]
