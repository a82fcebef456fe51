import dataclasses
import fcntl
import functools
import gc
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from types import MappingProxyType

import annotator.onnx_models
import pytest
import yaml
from hypothesis import settings

from annotator.config import Config, load_config
from annotator.models import ModelSet, load_models
from annotator.sandbox import Account, Sandbox, Topic
from annotator.sandbox.sky.night import Night, simulate_night

# Speed is told by the benchmarks: a busy machine fails no property. The long suite tries each with more examples.
settings.register_profile("short", deadline=None, max_examples=40)
settings.register_profile("long", deadline=None, max_examples=100)
settings.load_profile("short")

# A shell that runs the tests in the background has them ignore Ctrl-C, and nohup SIGHUP; so would every process that
# they start. With a handler, even one that does nothing, they begin as they should.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)

SHARED = Path(__file__).resolve().parents[2] / "shared"
TOKEN = "token-of-the-tests"


LONGEST = (
    "faults/test_faults",
    "passes/test_run",
    "passes/test_enrich",
    "browser/test_report",
    "test_demo",
    "passes/test_kill",
    "passes/test_run_stream",
    "passes/test_verdicts",
    "ledger/test_ledger",
    "training/exotic/test_exotic",
    "report/test_night",
    "browser/test_inspect",
    "passes/test_refused",
    "report/test_inspect",
    "passes/test_schedule",
    "decision/test_announcement",
    "training/triplet/test_triplet",
    "sources/test_kafka",
    "monitor/test_status",
    "training/features/test_features",
    "test_readme",
    "training/data/test_fetch_objects",
    "reasons/test_find",
    "training/report/test_report",
    "passes/test_tns",
    "training/known/test_known",
)
"""The files that take longest, which begin first: the last to begin decide how long one process runs alone."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while all modules are imported, nor among them later: that took a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    root = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        return places.get(item.path.relative_to(root).with_suffix("").as_posix(), len(places))

    items.sort(key=place)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Put the values of parametrised tests into words, so that each process gives a test the same name.

    Bytes and lambdas have no words of their own and need an id: bytes may hold the time. pytest numbers objects.
    """
    if isinstance(val, bytes | bytearray) or getattr(val, "__name__", "") == "<lambda>":
        raise pytest.UsageError(
            f"{argname}: {str(val)[:60]} has no words of its own: give it an id, pytest.param(id=...)"
        )
    if isinstance(val, tuple | list | dict):
        words = _words(val)
        return words[:60].strip() if words else None
    if isinstance(val, str | int) and (len(str(val)) > 60 or not str(val).isprintable()):
        return re.sub(r"\W+", " ", ascii(val))[:60].strip() or None
    return None


def _words(val: object) -> str:
    """Put what is made of plain values into words; of anything else there are none."""
    if isinstance(val, dict):
        return " ".join(f"{_words(key)}={_words(item)}" for key, item in val.items())
    if isinstance(val, tuple | list):
        return " ".join(filter(None, map(_words, val)))
    return re.sub(r"[^\w.-]+", " ", str(val)).strip() if isinstance(val, str | int | float | None) else ""


def examples(of_a_hundred: int) -> int:
    """Return how many examples a property is tried with that needs more or fewer than others do."""
    return max(2, of_a_hundred * settings.default.max_examples // 100)


def of_the_long_suite(*values: object) -> list:
    """Return values that a test is tried with in the long suite alone: those beside them stand for them in short."""
    return [pytest.param(value, marks=pytest.mark.long) for value in values]


def cases_of_the_long_suite(*cases: tuple[object, ...]) -> list:
    """Return the same of a test with several arguments."""
    return [pytest.param(*case, marks=pytest.mark.long) for case in cases]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real data beside the checkout, where there are any."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data at {SHARED}: these tests run where it is laid beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def all_models() -> ModelSet:
    return load_models(None, "ztf")


@pytest.fixture(scope="session")
def models(all_models) -> ModelSet:
    """The one that needs no more than a row; what the others need is fetched in test_completion."""
    return dataclasses.replace(all_models, models=MappingProxyType({"features": all_models.models["features"]}))


@pytest.fixture(scope="session")
def night() -> Night:
    """Ninety objects, some of each kind: every pass over them is paid for by the object."""
    whole = simulate_night(seed=5, n_objects=150)
    return dataclasses.replace(whole, objects=whole.objects[:90])


@pytest.fixture
def sandbox(night):
    """A Lasair that holds the simulated night, at power quota; what time it is the test's own clock says."""
    with Sandbox(
        night, accounts=[Account(TOKEN, "power")], topics=[Topic("aha_ztf", TOKEN)], tells_time=False
    ) as server:
        yield server


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that the first of a run's processes fills; the others wait for it."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # then each process has a folder of its own in the run's
        root = root.parent
    folder = root / name
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            with tempfile.TemporaryDirectory(dir=root) as unfinished:
                make(Path(unfinished))
                shutil.copytree(unfinished, folder)
    return folder


def copy_features_model(folder: Path, **changes: object) -> Path:
    """Copy the one model that needs no more than a row, with other values in its manifest; return the folder's name."""
    models_folder = folder / "models"
    models_folder.mkdir()
    for name in ("features.onnx", "features.json"):
        shutil.copy(Path(annotator.onnx_models.__path__[0]) / "ztf" / name, models_folder)
    manifest = json.loads((models_folder / "features.json").read_text())
    (models_folder / "features.json").write_text(json.dumps(manifest | changes))
    return models_folder


def write_config(folder: Path, server: Sandbox, token: str = TOKEN, **changes) -> Config:
    """Write a configuration for a sandbox and load it; keys are given as paths, e.g. ``decision__watch_score=1.0``."""
    document = {
        "survey": "ztf",
        "lasair": {"endpoint": server.url, "calls_per_hour": 10_000, "timeout_s": 30.0},
        "source": {"kind": "query"},
        "annotation": {"topic": "aha_ztf"},
        "decision": {"watch_score": 0.6, "anomaly_score": 1.0},  # so that a small night has enough of each
    }
    for path, value in changes.items():
        part = document
        *parents, last = path.split("__")
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = value
    (folder / "aha.yaml").write_text(yaml.safe_dump(document))
    return load_config(folder / "aha.yaml", {"LASAIR_TOKEN": token})


@pytest.fixture
def configure(tmp_path) -> Callable[..., Config]:
    return functools.partial(write_config, tmp_path)
