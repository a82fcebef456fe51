"""What one record, one view or one object's reasons fail at: refused by name, kept, and scored again after a mend."""

import dataclasses
import json
import random

import pytest

from annotator.attention.dates import Dates
from annotator.cli import main
from annotator.decision import decide as deciding
from annotator.errors import GeneralFaultError, LedgerError, LedgerValueError, ModelError
from annotator.fences import MIN_ALIKE, Failure, failure_of, require_own_faults
from annotator.ledger import Ledger
from annotator.ledger.kept_objects import KeptObjects
from annotator.models import Missing, Model
from annotator.models import model as models_of
from annotator.passes.refused import Retried, retry_refused
from annotator.passes.run import run_pass
from annotator.passes.scoring import batch, late_reasons, parsing
from annotator.passes.scoring.parsing import parse_batch
from tests.conftest import TOKEN, copy_features_model
from tests.hostile_records import hostile_records, texts
from tests.stand_ins import with_stand_ins

VICTIM = "ZTF99aaaaaav"


def of_file(configure, sandbox, folder, lines, **changes):
    """Configure a pass over a recorded file."""
    (folder / "records.jsonl").write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    return configure(sandbox, source={"kind": "file", "path": "records.jsonl"}, **changes)


def refusals(config) -> list[tuple[str, str, str]]:
    with Ledger(config.ledger) as ledger:
        return [(item.refusal.object_id, item.refusal.part, item.refusal.kind) for item in ledger.refused.open()]


def scored_ids(config, names) -> set[str]:
    with Ledger(config.ledger) as ledger:
        return set(ledger.scores.states(list(names)))


@pytest.fixture
def rows(night) -> list[dict]:
    rows = night.rows()[:40]
    assert VICTIM in {row["objectId"] for row in rows}
    return rows


@pytest.fixture
def config(configure, sandbox, tmp_path, rows):
    """Forty objects, each of which is flagged."""
    return of_file(
        configure, sandbox, tmp_path, map(json.dumps, rows), decision__watch_score=0.0, decision__variable=False
    )


def test_a_file_of_which_no_record_can_be_used_is_something_to_look_at(configure, sandbox, tmp_path, rows, all_models):
    nameless = [json.dumps({"alert": row}) for row in rows[:3]]
    report = run_pass(of_file(configure, sandbox, tmp_path, nameless), all_models)
    assert report.refused == 3 and "no record of" in report.problem and "aha-annotator refused" in report.problem
    report = run_pass(of_file(configure, sandbox, tmp_path, [*nameless, json.dumps(rows[0])]), all_models)
    assert report.refused == 3 and not report.problem


ODD = ValueError("odd")


def failing(function, error=ODD, victim=VICTIM):
    """Let a function fail wherever an argument, or a part of one, is of the victim; of all without one."""

    def fails(*arguments, **named):
        if victim is None or victim in repr(arguments):
            raise error
        return function(*arguments, **named)

    return fails


def fail_in(monkeypatch, place: str, victim=VICTIM) -> None:
    owner, name = {
        "parsing": (parsing, "as_seen"),
        "fetching": (batch.Enricher, "changed"),
        "classifying": (batch, "decide"),
        "deciding": (deciding, "explain"),
        "writing": (KeptObjects, "keep"),
        "reasons": (batch, "reasons_of"),
    }[place]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), victim=victim))


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("parsing", "record"),
        ("fetching", "views"),
        ("classifying", "record"),
        ("deciding", "record"),
        ("writing", "record"),
        ("reasons", "reasons"),
    ],
)
def test_whatever_one_record_fails_at_it_is_refused_and_all_others_are_as_without_it(
    config, models, rows, sandbox, monkeypatch, place, part
):
    fail_in(monkeypatch, place)
    report = run_pass(config, models)
    assert refusals(config) == [(VICTIM, part, "ValueError")]
    assert "1 ValueError" in report.problem and "aha-annotator refused" in report.problem
    lost = {VICTIM} if part == "record" else set()
    names = {row["objectId"] for row in rows}
    assert scored_ids(config, names) == names - lost
    assert (report.scored, report.refused) == (40 - len(lost), len(lost))
    assert report.delivery.sent == len(sandbox.annotations()) == 40 - len(lost)
    again = run_pass(config, models)
    assert (again.scored, again.unchanged) == (0, 40 - len(lost))


@pytest.mark.parametrize("place", ["parsing", "fetching", "classifying", "deciding", "writing", "reasons"])
def test_what_all_records_fail_at_refuses_none_and_is_told_and_they_come_again(
    config, models, rows, sandbox, monkeypatch, place
):
    with monkeypatch.context() as patched:
        fail_in(patched, place, victim=None)
        report = run_pass(config, models)
        assert "failed alike" in report.problem and "ValueError: odd" in report.problem
        assert refusals(config) == [] and scored_ids(config, [row["objectId"] for row in rows]) == set()
    report = run_pass(config, models)
    assert (report.problem, report.scored, report.delivery.sent) == ("", 40, 40)


def test_a_model_that_fails_at_one_object_is_missing_of_that_one_alone(config, models, rows, monkeypatch):
    score = Model.score_prepared
    monkeypatch.setattr(
        Model, "score_prepared", lambda self, prepared, names: failing(score, ModelError("nan"))(self, prepared, names)
    )
    report = run_pass(config, models)
    assert report.scored == 40 and refusals(config) == [(VICTIM, "features", "ModelError")]
    with Ledger(config.ledger) as ledger:
        (said,) = ledger.scores.history(VICTIM)
    assert said["modalities"]["features"] == {"missing": "it could not be scored: ModelError: nan"}


def test_a_damaged_model_commits_nothing(config, models, rows, monkeypatch):
    monkeypatch.setattr(Model, "score_prepared", failing(None, ModelError("nan"), victim=None))
    report = run_pass(config, models)
    assert "40 of 40 objects that have features failed alike" in report.problem
    assert refusals(config) == [] and scored_ids(config, [row["objectId"] for row in rows]) == set()


def test_a_model_that_cannot_prepare_one_object_says_so_of_that_one(models, night, monkeypatch):
    prepare = models_of.PREPARATIONS["features"]
    broken = dataclasses.replace(prepare, take=failing(prepare.take))
    monkeypatch.setattr(models_of, "PREPARATIONS", {"features": broken})
    parsed, _ = parse_batch(night.rows()[:40], Dates("ztf", lambda: 5e9))
    scores = models.score([item.transient for item in parsed])
    lacking = [item.transient.object_id for item, said in zip(parsed, scores, strict=True) if said.failures]
    assert lacking == [VICTIM]
    (failed,) = (said for said in scores if said.failures)
    assert isinstance(failed.modalities["features"], Missing) and failed.failures["features"] == Failure(
        "ValueError", "odd"
    )


def test_an_object_that_waits_and_cannot_be_scored_waits_no_longer(sandbox, configure, models, monkeypatch):
    config = configure(sandbox, lasair__calls_per_hour=100)
    both = with_stand_ins(models, "lightcurve")
    run_pass(config, both, clock=lambda: 1e9)
    with Ledger(config.ledger) as ledger:
        before = ledger.kept.count_waiting()
        (victim,) = list(ledger.kept.waiting_records(1, 0))
        drawn = ledger.kept.waiting_records(10_000, 0)
    assert before > 0
    monkeypatch.setattr(KeptObjects, "waiting_records", lambda *_: {victim: drawn[victim][:-9]})
    run_pass(config, both, clock=lambda: 1e9 + 7200)
    with Ledger(config.ledger) as ledger:
        assert ledger.kept.waiting_of([victim]) == set()
        assert [item.refusal.reason[:8] for item in ledger.refused.open()] == ["not JSON"]


def test_reasons_that_cannot_be_found_late_are_refused_once_and_found_after_a_mend(
    configure, sandbox, tmp_path, rows, models, monkeypatch
):
    quiet = {"decision__watch_score": 20.0, "decision__anomaly_score": 20.0}
    config = of_file(configure, sandbox, tmp_path, map(json.dumps, rows), **quiet)
    with monkeypatch.context() as patched:
        patched.setattr(late_reasons, "reasons_of", failing(late_reasons.reasons_of))
        run_pass(config, models)
        run_pass(config, models)
    assert refusals(config) == [(VICTIM, "reasons", "ValueError")]
    assert retry_refused(config, models) == Retried(1, 0)
    run_pass(config, models)
    with Ledger(config.ledger) as ledger:
        assert len(ledger.scores.history(VICTIM)[-1]["reasons"]) > len('{"features": []}')


@pytest.mark.parametrize("place", ["parsing", "deciding", "reasons"])
def test_what_was_refused_is_listed_and_scored_after_a_mend(config, models, tmp_path, monkeypatch, capsys, place):
    monkeypatch.setenv("LASAIR_TOKEN", TOKEN)
    document = (tmp_path / "aha.yaml").read_text() + f"models: {copy_features_model(tmp_path)}\n"
    (tmp_path / "aha.yaml").write_text(document)
    command = ["-c", str(tmp_path / "aha.yaml")]
    with monkeypatch.context() as patched:
        fail_in(patched, place)
        assert main(["once", *command]) == 1
        assert main(["refused", "--retry", *command]) == 1
        assert len(refusals(config)) == 1
    capsys.readouterr()
    assert main(["refused", *command]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert VICTIM in line and line.endswith("ValueError: odd")
    assert main(["refused", "--json", *command]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["object_id"] == VICTIM and json.loads(said["record"])["objectId"] == VICTIM
    assert main(["refused", "--retry", *command]) == 0
    assert capsys.readouterr() == ("", "1 scored, 0 refused still\n")
    assert refusals(config) == [] and scored_ids(config, [VICTIM]) == {VICTIM}
    assert main(["once", *command]) == 0


# --- the rule


@pytest.mark.parametrize(
    ("failed", "tried", "is_general"),
    [
        (MIN_ALIKE - 1, MIN_ALIKE - 1, False),
        (MIN_ALIKE, MIN_ALIKE, True),
        (90, 100, True),
        (89, 100, False),
        (0, 0, False),
    ],
)
def test_nearly_all_that_fail_alike_are_a_general_fault(failed, tried, is_general):
    failures = [Failure("KeyError", str(number)) for number in range(failed)]
    try:
        require_own_faults(failures, tried, "records")
        found = False
    except GeneralFaultError:
        found = True
    assert found is is_general
    require_own_faults([Failure(f"Error{number}", "") for number in range(failed)], tried, "records")


@pytest.mark.parametrize("error", [LedgerError("x"), GeneralFaultError("x"), OSError(28, "disk full")], ids=repr)
def test_what_is_of_nobody_goes_through_every_fence(error):
    with pytest.raises(type(error)):
        failure_of(error)


def test_a_value_that_the_database_has_no_place_for_is_a_fault_of_its_record():
    assert failure_of(LedgerValueError("too large")).kind == "LedgerValueError"
    assert failure_of(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "half")).reason.isprintable()


# --- hostile records


@pytest.mark.parametrize("seed", [1, 2])
def test_hostile_records_end_no_pass_and_each_is_scored_or_refused(
    sandbox, configure, all_models, night, tmp_path, seed
):
    records = list(hostile_records(night, 350, seed))
    good = night.rows()[:20]
    lines = [*texts(records), *map(json.dumps, good)]
    config = of_file(configure, sandbox, tmp_path, random.Random(seed).sample(lines, len(lines)))
    report = run_pass(config, all_models)
    assert report.read == report.scored + report.unchanged + report.refused == len(lines)
    assert all("dated later than now" in words for words in report.problems)
    names = [row["objectId"] for row in good]
    assert scored_ids(config, names) == set(names)
    assert report.delivery.sent > 0
    json.dumps([[item.to_json(), str(item)] for item in _refused(config)]).encode()


def _refused(config):
    with Ledger(config.ledger) as ledger:
        return ledger.refused.open()


def test_hostile_texts_are_lines_of_a_score(all_models, night, tmp_path, capsys):
    (tmp_path / "records.jsonl").write_text("\n".join(texts(hostile_records(night, 300, 3))))
    assert main(["score", str(tmp_path / "records.jsonl")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 300 and all(json.loads(line) for line in lines)
