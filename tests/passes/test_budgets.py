"""What a pass may cost an object: statements of SQL, digests, runs of each graph, annotations; counted, not timed.

With `pytest -s` the counts are printed.
"""

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType, SimpleNamespace

import pytest
from sqlalchemy import Engine, event

from annotator.annotation import Annotation
from annotator.config import Config
from annotator.decision import changes
from annotator.ledger import Ledger
from annotator.ledger.calls import Calls
from annotator.models import Model, ModelSet
from annotator.models.rows import ROWS
from annotator.passes.report import PassReport
from annotator.passes.run import run_pass
from tests.stand_ins import STAND_INS, StandIn, with_stand_ins

STATEMENTS_AN_OBJECT = 3.0
RUNS_AN_OBJECT = 1.5 / ROWS
"""Of a graph: batches of :data:`ROWS`, of which a pass may fill up some."""
STATEMENTS_A_CALL = 1.0
"""To count it, if there is room for it."""
FETCHING = {"lasair__object_share": 0.95, "lasair__random_share": 0.0}
"""Every object's light curve and stamps are fetched in the pass that scores it."""


@contextmanager
def statements(heard: Callable[[str], None]) -> Iterator[None]:
    """Hear of every statement that is sent to a database; one that writes many rows is one."""

    def hear(connection: object, cursor: object, statement: str, *_: object) -> None:
        heard(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


@dataclasses.dataclass
class Spent:
    """What a pass cost in all."""

    report: PassReport
    calls: int
    """To Lasair."""
    counts: Mapping[str, int]

    def __str__(self) -> str:
        scored, sent = self.report.scored, self.report.delivery.sent
        runs = {name: round(n / scored, 2) for name, n in self.counts.items() if name.startswith("run of ")}
        return (
            f"{scored} objects scored, {self.calls} calls, {sent} annotations sent; "
            f"statements an object {self.counts['statement'] / scored:.2f}; "
            f"statements to count a call {self.counts['counting'] / self.calls:.2f}; "
            f"digests an object {self.counts['digest'] / scored:.2f}; "
            f"annotations built {self.counts['annotation']}; runs an object {runs}"
        )


@dataclasses.dataclass(frozen=True)
class CountedSession:
    """A graph's session that counts its scoring runs; reasons ask for less than all that a score is made of."""

    name: str
    session: object
    counts: Counter[str]

    def run(self, names, *arguments: object) -> object:
        self.counts[f"run of {self.name}" if "latent" in names else f"asking {self.name} for reasons"] += 1
        return self.session.run(names, *arguments)


@dataclasses.dataclass(frozen=True)
class CountedStandIn(StandIn):
    counts: Counter[str] = dataclasses.field(default_factory=Counter)

    def score(self, transient):
        self.counts[f"run of {self.modality}"] += 1
        return super().score(transient)


def counted(model: Model | StandIn, name: str, counts: Counter[str]) -> Model | StandIn:
    if isinstance(model, StandIn):
        return CountedStandIn(model.modality, model.error, model.lacks, counts=counts)
    return dataclasses.replace(model, session=CountedSession(name, model.session, counts))


def spent_on_a_pass(config: Config, models: ModelSet, sandbox) -> Spent:
    """Make a pass and count."""
    counts: Counter[str] = Counter()
    watched = {name: counted(model, name, counts) for name, model in models.models.items()}
    models = dataclasses.replace(models, models=MappingProxyType(watched))
    n_calls = len(_api_calls(sandbox))
    with pytest.MonkeyPatch.context() as patch:
        _count_digests(patch, counts)
        _count_annotations(patch, counts)
        take, is_counting = Calls.take, []

        def heard(statement: str) -> None:
            counts["statement"] += 1
            counts["counting"] += bool(is_counting)

        def counted_take(*arguments: object) -> bool:
            is_counting.append(True)
            try:
                return take(*arguments)
            finally:
                is_counting.pop()

        patch.setattr(Calls, "take", counted_take)
        Ledger(config.ledger).close()  # making the tables is no part of a pass
        with statements(heard):
            report = run_pass(config, models)
    spent = Spent(report, len(_api_calls(sandbox)) - n_calls, counts)
    print(f"\n{spent}")
    return spent


def _api_calls(sandbox) -> list:
    return [call for call in sandbox.calls if call.endpoint != "cutout"]


def _count_digests(patch: pytest.MonkeyPatch, counts: Counter[str]) -> None:
    def sha256(content: bytes) -> object:
        counts["digest"] += 1
        return hashlib.sha256(content)

    patch.setattr(changes, "hashlib", SimpleNamespace(sha256=sha256))


def _count_annotations(patch: pytest.MonkeyPatch, counts: Counter[str]) -> None:
    """Count what is built of an object; not what is read back from the ledger."""
    check, is_reading = Annotation.__post_init__, []
    from_json = Annotation.from_json

    def checked(annotation: Annotation) -> None:
        counts["annotation"] += not is_reading
        check(annotation)

    def read(text: str) -> Annotation:
        is_reading.append(True)
        try:
            return from_json(text)
        finally:
            is_reading.pop()

    patch.setattr(Annotation, "__post_init__", checked)
    patch.setattr(Annotation, "from_json", staticmethod(read))


@pytest.fixture
def features_alone(sandbox, configure, models) -> Spent:
    return spent_on_a_pass(configure(sandbox), models, sandbox)


@pytest.fixture
def all_three(sandbox, configure, models) -> Spent:
    return spent_on_a_pass(configure(sandbox, **FETCHING), with_stand_ins(models, "lightcurve", "triplet"), sandbox)


@pytest.mark.parametrize("modalities", ["features_alone", "all_three"])
def test_a_pass_costs_an_object_no_more_than_promised(modalities, request):
    spent = request.getfixturevalue(modalities)
    scored = spent.report.scored
    assert scored > 80 and spent.report.problem == "" and spent.report.delivery.sent > 5
    assert spent.counts["statement"] <= STATEMENTS_AN_OBJECT * scored
    assert spent.counts["counting"] <= STATEMENTS_A_CALL * spent.calls
    assert spent.counts["digest"] == spent.report.read
    # A class in TNS is found later, and rewrites what waits.
    classified = sum(entry.type != "" for entry in spent.report.tns.values())
    assert spent.report.delivery.sent <= spent.counts["annotation"] <= spent.report.queued + classified
    assert spent.counts["annotation"] < scored / 2
    assert 0 < spent.counts["run of features"] <= RUNS_AN_OBJECT * scored
    assert all(spent.counts[f"run of {name}"] in (0, scored) for name in STAND_INS)
