"""Either side forgets: Lasair loses annotations or keeps old ones, the ledger is old or gone."""

import shutil

from annotator.ledger import forget_known
from annotator.passes.rebuild import rebuild
from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.process_faults import LEDGER
from tests.faults.scenario import begun_world, hold


def annotations_lost(t: Try) -> Verdict:
    """Let Lasair lose some of the annotations that it holds, or all."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        life.pass_()
        life.settle((1.0,))
        held = [row[t.scenario.id_column] for row in life.server.database.annotations()]
        life.server.database.forget_annotations(t.rng.sample(held, t.rng.randint(1, len(held))))
        life.settle()
        return judge(life)


def annotations_older(t: Try) -> Verdict:
    """Let Lasair go back to the annotations of an hour before for some objects, as after its own restore."""
    with begun_world(t.scenario, t.folder) as life:
        older = life.server.database.annotations()
        life.publish(t.scenario.waves[1])
        life.pass_()
        life.settle((1.0,))
        hold(life.server, t.rng.sample(older, t.rng.randint(1, len(older))))
        life.settle()
        return judge(life)


def ledger_restored(t: Try) -> Verdict:
    """Put the ledger of an hour before in the place of today's."""
    backup = t.folder / "backup"
    with begun_world(t.scenario, t.folder) as life:
        shutil.copytree(t.folder, backup)
        life.publish(t.scenario.waves[1])
        life.pass_()
        for end in ("-wal", "-shm"):
            (t.folder / f"{LEDGER}{end}").unlink(missing_ok=True)
        shutil.copy(backup / LEDGER, t.folder / LEDGER)
        life.settle()
        return judge(life)


def ledger_gone(t: Try) -> Verdict:
    """Delete the ledger, or empty it: the next pass must say so and make no new one; then make it anew either way."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        for end in ("", "-wal", "-shm"):
            (t.folder / f"{LEDGER}{end}").unlink(missing_ok=True)
        if t.rng.random() < 0.5:
            (t.folder / LEDGER).touch()
        n_calls = len(life.server.calls)
        went_on = life.pass_() or any(call.endpoint == "annotate" for call in life.server.calls[n_calls:])
        if t.rng.random() < 0.5:
            rebuild(life.config, life.clock)
        else:
            forget_known(life.config.ledger)
        life.settle()
        return judge(life, *(["a pass went on without its ledger"] if went_on else []))


FAULTS = (
    Fault("annotations lost", 60, annotations_lost),
    Fault("annotations older", 40, annotations_older),
    Fault("ledger restored", 40, ledger_restored),
    Fault("ledger gone", 40, ledger_gone),
)
