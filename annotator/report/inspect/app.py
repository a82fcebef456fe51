"""The night's pages on a small server of one's own, with buttons: what people say of an object goes into the ledger.

It answers on this machine alone unless it is told otherwise, and asks for a password wherever others could reach it.
Neither the password nor anything else is encrypted on the way, since this speaks plain HTTP: over a network that is not
yours alone, come through a tunnel (``ssh -L 8765:localhost:8765 machine``, and the server stays on localhost) or put a
reverse proxy with TLS before it. Such a proxy must pass on the Host that the browser asked for (nginx:
``proxy_set_header Host $http_host``); what it says in X-Forwarded headers is not believed.

Several people may judge one object, and the newest verdict holds. Everybody takes back only what they said themselves:
who is of another opinion gives a verdict of their own, be it `unknown`, which leaves the object to the models.
"""

import datetime
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import flask
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from annotator.annotation import OBJECT_ID
from annotator.errors import ConfigError, LedgerError
from annotator.ledger import Ledger
from annotator.ledger.verdicts import KeptVerdict
from annotator.report.inspect.access import LOOPBACK_NAMES, _host_names, check_person, guard
from annotator.report.night import Night
from annotator.report.pages.write import INDEX, page_name
from annotator.verdicts import Verdict, VerdictKind, latest, merge, verdicts_csv

MAX_NOTE = 500
MAX_BODY_BYTES = 16_384
BUSY_TIMEOUT_S = 5.0
"""How long a person waits for another writer of the ledger: a pass writes for less than a second at a time."""


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
    app = flask.Flask("annotator.report", static_folder=None, template_folder="templates")
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
    guard(app, frozenset(LOOPBACK_NAMES) | _host_names(allowed_hosts), person, password)
    CSRFProtect(app)
    _serve_pages(app, inspection)
    _take_verdicts(app, inspection)
    _answer_errors(app, inspection)
    return app


# --- what is sent


def _serve_pages(app: flask.Flask, inspection: _Inspection) -> None:
    @app.get("/")
    def start() -> flask.typing.ResponseReturnValue:
        return flask.redirect(INDEX)

    @app.get(f"/{INDEX}")
    def index() -> flask.typing.ResponseReturnValue:
        with inspection.ledger() as ledger:
            holding, last = (
                latest(merge(inspection.in_file, ledger.verdicts.holding())),
                _last(inspection, ledger),
            )
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
            text = verdicts_csv(merge(inspection.in_file, ledger.verdicts.holding()))
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
        kept, last = ledger.verdicts.of_object(object_id), _last(inspection, ledger)
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
    return (
        _own(ledger.verdicts.of_object(object_id), flask.g.person) if object_id in inspection.pages.values() else None
    )


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
        verdicts=tuple(VerdictKind),
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
            ledger.verdicts.add(verdict, inspection.in_file)
        page = inspection.page_after(object_id, form.get("next", ""))
        return flask.redirect(f"{page}?judged={object_id}", 303)

    @app.post("/undo")
    def undo() -> flask.typing.ResponseReturnValue:
        object_id = _judged_object(inspection)
        with inspection.ledger() as ledger:
            own = _own(ledger.verdicts.of_object(object_id), flask.g.person)
            # A form that is sent twice, or is older than the newest verdict, must not take back more than it shows.
            if own is not None and flask.request.form.get("verdict_id", str(own.verdict_id)) == str(own.verdict_id):
                ledger.verdicts.undo(own.verdict_id, flask.g.person, inspection.clock())
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
