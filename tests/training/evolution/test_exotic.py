import numpy as np
import pytest
import torch

from annotator.preprocess.evolution import EVOLUTION_NAMES
from training.data.folds import fold_of
from training.evolution.evaluate import cross_asked, left_out, of_simulated
from training.evolution.exotic import (
    GROUPS,
    QUANTITIES,
    Settings,
    fit_head,
    groups_to_hide,
    is_there,
    log_odds_of,
    one_hidden,
    with_hidden,
)
from training.evolution.lack import Asked, ask, fit_offsets, fit_taken_back, measured
from training.evolution.states import States
from training.exotic.lack import THRESHOLD
from training.metrics.ranking import auc

QUICK = Settings(n_boosters=1, n_trees=40, max_depth=3, n_epochs=1)
COLOUR = EVOLUTION_NAMES.index("colour")


def drawn(n=1500, seed=0, source="plasticc", share=0.15, names=QUANTITIES):
    """Exotics are bluer and rise more slowly; what is missing is missing more often of what is not exotic."""
    rng = np.random.default_rng(seed)
    is_exotic = rng.random(n) < share
    values = rng.normal(0, 1, (n, len(names))).astype(np.float32)
    values[is_exotic, COLOUR] += 1.5
    values[is_exotic, EVOLUTION_NAMES.index("rise")] -= 1.0
    for name, members in GROUPS.items():
        lacks = rng.random(n) < np.where(is_exotic, 0.2, 0.5 if name != "colour" else 0.3)
        for one in members:
            values[lacks, EVOLUTION_NAMES.index(one)] = np.nan
    ids = np.array([f"{source}{number}" for number in range(n)])
    return States(
        values=values,
        n_points=rng.integers(2, 30, n),
        n_bands=rng.integers(1, 6, n),
        days=rng.uniform(0, 90, n),
        object_ids=ids,
        kinds=np.where(is_exotic, np.where(rng.random(n) < 0.5, "TDE", "SLSN-I"), "SN Ia"),
        sources=np.full(n, source),
        is_exotic=is_exotic,
        folds=np.array([fold_of(name) for name in ids]),
    )


def test_the_head_learns_what_tells_exotics_and_needs_both_classes():
    model = fit_head(drawn(seed=0), QUICK)
    asked = drawn(seed=1)
    assert auc(log_odds_of(model, asked.values), asked.is_exotic) > 0.8
    normals = drawn().where(~drawn().is_exotic)
    with pytest.raises(ValueError, match="both classes"):
        fit_head(normals, QUICK)


def test_groups_are_hidden_as_often_in_both_classes_of_each_source():
    states = drawn(n=4000)
    hidden = groups_to_hide(states, np.random.default_rng(0))
    left = is_there(with_hidden(states.values, hidden))
    np.testing.assert_allclose(left[states.is_exotic].mean(axis=0), left[~states.is_exotic].mean(axis=0), atol=0.005)
    assert not (left & ~is_there(states.values)).any()


def test_what_hiding_does_to_normals_is_taken_back():
    states = drawn(n=6000)
    model = fit_head(states, QUICK)
    asked = ask(lambda values: log_odds_of(model, values), states.values, is_there(states.values))
    normals = asked.where(~states.is_exotic)
    # As if the head took an object without a colour for exotic.
    colour = list(GROUPS).index("colour")
    moved = Asked(
        normals.there,
        normals.odds + np.where(normals.there[:, colour], 0.0, 1.0),
        normals.hidden + np.where(normals.there[:, [colour]] & (np.arange(len(GROUPS)) != colour), 0.0, 1.0),
    )
    names = states.object_ids[~states.is_exotic]
    before = measured(moved, names, 0.0)["colour"]["all"]["ratio"][0]
    offsets = fit_offsets(moved)
    after = measured(moved.with_added(offsets), names, 0.0)["colour"]["all"]["ratio"][0]
    assert before > 1.2 and after == pytest.approx(1, abs=0.06)
    # And what it does far above that value: as if odds without a colour were spread less.
    narrow = moved.stretched(0.0, np.where(np.arange(len(GROUPS)) == colour, -0.4, 0.0))
    mended = fit_taken_back(narrow, 0.02).of(narrow)
    limit = float(np.quantile(mended.odds, 0.98))
    assert measured(mended, names, limit)["colour"][THRESHOLD]["ratio"][0] == pytest.approx(1, abs=0.25)
    assert measured(mended, names, limit)["colour"]["all"]["ratio"][0] == pytest.approx(1, abs=0.2)


def test_the_graph_adds_for_what_is_missing_and_for_nothing_else():
    states = drawn(n=400)
    model = fit_head(states, QUICK)
    before = log_odds_of(model, states.values)
    model.offsets[list(GROUPS).index("curvature")] = 0.7
    added = log_odds_of(model, states.values) - before
    lacks = ~is_there(states.values)[:, list(GROUPS).index("curvature")]
    np.testing.assert_allclose(added, np.where(lacks, 0.7, 0.0), atol=1e-5)
    assert np.isnan(one_hidden(states.values, "curvature")[:, EVOLUTION_NAMES.index("colour_curvature")]).all()


def test_every_figure_is_of_one_source_and_by_heads_that_saw_no_state_of_the_object(monkeypatch):
    monkeypatch.setattr("training.metrics.ranking.N_BOOTSTRAP", 20)
    simulated, sky = drawn(900, 1), drawn(600, 2, "yse")
    training = States(
        *(np.concatenate([getattr(simulated, name), getattr(sky, name)]) for name in States.__dataclass_fields__)
    )
    found = cross_asked(training, simulated, sky, QUICK)
    assert np.isfinite(found.simulated.odds).all() and np.isfinite(found.real).all()
    own = auc(found.simulated.odds, simulated.is_exotic)
    seen = auc(log_odds_of(fit_head(training, QUICK), simulated.values), simulated.is_exotic)
    assert 0.75 < own < seen, "who has seen the answers does better"
    said = of_simulated(simulated, found.simulated.odds)
    assert said["all"]["n_exotic"] == simulated.is_exotic.sum() and set(said["by_kind"]) == {"TDE", "SLSN-I"}
    out = left_out(training, simulated, sky, QUICK)
    assert out["the sky"]["n_objects"] == 600 and out["the simulator, against supernovae"]["auc"][0] > 0.7


def test_the_odds_are_calibrated_to_how_many_are_exotic():
    states = drawn(3000)
    model = fit_head(states, QUICK)
    other = drawn(3000, 5)
    model.calibrate(log_odds_of(model, other.values), other.is_exotic)
    with torch.no_grad():
        said = model(torch.from_numpy(other.values)).numpy()
    assert said.mean() == pytest.approx(other.is_exotic.mean(), abs=0.01)
