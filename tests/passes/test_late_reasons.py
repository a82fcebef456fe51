"""What carries the scores of objects that nobody had to be told of: found after delivery, within bounds, once."""

import dataclasses
import itertools

import pytest

from annotator.ledger import Ledger
from annotator.models import Model
from annotator.passes import run
from annotator.passes.run import run_pass
from annotator.passes.scoring.late_reasons import find_late_reasons
from annotator.reasons.find import reasons_of


@pytest.fixture
def config(sandbox, configure, models, monkeypatch):
    """A pass that found no late reasons."""
    config = configure(sandbox)
    with monkeypatch.context() as patched:
        patched.setattr(run, "find_late_reasons", lambda *_: 0)
        run_pass(config, models)
    return config


def scored(config, models) -> dict[str, object]:
    """The pass's scorings, highest score first."""
    with Ledger(config.ledger, read_only=True) as ledger:
        return {item.object_id: item for item in ledger.scores.between(models.version, 0.0, 1e12)}


def find(config, models, **bounds) -> int:
    with Ledger(config.ledger) as ledger:
        return find_late_reasons(ledger, models, **{"should_stop": lambda: False} | bounds)


def test_a_pass_finds_the_reasons_of_every_object_that_it_scored(sandbox, configure, models):
    config = configure(sandbox)
    run_pass(config, models)
    found = scored(config, models)
    assert found and all(item.reasons is not None for item in found.values())
    assert find(config, models) == 0


def test_they_are_the_reasons_of_the_scores_as_they_were_given(config, models):
    without = [name for name, item in scored(config, models).items() if item.reasons is None]
    assert find(config, models) == len(without) > 50
    found = scored(config, models)
    with Ledger(config.ledger, read_only=True) as ledger:
        kept = ledger.kept.snapshots(without)
    for name in without:
        transient = kept[name][1]
        assert found[name].reasons == reasons_of(transient, models.score([transient])[0], models)


def test_nothing_is_scored_again(config, models, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("what was scored is not scored again")

    monkeypatch.setattr(Model, "score_all", refuse)
    assert find(config, models) > 50


def test_the_highest_scores_come_first_and_the_next_pass_goes_on_with_the_rest(config, models):
    without = [name for name, item in scored(config, models).items() if item.reasons is None]
    assert find(config, models, most=30) == 30
    found = scored(config, models)
    assert [name for name in without if found[name].reasons is not None] == without[:30]
    assert find(config, models) == len(without) - 30


def test_they_take_no_longer_than_they_may_and_end_when_the_pass_is_to_end(config, models):
    ticks = itertools.count()
    first = find(config, models, most_seconds=1.5, timer=lambda: float(next(ticks)))
    assert 0 < first < 50
    assert find(config, models, should_stop=lambda: True) == 0


def test_what_other_models_scored_is_not_asked_of_these(config, models):
    assert find(config, dataclasses.replace(models, version="aha-ztf-9.9")) == 0


def test_a_dry_run_looks_for_none(sandbox, configure, models, monkeypatch):
    monkeypatch.setattr(run, "find_late_reasons", lambda *_: pytest.fail("a dry run keeps nothing"))
    run_pass(configure(sandbox), models, on_dry_annotation=lambda _: None)


def test_they_are_looked_for_after_delivery(sandbox, configure, models, monkeypatch):
    sent = []
    monkeypatch.setattr(run, "find_late_reasons", lambda ledger, *_: sent.append(ledger.outbox.counts()))
    run_pass(configure(sandbox), models)
    assert sent[0]["waiting"] == 0 and sent[0]["sent"] > 0
