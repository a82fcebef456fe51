import io
import shutil
import zipfile
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import ModelError
from annotator.models import load_models
from annotator.models.known import FILE_NAME, Known, KnownLatents, known_bytes, load_known, read_known

SHIPPED = Path(__file__).parents[2] / "onnx_models" / "ztf"
N = 60


def index(seed=0, n=N, n_latent=4, graph="0" * 64):
    rng = np.random.default_rng(seed)
    latents = rng.normal(0, [1.0, 50.0, 0.02, 3.0][:n_latent], (n, n_latent)).astype(np.float16).astype(np.float32)
    return KnownLatents(
        graph, tuple(f"ZTF99aaaa{i:03d}" for i in range(n)), tuple(f"SN {'abc'[i % 3]}" for i in range(n)), latents
    )


@pytest.fixture(scope="module")
def known():
    return Known("aha-test-1.0", MappingProxyType({"features": index(), "lightcurve": index(1, 7)}))


@pytest.fixture
def folder(tmp_path):
    for name in ("features.onnx", "features.json"):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


@pytest.fixture
def models(folder):
    return load_models(folder, "ztf")


def known_of(models, graph=None, version=None):
    """An index of simulated objects that belongs to models, unless it is said to be another's."""
    manifest = models.models["features"].manifest
    latents = index(n_latent=4, graph=graph or manifest.graph_sha256)
    return Known(version or manifest.version, MappingProxyType({"features": latents}))


def by_brute_force(latents, latent, n):
    """Places and distances of the nearest, one coordinate of one object at a time."""
    scale = []
    for j in range(latents.shape[1]):
        low, high = np.percentile(latents[:, j], [15.8655, 84.1345])
        scale.append((high - low) / 2)
    distances = [
        sum(((row[j] - latent[j]) / scale[j]) ** 2 for j in range(len(scale))) ** 0.5 for row in latents.tolist()
    ]
    order = sorted(range(len(distances)), key=lambda i: distances[i])[:n]
    return order, [distances[i] for i in order]


# Nearest


@given(st.lists(st.floats(-200, 200, width=32), min_size=4, max_size=4), st.integers(1, N))
def test_the_nearest_are_those_of_brute_force_in_robust_deviations(latent, n):
    everything = index()
    found = Known("any", {"features": everything}).nearest("features", latent, n)
    order, distances = by_brute_force(everything.latents, latent, n)
    assert [item.distance for item in found] == pytest.approx(distances, rel=1e-9, abs=1e-9)
    assert sorted(item.distance for item in found) == [item.distance for item in found]
    place = {object_id: i for i, object_id in enumerate(everything.object_ids)}
    assert all(item.type == everything.types[place[item.object_id]] for item in found)
    if all(second - first > 1e-9 * second for first, second in pairwise(distances)):
        assert [place[item.object_id] for item in found] == order


def test_the_object_itself_is_left_out_and_only_it(known):
    everything = known.modalities["features"]
    for i in (0, 17, N - 1):
        latent, name = everything.latents[i].tolist(), everything.object_ids[i]
        with_itself = known.nearest("features", latent, 6)
        assert (with_itself[0].object_id, with_itself[0].distance) == (name, 0.0)
        assert known.nearest("features", latent, 5, leave_out=name) == with_itself[1:]


def test_fewer_are_given_where_fewer_are_known_and_none_of_an_unknown_modality(known):
    assert len(known.nearest("lightcurve", [0.0] * 4, 50)) == 7
    assert known.nearest("triplet", [0.0] * 44) == ()


def test_a_coordinate_in_which_most_known_objects_are_alike_is_not_divided_by_nothing():
    latents = np.zeros((9, 2), dtype=np.float32)
    latents[:, 1] = np.arange(9)
    same = KnownLatents("0" * 64, tuple(map(str, range(9))), ("SN Ia",) * 9, latents)
    found = Known("any", {"features": same}).nearest("features", (3.0, 0.0), 1)
    assert found[0].object_id == "0" and found[0].distance == pytest.approx(3.0)


# The file


def test_what_is_written_is_read_again_and_the_same_each_time(known):
    content = known_bytes(known)
    found = read_known(content, FILE_NAME)
    assert (found.version, list(found.modalities)) == (known.version, ["features", "lightcurve"])
    for name, expected in known.modalities.items():
        again = found.modalities[name]
        assert (again.graph_sha256, again.object_ids, again.types) == (
            expected.graph_sha256,
            expected.object_ids,
            expected.types,
        )
        np.testing.assert_array_equal(again.latents, expected.latents)
    assert known_bytes(found) == content


def test_the_file_holds_names_types_latents_and_what_they_belong_to_and_nothing_else(known):
    with np.load(io.BytesIO(known_bytes(known)), allow_pickle=False) as file:
        arrays = dict(file)
    of_each = {f"{m}_{a}" for m in known.modalities for a in ("object_id", "type", "latent", "graph_sha256")}
    assert set(arrays) == {"version"} | of_each


def test_an_index_beside_its_models_is_loaded_and_a_folder_without_one_gives_none(folder, models):
    assert load_known(folder, "ztf", models) is None
    (folder / FILE_NAME).write_bytes(known_bytes(known_of(models)))
    found = load_known(folder, "ztf", models)
    assert len(found.nearest("features", found.modalities["features"].latents[0])) == 5


def test_an_index_of_another_graph_or_set_is_refused(folder, models):
    (folder / FILE_NAME).write_bytes(known_bytes(known_of(models, graph="f" * 64)))
    with pytest.raises(ModelError, match="by other graphs of features; make it again with aha-train known"):
        load_known(folder, "ztf", models)
    (folder / FILE_NAME).write_bytes(known_bytes(known_of(models, version="aha-old-0.9")))
    with pytest.raises(ModelError, match=r"aha-old-0\.9"):
        load_known(folder, "ztf", models)


def test_a_modality_that_the_models_lack_is_no_reason_to_refuse_the_index(folder, models):
    both = dict(known_of(models).modalities) | {"lightcurve": index(1, 7)}
    (folder / FILE_NAME).write_bytes(known_bytes(Known(models.version, both)))
    assert load_known(folder, "ztf", models) is not None


@given(st.binary(max_size=300))
def test_no_bytes_are_read_as_an_index(content):
    with pytest.raises(ModelError):
        read_known(content, FILE_NAME)


def test_a_damaged_file_is_refused_wherever_it_is_damaged(known):
    content = known_bytes(known)
    rng = np.random.default_rng(3)
    for length in (0, 10, len(content) // 2, len(content) - 30):
        with pytest.raises(ModelError, match="aha-train known"):
            read_known(content[:length], FILE_NAME)
    for place in rng.integers(len(content), size=200).tolist():
        changed = bytearray(content)
        changed[place] ^= 0xFF
        try:
            found = read_known(bytes(changed), FILE_NAME)
        except ModelError:
            continue
        # A byte that means nothing, such as a date in the archive's directory.
        assert found.modalities["features"].object_ids == known.modalities["features"].object_ids
        np.testing.assert_array_equal(found.modalities["features"].latents, known.modalities["features"].latents)


@pytest.mark.parametrize(
    "change",
    [
        {"features_latent": np.full((N, 4), np.nan, dtype=np.float16)},
        {"features_latent": np.zeros((N - 1, 4), dtype=np.float16)},
        {"features_latent": np.zeros(N, dtype=np.float16)},
        {"features_latent": np.zeros((N, 4), dtype=np.int64)},
        {"features_type": np.array(["SN Ia"] * (N - 1))},
        {"features_object_id": np.array(["ZTF99aaaaaaa"] * N)},
        {"features_object_id": np.arange(N)},
        {"features_graph_sha256": np.array(["0", "1"])},
        {"version": np.array(1.0)},
        {"redshift": np.zeros(N)},
        {"features_type": None},
        {"version": None},
    ],
)
def test_an_index_that_is_none_is_refused(known, change):
    with np.load(io.BytesIO(known_bytes(known)), allow_pickle=False) as file:
        arrays = {name: value for name, value in (dict(file) | change).items() if value is not None}
    written = io.BytesIO()
    np.savez_compressed(written, **arrays)
    with pytest.raises(ModelError, match="expected version, and of each modality object_id, type, latent"):
        read_known(written.getvalue(), FILE_NAME)


def test_a_pickle_is_never_opened(known, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    with np.load(io.BytesIO(known_bytes(known)), allow_pickle=False) as file:
        arrays = dict(file)
    written = io.BytesIO()
    np.savez_compressed(written, **arrays | {"features_type": np.array([Trap()] * N, dtype=object)})
    with pytest.raises(ModelError, match="cannot be read"):
        read_known(written.getvalue(), FILE_NAME)
    assert not (tmp_path / "sprung").exists()


def archive_of(arrays, **changes: bytes) -> bytes:
    """Pack arrays, some of them by these bytes in the place of their file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{name}.npy", changes.get(name, file.getvalue()))
    return packed.getvalue()


def header_of(shape: str, dtype: str) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (header_of("(1000000000000, 4)", "<f4") + b"\0" * 64, "features_latent.npy promises 16,000,000,000,000 bytes"),
        (header_of("(-4, -4)", "<f4") + b"\0" * 64, "cannot be read"),
        (header_of("(1000000000000,)", "<U0"), "promises 0 bytes, and holds 0"),
        (header_of("()", "|O") + b"\x80\x04N.", "holds objects, which are never opened"),
        (bytes(260_000_000), "of at most 100 and 256,000,000 together"),
    ],
    ids=["a header that lies", "less than nothing", "texts of nothing", "objects", "a bomb"],
)
def test_an_index_that_unpacks_to_more_than_it_says_or_may_is_refused_before_it_is_unpacked(known, file, words):
    with np.load(io.BytesIO(known_bytes(known)), allow_pickle=False) as packed:
        arrays = dict(packed)
    content = archive_of(arrays, features_latent=file)
    assert len(content) < 500_000
    with pytest.raises(ModelError, match=words):
        read_known(content, FILE_NAME)


def test_an_index_of_very_many_arrays_is_refused(known):
    arrays = {f"a{n}": np.zeros(1) for n in range(101)}
    with pytest.raises(ModelError, match="101 arrays"):
        read_known(archive_of(arrays), FILE_NAME)


# The shipped index


def test_the_shipped_index_belongs_to_the_shipped_models_and_knows_every_modality():
    models = load_models(SHIPPED, "ztf")
    found = load_known(SHIPPED, "ztf", models)
    assert set(found.modalities) == set(models.models)
    for name, everything in found.modalities.items():
        width = models.models[name].manifest.outputs[2].shape[1]
        assert everything.latents.shape == (len(everything.object_ids), int(width))
    types = set(found.modalities["features"].types)
    assert {"SN Ia", "SN II", "SLSN-I", "TDE", "AGN"} <= types
    assert not [kind for kind in types if kind.startswith("TDE-")]


def test_the_shipped_index_is_an_archive_without_a_date(known):
    for content in (known_bytes(known), (SHIPPED / FILE_NAME).read_bytes()):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert {item.date_time[0] for item in archive.infolist()} == {1980}


def test_a_known_object_that_is_scored_is_its_own_nearest(shared):
    """Through the annotator's own preparation: the record of a known object lands on its latent in the index."""
    import csv

    from annotator.surveys.ztf import parse as ztf
    from annotator.surveys.ztf.columns import is_whole

    models = load_models(SHIPPED, "ztf")
    found = load_known(SHIPPED, "ztf", models)
    everything = set(found.modalities["features"].object_ids)
    with open(shared / "data" / "object_features.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["objectId"] in everything and is_whole(row)][:100]
    assert len(rows) == 100
    for row in rows:
        scored = models.models["features"].score(ztf.parse(row))
        nearest = found.nearest("features", scored.latent, 1)[0]
        assert (nearest.object_id, nearest.distance < 0.01) == (row["objectId"], True)
