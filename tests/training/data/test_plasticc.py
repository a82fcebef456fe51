from pathlib import Path

import pandas as pd
import pytest

from annotator.errors import ConfigError
from training.data.plasticc import COLUMNS, read_plasticc

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "rubin"
LARGEST_ID = 2**63 - 1
ROWS = [
    (LARGEST_ID, 61001.0, "r", 500.0, 20.0, True),
    (LARGEST_ID, 61000.0, "g", -40.0, 20.0, False),
    (LARGEST_ID - 1, 61000.0, "y", 900.0, 90.0, True),
]


def written(tmp_path, rows=ROWS, labels=((LARGEST_ID, "TDE"), (LARGEST_ID - 1, "SN Ia")), columns=COLUMNS):
    frame = pd.DataFrame(rows, columns=list(COLUMNS))[list(columns)]
    frame.to_parquet(tmp_path / "curves.parquet")
    lines = ["object_id,class", *(f"{object_id},{kind}" for object_id, kind in labels)]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "curves.parquet", tmp_path / "labels.csv"


def test_curves_have_their_ids_as_text_with_all_digits_and_are_in_time_order(tmp_path):
    read = read_plasticc(*written(tmp_path))
    by_id = {curve.object_id: curve for curve in read.curves}
    assert set(by_id) == {str(LARGEST_ID), str(LARGEST_ID - 1)}
    curve = by_id[str(LARGEST_ID)]
    assert curve.kind == "TDE" and curve.is_exotic
    assert curve.light_curve.band.tolist() == ["g", "r"]
    assert curve.light_curve.flux_njy.tolist() == [-40.0, 500.0]
    assert curve.light_curve.is_forced.tolist() == [True, False]


def test_ids_that_went_through_a_float_are_refused(tmp_path):
    rows = [(float(row[0]), *row[1:]) for row in ROWS]
    with pytest.raises(ConfigError, match="float64, which holds no id of 64 bits"):
        read_plasticc(*written(tmp_path, rows))


def test_a_missing_column_and_an_object_without_a_class_are_named(tmp_path):
    with pytest.raises(ConfigError, match="found no psfFlux"):
        read_plasticc(*written(tmp_path, columns=[name for name in COLUMNS if name != "psfFlux"]))
    with pytest.raises(ConfigError, match=f"none of {LARGEST_ID - 1} and 0 more"):
        read_plasticc(*written(tmp_path, labels=((LARGEST_ID, "TDE"),)))
    (tmp_path / "text.parquet").write_text("no table", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected light curves in Parquet"):
        read_plasticc(tmp_path / "text.parquet", tmp_path / "labels.csv")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/rubin")
def test_the_simulations_that_were_shared_are_read_whole():
    read = read_plasticc(SHARED / "plasticc_test_sn.parquet", SHARED / "plasticc_test_sn_labels.csv")
    assert len(read.curves) == 5000 and sum(len(curve.light_curve) for curve in read.curves) == 136_635
    assert not any(curve.is_exotic for curve in read.curves)
