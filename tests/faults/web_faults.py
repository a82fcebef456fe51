"""Attacks on the inspection page: by other users of the machine, other sites, other people, and by sheer numbers."""

import base64
import contextlib
import socket
import string
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import requests
from flask import Flask
from flask.testing import FlaskClient

from annotator.ledger import Ledger
from annotator.report.inspect.app import DOOR, make_app
from annotator.report.inspect.doors import Alone, Door
from annotator.verdicts import Verdict as Said
from annotator.verdicts import VerdictKind
from tests.faults.laboratory import Fault, Try, Verdict
from tests.report.inspection import answering, at_hand, begun_ledger, come_in, group_of, hidden_in, small_night

INPUTS = 25
"""Attacks of one try, where they come many at a time."""
OBJECT_IDS = ("ZTF99aaaaaaa", "ZTF99aaaaaab", "ZTF99aaaaaac")
MARKER = "MARKER-77e1-of-a-file-of-somebody"
PATHS = ("/", "/index.html", "/verdicts.csv", "/static/style.css", *(f"/objects/{name}.html" for name in OBJECT_IDS))


@dataclass(frozen=True)
class Page:
    """A page, and what it keeps."""

    app: Flask
    t: Try

    @property
    def door(self) -> Door:
        return self.app.extensions[DOOR]

    def kept(self) -> list[Said]:
        with Ledger(self.t.folder / "ledger.sqlite", read_only=True) as ledger:
            return ledger.verdicts.holding()


def page_of(t: Try, door: Door | None = None) -> Page:
    """Make a page of three objects, beside which a file lies that is nobody's business."""
    path = t.folder / "ledger.sqlite"
    if not path.exists():
        begun_ledger(path)
    (t.folder / "private").write_text(MARKER)
    return Page(make_app(at_hand(lambda: small_night(OBJECT_IDS)), path, door or Alone("Ada")), t)


def form_of(client: FlaskClient, object_id: str, verdict: str, **headers: dict[str, str]) -> dict[str, str]:
    """Return a form as the object's page has it."""
    return hidden_in(client.get(f"/objects/{object_id}.html", **headers).text) | {"verdict": verdict}


def another_user(t: Try) -> Verdict:
    """Guess keys and cookies, repeat what was used, and send forms that were seen elsewhere."""
    page, notes = page_of(t), []
    used = page.door.address.split("=")[1]
    owner = come_in(page.app)
    form = form_of(owner, OBJECT_IDS[0], "regular")
    for _ in range(INPUTS):
        stranger = page.app.test_client()
        key = t.rng.choice((used, used[::-1], used[:-1], "", _text(t, len(used)), page.door.address[7:-1] + "\0"))
        if t.rng.random() < 0.5:
            stranger.set_cookie(page.app.config["SESSION_COOKIE_NAME"], _text(t, 60))
        path = t.rng.choice(PATHS)
        answers = [
            stranger.open(
                path, method=t.rng.choice(("GET", "HEAD", "POST", "PUT", "OPTIONS")), query_string={"key": key}
            ),
            stranger.get("/", query_string={"key": key}),
            stranger.post(t.rng.choice(("/verdict", "/undo")), data=form | {"person": "Ada"}),
        ]
        notes += [f"{path} with key {key!r}: {answer.status}" for answer in answers if answer.status_code != 403]
    if page.kept():
        notes.append("a stranger's verdict was kept")
    if owner.get("/index.html").status_code != 200 or come_in(page.app).get("/index.html").status_code != 200:
        notes.append("the owner was kept out")
    return Verdict(notes=tuple(notes), inputs=INPUTS)


def anothers_name(t: Try) -> Verdict:
    """Let two people judge in any order, each trying to be the other now and then, by pages that may be old."""
    door, secrets = group_of(t.folder / "people", "Ada", "Grace")
    page, notes = page_of(t, door), []
    clients = {name: page.app.test_client() for name in secrets}
    forms: dict[tuple[str, str], dict[str, str]] = {}
    given: list[tuple[str, str]] = []
    unseen: set[tuple[str, str]] = set()
    for _ in range(INPUTS):
        name, other = t.rng.sample(sorted(secrets), 2)
        object_id, verdict = t.rng.choice(OBJECT_IDS), t.rng.choice(list(VerdictKind))
        mine = _basic(name, secrets[name])
        if (name, object_id) not in forms or t.rng.random() < 0.4:
            forms[name, object_id] = form_of(clients[name], object_id, verdict, headers=mine)
            unseen.discard((name, object_id))
        sent = forms[name, object_id] | {"verdict": verdict, "note": _text(t, 8), "person": other}
        false = _basic(other, t.rng.choice((secrets[name], "", _text(t, 22))))
        if clients[name].post("/verdict", data=sent, headers=false).status_code != 401:
            notes.append(f"{name} came in as {other}")
        status = clients[name].post("/verdict", data=sent, headers=mine).status_code
        if status != (409 if (name, object_id) in unseen else 303):
            notes.append(f"{name}'s verdict on {object_id} was answered with {status}")
        if status == 303:
            given.append((name, sent["note"]))
            unseen.add((other, object_id))
    if sorted((item.person, item.note) for item in page.kept()) != sorted(given):
        notes.append("what was kept is not what was given")
    return Verdict(notes=tuple(notes), inputs=INPUTS)


def other_sites(t: Try) -> Verdict:
    """Send forms as pages of other sites can, and ask under other names, as if one were given this address."""
    page, notes = page_of(t), []
    owner = come_in(page.app)
    for _ in range(INPUTS):
        form = form_of(owner, t.rng.choice(OBJECT_IDS), "regular")
        site = t.rng.choice(
            ("https://evil.example", "http://localhost:9", "http://127.0.0.1", "https://localhost.evil.example")
        )
        headers = t.rng.choice(
            (
                {"Origin": site},
                {"Origin": "http://localhost", "Sec-Fetch-Site": t.rng.choice(("cross-site", "same-site", "none", ""))},
                {"Origin": "null"},
                {"Origin": site, "Sec-Fetch-Site": "same-origin"},
            )
        )
        status = owner.post(t.rng.choice(("/verdict", "/undo")), data=form, headers=headers).status_code
        if status != 403:
            notes.append(f"a form with {headers} was answered with {status}")
        if owner.post("/verdict", data=form | {"csrf_token": t.rng.choice(("", _text(t, 40)))}).status_code != 400:
            notes.append("a form without its token was taken")
        name = t.rng.choice(
            ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "[::2]", _text(t, 9))
        )
        answer = owner.open(t.rng.choice(PATHS), headers={"Host": name})
        if answer.status_code != 400 or OBJECT_IDS[0] in answer.text:
            notes.append(f"it answered to {name}: {answer.status}")
    notes += ["a verdict of another site was kept"] if page.kept() else []
    return Verdict(notes=tuple(notes), inputs=3 * INPUTS)


def paths(t: Try) -> Verdict:
    """Ask for files outside, by paths as no browser would write them."""
    page, notes = page_of(t), []
    steps = ("..", "%2e%2e", "..%2f", "..\\", "%5c..", ".", "", "%00", "objects", "static", "images", "%252e%252e")
    with answering(page.app) as url:
        cookie = "; ".join(f"{name}={value}" for name, value in come_in(page.app, url).cookies.items())
        for _ in range(INPUTS):
            file = t.rng.choice((f"{t.folder}/private", "private", "ledger.sqlite", "/etc/passwd", "people"))
            path = "/".join(
                (
                    t.rng.choice(("", "/objects", "/static", "/images", "//evil.example")),
                    *t.rng.choices(steps, k=4),
                    file,
                )
            )
            answer = _raw(
                url, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
            )
            if MARKER in answer or "SQLite format" in answer or "root:" in answer:
                notes.append(f"{path} was sent")
            if answer.split(" ")[1:2] not in (["404"], ["400"], ["308"]) or "ocation: //" in answer:
                notes.append(f"{path}: {answer[:40]}")
    return Verdict(notes=tuple(notes), inputs=INPUTS)


def sheer_numbers(t: Try) -> Verdict:
    """Hold many connections, silent or slow, and ask many times with wrong keys, while somebody comes in and judges."""
    page, number = page_of(t), t.rng.randint(60, 200)
    kinds = (
        b"",
        b"GET / HTTP/1.1\r\n",
        b"POST /verdict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nx",
        b"\0",
    )
    # By a clock that stands still nothing is late: whoever comes in does so because room was made.
    with answering(page.app, clock=lambda: 0.0) as url, contextlib.ExitStack() as held:
        host, _, port = url.removeprefix("http://").partition(":")
        for _ in range(number):
            connection = held.enter_context(socket.create_connection((host, int(port)), 60))
            with contextlib.suppress(OSError):  # it may have made room by now
                connection.sendall(t.rng.choice(kinds))
        guessing = threading.Thread(target=_guess, args=(url, 30))
        guessing.start()
        browser = come_in(page.app, url)
        form = hidden_in(browser.get(f"{url}/objects/{OBJECT_IDS[0]}.html", timeout=60).text)
        answer = browser.post(f"{url}/verdict", data=form | {"verdict": "regular"}, timeout=60, allow_redirects=False)
        guessing.join()
    notes = [] if answer.status_code == 303 and len(page.kept()) == 1 else [f"nobody could judge: {answer.status_code}"]
    return Verdict(notes=tuple(notes), inputs=number)


def _guess(url: str, times: int) -> None:
    for n in range(times):
        with contextlib.suppress(requests.RequestException):
            requests.get(url, params={"key": n}, timeout=60)


def _raw(url: str, text: str) -> str:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 60) as connection:
        connection.sendall(text.encode())
        return b"".join(_parts(connection)).decode(errors="replace")


def _parts(connection: socket.socket) -> Iterator[bytes]:
    while part := connection.recv(65536):
        yield part


def _basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def _text(t: Try, length: int, signs: Sequence[str] = string.ascii_letters + string.digits) -> str:
    return "".join(t.rng.choices(signs, k=length))


FAULTS = (
    Fault("page: another user of the machine", 20, another_user),
    Fault("page: another person's name", 20, anothers_name),
    Fault("page: another site", 20, other_sites),
    Fault("page: paths to other files", 20, paths),
    Fault("page: sheer numbers", 20, sheer_numbers),
)
