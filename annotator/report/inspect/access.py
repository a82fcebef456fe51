"""Who may open the inspection page, and under which names this machine answers."""

import collections
import datetime
import hmac
import ipaddress
import re
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn
from urllib.parse import urlsplit

import flask

from annotator.errors import ConfigError
from annotator.verdicts import Verdict, VerdictKind

PASSWORD_VARIABLE = "AHA_INSPECT_PASSWORD"
MIN_PASSWORD = 8
"""Characters: at :data:`MAX_WRONG` guesses a minute, fewer could be found by trying."""
MAX_WRONG = 10
"""Wrong passwords in :data:`WRONG_WITHIN_S`, from whoever they come; after them none is looked at for a while."""
WRONG_WITHIN_S = 60.0
MAX_PERSON = 100

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
EVERYWHERE = ("", "0.0.0.0", "::")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{1,5})?")
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _WrongPasswords:
    """When wrong passwords were given last; shared by the server's threads."""

    def __init__(self) -> None:
        self._times: collections.deque[float] = collections.deque(maxlen=MAX_WRONG)
        self._lock = threading.Lock()

    def add(self) -> None:
        with self._lock:
            self._times.append(time.monotonic())

    def pause_s(self) -> float:
        """Return how long no password is looked at; 0 where one is."""
        with self._lock:
            if len(self._times) < MAX_WRONG:
                return 0.0
            return max(0.0, self._times[0] + WRONG_WITHIN_S - time.monotonic())


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that is bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def password_for(host: str, environ: Mapping[str, str]) -> str | None:
    """Return the password that a server on `host` asks for; None where it asks for none.

    Raises
    ------
    ConfigError
        If others could reach the server and there is no password, or one that is soon guessed.
    """
    password = environ.get(PASSWORD_VARIABLE) or None
    if password is None and not is_loopback(host):
        raise ConfigError(
            f"others can reach a server on {host or 'every address'}: set the environment variable {PASSWORD_VARIABLE} "
            "to the password that it shall ask for, or leave the server on localhost and come through a tunnel "
            "(ssh -L)"
        )
    if password is not None and len(password) < MIN_PASSWORD:
        raise ConfigError(
            f"{PASSWORD_VARIABLE} must have at least {MIN_PASSWORD} characters, found {len(password)}: set a longer one"
        )
    return password


def check_person(person: str) -> None:
    """Raise ConfigError unless verdicts can be kept under this name."""
    if len(person) > MAX_PERSON:
        raise ConfigError(f"person must be a name of at most {MAX_PERSON} characters; found {len(person)}")
    Verdict("any", VerdictKind.UNKNOWN, person, datetime.datetime.now(datetime.UTC))


# --- who may ask


def host_names(allowed_hosts: Sequence[str]) -> frozenset[str]:
    """Return the names that are allowed as a Host header has them; raise ConfigError where one is no name."""
    names = set()
    for name in allowed_hosts:
        if name in EVERYWHERE:
            continue
        host = _host_name(f"[{name}]" if ":" in name else name)
        if not host:
            raise ConfigError(f"an allowed host must be a name or an address without scheme and port; found {name!r}")
        names.add(host)
    return frozenset(names)


def _host_name(header: str) -> str:
    """Return the name in a Host header, empty where it is none.

    Flask's own check (TRUSTED_HOSTS) knows no IPv6 addresses.
    """
    found = _HOST.fullmatch(header.lower())
    return (found[1] or found[2]).rstrip(".") if found else ""


def guard(app: flask.Flask, host_names: frozenset[str], person: str, password: str | None) -> None:
    """Let an application answer under these names alone, and to people who know the password where there is one."""
    wrong = _WrongPasswords()

    @app.before_request
    def refuse_other_hosts() -> None:
        # A page of somebody else's may be given this machine's address; its name gives it away.
        if _host_name(flask.request.headers.get("Host", "")) not in host_names:
            _refuse(400, "This server does not answer to this name; --allowed-host NAME lets it.")

    @app.before_request
    def find_person() -> None:
        flask.g.person = person if password is None else _logged_in(password, wrong)

    @app.before_request
    def refuse_other_origins() -> None:
        if flask.request.method not in ("GET", "HEAD", "OPTIONS") and not _is_same_origin():
            _refuse(403, "Verdicts are taken from the pages of this server alone.")

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        response.headers.update(_HEADERS)
        if response.mimetype == "text/html":
            response.headers["Cache-Control"] = "no-store"
        return response


def _is_same_origin() -> bool:
    headers = flask.request.headers
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if site is not None and site != "same-origin":
        return False
    if origin is None or (origin == "null" and site == "same-origin"):  # a browser that hides where it comes from
        return True
    # Behind a reverse proxy the browser speaks https and this server http: the host, with its port, must do.
    return urlsplit(origin).netloc.lower() == headers.get("Host", "").lower()


def _logged_in(password: str, wrong: _WrongPasswords) -> str:
    """Return who asks, by HTTP Basic; who has given the password once is not kept waiting by others' wrong ones."""
    given = flask.request.authorization
    if given is None or given.type != "basic":
        _ask_for_password("This page asks for your name and the password.")
    name = (given.username or "").strip()
    if name and flask.session.get("person") == name:
        return name
    if pause_s := wrong.pause_s():
        _refuse(429, "Too many wrong passwords; try again in a minute.", {"Retry-After": str(int(pause_s) + 1)})
    if not hmac.compare_digest((given.password or "").encode(), password.encode()):
        wrong.add()
        _ask_for_password("The password is another.")
    try:
        check_person(name)
    except ConfigError as error:
        _ask_for_password(f"Give your name with the password, so that others know who judged: {error}.")
    flask.session["person"] = name
    return name


def _ask_for_password(words: str) -> NoReturn:
    _refuse(401, words, {"WWW-Authenticate": 'Basic realm="AHA inspection", charset="UTF-8"'})


def _refuse(code: int, words: str, headers: Mapping[str, str] = MappingProxyType({})) -> NoReturn:
    """Answer in plain text: a page would ask for its style, and that for the password again."""
    flask.abort(flask.Response(f"{words}\n", code, mimetype="text/plain", headers=headers))
