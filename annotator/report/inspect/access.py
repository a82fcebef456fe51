"""Who may open the inspection page, and under which names this machine answers."""

import datetime
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn
from urllib.parse import urlsplit

import flask

from annotator.errors import ConfigError
from annotator.verdicts import Verdict, VerdictKind

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


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that is bound to `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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


def guard(app: flask.Flask, host_names: frozenset[str], enter: Callable[[], str]) -> None:
    """Let an application answer under these names alone, and to those whom `enter` names; it refuses all others."""

    @app.before_request
    def refuse_other_hosts() -> None:
        # A page of somebody else's may be given this machine's address; its name gives it away.
        if _host_name(flask.request.headers.get("Host", "")) not in host_names:
            refuse(400, "This server does not answer to this name; --allowed-host NAME lets it.")

    @app.before_request
    def refuse_other_origins() -> None:
        if flask.request.method not in ("GET", "HEAD", "OPTIONS") and not _is_same_origin():
            refuse(403, "Verdicts are taken from the pages of this server alone.")

    @app.before_request
    def find_person() -> None:
        flask.g.person = enter()

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


def refuse(code: int, words: str, headers: Mapping[str, str] = MappingProxyType({})) -> NoReturn:
    """Answer in plain text: a page would ask for its style, and that for the secret again."""
    flask.abort(flask.Response(f"{words}\n", code, mimetype="text/plain", headers=headers))
