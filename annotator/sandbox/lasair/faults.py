"""Ways in which the sandbox can be told to misbehave."""

import random
import threading
from dataclasses import dataclass, replace
from typing import Literal

from annotator.sandbox.lasair.wire import SERVER_ERROR, Answer, Request

FaultKind = Literal[
    "refuse",
    "answer",
    "page",
    "redirect",
    "repeat_token",
    "no_database",
    "drop",
    "hang",
    "lie",
    "late",
    "delay",
    "drop_after",
    "hang_after",
    "half",
    "truncate",
    "garble",
    "duplicate",
    "slow_headers",
    "slow_body",
    "endless",
    "skew",
]
"""What goes wrong with a call.

Nothing is done:

- refuse: answered with a status (503) and a content, an error text where none is given
- answer: answered with a status (200) and a content of any shape: null, 5, NaN, a list where an object is due
- page: answered with a status (503) and a page of HTML, as by a proxy in front
- redirect: answered with a status (302) that sends the caller to the content, a URL
- repeat_token: answered with a status (400) and an error text in which the caller's token stands
- no_database: answered as Lasair-ZTF answers while its databases are away
- drop: the connection breaks
- hang: no answer comes
- lie: the answer says success (annotations only; other calls answer an empty list)

Done later:

- late: the answer says success, the annotation is stored some seconds later by the sandbox's clock, maybe after newer
  ones of its object: Lasair for Rubin applies them in any order

Done, but the answer is spoilt:

- delay: it comes late
- drop_after: the connection breaks before it
- hang_after: it never comes, as from a fast topic while Lasair's own Kafka is away
- half: of a list of annotations the first half was taken, and the answer is a status (503) and a content
- truncate: it breaks off in the middle
- garble: it is whole but only half of the JSON
- duplicate: every row of it comes twice
- slow_headers: it comes a byte at a time, from its first on
- slow_body: its body comes a byte at a time
- endless: its body does not end before so many bytes
- skew: its `Date` is so many seconds ahead
"""

WITHOUT_WORK = frozenset(("refuse", "answer", "page", "redirect", "repeat_token", "no_database", "drop", "hang"))
"""Faults of calls that are not even looked at."""

REFUSED = {"detail": "refused by the sandbox, as it was told to"}
"""What is said where a fault has no words of its own."""

STATUSES = {"answer": 200, "redirect": 302, "repeat_token": 400}
"""The status of a fault that was not told one; 503 of the others."""


@dataclass(frozen=True)
class Fault:
    """One standing order to misbehave; :meth:`Sandbox.misbehave` says what its parts are."""

    endpoint: str
    kind: FaultKind
    times: int | None
    share: float
    status: int
    seconds: float
    content: object
    size_bytes: int


def without_work(fault: Fault, endpoint: str, token: str) -> Answer:
    """Answer a call that is not even looked at."""
    if fault.kind == "page":
        return Answer(fault.status, f"<!doctype html><title>{fault.status}</title><h1>Back soon</h1>")
    if fault.kind == "redirect":
        return Answer(fault.status, "", location=str(fault.content))
    if fault.kind == "repeat_token":
        return Answer(fault.status, {"error": f"cannot serve the request with 'Authorization: Token {token}'"})
    if fault.kind == "no_database":
        # Only the light curves' database is asked within what catches the failure (measured on Lasair-ZTF in 2026).
        return Answer(400, {"error": "Unable to connect to any servers"}) if endpoint == "object" else SERVER_ERROR
    return Answer(fault.status, fault.content)


def first_half(request: Request) -> Request:
    """Leave of a list of annotations as much as a server has taken that stumbles in the middle of it."""
    content = request.content
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        return request
    annotations = content["annotations"]
    return replace(request, content=content | {"annotations": annotations[: len(annotations) // 2]})


class Faults:
    """The standing orders; the newest that fits a call is carried out."""

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._orders: list[tuple[Fault, list[int | None]]] = []

    def add(self, fault: Fault) -> None:
        """Take an order."""
        with self._lock:
            self._orders.insert(0, (fault, [fault.times]))

    def clear(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()

    def next_for(self, endpoint: str) -> Fault | None:
        """Return what has to go wrong with this call."""
        with self._lock:
            for fault, left in self._orders:
                if fault.endpoint not in (endpoint, "*") or left[0] == 0 or self._random.random() >= fault.share:
                    continue
                if left[0] is not None:
                    left[0] -= 1
                return fault
        return None
