"""A Lasair that only queues annotations, and applies them late and out of order: nothing is lost, nothing is old."""

import dataclasses

import pytest

from annotator.annotation import Annotation
from annotator.lasair.api import LasairApi
from annotator.lasair.budget import CallBudget
from annotator.ledger import Ledger
from annotator.passes import delivery as delivering
from annotator.passes.delivery import Delivery, deliver
from annotator.sandbox import Account, LsstSandbox, Topic
from annotator.sandbox.lasair.lsst.queue import Queueing
from annotator.surveys import SURVEYS
from tests.conftest import TOKEN

LSST = SURVEYS["lsst"]

MINUTE_S, DAY_S = 60.0, 86_400.0
FIRST_ID = 2**63 - 1000
N_OBJECTS = 250


def annotation(number: int, score: float = 3.2) -> Annotation:
    return Annotation(
        str(FIRST_ID + number), "aha_lsst", "anomaly", "aha-lsst-1.0", "Why.", {"score": score, "n_det": 5}
    )


@dataclasses.dataclass
class Site:
    """An outbox, and a Lasair for Rubin that it is delivered to."""

    server: LsstSandbox
    ledger: Ledger
    now: list[float]

    def queue(self, *annotations: Annotation) -> None:
        self.ledger.outbox.queue(annotations, self.now[0])

    def deliver(self, later_s: float = 10 * MINUTE_S) -> Delivery:
        self.now[0] += later_s
        budget = CallBudget(self.ledger, 5000, 0.4, self.clock)
        api = LasairApi(LSST, self.server.url, TOKEN, 5.0, budget)
        return deliver(self.ledger.outbox, api, LSST.batch_annotations, self.clock, lambda: False)

    def clock(self) -> float:
        return self.now[0]

    def states(self) -> dict[str, int]:
        return {name: count for name, count in self.ledger.outbox.states().items() if count}

    def held(self) -> dict[int, float]:
        return {row["diaObjectId"]: row["classdict"]["score"] for row in self.server.annotations()}

    def calls(self, endpoint: str) -> int:
        return sum(call.endpoint == endpoint for call in self.server.calls)


@pytest.fixture
def site():
    now = [1.79e9]
    with (
        LsstSandbox(
            accounts=[Account(TOKEN, "power")],
            topics=[Topic("aha_lsst", TOKEN)],
            clock=lambda: now[0],
            queueing=Queueing(delay_s=20.0, late_share=0.3, late_s=15 * MINUTE_S),
        ) as server,
        Ledger(":memory:") as ledger,
    ):
        server.load({"diaObjectId": FIRST_ID + number} for number in range(N_OBJECTS))
        yield Site(server, ledger, now)


def test_success_is_not_believed_until_it_is_read_back(site):
    site.queue(annotation(0))
    first = site.deliver()
    assert (first.sent, first.stored, site.held()) == (1, 0, {})
    for _ in range(4):
        site.deliver()
    assert site.states() == {"stored": 1} and site.held() == {FIRST_ID: 3.2}
    assert site.calls("annotate") == 1


def test_hundreds_go_a_hundred_in_a_call_and_few_reads_tell_that_all_are_there(site):
    site.queue(*(annotation(number) for number in range(N_OBJECTS)))
    for _ in range(4):
        site.deliver()
    assert site.states() == {"stored": N_OBJECTS}
    assert set(site.held()) == set(range(FIRST_ID, FIRST_ID + N_OBJECTS))  # all digits of all of them
    assert site.calls("annotatelist") + site.calls("annotate") == 3
    # Two pages ask whether Lasair has the objects, two for what was applied in time, one for what was late.
    assert site.calls("query") <= 7


def test_batches_are_full_over_the_pages_in_which_objects_are_asked_for(site):
    n = 4 * delivering.MAX_ASKED  # as many pages
    site.server.load({"diaObjectId": FIRST_ID + number} for number in range(-n, 0))
    site.queue(*(annotation(number) for number in range(-n, 0)))
    assert site.deliver().sent == n
    assert (site.calls("annotatelist"), site.calls("annotate"), site.calls("query")) == (n // 100, 0, 4)


def test_of_each_object_one_is_under_way_at_a_time_so_the_newest_is_what_stays(site):
    for turn in range(12):
        site.queue(*(annotation(number, 3.0 + 0.1 * turn) for number in range(60)))
        site.deliver(5 * MINUTE_S)
    for _ in range(12):
        site.deliver()
    assert {round(score, 6) for score in site.held().values()} == {4.1} and len(site.held()) == 60
    assert site.states() == {"stored": 60}


def test_an_object_that_main_lacks_waits_so_that_its_trigger_is_not_lost(site):
    site.server.hide([FIRST_ID])
    site.queue(annotation(0), annotation(1))
    assert (site.deliver().held, len(site.server.queue)) == (1, 1)
    site.server.show()
    for _ in range(4):
        site.deliver()
    assert site.states() == {"stored": 2}


@pytest.mark.parametrize("status", [500, 400])
def test_a_batch_of_which_half_was_taken_is_sent_again_and_nothing_is_lost(site, status):
    site.server.misbehave("annotatelist", "half", times=1, status=status)
    site.queue(*(annotation(number) for number in range(100)))
    for _ in range(10):
        site.deliver()
    assert site.states() == {"stored": 100} and len(site.held()) == 100


def test_an_id_that_would_stop_everybody_s_annotations_is_never_sent_however_it_came_into_the_outbox(site):
    site.queue(dataclasses.replace(annotation(0), object_id=str(2**63)), *(annotation(number) for number in range(3)))
    for days in (0, 1, 2, 3):  # what main does not have is sent in the end, all the same
        for _ in range(4):
            site.deliver(days * DAY_S + 10 * MINUTE_S)
    assert site.server.queue.why_dead == "" and len(site.held()) == 3
    assert site.states()["stored"] == 3 and "expected an object id below 2^63" in site.ledger.outbox.last_failure()


def test_what_the_consumer_never_applies_is_missed_and_sent_again(site):
    site.server.queue.put({"objectId": str(2**63), **dict.fromkeys(("topic", "version", "classification"), "x")} | {
        "explanation": "", "classdict": "{}", "url": ""
    })  # somebody else's poison  # fmt: skip
    site.queue(annotation(0))
    for _ in range(4):
        site.deliver()
    assert site.held() == {} and site.server.queue.why_dead
    site.now[0] += delivering.PATIENCE_S
    assert site.deliver().lost == 1
    site.server.queue.restart(without_the_poison=True)
    for _ in range(8):
        site.deliver()
    assert site.states() == {"stored": 1} and site.held() == {FIRST_ID: 3.2}
