import numpy as np
import pytest
import torch

from annotator.models.runtime import onnxruntime
from annotator.preprocess.quantities import QUANTITY_NAMES
from training.export.graph import OUTPUT_NAMES, check_parity, export_graph
from training.features.network import FeatureModel
from training.features.outlier_distance import (
    CLIP,
    EXPECTED_SMALL,
    MIN_MEMBERS,
    PHYSICAL,
    SHERLOCK,
    ObjectModel,
    fit_outlier_distance,
    fit_prior,
    fit_quantity_columns,
)
from training.features.scaling import fit_columns

OUTPUTS = (*OUTPUT_NAMES, "oddity", "prior")


@pytest.fixture(scope="module")
def normals(labelled_table):
    return labelled_table.quantities[~labelled_table.is_exotic]


@pytest.fixture(scope="module")
def oddity(normals):
    return fit_outlier_distance(normals, seed=0)


@pytest.fixture(scope="module")
def prior(normals, oddity):
    return fit_prior(normals, oddity)


@pytest.fixture(scope="module")
def median(normals):
    """The object that has every quantity's median, and is a supernova by Sherlock."""
    row = np.nanmedian(normals, axis=0).astype(np.float32)
    for name in SHERLOCK:
        row[QUANTITY_NAMES.index(name)] = float(name == "sherlock_sn")
    return row


def changed(row, **values):
    row = row.copy()
    for name, value in values.items():
        row[QUANTITY_NAMES.index(name)] = value
    return row


def asked(model, *rows):
    with torch.no_grad():
        return model(torch.from_numpy(np.array(rows, dtype=np.float32))).numpy()


def scaled_by_hand(oddity, row):
    values = [row[QUANTITY_NAMES.index(column.name)] for column in oddity.scaling_columns]
    return np.array(
        [0.0 if np.isnan(v) else c.scaled(float(v)) for v, c in zip(values, oddity.scaling_columns, strict=True)]
    )


# OutlierDistance


def test_it_is_the_mean_distance_to_the_five_nearest_centres(oddity, normals):
    for row in normals[:20]:
        distances = np.linalg.norm(oddity.centres.numpy() - scaled_by_hand(oddity, row), axis=1)
        assert asked(oddity, row)[0] == pytest.approx(np.sort(distances)[:5].mean(), rel=1e-3)


@pytest.mark.parametrize("name", PHYSICAL)
def test_an_object_far_in_one_quantity_is_odder(oddity, median, name):
    (column,) = (c for c in oddity.scaling_columns if c.name == name)
    far = [changed(median, **{name: column.unscaled(side)}) for side in (-CLIP, CLIP)]
    # A value that cannot be, such as a negative amplitude, has no place below the logarithm's or asinh's range.
    assert asked(oddity, *far).max() > asked(oddity, median)[0] + 1


def test_another_class_by_sherlock_is_odder(oddity, median):
    other = changed(median, sherlock_sn=0.0, sherlock_bs=1.0)
    assert asked(oddity, other)[0] > asked(oddity, median)[0] + 1


def test_quantities_that_are_not_its_own_do_not_matter(oddity, median):
    others = [name for name in QUANTITY_NAMES if name not in (*PHYSICAL, *SHERLOCK)]
    assert len(others) > 10
    moved = changed(median, **{name: median[QUANTITY_NAMES.index(name)] + 3 for name in others})
    assert asked(oddity, moved)[0] == asked(oddity, median)[0]


def test_no_centre_is_an_object_and_each_stands_for_several(oddity, normals):
    rows = np.array([scaled_by_hand(oddity, row) for row in normals])
    centres = oddity.centres.numpy().astype(np.float64)
    distances = np.linalg.norm(rows[:, None] - centres, axis=2)
    assert len(centres) > 10 and distances.min() > 0
    # Members of a cluster that was left out go to a kept one here, so the fit's own partition is asked below.
    members = np.bincount(distances.argmin(axis=1), minlength=len(centres))
    assert members.min() >= MIN_MEMBERS


def test_a_centre_of_too_few_members_is_left_out(normals, median):
    """Four objects far from all others make a cluster of their own, which no centre may stand for."""
    apart = changed(median, colour_now=50.0, colour_peak=50.0, fade_g=50.0, fade_r=50.0, amplitude_g=50.0)
    few, enough = (fit_outlier_distance(np.vstack([normals, np.tile(apart, (n, 1))]), seed=0) for n in (4, 40))
    assert asked(few, apart)[0] > 5
    nearest = np.linalg.norm(enough.centres.numpy() - scaled_by_hand(enough, apart), axis=1).min()
    assert nearest < 0.01 < np.linalg.norm(few.centres.numpy() - scaled_by_hand(few, apart), axis=1).min()


@pytest.mark.parametrize("name", PHYSICAL)
def test_a_missing_quantity_counts_as_the_median(oddity, normals, name):
    (column,) = (c for c in oddity.scaling_columns if c.name == name)
    row = normals[3]
    filled = changed(row, **{name: column.unscaled(0.0)})
    assert asked(oddity, changed(row, **{name: np.nan}))[0] == pytest.approx(asked(oddity, filled)[0], abs=1e-4)


def test_an_object_of_which_nothing_is_known_has_a_finite_oddity(oddity):
    assert np.isfinite(asked(oddity, np.full(len(QUANTITY_NAMES), np.nan))).all()


def test_no_quantity_makes_an_object_odder_without_end(oddity, median):
    at_clip, beyond, far_beyond = (
        changed(median, colour_now=oddity.scaling_columns[0].unscaled(n * CLIP)) for n in (1, 2, 100)
    )
    values = asked(oddity, at_clip, beyond, far_beyond)
    assert values == pytest.approx(np.full(3, values[0]), rel=1e-6)
    everything = changed(median, **dict.fromkeys(PHYSICAL, 1e5))
    largest = np.linalg.norm(np.full(oddity.centres.shape[1], CLIP) + np.abs(oddity.centres.numpy()).max(axis=0))
    assert asked(oddity, everything)[0] <= largest


def test_columns_are_scaled_by_the_median_and_half_the_middle_two_thirds(normals):
    columns = fit_quantity_columns(normals, PHYSICAL)
    for column in columns:
        values = normals[:, QUANTITY_NAMES.index(column.name)].astype(np.float64)
        scaled = np.array([column._forward(float(v)) for v in values[np.isfinite(values)]])
        assert column.centre == pytest.approx(np.median(scaled), abs=1e-6)
        assert column.scale == pytest.approx(np.diff(np.percentile(scaled, [15.8655, 84.1345]))[0] / 2, rel=1e-5)


def test_a_quantity_without_any_value_is_refused_by_name(normals):
    empty = normals.copy()
    empty[:, QUANTITY_NAMES.index("fade_r")] = np.nan
    with pytest.raises(ValueError, match="fade_r"):
        fit_outlier_distance(empty, seed=0)


# Prior


@pytest.mark.parametrize("name", EXPECTED_SMALL)
def test_it_rises_when_an_object_becomes_bluer_nearer_or_slower_and_falls_the_other_way(prior, normals, median, name):
    low, high = np.nanquantile(normals[:, QUANTITY_NAMES.index(name)], [0.1, 0.9])
    oddity = torch.zeros(3)
    rows = torch.from_numpy(np.array([changed(median, **{name: v}) for v in (low, (low + high) / 2, high)]))
    below, between, above = prior(rows, oddity).tolist()
    assert below > between > above


def test_it_rises_when_an_object_is_odder(prior, oddity, normals, median):
    oddities = asked(oddity, *normals)
    rows = torch.from_numpy(np.tile(median, (3, 1)))
    values = prior(rows, torch.from_numpy(np.quantile(oddities, [0.1, 0.5, 0.9]).astype(np.float32))).tolist()
    assert values[0] < values[1] < values[2]


def test_it_is_the_sum_of_the_shares_of_normals_that_are_beyond(prior, oddity, normals):
    oddities = asked(oddity, *normals)
    found = prior(torch.from_numpy(normals[:30]), torch.from_numpy(oddities[:30])).numpy()
    for number in range(30):
        expected = (oddities < oddities[number]).mean()
        for name in EXPECTED_SMALL:
            values = normals[:, QUANTITY_NAMES.index(name)]
            value, known = values[number], values[np.isfinite(values)]
            expected += 0.5 if np.isnan(value) else (known > value).mean()
        assert found[number] == pytest.approx(expected, abs=0.05)


def test_it_lies_between_none_and_nine_and_the_unknown_count_as_the_median(prior):
    nothing = torch.full((1, len(QUANTITY_NAMES)), torch.nan)
    typical = prior(nothing, prior.oddity_knots.median()[None])
    assert typical.item() == pytest.approx(4.5, abs=0.01)
    extremes = [torch.full((1, len(QUANTITY_NAMES)), value) for value in (-1e5, 1e5)]
    assert prior(extremes[0], torch.tensor([1e5])).item() == 9
    assert prior(extremes[1], torch.tensor([-1.0])).item() == 0


# The whole graph


@pytest.fixture(scope="module")
def whole(labelled_table, oddity, prior):
    torch.manual_seed(0)
    return ObjectModel(FeatureModel(fit_columns(labelled_table.features)), oddity, prior).eval()


@pytest.fixture(scope="module")
def graph(whole, labelled_table):
    examples = {"features": labelled_table.features[:60], "quantities": labelled_table.quantities[:60]}
    return export_graph(whole, examples, OUTPUTS)


def test_the_graph_gives_what_torch_gives_on_every_object_with_missing_values_too(graph, whole, labelled_table):
    assert np.isnan(labelled_table.quantities).any() and np.isnan(labelled_table.features).any()
    inputs = {"features": labelled_table.features, "quantities": labelled_table.quantities}
    check_parity(graph, whole, inputs, OUTPUTS)


def test_the_graph_runs_where_no_quantity_is_known(graph, labelled_table):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    nothing = np.full((2, len(QUANTITY_NAMES)), np.nan, dtype=np.float32)
    inputs = {"features": labelled_table.features[:2], "quantities": nothing}
    for name, values in zip(OUTPUTS, session.run(list(OUTPUTS), inputs), strict=True):
        assert np.isfinite(values).all(), name


def test_the_same_seed_gives_the_same_graph_to_the_byte(graph, whole, normals, labelled_table):
    again = fit_outlier_distance(normals, seed=0)
    model = ObjectModel(whole.autoencoder, again, fit_prior(normals, again)).eval()
    examples = {"features": labelled_table.features[:60], "quantities": labelled_table.quantities[:60]}
    assert export_graph(model, examples, OUTPUTS) == graph
