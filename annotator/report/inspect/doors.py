"""By which ways people come in: alone with a key that was printed, or in a group with a secret of one's own.

Every user of a machine reaches its localhost, so that being there proves nothing. Who starts the server alone is given
an address with a key, which is new at every start. A key in an address would stay in the browser's history, and stand
in the list of processes where a program is told to open it: so it opens the page once, for whoever comes first, is
exchanged for a cookie, and the answer leads to the address without it. The next key is printed then, for another
browser: who finds theirs used before them knows that somebody was faster.
"""

import hmac
import secrets
import threading
from collections.abc import Callable
from typing import NoReturn, Protocol

import flask

from annotator.report.inspect.access import check_person, refuse
from annotator.report.inspect.people import People
from annotator.report.pages.render import INDEX

KEY = "key"
"""What the printed address calls the key."""
KEY_BYTES = 16
"""As many random bits as nobody finds by trying, so that wrong keys need not be counted."""


class Door(Protocol):
    """One way to come in."""

    is_for_many: bool
    """Whether it may stand where others reach it."""

    def enter(self) -> str:
        """Return the name of whoever asks; who may not come in is refused."""


class Alone:
    """For the one person who started the server.

    Parameters
    ----------
    person
        The name of theirs that verdicts are given under.

    Raises
    ------
    ConfigError
        If that is none.
    """

    is_for_many = False

    def __init__(self, person: str) -> None:
        check_person(person)
        self._person = person
        self._lock = threading.Lock()
        self._key = secrets.token_urlsafe(KEY_BYTES)
        self.tell: Callable[[str], None] = lambda address: None
        """Is given what follows the server's name in each next address."""

    @property
    def address(self) -> str:
        """What follows the server's name in the address that opens the page next."""
        return f"/?{KEY}={self._key}"

    def enter(self) -> str:
        """Return the person's name where the browser has the cookie, or comes to get it."""
        asked, is_in = flask.request, flask.session.get("is_in") is True
        if asked.method == "GET" and asked.path == "/" and KEY in asked.args:
            if not is_in and self._take(asked.args[KEY]):
                flask.session.clear()
                flask.session["is_in"] = is_in = True
                self.tell(self.address)
            if is_in:
                flask.abort(flask.redirect(INDEX, 303))
        if not is_in:
            words = (
                "This page opens by the address that aha-annotator inspect printed last where it was started. An "
                "address opens it once, and was used if this is it: the next one is printed there."
            )
            note = asked.form.get("note", "") if asked.method == "POST" else ""
            refuse(403, f"{words}\n\nYour note, which was not kept: {note}" if note else words)
        return self._person

    def _take(self, given: str) -> bool:
        with self._lock:
            if not hmac.compare_digest(given.encode(errors="replace"), self._key.encode()):
                return False
            self._key = secrets.token_urlsafe(KEY_BYTES)
            return True


class Group:
    """For several people, each with a secret; a browser asks for it with the name, and sends both each time."""

    is_for_many = True

    def __init__(self, people: People) -> None:
        self._people = people

    def enter(self) -> str:
        """Return the name of whoever gives their secret with it."""
        given = flask.request.authorization
        if given is None or given.type != "basic":
            _ask_for_secret("This page asks for your name and your secret.")
        person = self._people.who(given.username or "", given.password or "")
        if person is None:
            _ask_for_secret("There is nobody with this name and this secret.")
        return person


def _ask_for_secret(words: str) -> NoReturn:
    refuse(401, words, {"WWW-Authenticate": 'Basic realm="AHA inspection", charset="UTF-8"'})
