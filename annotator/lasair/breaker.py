"""Breakers: a server that answers nothing of use is left alone for a while, instead of being asked of every object.

No status and no body means by itself what it says: a database that is away, a proxy's rule and a page "back soon" look
like facts about each object. So what is said of one object is believed only where others get good answers meanwhile;
the same of three different objects in a row, or no answer three times, is about the server. Then its breaker opens:
one cause, one line in the log, one pause, which doubles from one to the next. After it one call is let through, to see;
a good answer closes the breaker, and all goes on.

That there is nothing of an object (an empty file of stamps, as Lasair says it) is believed in the same way: an empty
answer to all is a server's, too. But it opens no breaker, for it may as well be true of many.

A pass may knock once at each open breaker, whatever is left of its pause: passes come at the pace that people chose,
and whoever has mended something sees it in the next one. The pause is what bounds the calls within a pass.

Each endpoint has a breaker of its own: ``query``, ``object`` and ``annotate`` (Lasair answers them from different
databases, of which one may be away), and ``cutouts HOST KIND`` for each kind of stamps at their host.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from annotator.errors import (
    LasairUnreachableError,
    MissingModalityError,
    NotNowError,
    QuotaError,
    RejectedError,
    UnauthorizedError,
)
from annotator.ledger.breakers import Breakers as KeptBreakers
from annotator.ledger.breakers import Pause

log = logging.getLogger(__name__)

MAX_IN_A_ROW = 3
"""Different objects that are refused, or calls without an answer, one after the other: then it is the server."""
FIRST_PAUSE_S = 60.0
MAX_PAUSE_S = 3600.0


class Breaker:
    """Whether one endpoint is asked; safe to share between threads.

    Parameters
    ----------
    endpoint
        What it is called in messages.
    pause
        The one that an earlier pass left open, None if none.
    clock
        Seconds since 1970.
    doubts_refusals
        Whether refusals of different objects in a row are about the server; else each is believed, as where many are
        asked for that Lasair never had, and a person looks at what came of it.
    """

    def __init__(
        self,
        endpoint: str,
        pause: Pause | None = None,
        clock: Callable[[], float] = time.time,
        doubts_refusals: bool = True,
    ) -> None:
        self.endpoint = endpoint
        self._doubts_refusals = doubts_refusals
        self.pause = pause
        self._clock = clock
        self._changed = threading.Condition()
        self._may_knock = True
        self._is_knocking = False
        self._unanswered = 0
        self._doubted: dict[str, None] = {}
        self._nothing_of: dict[str, None] = {}
        self._believed: set[str] = set()
        self._has_answered = False

    @contextlib.contextmanager
    def call(self, subject: str) -> Iterator[None]:
        """Make one call inside, which raises a LasairApiError unless there was a good answer.

        It raises a MissingModalityError where the answer is that there is nothing.

        Parameters
        ----------
        subject
            What it asks about, such as an object's id.

        Raises
        ------
        NotNowError
            If the breaker is open, without making the call; or if this call has opened it, in the place of what the
            call raised.
        """
        is_knock = self._enter()
        try:
            yield
        except RejectedError as error:
            if self._doubts_refusals:
                self._note(subject, error, is_knock)
            else:
                self._note_good()
            raise
        except MissingModalityError:
            self._note_nothing(subject)
            raise
        except (LasairUnreachableError, UnauthorizedError) as error:
            self._note(None, error, is_knock)
            raise
        except QuotaError:
            self._may_knock |= is_knock  # nobody was asked
            raise
        else:
            self._note_good()
        finally:
            if is_knock:
                with self._changed:
                    self._is_knocking = False
                    self._changed.notify_all()

    def check(self) -> None:
        """Raise NotNowError if no call would be let through just now."""
        with self._changed:
            if self.pause and not self._is_due():
                raise self._not_now()

    def believes(self, subject: str) -> bool:
        """Say whether a refusal, or that there is nothing, is about its subject.

        It is where others got good answers in this pass, and it is one of few in a row.

        Ask at the end of a batch or a pass: what comes after an answer may tell that it was the server.
        """
        if not self._doubts_refusals:
            return True
        with self._changed:
            if subject in self._believed:
                return True
            is_of_few = subject in self._doubted or subject in self._few(self._nothing_of)
            return is_of_few and self._has_answered and self.pause is None

    @staticmethod
    def _few(subjects: Mapping[str, None]) -> Mapping[str, None]:
        """Return subjects in a row that are too few to be about the server; nothing of more."""
        return subjects if len(subjects) < MAX_IN_A_ROW else {}

    @property
    def has_answered(self) -> bool:
        """Whether there was a good answer in this pass, and the breaker is closed."""
        with self._changed:
            return self._has_answered and self.pause is None

    def _enter(self) -> bool:
        """Let a call through; return whether it is one that sees whether the server is back."""
        with self._changed:
            # While one call sees whether the server is back, the others wait for what it finds.
            self._changed.wait_for(lambda: not self._is_knocking)
            if self.pause is None:
                return False
            if not self._is_due():
                raise self._not_now()
            self._may_knock, self._is_knocking = False, True
            return True

    def _is_due(self) -> bool:
        now, until = self._clock(), self.pause.until
        return self._may_knock or not until - MAX_PAUSE_S <= now < until  # a clock that was set back opens it, too

    def _note_good(self) -> None:
        with self._changed:
            self._believed.update(self._doubted, self._few(self._nothing_of))
            self._doubted.clear()
            self._nothing_of.clear()
            self._has_answered = True
            self._note_alive()

    def _note_nothing(self, subject: str) -> None:
        with self._changed:
            self._nothing_of[subject] = None
            self._note_alive()

    def _note_alive(self) -> None:
        self._unanswered = 0
        if self.pause is not None:
            log.info("%s answers again", self.endpoint)
            self.pause = None

    def _note(self, subject: str | None, error: Exception, is_knock: bool) -> None:
        """Take note of a bad answer; raise NotNowError where it opens the breaker, or finds it open."""
        with self._changed:
            if self.pause is not None and not is_knock:  # it was under way when others opened it
                raise self._not_now() from error
            if subject is None:
                self._unanswered += 1
            else:
                self._doubted[subject] = None
            if self.pause is None and self._unanswered + len(self._doubted) < MAX_IN_A_ROW:
                return
            now, before = self._clock(), self.pause
            times = before.times + 1 if before else 1
            pause_s = min(FIRST_PAUSE_S * 2.0 ** min(times - 1, 10), MAX_PAUSE_S)
            self.pause = Pause(before.opened_at if before else now, now + pause_s, times, str(error))
            self._doubted.clear()
            self._unanswered, self._may_knock = 0, False
            not_now = self._not_now()
            log.log(logging.INFO if before else logging.WARNING, "%s", not_now)
            raise not_now from error

    def _not_now(self) -> NotNowError:
        return NotNowError(_words(self.endpoint, self.pause))


def _words(endpoint: str, pause: Pause) -> str:
    until = time.strftime("%H:%M:%S", time.gmtime(pause.until))
    return (
        f"{endpoint}: no good answer {MAX_IN_A_ROW} times in a row, which is about the server; it is left alone "
        f"until {until} UTC, and what needs it waits ({pause.cause})"
    )


class Breakers:
    """The breakers of a pass, by endpoint, made as they are asked for.

    Parameters
    ----------
    kept
        The ledger's; None to keep nothing.
    clock
        Seconds since 1970.
    doubts_refusals
        As for :class:`Breaker`.
    """

    def __init__(
        self,
        kept: KeptBreakers | None = None,
        clock: Callable[[], float] = time.time,
        doubts_refusals: bool = True,
    ) -> None:
        self._kept = kept
        self._clock = clock
        self._doubts_refusals = doubts_refusals
        self._lock = threading.Lock()
        self._saved = kept.pauses() if kept else {}
        self._breakers: dict[str, Breaker] = {}

    def __getitem__(self, endpoint: str) -> Breaker:
        with self._lock:
            if endpoint not in self._breakers:
                self._breakers[endpoint] = Breaker(
                    endpoint, self._saved.get(endpoint), self._clock, self._doubts_refusals
                )
            return self._breakers[endpoint]

    def save(self) -> None:
        """Write down what has changed; called in the ledger's own thread."""
        for endpoint, breaker in list(self._breakers.items()):
            pause = breaker.pause
            if self._kept is None or pause == self._saved.get(endpoint):
                continue
            if pause:
                self._kept.keep(endpoint, pause)
                self._saved[endpoint] = pause
            else:
                self._kept.forget(endpoint)
                del self._saved[endpoint]

    @property
    def problem(self) -> str:
        """Which endpoints this pass has found to be away, and why; empty if none."""
        return "; ".join(
            _words(breaker.endpoint, breaker.pause) for breaker in self._breakers.values() if breaker.pause
        )
