import csv
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from annotator.models import ModelSet, load_models
from annotator.sandbox.sky.night import NORMAL_KINDS, Night, simulate_night
from annotator.surveys.ztf.columns import FEATURE_NAMES, QUALITY_NAMES
from annotator.surveys.ztf.tables import BESIDE_FEATURES, SURROUNDINGS
from tests.conftest import made_once
from training.data.partial_light_curves import no_partial_light_curves
from training.data.table import Table, read_table
from training.export.files import write_files
from training.export.graph import export_graph, manifest_json
from training.features import evaluate as features_evaluate
from training.features import train as features
from training.features.fit import Settings
from training.metrics import era
from training.metrics import ranking as evaluate

COLUMNS = tuple(dict.fromkeys(("objectId", *FEATURE_NAMES, *QUALITY_NAMES, *BESIDE_FEATURES, *SURROUNDINGS)))
POSITIONS = ("ramean", "decmean", "glatmean", "glonmean")


def write_table(path: Path, rows: Sequence[Mapping]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def quick_measures() -> Iterator[None]:
    """Let a whole training measure its model on the cheap: how good it is, and how sure of it, is no test's matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "N_BOOTSTRAP", 20)
        patch.setattr(evaluate, "RIVAL_TREES", 10)
        patch.setattr(era, "N_TREES", 10)
        yield


@pytest.fixture(scope="session")
def big_night(tmp_path_factory) -> Night:
    def make(folder: Path) -> None:
        (folder / "night.pickle").write_bytes(pickle.dumps(simulate_night(17, 900, now_jd=2461000.5)))

    return pickle.loads((made_once(tmp_path_factory, "big_night", make) / "night.pickle").read_bytes())


@pytest.fixture(scope="session")
def labelled_rows(big_night) -> list[dict]:
    """A simulated night as a labelled table, with columns that must not be learned from."""
    rows = []
    for number, (simulated, row) in enumerate(zip(big_night.objects, big_night.rows(), strict=True)):
        values = {name: "" if row[name] is None else row[name] for name in (*COLUMNS, "jdmax", *POSITIONS)}
        is_normal = simulated.kind in NORMAL_KINDS
        labels = {"tns_name": f"2099{number:04d}", "type": simulated.kind, "z": round(simulated.redshift, 4)}
        rows.append(values | labels | {"source_label": simulated.kind if is_normal else "Exotic"})
    return rows


@pytest.fixture(scope="session")
def labelled_file(labelled_rows, tmp_path_factory) -> Path:
    return write_table(tmp_path_factory.mktemp("labelled") / "table.csv", labelled_rows)


@pytest.fixture(scope="session")
def labelled_table(labelled_file) -> Table:
    return read_table(labelled_file, "ztf")


@pytest.fixture(scope="session")
def small_models_folder(labelled_table, tmp_path_factory) -> Path:
    """A model set of the object features, fitted in a second: what it says is poor, how it is served is not."""

    def make(folder: Path) -> None:
        settings, live = Settings(epochs=2), no_partial_light_curves()
        fit = features._fit_rotation(labelled_table, settings, 0)
        inputs = labelled_table.features, labelled_table.quantities
        numbers = features.out_of_fold([fit.model] * 10, labelled_table.folds, *inputs)
        examples = {"features": inputs[0][:20], "quantities": inputs[1][:20]}
        graph = export_graph(fit.model, examples, features.OUTPUTS)
        young = features.out_of_fold([fit.model] * 10, labelled_table.folds[live.places], *live.tensors)
        calibrated = features_evaluate.calibrations(numbers, young, labelled_table, live)
        manifest = features._manifest(fit, graph, labelled_table, live, calibrated, (), "aha-test-1.0", settings, {})
        write_files(folder, [("features.onnx", graph), ("features.json", manifest_json(manifest))])

    return made_once(tmp_path_factory, "small_models", make)


@pytest.fixture(scope="session")
def small_models(small_models_folder) -> ModelSet:
    return load_models(small_models_folder, "ztf")
