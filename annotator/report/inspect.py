"""The night's pages on a small server of one's own, with buttons: what people say of an object goes into the ledger.

It answers on this machine alone unless it is told otherwise, and asks for a password wherever others could reach it.
Neither the password nor anything else is encrypted on the way, since this speaks plain HTTP: over a network that is not
yours alone, come through a tunnel (``ssh -L 8765:localhost:8765 machine``, and the server stays on localhost) or put a
reverse proxy with TLS before it. Such a proxy must pass on the Host that the browser asked for (nginx:
``proxy_set_header Host $http_host``); what it says in X-Forwarded headers is not believed.

Several people may judge one object, and the newest verdict holds. Everybody takes back only what they said themselves:
who is of another opinion gives a verdict of their own, be it `unknown`, which leaves the object to the models.
"""

import collections
import datetime
import hmac
import ipaddress
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import NoReturn
from urllib.parse import urlsplit

from annotator.annotation import OBJECT_ID
from annotator.errors import ConfigError, LedgerError
from annotator.ledger import KeptVerdict, Ledger
from annotator.report.night import Night
from annotator.report.pages import INDEX, page_name
from annotator.verdicts import VERDICTS, Verdict, latest, merge, verdicts_csv

try:
    import flask
    import waitress
    from flask_wtf import CSRFProtect
    from flask_wtf.csrf import CSRFError
    from waitress.server import TcpWSGIServer
    from werkzeug.exceptions import HTTPException
except ImportError as missing:
    raise ConfigError(
        f"the inspection page needs {missing.name}, which is not installed: pip install 'lasair-aha[report]'"
    ) from missing

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 8765
PASSWORD_VARIABLE = "AHA_INSPECT_PASSWORD"
MIN_PASSWORD = 8
"""Characters: at :data:`MAX_WRONG` guesses a minute, fewer could be found by trying."""
MAX_WRONG = 10
"""Wrong passwords in :data:`WRONG_WITHIN_S`, from whoever they come; after them none is looked at for a while."""
WRONG_WITHIN_S = 60.0
MAX_NOTE = 500
MAX_PERSON = 100
MAX_BODY_BYTES = 16_384
BUSY_TIMEOUT_S = 5.0
"""How long a person waits for another writer of the ledger: a pass writes for less than a second at a time."""
THREADS = 8

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("", "0.0.0.0", "::")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{1,5})?")
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True)
class _Inspection:
    """What is inspected."""

    folder: Path
    ledger_path: Path
    night: Night
    pages: Mapping[str, str]
    """Object by page, in the order of rank."""
    in_file: tuple[Verdict, ...]
    """Of the configured file: they count, and are not taken back here."""
    clock: Callable[[], float]

    def ledger(self) -> Ledger:
        if not self.ledger_path.is_file():  # opening would begin an empty one, and verdicts be kept where nobody looks
            raise LedgerError(f"the ledger {self.ledger_path} is no longer there")
        return Ledger(self.ledger_path, BUSY_TIMEOUT_S)

    def page_after(self, object_id: str, wanted: str) -> str:
        """Return the page to show after an object was judged: the one that was asked for if it is one of this report.

        Whoever asks for the page of the object itself is at the end of their list.
        """
        own = page_name(object_id)
        if wanted == own:
            return INDEX
        if wanted in self.pages:
            return f"objects/{wanted}"
        names = list(self.pages)
        following = names[names.index(own) + 1 :]
        return f"objects/{following[0]}" if following else INDEX


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
    Verdict("any", "unknown", person, datetime.datetime.now(datetime.UTC))


def make_app(
    folder: Path,
    ledger_path: Path,
    night: Night,
    person: str,
    password: str | None = None,
    allowed_hosts: Sequence[str] = (),
    in_file: Sequence[Verdict] = (),
    clock: Callable[[], float] = time.time,
) -> flask.Flask:
    """Make the application that serves a report and takes verdicts.

    Parameters
    ----------
    folder
        The report, as :func:`annotator.report.pages.write_pages` wrote it.
    ledger_path
        Where verdicts go.
    night
        What the report is of.
    person
        Who judges, where no password is asked for; else everybody's user name says who they are.
    password
        What is asked for (:func:`password_for`); None: nothing.
    allowed_hosts
        The names under which browsers may ask for the server, besides those of this machine itself: the address it is
        bound to among them.
    in_file
        The verdicts of the configured file.
    clock
        Seconds since 1970.

    Raises
    ------
    ConfigError
        If the person's name or a host name is none, or there is no report in the folder.
    LedgerError
        If the ledger cannot be opened.
    """
    if not (folder / INDEX).is_file():
        raise ConfigError(f"expected a report at {folder}, found no {INDEX} there; write the report first")
    if password is None:
        check_person(person)
    Ledger(ledger_path).close()
    pages = {page_name(item.object_id): item.object_id for item in night.candidates}
    inspection = _Inspection(folder.resolve(), ledger_path, night, pages, tuple(in_file), clock)
    app = flask.Flask(__name__, static_folder=None, template_folder="templates")
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        # Cookies of a machine are shared by all its ports: two inspections must not take one another's session.
        SESSION_COOKIE_NAME=f"aha_inspect_{secrets.token_hex(4)}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        WTF_CSRF_TIME_LIMIT=None,  # a page may be looked at for hours; the secret lives no longer than the server
        AHA_ASKS_FOR_A_PASSWORD=password is not None,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    _guard(app, frozenset(_LOOPBACK_NAMES) | _host_names(allowed_hosts), person, password)
    CSRFProtect(app)
    _serve_pages(app, inspection)
    _take_verdicts(app, inspection)
    _answer_errors(app, inspection)
    return app


def serve(app: flask.Flask, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Serve until Ctrl-C or SIGTERM; what was being answered then is finished. Prints the address to open.

    Raises
    ------
    ConfigError
        If others could reach the server and it asks for no password, or the address cannot be had.
    """
    server = listen(app, host, port)
    address = "localhost" if host in _EVERYWHERE else server.effective_host
    shown = f"[{address}]" if ":" in address else address
    print(f"Inspect the night at http://{shown}:{server.effective_port}/ (Ctrl-C ends it)", flush=True)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        server.run()  # ends with KeyboardInterrupt, and then with its threads
    finally:
        signal.signal(signal.SIGTERM, before)
        server.close()


def listen(app: flask.Flask, host: str, port: int) -> TcpWSGIServer:
    """Return a server that holds the address and has still to be run; raises as :func:`serve` does."""
    if not app.config["AHA_ASKS_FOR_A_PASSWORD"]:
        password_for(host, {})
    try:
        held = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot serve on {host}, port {port}: {error}; name another --port, or a --host of this machine"
        ) from error
    return waitress.create_server(
        app,
        sockets=[held],
        threads=THREADS,
        ident=None,
        clear_untrusted_proxy_headers=True,
        max_request_body_size=4 * MAX_BODY_BYTES,
    )


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# --- who may ask


def _host_names(allowed_hosts: Sequence[str]) -> frozenset[str]:
    names = set()
    for name in allowed_hosts:
        if name in _EVERYWHERE:
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


def _guard(app: flask.Flask, host_names: frozenset[str], person: str, password: str | None) -> None:
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


# --- what is sent


def _serve_pages(app: flask.Flask, inspection: _Inspection) -> None:
    @app.get("/")
    def start() -> flask.typing.ResponseReturnValue:
        return flask.redirect(INDEX)

    @app.get(f"/{INDEX}")
    def index() -> flask.typing.ResponseReturnValue:
        with inspection.ledger() as ledger:
            holding, last = latest(merge(inspection.in_file, ledger.verdicts())), _last(inspection, ledger)
        shown = {name: holding[name] for name in inspection.pages.values() if name in holding}
        told = {
            name: {"verdict": item.verdict, "person": item.person, "when": item.when.isoformat(timespec="seconds")}
            for name, item in shown.items()
        }
        words = flask.render_template(
            "verdict_list.html",
            verdicts=told,
            n_objects=len(inspection.pages),
            person=flask.g.person,
            last=last,
            page_name=page_name,
        )
        return _filled(inspection.folder / INDEX, {"session": _session_html(), "verdicts": words})

    @app.get("/objects/<name>")
    def object_page(name: str) -> flask.typing.ResponseReturnValue:
        object_id = inspection.pages.get(name)
        if object_id is None:
            flask.abort(404, "There is no such page in this report.")
        parts = {"session": _session_html()}
        if OBJECT_ID.fullmatch(object_id):  # of any other the ledger could not keep a verdict
            parts["verdict-bar"] = _bar(inspection, object_id, "../", _said_of(inspection, object_id))
        return _filled(inspection.folder / "objects" / name, parts)

    @app.get("/images/<name>", defaults={"part": "images"})
    @app.get("/static/<name>", defaults={"part": "static"})
    def file(part: str, name: str) -> flask.typing.ResponseReturnValue:
        return flask.send_from_directory(inspection.folder / part, name)

    @app.get("/verdicts.csv")
    def export() -> flask.typing.ResponseReturnValue:
        with inspection.ledger() as ledger:
            text = verdicts_csv(merge(inspection.in_file, ledger.verdicts()))
        headers = {"Content-Disposition": "attachment; filename=verdicts.csv", "Cache-Control": "no-store"}
        return flask.Response(text, mimetype="text/csv", headers=headers)


def _filled(path: Path, parts: Mapping[str, str]) -> str:
    """Read a page and put what the server knows into its places."""
    try:
        page = path.read_text(encoding="utf-8")
    except OSError:
        flask.abort(404, "This page of the report is no longer there; write the report anew.")
    for name, html in parts.items():
        page = page.replace(f"<!-- aha:{name} -->", html, 1)
    return page


def _session_html() -> str:
    return flask.render_template("verdict_session.html")


def _minute(verdict: Verdict) -> str:
    return f"{verdict.when.astimezone(datetime.UTC):%Y-%m-%d %H:%M}"


@dataclass(frozen=True)
class _Said:
    """What people said of one object, as the bar shows it."""

    holds: Verdict | None
    others: tuple[Verdict, ...]
    """The last of everybody whose verdict does not hold, newest first."""
    own: KeptVerdict | None
    """The asking person's newest verdict that can be taken back."""
    last: KeptVerdict | None
    """The one on another object that led to this page: it can be taken back from here."""


def _said_of(inspection: _Inspection, object_id: str) -> _Said:
    with inspection.ledger() as ledger:
        kept, last = ledger.verdicts_of(object_id), _last(inspection, ledger)
    own = _own(kept, flask.g.person)
    last = None if last is None or last.verdict.object_id == object_id else last
    in_file = (item for item in inspection.in_file if item.object_id == object_id)
    said = merge(in_file, (item.verdict for item in kept if item.undone_at is None))
    holds = latest(said).get(object_id)
    by_person = {item.person: item for item in said}
    others = sorted((item for item in by_person.values() if item is not holds), key=lambda v: v.when, reverse=True)
    return _Said(holds, tuple(others), own, last)


def _last(inspection: _Inspection, ledger: Ledger) -> KeptVerdict | None:
    """Return the asking person's verdict on the object that the address names as the one just judged."""
    object_id = flask.request.args.get("judged", "")
    return _own(ledger.verdicts_of(object_id), flask.g.person) if object_id in inspection.pages.values() else None


def _own(kept: Sequence[KeptVerdict], person: str) -> KeptVerdict | None:
    own = [item for item in kept if item.verdict.person == person and item.undone_at is None]
    return max(own, key=lambda item: (item.verdict.when, item.verdict_id), default=None)


def _bar(
    inspection: _Inspection, object_id: str, root: str, said: _Said | None, note: str = "", following: str = ""
) -> str:
    """Return the form; without what was said, where the ledger cannot be asked."""
    return flask.render_template(
        "verdict_bar.html",
        object_id=object_id,
        root=root,
        said=said,
        note=note,
        following=following,
        person=flask.g.person,
        verdicts=VERDICTS,
        minute=_minute,
        max_note=MAX_NOTE,
        page_name=page_name,
    )


# --- what is taken


def _take_verdicts(app: flask.Flask, inspection: _Inspection) -> None:
    @app.post("/verdict")
    def judge() -> flask.typing.ResponseReturnValue:
        form = flask.request.form
        object_id = _judged_object(inspection)
        note = form.get("note", "").strip()
        when = datetime.datetime.fromtimestamp(inspection.clock(), datetime.UTC)
        try:
            if len(note) > MAX_NOTE:
                raise ConfigError(f"note must have at most {MAX_NOTE} characters; found {len(note)}")
            verdict = Verdict(object_id, form.get("verdict", ""), flask.g.person, when, note)
        except ConfigError as error:
            return _message("Nothing was kept", f"{error}.", _form_again(inspection)), 400
        with inspection.ledger() as ledger:
            ledger.add_verdict(verdict, inspection.in_file)
        page = inspection.page_after(object_id, form.get("next", ""))
        return flask.redirect(f"{page}?judged={object_id}", 303)

    @app.post("/undo")
    def undo() -> flask.typing.ResponseReturnValue:
        object_id = _judged_object(inspection)
        with inspection.ledger() as ledger:
            own = _own(ledger.verdicts_of(object_id), flask.g.person)
            # A form that is sent twice, or is older than the newest verdict, must not take back more than it shows.
            if own is not None and flask.request.form.get("verdict_id", str(own.verdict_id)) == str(own.verdict_id):
                ledger.undo_verdict(own.verdict_id, flask.g.person, inspection.clock())
        return flask.redirect(f"objects/{page_name(object_id)}", 303)


def _judged_object(inspection: _Inspection) -> str:
    object_id = flask.request.form.get("object_id", "")
    if object_id not in inspection.pages.values() or not OBJECT_ID.fullmatch(object_id):
        flask.abort(404, "There is no such object in this report.")
    return object_id


# --- what goes wrong


def _answer_errors(app: flask.Flask, inspection: _Inspection) -> None:
    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> flask.typing.ResponseReturnValue:
        if error.response is not None:
            return error.response
        response = flask.make_response(_message(error.name, error.description or ""), error.code)
        response.headers.update({name: value for name, value in error.get_headers() if name == "Allow"})
        return response

    @app.errorhandler(CSRFError)
    def refuse_token(_error: CSRFError) -> flask.typing.ResponseReturnValue:
        words = "The page was from before the server was started, or the browser keeps no cookies. Send it from here."
        return _message("Nothing was kept", words, _form_again(inspection)), 400

    @app.errorhandler(LedgerError)
    def tell_busy(error: LedgerError) -> flask.typing.ResponseReturnValue:
        title = "Nothing was kept" if flask.request.method == "POST" else "The verdicts cannot be read"
        words = f"{error}. Try again; if that does not help, aha-annotator check says what is wrong."
        response = flask.make_response(_message(title, words, _form_again(inspection)), 503)
        response.headers["Retry-After"] = "5"
        return response


def _message(title: str, words: str, form: str = "") -> str:
    return flask.render_template(
        "verdict_message.html",
        title=title,
        words=words,
        form=form,
        object_id=flask.request.form.get("object_id", "") if form else "",
        root="../" * (flask.request.path.count("/") - 1),
    )


def _form_again(inspection: _Inspection) -> str:
    """Return the form that was sent, with what was typed into it, so that it can be sent again."""
    sent = flask.request.form
    object_id = sent.get("object_id", "")
    if flask.request.path != "/verdict" or object_id not in inspection.pages.values():
        return ""
    return _bar(inspection, object_id, "", None, sent.get("note", "")[: 4 * MAX_NOTE], sent.get("next", ""))
