"""Clocks that are wrong, ours and Lasair's, and dates that cannot be."""

from tests.faults.laboratory import Fault, Try, Verdict, judge
from tests.faults.scenario import begun_world

DAY_S = 86_400.0
OFFSETS_S = tuple(sign * days * DAY_S for sign in (1, -1) for days in (0.05, 1.5, 8.0, 40.0, 365.0))


def our_clock_wrong(t: Try) -> Verdict:
    """Make one pass, or a few, by a clock that is hours to a year ahead or behind."""
    offset_s = t.rng.choice(OFFSETS_S)
    with begun_world(t.scenario, t.folder) as life:
        if t.rng.random() < 0.5:
            life.pass_(offset_s)
        life.publish(t.scenario.waves[1])
        for _ in range(t.rng.randint(1, 3)):
            life.pass_(offset_s)
        life.settle()
        return judge(life)


def lasairs_clock_wrong(t: Try) -> Verdict:
    """Let Lasair's header `Date` be ahead or behind for a pass."""
    with begun_world(t.scenario, t.folder) as life:
        life.publish(t.scenario.waves[1])
        life.server.misbehave("*", "skew", seconds=t.rng.choice(OFFSETS_S))
        life.pass_()
        life.server.behave()
        life.settle()
        return judge(life)


def row_dated_ahead(t: Try) -> Verdict:
    """Let strangers among the rows be dated days to decades ahead; the others must not notice."""
    wave = t.scenario.waves[1]
    strangers = [
        row | {"objectId": f"ZTF98{number:07d}", "jdmax": row["jdmax"] + t.rng.choice((3.0, 30.0, 3650.0))}
        for number, row in enumerate(t.rng.sample(wave, t.rng.randint(1, 5)))
    ]
    with begun_world(t.scenario, t.folder) as life:
        life.publish(strangers)
        life.pass_()
        life.publish(wave)
        life.settle()
        return judge(life)


def state_dated_ahead(t: Try) -> Verdict:
    """Let objects have a state that is dated ahead before the one that counts."""
    ahead = [
        row | {"jdmax": row["jdmax"] + t.rng.choice((3.0, 30.0, 3650.0))}
        for row in t.rng.sample(t.scenario.waves[0], 5)
    ]
    with begun_world(t.scenario, t.folder) as life:
        life.publish(ahead)
        life.pass_()
        life.publish(t.scenario.waves[0])
        life.publish(t.scenario.waves[1])
        life.settle()
        return judge(life)


FAULTS = (
    Fault("our clock wrong", 100, our_clock_wrong),
    Fault("Lasair's clock wrong", 40, lasairs_clock_wrong),
    Fault("row dated ahead", 40, row_dated_ahead),
    Fault("state dated ahead", 40, state_dated_ahead),
)
