import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from annotator.models.distribution import bin_of
from annotator.models.manifest import parse_manifest
from annotator.models.percentiles import PERCENTILES, percentile_of
from annotator.preprocess.quantities import QUANTITIES
from annotator.surveys.ztf.columns import FEATURES
from training.export.graph import manifest_json
from training.metrics.distributions import MIN_PRESENT, N_BINS, distributions_of, percentiles_of

VALUES = st.lists(st.none() | st.floats(-1e6, 1e6) | st.integers(-3, 3).map(float), min_size=1, max_size=60)


@given(VALUES)
def test_shares_are_those_of_the_objects_in_each_bin(values):
    (found,) = distributions_of("features", [{"x": value} for value in values])
    bins = [bin_of(found, value) for value in values]
    for number, share in enumerate(found.all_shares()):
        assert abs(share - bins.count(number) / len(values)) < 1e-12
    assert found.n == len(values) and len(found.edges) < N_BINS


def test_bins_of_what_varies_have_about_equal_shares_and_rounded_edges():
    values = [(19.123456 * number) % 1 + 17.654321 for number in range(1000)]
    (found,) = distributions_of("features", [{"gmag": value} for value in values])
    assert len(found.shares) == N_BINS and all(0.08 < share < 0.12 for share in found.shares)
    assert all(edge == float(f"{edge:.4g}") for edge in found.edges) and not set(found.edges) & set(values)


def test_ties_merge_and_what_never_varies_or_is_never_there_has_one_bin():
    observed = [{"tied": float(number > 70), "same": 1.0, "never": None} for number in range(100)]
    tied, same, never = distributions_of("features", observed)
    assert tied.edges == (1.0,) and tied.shares == (0.71, 0.29)
    assert same.edges == never.edges == () and (same.missing_share, never.missing_share) == (0.0, 1.0)
    assert bin_of(never, None) == 1 and bin_of(never, 3.0) == 0


def test_a_manifest_carries_them_from_the_training_to_the_annotator(models):
    distributions = distributions_of("features", [{"gmag": 18 + n / 7, "rmag": None} for n in range(50)])
    manifest = msgspec.structs.replace(models.models["features"].manifest, distributions=distributions)
    assert parse_manifest(manifest_json(manifest), "features.json") == manifest


def test_percentiles_are_those_of_the_values_that_are_there_rounded():
    rng = np.random.default_rng(0)
    values = rng.normal(19, 1, (3000, 2)).astype(np.float32)
    values[rng.random(3000) < 0.5, 1] = np.nan
    inputs = (FEATURES[0], QUANTITIES[0])
    for item, found, column in zip(inputs, percentiles_of(inputs, values), values.T, strict=True):
        assert (found.name, found.unit) == (item.name, item.unit)
        present = np.sort(column[np.isfinite(column)].astype(np.float64))
        for percentile, knot in zip(PERCENTILES, found.values, strict=True):
            place = (len(present) - 1) * percentile / 100
            assert present[int(place)] - 0.005 <= knot <= present[int(np.ceil(place))] + 0.005
            assert knot == float(f"{knot:.4g}")


def test_what_fewer_than_five_hundred_normals_have_gets_no_percentiles():
    values = np.full((2000, 2), np.nan, dtype=np.float32)
    values[: MIN_PRESENT - 1, 0] = values[:MIN_PRESENT, 1] = 1.5
    (found,) = percentiles_of((FEATURES[0], FEATURES[1]), values)
    assert found.name == FEATURES[1].name and found.values == (1.5,) * len(PERCENTILES)


def test_the_shipped_percentiles_are_of_all_features_and_quantities_of_the_databank(shared, all_models):
    from training.data.table import read_table

    data = shared / "data"
    table = read_table(data / "object_features.csv", "ztf", data / "lightcurves.parquet")
    normals = np.hstack([table.features, table.quantities])[~table.is_exotic]
    shipped = all_models.models["features"].manifest.percentiles
    assert [item.name for item in shipped] == [item.name for item in (*FEATURES, *QUANTITIES)]
    for item, column in zip(shipped, normals.T, strict=True):
        median = float(np.median(column[np.isfinite(column)]))
        if item.values[7] < item.values[8] < item.values[9]:
            assert abs(percentile_of(item, median) - 50) < 1
