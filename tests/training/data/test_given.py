"""Tables and arrays that people give to train on: the same whatever wrote them, or an error."""

import csv
import io
import zipfile

import numpy as np
import pandas
import pytest
from astropy.table import Table as AstropyTable

from annotator.errors import ConfigError
from annotator.surveys.ztf.record import ZTF
from tests.tables.written import written
from training.data import given
from training.data.curves import read_curves
from training.data.fetch_objects import read_objects
from training.data.given import read_arrays
from training.data.table import read_table

FEATURES = ("gmag", "rmag", "g_minus_r", "maggmin", "ncand")
ROWS = [
    {"objectId": f"ZTF99aaaaaa{letter}", "tns_name": f"2099{letter}", "source_label": "SN Ia", "type": "SN Ia"}
    | dict(zip(FEATURES, (18.25 + place / 8, 18.5, -0.25, 18.0, 7 + place), strict=True))
    for place, letter in enumerate("abcd")
]


def write(path, form: str):
    """Write the rows with a title above, or in a format of astropy's."""
    if form == "semicolons":
        text = io.StringIO(newline="")
        text.write("Classified objects;;;\n;;;\n")
        writer = csv.writer(text, delimiter=";")
        writer.writerow([name.upper() for name in ROWS[0]])
        writer.writerows([str(value).replace(".", ",") for value in row.values()] for row in ROWS)
        path.write_bytes(text.getvalue().encode("utf-16"))
    elif form == "parquet":
        pandas.DataFrame(ROWS).to_parquet(path)
    else:
        path.write_bytes(written(AstropyTable(rows=ROWS), format=form))
    return path


@pytest.mark.parametrize("form", ["semicolons", "votable", "fits", "ascii.ecsv", "parquet"])
def test_a_labelled_table_trains_alike_whatever_wrote_it(form, tmp_path):
    plain = read_table(write(tmp_path / "plain.csv", "ascii.csv"), "ztf")
    found = read_table(write(tmp_path / "table.csv", form), "ztf")
    np.testing.assert_array_equal(found.features, plain.features)
    assert found.object_ids.tolist() == plain.object_ids.tolist() == [row["objectId"] for row in ROWS]
    assert (found.tns_names, found.samplings) == (plain.tns_names, plain.samplings)
    assert list(read_objects(tmp_path / "table.csv", ZTF)) == list(read_objects(tmp_path / "plain.csv", ZTF))


def test_nothing_is_trained_on_a_table_of_which_a_line_is_no_row(tmp_path):
    path = write(tmp_path / "t.csv", "ascii.csv")
    path.write_text(path.read_text() + "ZTF99aaaaaae,2099e,SN Ia,SN Ia,1,2,3,4,5,6\n")
    with pytest.raises(ConfigError, match=rf"--data {path}, line 6: expected 9 values, found 10"):
        read_table(path, "ztf")


def test_light_curves_of_text_are_those_of_parquet(tmp_path):
    jd = 2459000.5 + np.arange(12)
    frame = pandas.DataFrame(
        {"objectId": "ZTF99aaaaaaa", "jd": jd, "fid": [1, 2] * 6, "magpsf": 18.0 + np.abs(np.arange(12) - 5) / 7}
        | {"sigmapsf": [0.1] * 11 + [np.nan], "isdiffpos": ["t"] * 11 + ["f"], "source": "ANTARES"}
    )
    frame.to_parquet(tmp_path / "curves.parquet")
    frame.to_csv(tmp_path / "curves.csv", index=False, sep=";", decimal=",")
    (tmp_path / "labels.csv").write_text("objectId\ttype\tsource_label\nZTF99aaaaaaa\tSN Ia\tSN Ia\n")
    typed, text = (
        read_curves(tmp_path / name, tmp_path / "labels.csv").curves[0] for name in ("curves.parquet", "curves.csv")
    )
    for name, values in vars(typed.detections).items():
        np.testing.assert_array_equal(getattr(text.detections, name), values)
    assert (
        (text.kind, text.label, text.source) == (typed.kind, typed.label, typed.source) == ("SN Ia", "SN Ia", "ANTARES")
    )
    frame.drop(columns="magpsf").to_csv(tmp_path / "curves.csv", index=False)
    with pytest.raises(ConfigError, match="no column magpsf"):
        read_curves(tmp_path / "curves.csv", tmp_path / "labels.csv")


@pytest.mark.parametrize("form", ["curves.csv", "curves.parquet"])
def test_light_curves_are_read_in_the_spellings_of_the_field(form, tmp_path):
    jd = 2459000.5 + np.arange(12)
    plain = pandas.DataFrame({"objectId": "ZTF99aaaaaaa", "jd": jd, "fid": [1, 2] * 6})
    plain = plain.assign(sigmapsf=0.1, isdiffpos="t", magpsf=18.0 + np.abs(np.arange(12) - 5) / 7)
    spelt = plain.assign(fid=["ztfg", "r"] * 6, isdiffpos="1", magpsf=plain["magpsf"].map(str))
    undated = spelt.iloc[[0]].assign(jd=-999.0, magpsf="15.0")
    (tmp_path / "labels.csv").write_text("objectId,type,source_label\nZTF99aaaaaaa,SN Ia,SN Ia\n")
    plain.to_csv(tmp_path / "plain.csv", index=False)
    spelt = pandas.concat([spelt, undated])
    spelt.to_csv(tmp_path / form, index=False) if form.endswith("csv") else spelt.to_parquet(tmp_path / form)
    expected, found = (read_curves(tmp_path / name, tmp_path / "labels.csv").curves[0] for name in ("plain.csv", form))
    for name, values in vars(expected.detections).items():
        np.testing.assert_array_equal(getattr(found.detections, name), values)


def npz(**arrays: object) -> bytes:
    with io.BytesIO() as file:
        np.savez_compressed(file, **arrays)
        return file.getvalue()


def promising(shape: tuple[int, ...]) -> bytes:
    """Return an archive of a few bytes whose header promises an array."""
    with io.BytesIO() as file, io.BytesIO() as header:
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.npy", header.getvalue())
        return file.getvalue()


WHOLE = npz(a=np.random.default_rng(1).normal(size=(5, 9)))


@pytest.mark.parametrize(
    "content",
    [
        WHOLE[:200],
        WHOLE[:150] + bytes(50) + WHOLE[200:],
        b"PK\x03\x04" + b"x" * 50,
        b"hello",
        b"",
        promising((10**6, 1000, 1000)),
        npz(a=np.array([{}], dtype=object)),
        npz(a=np.array(3.0)),
        npz(b=np.zeros(3)),
    ],
    ids=["cut off", "damaged", "a head", "text", "empty", "promises", "objects", "no rows", "another"],
)
def test_what_holds_no_such_arrays_is_an_error_in_a_line(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ConfigError, match=r"--data .*a\.npz: expected arrays a, found .*; make it") as refused:
        read_arrays("--data", tmp_path / "a.npz", ["a"], "make it")
    assert "\n" not in str(refused.value)


def test_arrays_are_read_that_unpack_to_no_more_than_anybody_has(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(WHOLE)
    assert read_arrays("--data", tmp_path / "a.npz", ["a"], "make it")[0].shape == (5, 9)
    monkeypatch.setattr(given, "MAX_ARRAYS_BYTES", 300)
    with pytest.raises(ConfigError, match="of at most 100 and 300 together"):
        read_arrays("--data", tmp_path / "a.npz", ["a"], "make it")
