import math

import numpy as np
import pandas
import pytest

from annotator.errors import ConfigError
from annotator.preprocess.features import MIN_FEATURES, feature_row
from annotator.preprocess.quantities import QUANTITY_NAMES, quantity_row
from annotator.surveys import SURVEYS
from annotator.surveys.ztf.columns import FEATURES, Detection, lasair_columns
from annotator.surveys.ztf.tables import SURROUNDINGS
from training.data.curves import shared_groups
from training.data.partial_light_curves import (
    STATES_PER_OBJECT,
    no_partial_light_curves,
    partial_light_curves,
)

N_OBJECTS = 40
NAMES = ("jd", "fid", "magpsf", "sigmapsf", "isdiffpos")


def epochs_of(simulated):
    return sorted((e for e in simulated.epochs if e.candid is not None), key=lambda e: e.jd)


def write_curves(path, objects, **more):
    rows = [
        {"objectId": simulated.object_id} | {name: getattr(epoch, name) for name in NAMES} | more
        for simulated in objects
        for epoch in epochs_of(simulated)
    ]
    pandas.DataFrame(rows).to_parquet(path)
    return path


@pytest.fixture(scope="module")
def objects(big_night):
    return big_night.objects[:N_OBJECTS]


@pytest.fixture(scope="module")
def table(labelled_table):
    return labelled_table.subset(np.arange(100))


@pytest.fixture(scope="module")
def curves(objects, tmp_path_factory):
    return write_curves(tmp_path_factory.mktemp("curves") / "curves.parquet", objects)


@pytest.fixture(scope="module")
def states(table, curves):
    return partial_light_curves(table, curves, "ztf", seed=0)


def possible(simulated, row):
    """Every state that the object was ever in, by its own loop over its epochs."""
    epochs = epochs_of(simulated)
    for last in epochs:
        seen = [
            Detection(e.jd, e.fid == 1, e.magpsf, e.sigmapsf if e.sigmapsf > 0 else None, e.isdiffpos == "t")
            for e in epochs
            if e.jd <= last.jd
        ]
        record = {name: row[name] for name in SURROUNDINGS} | {"objectId": simulated.object_id}
        yield last.jd, SURVEYS["ztf"].parse(record | lasair_columns(seen))


def test_a_state_is_what_the_detections_up_to_one_epoch_give_and_nothing_later(states, table, objects):
    by_name = {simulated.object_id: simulated for simulated in objects}
    earlier = 0
    for place, state in zip(states.places, states.transients, strict=True):
        simulated = by_name[state.object_id]
        assert table.rows[place]["objectId"] == state.object_id
        (match,) = (found for jd, found in possible(simulated, table.rows[place]) if jd - 2400000.5 == state.last_mjd)
        assert (state.features, state.extras, state.n_det) == (match.features, match.extras, match.n_det)
        earlier += state.last_mjd < epochs_of(simulated)[-1].jd - 2400000.5
    assert earlier > 0.5 * len(states.places)


def test_what_is_observed_later_changes_no_state(states, table, objects, tmp_path):
    """Each object's detections after the latest of its states are made a hundred times brighter."""
    last = {}
    for state in states.transients:
        last[state.object_id] = max(last.get(state.object_id, 0.0), state.last_mjd)
    frame = pandas.read_parquet(write_curves(tmp_path / "curves.parquet", objects))
    later = frame["jd"] - 2400000.5 > frame["objectId"].map(last).fillna(0)
    assert later.any()
    frame.loc[later, "magpsf"] -= 5
    frame.to_parquet(tmp_path / "curves.parquet")
    found = partial_light_curves(table, tmp_path / "curves.parquet", "ztf", seed=0)
    known = [number for number, state in enumerate(found.transients) if state.object_id in last]
    for name, before, after in zip(("features", "quantities"), states.tensors, found.tensors, strict=True):
        np.testing.assert_array_equal(after[known], before, name)


def test_the_surroundings_are_those_of_the_object_today(states, table):
    hosts = ("ps1_separation", "host_r", "host_separation", "host_size", "host_distance", "host_separation_kpc")
    kept = [QUANTITY_NAMES.index(name) for name in (*hosts, *(n for n in QUANTITY_NAMES if n.startswith("sherlock")))]
    assert len(kept) > len(hosts)
    _, quantities = states.tensors
    np.testing.assert_array_equal(quantities[:, kept], table.quantities[states.places][:, kept])
    assert np.isfinite(quantities[:, kept]).any(axis=0).sum() == len(kept)


def test_an_object_with_a_curve_has_as_many_states_as_can_be_scored(states, table, objects):
    scorable = {
        simulated.object_id: sum(len(found.features) >= MIN_FEATURES for _, found in possible(simulated, row))
        / len(epochs_of(simulated))
        for simulated in objects
        for row in table.rows
        if row["objectId"] == simulated.object_id
    }
    names = [state.object_id for state in states.transients]
    for name, share in scorable.items():
        assert names.count(name) <= STATES_PER_OBJECT
        if share == 1:
            assert names.count(name) == STATES_PER_OBJECT
    assert set(names) <= {simulated.object_id for simulated in objects} and len(names) > N_OBJECTS
    assert all(len(state.features) >= MIN_FEATURES for state in states.transients)


def test_the_young_are_as_well_known_as_the_old(table, objects, curves):
    """Epochs are drawn evenly in the logarithm of how many detections there are up to them."""
    found = [s for seed in range(8) for s in partial_light_curves(table, curves, "ztf", seed).transients]
    by_name = {simulated.object_id: [e.jd for e in epochs_of(simulated)] for simulated in objects}
    fractions = []
    for state in found:
        jd = np.array(by_name[state.object_id])
        if len(jd) >= 20:
            n_seen = int((jd <= state.last_mjd + 2400000.5).sum())
            fractions.append(math.log(n_seen) / math.log(len(jd)))
    assert len(fractions) > 100 and 0.25 < np.mean(np.array(fractions) < 0.5) < 0.65


def test_tensors_and_samplings_are_those_of_the_annotator(states):
    features, quantities = states.tensors
    for number, state in enumerate(states.transients[:20]):
        np.testing.assert_array_equal(features[number], feature_row(FEATURES, state.features))
        np.testing.assert_array_equal(quantities[number], quantity_row(FEATURES, state))
        sampling = states.samplings[number]
        assert (sampling.n_detections, sampling.age_days) == (state.n_det, state.extras.get("age_days"))


def test_the_same_seed_gives_the_same_states_and_another_gives_others(states, table, curves):
    again, other = (partial_light_curves(table, curves, "ztf", seed) for seed in (0, 1))
    assert again.transients == states.transients and (again.places == states.places).all()
    assert [s.last_mjd for s in other.transients] != [s.last_mjd for s in states.transients]


def test_photometry_of_other_telescopes_and_of_unknown_objects_makes_no_state(states, table, objects, tmp_path):
    from training.data.detections import OTHER_TELESCOPES

    frame = pandas.read_parquet(write_curves(tmp_path / "one.parquet", objects, source="simulated"))
    foreign = frame.assign(source=sorted(OTHER_TELESCOPES)[0], magpsf=frame["magpsf"] - 4, jd=frame["jd"] + 0.01)
    unknown = frame.assign(objectId="ZTF99zzzzzzz")
    pandas.concat([frame, foreign, unknown]).to_parquet(tmp_path / "both.parquet")
    assert partial_light_curves(table, tmp_path / "both.parquet", "ztf", seed=0).transients == states.transients


def test_a_table_without_curves_has_none():
    none = no_partial_light_curves()
    assert len(none.places) == 0 and none.samplings == []
    assert [len(tensor) for tensor in none.tensors] == [0, 0]


@pytest.mark.parametrize("content", [None, b"", b"no light curves"], ids=["absent", "empty", "text"])
def test_unreadable_curves_are_refused_by_name(table, tmp_path, content):
    path = tmp_path / "curves.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"--curves .*curves\.parquet: expected light curves"):
        partial_light_curves(table, path, "ztf", seed=0)


def test_curves_without_a_column_are_refused_by_its_name(table, curves, tmp_path):
    pandas.read_parquet(curves).drop(columns="magpsf").to_parquet(tmp_path / "curves.parquet")
    with pytest.raises(ConfigError, match="magpsf"):
        partial_light_curves(table, tmp_path / "curves.parquet", "ztf", seed=0)


def test_a_class_is_learned_from_no_catalogue_that_holds_more_exotics_than_normals():
    groups = ["shared"] * 5 + ["exotic alone"] * 3 + ["all but one exotic"] * 4
    is_exotic = [True, True, False, False, False] + [True] * 3 + [True, True, True, False]
    assert shared_groups(groups, is_exotic) == {"shared"}
