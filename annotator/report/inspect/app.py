"""The night's pages on a small server of one's own, with buttons: what people say of an object goes into the ledger.

It answers on this machine alone unless it is told otherwise. Who comes in alone brings a key, and in a group each
person a secret of their own (:mod:`annotator.report.inspect.doors`). Neither these nor anything else is encrypted on
the way, since this speaks plain HTTP: over a network that is not yours alone, come through a tunnel (``ssh -L
8765:localhost:8765 machine``, and the server stays on localhost) or put a reverse proxy with TLS before it. It must
pass on the Host that the browser asked for (nginx: ``proxy_set_header Host $http_host``); what it says in
X-Forwarded headers is not believed.

Several people may judge one object, and the newest verdict holds. Everybody takes back only what they said themselves:
who is of another opinion gives a verdict of their own, be it `unknown`, which leaves the object to the models. Who
judges by a page that does not show yet what somebody else has said since is told of it, and asked again.
"""

import datetime
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import flask
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError, generate_csrf
from werkzeug.exceptions import HTTPException, InternalServerError

from annotator.annotation import OBJECT_ID
from annotator.errors import AhaError, ConfigError, JudgedMeanwhileError
from annotator.ledger import Ledger
from annotator.ledger.care import damage_in_words
from annotator.ledger.verdicts import KeptVerdict
from annotator.ledger_address import PostgresAddress
from annotator.report.inspect.access import LOOPBACK_NAMES, guard, host_names
from annotator.report.inspect.doors import Door
from annotator.report.inspect.night_at_hand import NightAtHand
from annotator.report.pages.render import INDEX, MAX_NOTE, page_name, template
from annotator.report.pages.session import Bar, Session, newest_own, said_of
from annotator.report.pages.write import STATIC, static_file
from annotator.verdicts import Verdict, latest, merge, verdicts_csv

MAX_BODY_BYTES = 16_384
DOOR = "aha_door"
"""Where an application keeps its door."""
BUSY_TIMEOUT_S = 5.0
"""How long a person waits for another writer of the ledger: a pass writes for less than a second at a time."""


@dataclass(frozen=True)
class _Inspection:
    """What is inspected."""

    night: NightAtHand
    address: Path | PostgresAddress
    """Of the ledger."""
    in_file: tuple[Verdict, ...]
    """Of the configured file: they count, and are not taken back here."""
    clock: Callable[[], float]

    def reading(self) -> Ledger:
        return Ledger(self.address, BUSY_TIMEOUT_S, read_only=True)

    def writing(self) -> Ledger:
        # One begun anew would keep verdicts where nobody looks.
        return Ledger(self.address, BUSY_TIMEOUT_S, begin=False)

    def last(self, ledger: Ledger) -> KeptVerdict | None:
        """Return the asking person's verdict on the object that the address names as the one just judged."""
        object_id = flask.request.args.get("judged", "")
        if not self.night.was_listed(object_id):
            return None
        return newest_own(ledger.verdicts.of_object(object_id), flask.g.person)


def make_app(
    night: NightAtHand,
    address: Path | PostgresAddress,
    door: Door,
    allowed_hosts: Sequence[str] = (),
    in_file: Sequence[Verdict] = (),
    clock: Callable[[], float] = time.time,
) -> flask.Flask:
    """Make the application that serves a night and takes verdicts.

    Parameters
    ----------
    night
        What is inspected.
    address
        Of the ledger: where verdicts go, and passes are noted.
    door
        Who comes in, and under which names.
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
        If a host name is none, or nothing was scored in the night.
    LedgerError
        If the ledger cannot be opened.
    """
    inspection = _Inspection(night, address, tuple(in_file), clock)
    with inspection.reading() as ledger:
        night.pages(ledger.passes.last())
    app = flask.Flask("annotator.report", static_folder=None, template_folder=None)
    app.config.update(
        SECRET_KEY=secrets.token_bytes(32),
        # Cookies of a machine are shared by all its ports: two inspections must not take one another's session.
        SESSION_COOKIE_NAME=f"aha_inspect_{secrets.token_hex(4)}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        WTF_CSRF_TIME_LIMIT=None,  # a page may be looked at for hours; the secret lives no longer than the server
    )
    app.extensions[DOOR] = door
    guard(app, frozenset(LOOPBACK_NAMES) | host_names(allowed_hosts), door.enter)
    CSRFProtect(app)
    _serve_pages(app, inspection)
    _serve_files(app, inspection)
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
        with inspection.reading() as ledger:
            pages = inspection.night.pages(ledger.passes.last())
            holding = latest(merge(inspection.in_file, ledger.verdicts.holding()), inspection.clock())
            last = inspection.last(ledger)
        return pages.index(holding, _session(last=last, n_judged=len(pages.object_ids & holding.keys())))

    @app.get("/objects/<name>")
    def object_page(name: str) -> flask.typing.ResponseReturnValue:
        with inspection.reading() as ledger:
            pages = inspection.night.pages(ledger.passes.last())
            object_id = pages.object_id(name)
            if object_id is None:
                flask.abort(404, "There is no such page in this night.")
            if not OBJECT_ID.fullmatch(object_id):  # the ledger could not keep a verdict of it
                return pages.object_page(name, _session())
            said = said_of(object_id, ledger.verdicts.of_object(object_id), inspection.in_file, flask.g.person)
            last = inspection.last(ledger)
        if last is not None and last.verdict.object_id == object_id:
            last = None
        return pages.object_page(name, _session(last=last, bar=Bar(object_id, said)))


def _session(**shown: object) -> Session:
    return Session(flask.g.person, generate_csrf(), **shown)


def _serve_files(app: flask.Flask, inspection: _Inspection) -> None:
    @app.get("/images/<name>")
    def picture(name: str) -> flask.typing.ResponseReturnValue:
        found = inspection.night.pages_at_hand().picture(name)
        if found is None:
            flask.abort(404, "There is no such picture in this night.")
        return _file(*found)

    @app.get("/static/<name>")
    def static(name: str) -> flask.typing.ResponseReturnValue:
        if name not in STATIC:
            flask.abort(404, "There is no such file.")
        return _file(static_file(name), STATIC[name])

    @app.get("/verdicts.csv")
    def export() -> flask.typing.ResponseReturnValue:
        with inspection.reading() as ledger:
            text = verdicts_csv(merge(inspection.in_file, ledger.verdicts.holding()))
        headers = {"Content-Disposition": "attachment; filename=verdicts.csv", "Cache-Control": "no-store"}
        return flask.Response(text, mimetype="text/csv", headers=headers)


def _file(content: bytes, mimetype: str) -> flask.Response:
    """Send a file; whoever has it already is told so."""
    response = flask.Response(content, mimetype=mimetype)
    response.cache_control.no_cache = True  # the next pass may change it
    response.add_etag()
    return response.make_conditional(flask.request)


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
        with inspection.writing() as ledger:
            ledger.verdicts.add(verdict, inspection.in_file, _seen())
        page = inspection.night.pages_at_hand().page_after(object_id, form.get("next", ""))
        return flask.redirect(f"{page}?judged={object_id}", 303)

    @app.post("/undo")
    def undo() -> flask.typing.ResponseReturnValue:
        object_id = _judged_object(inspection)
        with inspection.writing() as ledger:
            own = newest_own(ledger.verdicts.of_object(object_id), flask.g.person)
            # A form that is sent twice, or is older than the newest verdict, must not take back more than it shows.
            if own is not None and flask.request.form.get("verdict_id", str(own.verdict_id)) == str(own.verdict_id):
                ledger.verdicts.undo(own.verdict_id, flask.g.person, inspection.clock())
        return flask.redirect(f"objects/{page_name(object_id)}", 303)


def _seen() -> int:
    """Return the number of the newest verdict that the form's page knew of."""
    sent = flask.request.form.get("seen", "")
    return int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 19 else 0


def _judged_object(inspection: _Inspection) -> str:
    object_id = flask.request.form.get("object_id", "")
    if not inspection.night.was_listed(object_id) or not OBJECT_ID.fullmatch(object_id):
        flask.abort(404, "There is no such object in this night.")
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

    @app.errorhandler(InternalServerError)
    def tell_damage(error: InternalServerError) -> flask.typing.ResponseReturnValue:
        try:
            with inspection.reading() as ledger:
                damage = damage_in_words(ledger, quick=True)
        except AhaError as broken:
            damage = str(broken)
        words = f"{damage}." if damage else "What went wrong stands where aha-annotator inspect was started."
        return _message("Something went wrong here", words, _form_again(inspection)), error.code

    @app.errorhandler(CSRFError)
    def refuse_token(_error: CSRFError) -> flask.typing.ResponseReturnValue:
        words = "The page was from before the server was started, or the browser keeps no cookies. Send it from here."
        return _message("Nothing was kept", words, _form_again(inspection)), 400

    @app.errorhandler(JudgedMeanwhileError)
    def tell_of_others(error: JudgedMeanwhileError) -> flask.typing.ResponseReturnValue:
        bar = _form_again(inspection)
        with inspection.reading() as ledger:
            said = said_of(bar.object_id, ledger.verdicts.of_object(bar.object_id), inspection.in_file, flask.g.person)
        words = f"{error}, since your page was loaded. Your verdict was not kept: give it again if it is still yours."
        return _message("Somebody has judged it meanwhile", words, replace(bar, said=said)), 409

    @app.errorhandler(AhaError)
    def tell_busy(error: AhaError) -> flask.typing.ResponseReturnValue:
        title = "Nothing was kept" if flask.request.method == "POST" else "The night cannot be read"
        words = f"{error}. Try again; if that does not help, aha-annotator check says what is wrong."
        response = flask.make_response(_message(title, words, _form_again(inspection)), 503)
        response.headers["Retry-After"] = "5"
        return response


def _message(title: str, words: str, bar: Bar | None = None) -> str:
    return template("verdict_message.html").render(
        title=title,
        words=words,
        root="../" * (flask.request.path.count("/") - 1),
        session=_session(bar=bar),
    )


def _form_again(inspection: _Inspection) -> Bar | None:
    """Return the form that was sent, with what was typed into it, so that it can be sent again."""
    sent = flask.request.form
    object_id = sent.get("object_id", "")
    if flask.request.path != "/verdict" or not inspection.night.was_listed(object_id):
        return None
    return Bar(object_id, None, sent.get("note", "")[: 4 * MAX_NOTE], sent.get("next", ""), _seen())
