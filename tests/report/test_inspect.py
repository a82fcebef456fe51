"""The inspection page: what is kept, what is shown, and what is refused; also by the real server over HTTP."""

import base64
import contextlib
import datetime
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading

import pytest
import requests

pytest.importorskip("flask_wtf", reason="no Flask-WTF: these tests run where lasair-aha[report] is installed")

from annotator.cli import main
from annotator.errors import ConfigError, LedgerError
from annotator.ledger import Ledger
from annotator.ledger.verdicts import Verdicts
from annotator.report.inspect import app as inspection
from annotator.report.inspect.app import DOOR, make_app
from annotator.report.inspect.connections import IDLE_S, PER_ADDRESS
from annotator.report.inspect.doors import Alone
from annotator.report.inspect.night_at_hand import NightAtHand
from annotator.report.inspect.people import add_person, read_people
from annotator.report.inspect.serve import listen
from annotator.report.pages.render import page_name
from annotator.verdicts import Verdict, latest, read_verdicts
from tests.ledger.damage import damage_an_index
from tests.report.inspection import answering, at_hand, begun_ledger, come_in, group_of, small_night
from tests.report.report_nights import make_night, models

FIRST, SECOND, LAST = "ZTF99aaaaaaa", "ZTF99aaaaaab", "ZTF99aaaaaac"
HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
NOW = datetime.datetime(2026, 11, 24, 9, 30, tzinfo=datetime.UTC)


class Site:
    """An application and where it keeps things."""

    def __init__(self, folder, person="Ada Ångström", **options):
        self.ledger_path = begun_ledger(folder / "ledger.sqlite")
        self.night = small_night([FIRST, SECOND, LAST])
        self.seconds = 0.0
        values = {"door": Alone(person), "clock": self.clock} | options
        self.app = make_app(at_hand(lambda: self.night), self.ledger_path, **values)

    def clock(self) -> float:
        self.seconds += 1.0
        return NOW.timestamp() + self.seconds

    @property
    def door(self):
        return self.app.extensions[DOOR]

    def client(self):
        """Return a browser that has come in, where that is done by a key."""
        return come_in(self.app) if isinstance(self.door, Alone) else self.stranger()

    def stranger(self):
        return self.app.test_client()

    def kept(self) -> list[Verdict]:
        with Ledger(self.ledger_path) as ledger:
            return ledger.verdicts.holding()


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def token_in(page: str) -> str:
    return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]


def post(client, path, object_id=FIRST, headers=None, **fields):
    """Send the form of an object's page, as a browser does."""
    page = client.get(f"/objects/{object_id}.html", headers=headers).text
    form = {"csrf_token": token_in(page), "object_id": object_id, "seen": seen_in(page)} | fields
    return client.post(path, data=form, headers=headers)


def seen_in(page: str) -> str:
    return re.search(r'name="seen" value="(\d+)"', page)[1]


def judge(client, verdict="regular", object_id=FIRST, **fields):
    return post(client, "/verdict", object_id, verdict=verdict, **fields)


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


# --- what is kept and shown


@pytest.mark.parametrize("said", ["anomaly", "regular", "artefact", "unknown"])
def test_a_verdict_is_kept_with_person_time_and_note_and_the_next_object_shown(site, said):
    answer = judge(site.client(), said, note="  fades, then rises ")
    assert (answer.status_code, answer.location) == (303, f"objects/{SECOND}.html?judged={FIRST}")
    (kept,) = site.kept()
    assert (kept.object_id, kept.verdict, kept.person) == (FIRST, said, "Ada Ångström")
    assert (kept.when, kept.note) == (NOW + datetime.timedelta(seconds=1), "fades, then rises")


def test_the_page_shows_what_holds_and_what_others_said(site, tmp_path):
    judge(site.client(), "anomaly", note="odd colour")
    grace = Site(tmp_path, person="Grace", clock=lambda: NOW.timestamp() + 100)
    assert "anomaly</b> by Ada Ångström, 2026-11-24 09:30 UTC: <q>odd colour</q>" in shown(grace, FIRST)
    assert 'class="verdict-undo"' not in shown(grace, FIRST)  # it is not hers to take back
    judge(grace.client(), "artefact")
    page = shown(site, FIRST)
    assert "artefact</b> by Grace, 2026-11-24 09:31 UTC" in page and 'class="verdict-undo"' in page
    assert re.search(r'"verdict-other">anomaly by Ada Ångström, 2026-11-24 09:30 UTC: <q>odd colour', page)
    assert re.findall(r'data-verdict="(\w+)" aria-pressed="true"', page) == ["artefact"]
    assert "Not judged yet. You judge as Ada Ångström." in shown(site, SECOND)


def shown(site, object_id) -> str:
    return site.client().get(f"/objects/{object_id}.html").text


def test_the_list_knows_the_verdicts_that_hold(site):
    client = site.client()
    judge(client, "regular", SECOND)
    judge(client, "artefact", SECOND)
    page = client.get("/index.html").text
    assert listed_verdicts(page) == ["–", "artefact <small>Ada Ångström</small>", "–"]
    assert "1 of 3 judged" in page and client.get("/").location == "index.html"


def listed_verdicts(page: str) -> list[str]:
    return re.findall(r'<td class="verdict"[^>]*>(.*?)</td>', page)


@pytest.mark.parametrize(
    ("judged", "wanted", "becomes"),
    [
        (FIRST, "", f"objects/{SECOND}.html"),
        (FIRST, f"{LAST}.html", f"objects/{LAST}.html"),
        (SECOND, f"{FIRST}.html", f"objects/{FIRST}.html"),
        (LAST, "", "index.html"),
        (FIRST, f"{FIRST}.html", "index.html"),  # what the page asks for at the end of a sorted list
        (LAST, f"{FIRST}.html", f"objects/{FIRST}.html"),
        *(
            (FIRST, wanted, f"objects/{SECOND}.html")
            for wanted in (
                *("https://example.org/", "//example.org/", f"https://example.org/{LAST}.html", "javascript:alert(1)"),
                *(f"../{LAST}.html", "ZTF99zzzzzzz.html", "../verdicts.csv", "a\r\nSet-Cookie: b=c", "\\\\example.org"),
            )
        ),
    ],
)
def test_after_a_verdict_only_pages_of_this_report_are_shown(site, judged, wanted, becomes):
    answer = judge(site.client(), "regular", judged, next=wanted)
    assert (answer.status_code, answer.location) == (303, f"{becomes}?judged={judged}")


def test_a_verdict_that_is_sent_twice_is_kept_once(site):
    client = site.client()
    for _ in range(2):
        assert judge(client, "regular", note="host").status_code == 303
    assert len(site.kept()) == 1


def test_a_verdict_against_a_newer_one_in_the_file_is_kept_though_it_says_what_was_said_here_before(tmp_path):
    judge(Site(tmp_path).client(), "regular")
    in_file = [Verdict(FIRST, "anomaly", "Grace", NOW + datetime.timedelta(seconds=30))]
    later = Site(tmp_path, in_file=in_file, clock=lambda: NOW.timestamp() + 60)
    for _ in range(2):
        assert judge(later.client(), "regular").status_code == 303
    assert len(later.kept()) == 2
    assert "regular</b> by Ada Ångström" in shown(later, FIRST)


def test_undoing_takes_back_ones_own_newest_verdict_and_shows_the_object(site, tmp_path):
    client = site.client()
    judge(client, "anomaly")
    judge(client, "regular")
    answer = post(client, "/undo")
    assert (answer.status_code, answer.location) == (303, f"objects/{FIRST}.html")
    assert [item.verdict for item in site.kept()] == ["anomaly"]
    grace = Site(tmp_path, person="Grace")
    assert post(grace.client(), "/undo").status_code == 303
    assert [item.verdict for item in site.kept()] == ["anomaly"]  # others' are not hers to take back
    with Ledger(site.ledger_path) as ledger:
        undone = ledger.verdicts.of_object(FIRST)[1]
    assert (undone.undone_by, undone.undone_at) == ("Ada Ångström", NOW.timestamp() + 3)


@pytest.mark.parametrize("wanted", ["", f"{FIRST}.html"], ids=["an object", "the list"])
def test_the_page_that_a_verdict_led_to_takes_it_back_and_not_an_earlier_one_of_its_own(site, wanted):
    client = site.client()
    judge(client, "anomaly", SECOND)
    page = client.get(judge(client, "artefact", FIRST, next=wanted).location).text
    (button,) = re.findall(r'name="verdict_id" value="(\d+)">\s*<button type="submit" class="verdict-undo">', page)
    assert post(client, "/undo", FIRST, verdict_id=button).location == f"objects/{FIRST}.html"
    assert [(item.object_id, item.verdict) for item in site.kept()] == [(SECOND, "anomaly")]
    for again in (f"/objects/{SECOND}.html?judged={FIRST}", f"/objects/{SECOND}.html?judged={SECOND}"):
        page = client.get(again).text
        assert page.count('class="verdict-undo"') == 1 and FIRST not in page.split("verdict-current")[1]


def test_an_address_that_names_no_judged_object_is_as_any_other(site):
    for name in ("", "ZTF99nosuch", "<script>"):
        page = site.client().get("/index.html", query_string={"judged": name})
        assert page.status_code == 200 and "verdict-last" not in page.text and "<script>" not in page.text


def test_an_undo_that_is_sent_twice_takes_back_one_verdict(site):
    client = site.client()
    judge(client, "anomaly")
    judge(client, "regular")
    number = re.search(r'name="verdict_id" value="(\d+)"', shown(site, FIRST))[1]
    for _ in range(2):
        assert post(client, "/undo", verdict_id=number).status_code == 303
    assert [item.verdict for item in site.kept()] == ["anomaly"]


def test_the_export_holds_the_verdicts_of_ledger_and_file_as_they_are_read_again(tmp_path):
    earlier = Verdict(LAST, "artefact", "Grace", NOW - datetime.timedelta(days=1), 'a "dipole", twice')
    site = Site(tmp_path, in_file=[earlier, Verdict(FIRST, "anomaly", "Grace", NOW)])
    client = site.client()
    assert "artefact</b> by Grace, 2026-11-23 09:30 UTC: <q>a &#34;dipole&#34;, twice</q>" in shown(site, LAST)
    judge(client, "regular", note="=1+1, <b>")
    judge(client, "unknown", SECOND)
    post(client, "/undo", SECOND)
    answer = client.get("/verdicts.csv")
    assert answer.headers["Content-Disposition"] == "attachment; filename=verdicts.csv"
    assert (answer.mimetype, answer.headers["Cache-Control"]) == ("text/csv", "no-store")
    (tmp_path / "exported.csv").write_bytes(answer.data)
    read = read_verdicts(tmp_path / "exported.csv").verdicts
    assert [(item.object_id, item.verdict, item.note) for item in read] == [
        (LAST, "artefact", 'a "dipole", twice'),
        (FIRST, "anomaly", ""),
        (FIRST, "regular", "=1+1, <b>"),
    ]
    assert latest(read)[FIRST].person == "Ada Ångström"


def test_an_object_whose_name_no_verdict_could_carry_has_a_page_without_a_form(tmp_path):
    hostile = small_night([FIRST, "<b>"])
    client = come_in(make_app(at_hand(lambda: hostile), begun_ledger(tmp_path / "ledger.sqlite"), Alone("Ada")))
    name = page_name("<b>")
    page = client.get(f"/objects/{name}").text
    assert "<h1>&lt;b&gt;</h1>" in page and "verdict-bar" not in page
    assert judge(client).location == f"objects/{name}?judged={FIRST}"


# --- a pass that comes while it is looked at


def end_a_pass(site, now: float) -> None:
    with Ledger(site.ledger_path) as ledger:
        ledger.passes.end(ledger.passes.begin(now), "done", {}, now)


def test_a_pass_that_came_after_the_server_was_started_is_shown_when_a_page_is_loaded_again(site):
    client = site.client()
    page = client.get(f"/objects/{FIRST}.html").text
    site.night = small_night([SECOND, "ZTF99aaaaaad"])
    assert "ZTF99aaaaaad" not in client.get("/index.html").text  # which nobody has said had changed
    end_a_pass(site, NOW.timestamp())
    assert "ZTF99aaaaaad" in client.get("/index.html").text
    assert "rank 1 of 2" in client.get(f"/objects/{SECOND}.html").text
    assert client.get(f"/objects/{FIRST}.html").status_code == 404
    # Who still has the page of an object that is no longer listed is not refused the verdict that they typed there.
    form = {"csrf_token": token_in(page), "object_id": FIRST, "verdict": "regular", "note": "a long thought"}
    assert client.post("/verdict", data=form).location == f"index.html?judged={FIRST}"
    assert [item.note for item in site.kept()] == ["a long thought"]
    assert "Undo that" in client.get(f"/index.html?judged={FIRST}").text


def test_a_night_is_read_once_for_many_pages_and_once_for_a_pass(tmp_path):
    site, n_read = Site(tmp_path), []
    client = come_in(make_app(at_hand(lambda: n_read.append(1) or site.night), site.ledger_path, Alone("Ada")))
    for count in (1, 2):
        for path in ("/index.html", f"/objects/{FIRST}.html", f"/images/{FIRST}_stamps.png", "/index.html"):
            client.get(path)
        assert len(n_read) == count
        end_a_pass(site, NOW.timestamp() + count)


def test_pictures_are_drawn_when_they_are_asked_for_and_not_sent_twice(tmp_path):
    night = make_night(12)
    drawn = [item for item in night.candidates if item.transient and item.transient.triplet]
    there = next(item for item in drawn if item.transient.light_curve is not None)
    bare = next(item for item in night.candidates if item.transient is None)
    app = make_app(NightAtHand(lambda: night, models(), None), begun_ledger(tmp_path / "ledger.sqlite"), Alone("Ada"))
    client = come_in(app)
    for kind, begins in (("lightcurve.svg", b"<svg"), ("thumbnail.png", b"\x89PNG"), ("stamps.png", b"\x89PNG")):
        answer = client.get(f"/images/{there.object_id}_{kind}")
        assert answer.status_code == 200 and answer.data.startswith(begins)
        again = client.get(f"/images/{there.object_id}_{kind}", headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304 and not again.data
        assert client.get(f"/images/{bare.object_id}_{kind}").status_code == 404
    assert client.get(f"/images/{there.object_id}_else.png").status_code == 404


# --- what people type is text


def test_hostile_notes_and_names_are_shown_as_text(tmp_path):
    site = Site(tmp_path, person=HOSTILE)
    client = site.client()
    judge(client, "anomaly", note=HOSTILE)
    judge(client, "anomaly", SECOND, note="</script>")
    long = judge(client, "anomaly", note=HOSTILE * 20)
    assert long.status_code == 400
    for text in (shown(site, FIRST), client.get("/index.html").text, long.text):
        assert "<script>" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;{{ 7*7 }}" in text
    assert {item.person for item in site.kept()} == {HOSTILE}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"verdict": "boring"}, "verdict must be one of anomaly, regular, artefact, unknown; found &#39;boring&#39;"),
        ({}, "verdict must be one of"),
        ({"verdict": "regular", "note": "two\nlines"}, "note must be text on one line"),
        ({"verdict": "regular", "note": "x" * 501}, "note must have at most 500 characters; found 501"),
    ],
)
def test_what_is_no_verdict_is_refused_and_what_was_typed_is_in_the_form_again(site, fields, complaint):
    fields = {"note": "a long thought", "next": f"{LAST}.html"} | fields
    answer = post(site.client(), "/verdict", **fields)
    assert answer.status_code == 400 and complaint in answer.text and site.kept() == []
    assert f'name="note" value="{fields["note"]}"' in answer.text and f'value="{LAST}.html"' in answer.text
    assert 'action="verdict"' in answer.text and token_in(answer.text)
    assert f"<small>{FIRST}</small>" in answer.text


def test_objects_that_are_not_in_the_report_are_not_judged(site):
    client = site.client()
    for path in ("/verdict", "/undo"):
        answer = post(client, path, object_id=FIRST) if path == "/undo" else judge(client)
        assert answer.status_code == 303
        page = client.get(f"/objects/{FIRST}.html").text
        for object_id in ("ZTF99zzzzzzz", "", "../index", "<b>"):
            form = {"csrf_token": token_in(page), "object_id": object_id, "verdict": "regular"}
            answer = client.post(path, data=form)
            assert answer.status_code == 404 and "no such object in this night" in answer.text
    assert site.kept() == []


# --- who may ask


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8765", "LOCALHOST", "127.0.0.1:1", "[::1]:8765", "localhost."]
)
def test_it_answers_under_the_names_of_this_machine(site, host):
    client = site.stranger()
    for path in (site.door.address, "/index.html"):
        assert client.get(path, headers={"Host": host}).status_code in (200, 303)
    assert "3 objects" in client.get("/index.html", headers={"Host": host}).text


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "", "127.0.0.2", "0.0.0.0", "[::2]", "local host", "localhost:x"]
)
def test_it_does_not_answer_under_other_names(site, host):
    client = site.client()
    for path in ("/index.html", "/static/style.css", "/nothing"):
        answer = client.get(path, headers={"Host": host}, buffered=True)
        assert answer.status_code == 400 and "does not answer to this name" in answer.text
    assert client.get("/index.html", headers={"X-Forwarded-Host": "example.org"}).status_code == 200


def test_other_names_can_be_allowed(tmp_path):
    client = Site(tmp_path, allowed_hosts=["AHA.example.org", "2001:db8::1", "0.0.0.0"]).client()
    for host, code in [("aha.example.org:8765", 403), ("[2001:db8::1]", 403), ("0.0.0.0", 400), ("example.org", 400)]:
        assert client.get("/index.html", headers={"Host": host}).status_code == code  # whose cookie is another's
    with pytest.raises(ConfigError, match="without scheme and port; found 'https:"):
        Site(tmp_path, allowed_hosts=["https://example.org"])


@pytest.mark.parametrize("token", [None, "", "wrong", "of another"])
def test_a_form_without_the_right_token_is_refused_and_comes_back_filled(site, token):
    other = token_in(site.client().get(f"/objects/{FIRST}.html").text)
    client = site.client()
    client.get("/index.html")
    form = {"object_id": FIRST, "verdict": "regular", "note": "a long thought"}
    if token is not None:
        form["csrf_token"] = other if token == "of another" else token
    for path in ("/verdict", "/undo"):
        assert client.post(path, data=form).status_code == 400
    assert site.kept() == []
    again = client.post("/verdict", data=form).text
    assert 'name="note" value="a long thought"' in again
    assert client.post("/verdict", data=form | {"csrf_token": token_in(again)}).status_code == 303
    assert [item.note for item in site.kept()] == ["a long thought"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://example.org", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_a_form_from_elsewhere_is_refused_even_with_the_right_token(site, headers):
    client = site.client()
    token = token_in(client.get(f"/objects/{FIRST}.html").text)
    form = {"csrf_token": token, "object_id": FIRST, "verdict": "regular"}
    assert client.post("/verdict", data=form, headers=headers).status_code == 403
    assert site.kept() == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://localhost:8443", "Host": "localhost:8443"},  # through a reverse proxy; cookies know no port
    ],
)
def test_a_form_from_here_is_taken(site, headers):
    client = site.client()
    token = token_in(client.get(f"/objects/{FIRST}.html").text)
    form = {"csrf_token": token, "object_id": FIRST, "verdict": "regular"}
    assert client.post("/verdict", data=form, headers=headers).status_code == 303


def test_the_session_is_out_of_reach_for_scripts_and_other_sites(site):
    other = Site(site.ledger_path.parent)
    cookie, of_other = (it.stranger().get(it.door.address).headers["Set-Cookie"] for it in (site, other))
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert cookie.split("=")[0] != of_other.split("=")[0]  # two inspections on one machine keep theirs apart


def test_verdicts_are_not_given_by_following_a_link(site):
    for path in (f"/verdict?object_id={FIRST}&verdict=regular", f"/undo?object_id={FIRST}"):
        assert site.client().get(path).status_code == 405
    assert site.kept() == []


@pytest.mark.parametrize(
    "path", ["/index.html", f"/objects/{FIRST}.html", f"/images/{FIRST}_stamps.png", "/verdicts.csv", "/nil"]
)
def test_every_answer_tells_the_browser_what_it_may_do(site, path):
    headers = site.client().get(path, buffered=True).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'" and policy["form-action"] == "'self'"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    if headers["Content-Type"].startswith("text/html"):
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        *("/objects/../../ledger.sqlite", "/objects/..%2f..%2fledger.sqlite", "/static/..%2f.aha-report"),
        *("/static/%2e%2e/%2e%2e/ledger.sqlite", "/images//etc/passwd", "/static/..\\..\\ledger.sqlite"),
        *("/.aha-report", "/ledger.sqlite", "/objects/", "/images/", "/static/", "/objects/ZTF99zzzzzzz.html"),
        "/images/%00",
    ],
)
def test_nothing_but_the_report_s_files_is_sent(site, path):
    site.kept()  # makes the ledger
    answer = site.client().get(path)
    assert answer.status_code == 404 and b"SQLite" not in answer.data


def test_a_form_that_is_far_too_large_is_refused(site):
    assert judge(site.client(), note="x" * 20_000).status_code == 413
    assert site.kept() == []


# --- alone, by the address that was printed

REFUSED = "This page opens by the address that aha-annotator inspect printed last"


def test_another_user_of_the_machine_sees_nothing_and_judges_nothing(site):
    page = site.client().get(f"/objects/{FIRST}.html").text
    stranger = site.stranger()
    for path in ("/", "/index.html", f"/objects/{FIRST}.html", "/static/style.css", "/verdicts.csv", "/nil"):
        answer = stranger.get(path)
        assert answer.status_code == 403 and REFUSED in answer.text and FIRST not in answer.text
        assert "Set-Cookie" not in answer.headers
    form = {"csrf_token": token_in(page), "object_id": FIRST, "verdict": "regular", "note": "a <b> thought"}
    answer = stranger.post("/verdict", data=form)
    assert answer.status_code == 403 and site.kept() == []
    assert "not kept: a <b> thought" in answer.text and answer.mimetype == "text/plain"  # who was in before a restart


@pytest.mark.parametrize("given", ["", "wrong", "%ED%A0%80%00é", "x" * 5000])
def test_a_key_is_not_guessed(site, given):
    before = site.door.address
    for method in ("get", "post", "head"):
        assert getattr(site.stranger(), method)(f"/?key={given}").status_code == 403
    assert site.stranger().head(before).status_code == 403  # looking whether an address is there opens nothing
    assert site.stranger().get(before.replace("/?", "/index.html?")).status_code == 403
    assert site.door.address == before
    assert len(before) > 22 and before != Site(site.ledger_path.parent).door.address


def test_a_key_opens_the_page_once_and_leads_to_an_address_without_it(site):
    told, before = [], site.door.address
    site.door.tell = told.append
    mine = site.stranger()
    answer = mine.get(before)
    assert (answer.status_code, answer.location) == (303, "index.html")
    assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Referrer-Policy"] == "same-origin"
    assert mine.get("/index.html").status_code == 200
    assert told == [site.door.address] != [before]
    assert site.stranger().get(before).status_code == 403  # out of the history, or the list of processes
    assert mine.get(before).status_code == 303 and len(told) == 1  # who is in may click on it again
    assert site.stranger().get(told[0]).status_code == 303


CALLS = "urllib3.connectionpool"
"""Where this test's own calls are logged."""


def test_a_key_is_in_no_log_and_no_page(site, caplog):
    caplog.set_level("DEBUG")
    before = site.door.address
    with answering(site.app) as url:
        browser = come_in(site.app, url)
        pages = [browser.get(url + path).text for path in ("/", f"/objects/{FIRST}.html", "/nil")]
        pages += [requests.get(url + before).text]
    said = "".join(pages) + "".join(record.getMessage() for record in caplog.records if record.name != CALLS)
    assert before.split("=")[1] not in said and site.door.address.split("=")[1] not in said


# --- in a group, each with a secret


@pytest.fixture
def group(tmp_path):
    """A site for two, which knows their secrets."""
    door, secrets = group_of(tmp_path / "people", "Ada Ångström", "Grace")
    site = Site(tmp_path, door=door)
    site.secrets = secrets
    return site


def test_who_asks_with_their_secret_judges_under_their_own_name(group):
    asked = group.client().get("/index.html")
    assert asked.status_code == 401 and asked.headers["WWW-Authenticate"].startswith("Basic ")
    for name, secret in group.secrets.items():
        assert judge(group.client(), headers=basic(name, secret)).status_code == 303
    assert [item.person for item in group.kept()] == ["Ada Ångström", "Grace"]
    written = basic(" ada  ÅNGSTRÖM", group.secrets["Ada Ångström"])
    assert "You judge as Ada Ångström." in group.client().get(f"/objects/{SECOND}.html", headers=written).text


def test_nobody_takes_anothers_name(group):
    ada, grace = group.secrets.values()
    wrong = [basic("Grace", ada), basic("Ada Ångström", grace), basic("Eve", ada), basic("", ada), basic("Ada", ada)]
    wrong += [{}, basic("Grace", ""), basic("Grace", "wrong"), {"Authorization": "Basic !"}]
    wrong += [{"Authorization": f"Bearer {ada}"}, {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "Grace"}]
    mine = group.client()
    page = mine.get(f"/objects/{FIRST}.html", headers=basic("Ada Ångström", ada)).text
    form = {"csrf_token": token_in(page), "object_id": FIRST, "verdict": "regular", "person": "Grace"}
    for headers in wrong:
        for path in ("/index.html", f"/objects/{FIRST}.html", "/static/style.css", "/verdicts.csv", "/nil"):
            answer = mine.get(path, headers=headers)
            assert answer.status_code == 401 and FIRST not in answer.text
        assert mine.post("/verdict", data=form, headers=headers).status_code == 401
    assert group.kept() == []
    assert mine.post("/verdict", data=form, headers=basic("Ada Ångström", ada)).status_code == 303
    assert [item.person for item in group.kept()] == ["Ada Ångström"]


def test_wrong_secrets_in_any_number_keep_nobody_out(group):
    for n in range(200):
        assert group.client().get("/index.html", headers=basic("Grace", f"guess {n}")).status_code == 401
    assert group.client().get("/index.html", headers=basic("Grace", group.secrets["Grace"])).status_code == 200


def test_a_command_gives_a_person_a_secret_and_prints_it_once(tmp_path, capsys):
    path = tmp_path / "people"
    command = ["inspect", "-c", "aha.yaml", "--add", "Ada"]
    assert main([*command, "--people", str(path)]) == 0
    assert read_people(path).who("Ada", capsys.readouterr().out.strip()) == "Ada"
    assert main(command) == 2 and "name it by --people FILE" in capsys.readouterr().err


def test_a_file_of_people_holds_no_secret_and_a_new_one_takes_an_earlier_ones_place(tmp_path):
    path = tmp_path / "people"
    old, other, new = (add_person(path, name) for name in ("Ada", "Grace Hopper", " ada "))
    text, people = path.read_text(), read_people(path)
    assert not any(secret in text for secret in (old, other, new)) and len({old, other, new}) == 3
    assert min(map(len, (old, other, new))) >= 22 and path.stat().st_mode & 0o777 == 0o600
    assert people.who("ADA", new) == "ada" and people.who("Ada", old) is None
    assert people.who("Grace Hopper", other) == "Grace Hopper"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names nobody"),
        ("# nobody\n", "names nobody"),
        ("Ada secret\n", "line 1: expected a digest and a name"),
        (f"{'0' * 64} Ada\n{'1' * 64} ＡDA\n", "line 2: ＡDA is like Ada"),
        (f"{'0' * 64} A\x1bda\n", "a name on one line"),
        (f"{'0' * 64} {'A' * 101}\n", "at most 100 characters"),
    ],
    ids=["empty", "a comment", "no digest", "names alike", "no name", "a long name"],
)
def test_what_is_no_file_of_people_is_refused_in_a_line(tmp_path, text, words):
    path = tmp_path / "people"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_people(path)


def test_a_name_that_a_browser_cannot_send_gets_no_secret(tmp_path):
    with pytest.raises(ConfigError, match="a name must have no colon"):
        add_person(tmp_path / "people", "Ada: the first")
    assert not (tmp_path / "people").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_file_of_people_of_another_user_is_refused(tmp_path):
    add_person(tmp_path / "people", "Ada")
    os.chown(tmp_path / "people", 12345, 12345)
    with pytest.raises(ConfigError, match="is another user's"):
        read_people(tmp_path / "people")


def test_a_file_of_people_that_others_may_write_to_is_refused(tmp_path):
    path = tmp_path / "people"
    add_person(path, "Ada")
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        for read in (read_people, lambda path: add_person(path, "Eve")):
            with pytest.raises(ConfigError, match=r"others may write to .* chmod 600"):
                read(path)
    path.chmod(0o644)
    read_people(path)
    with pytest.raises(ConfigError, match="cannot read the people in"):
        read_people(tmp_path / "none")


def test_only_a_group_is_served_where_others_reach_it(site):
    for host in ("0.0.0.0", "::", "192.168.1.7", "example.org", ""):
        with pytest.raises(ConfigError, match="name who may judge by --people FILE"):
            listen(site.app, host, 0)


# --- two people and one object


def test_who_judges_what_somebody_has_just_judged_is_told_before_it_is_kept(site, tmp_path):
    grace, client = Site(tmp_path, person="Grace", clock=lambda: NOW.timestamp() + 100), site.client()
    page = client.get(f"/objects/{FIRST}.html").text
    form = {"csrf_token": token_in(page), "object_id": FIRST, "verdict": "regular", "note": "a long thought"}
    form |= {"seen": seen_in(page), "next": f"{LAST}.html"}
    judge(grace.client(), "anomaly", note="very blue")
    answer = client.post("/verdict", data=form)
    assert answer.status_code == 409 and "Somebody has judged it meanwhile" in answer.text
    assert "Grace said anomaly, 2026-11-24 09:31 UTC" in answer.text and "<q>very blue</q>" in answer.text
    assert 'value="a long thought"' in answer.text and f'value="{LAST}.html"' in answer.text
    assert [item.person for item in site.kept()] == ["Grace"]
    again = form | {"csrf_token": token_in(answer.text), "seen": seen_in(answer.text)}
    assert client.post("/verdict", data=again).location == f"objects/{LAST}.html?judged={FIRST}"
    assert [item.person for item in site.kept()] == ["Ada Ångström", "Grace"]


def test_ones_own_verdict_and_one_that_was_taken_back_are_nothing_to_be_told_of(site, tmp_path):
    grace, client = Site(tmp_path, person="Grace"), site.client()
    page = client.get(f"/objects/{FIRST}.html").text
    judge(grace.client(), "anomaly")
    post(grace.client(), "/undo")
    form = {"csrf_token": token_in(page), "object_id": FIRST, "seen": seen_in(page)}
    for verdict in ("regular", "artefact"):
        assert client.post("/verdict", data=form | {"verdict": verdict}).status_code == 303


@pytest.mark.parametrize("seen", ["", "-1", "x", "9" * 30, "²"])
def test_a_form_that_does_not_say_what_it_has_seen_has_seen_nothing(site, tmp_path, seen):
    judge(Site(tmp_path, person="Grace").client(), "anomaly")
    assert judge(site.client(), seen=seen).status_code == 409


# --- many connections, and slow ones


def address_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def test_connections_in_any_number_keep_nobody_out(site):
    with answering(site.app) as url, contextlib.ExitStack() as held:
        first = held.enter_context(socket.create_connection(address_of(url), 60))
        for n in range(150):
            idle = held.enter_context(socket.create_connection(address_of(url), 60))
            idle.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " if n % 2 else b"")
        assert first.recv(1) == b""  # the one that waited longest made room
        browser = come_in(site.app, url)
        assert all(browser.get(f"{url}/index.html", timeout=60).status_code == 200 for _ in range(3))


def test_a_request_that_comes_byte_by_byte_is_not_waited_for_without_end(site):
    seconds = [0.0]
    with answering(site.app, clock=lambda: seconds[0]) as url, requests.Session() as other:
        slow = socket.create_connection(address_of(url), 60)
        slow.sendall(b"POST /verdict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        other.get(f"{url}/", timeout=60)  # so it has been heard by now
        seconds[0] = IDLE_S / 2
        slow.sendall(b"a")
        other.get(f"{url}/", timeout=60)
        seconds[0] = IDLE_S + 1  # since it came, and half as long since its last byte
        with slow:
            assert slow.recv(1) == b""


def test_a_browser_has_fewer_connections_than_an_address_may():
    assert PER_ADDRESS > 6


# --- how it starts


def test_the_name_of_who_judges_is_checked_at_the_start(tmp_path):
    for person in ("", " ", "two\nlines", "x" * 101):
        with pytest.raises(ConfigError, match="person must be a name"):
            Site(tmp_path, person=person)


def test_without_a_ledger_it_does_not_start(tmp_path):
    with pytest.raises(LedgerError, match="there is no ledger"):
        make_app(at_hand(lambda: small_night([FIRST])), tmp_path / "ledger.sqlite", Alone("Ada"))
    assert not list(tmp_path.iterdir())


def test_without_its_libraries_it_says_what_to_install():
    script = "import sys; sys.modules['flask_wtf'] = None; import annotator.report.inspect"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ConfigError: the inspection page needs flask_wtf" in ended.stderr
    assert "pip install 'lasair-aha[report]'" in ended.stderr


# --- a ledger that is busy or broken


def test_while_the_ledger_is_busy_nothing_that_was_typed_is_lost(site, monkeypatch):
    monkeypatch.setattr(inspection, "BUSY_TIMEOUT_S", 0.05)
    client = site.client()
    token = token_in(client.get(f"/objects/{FIRST}.html").text)
    form = {"csrf_token": token, "object_id": FIRST, "verdict": "regular", "note": 'a "long" thought'}
    writer = sqlite3.connect(site.ledger_path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    answer = client.post("/verdict", data=form | {"next": f"{LAST}.html"})
    assert answer.status_code == 503 and "Nothing was kept" in answer.text and "locked" in answer.text
    assert 'name="note" value="a &#34;long&#34; thought"' in answer.text and answer.headers["Retry-After"] == "5"
    assert f'value="{LAST}.html"' in answer.text
    assert client.post("/undo", data=form).status_code == 303  # there is nothing to take back: nothing to write
    assert client.get(f"/objects/{FIRST}.html").status_code == 200  # whoever reads does not wait for who writes
    writer.execute("ROLLBACK")
    writer.close()
    assert client.post("/verdict", data=form | {"csrf_token": token_in(answer.text)}).status_code == 303
    assert [item.note for item in site.kept()] == ['a "long" thought']


def test_a_ledger_that_cannot_be_read_is_named(site):
    client = site.client()
    token = token_in(client.get(f"/objects/{FIRST}.html").text)
    for path in site.ledger_path.parent.glob("ledger.sqlite*"):
        path.unlink()
    site.ledger_path.write_text("no ledger")
    for path in ("/index.html", f"/objects/{FIRST}.html", "/verdicts.csv"):
        answer = client.get(path)
        assert answer.status_code == 503 and "not a database" in answer.text
    form = {"csrf_token": token, "object_id": FIRST, "verdict": "regular", "note": "a long thought"}
    for path in ("/verdict", "/undo"):
        answer = client.post(path, data=form)
        assert answer.status_code == 503 and "Nothing was kept" in answer.text
    assert 'value="a long thought"' in client.post("/verdict", data=form).text


@pytest.mark.parametrize("is_damaged", [True, False], ids=["damaged", "sound"])
def test_what_nobody_had_foreseen_is_put_down_to_damage_where_there_is_some(site, monkeypatch, is_damaged):
    client = site.client()
    if is_damaged:
        damage_an_index(site.ledger_path)
    monkeypatch.setattr(Verdicts, "holding", lambda _: {}["ZTF99aaaaaaa"])
    answer = client.get("/index.html")
    assert answer.status_code == 500 and "KeyError" not in answer.text
    assert ("is damaged" in answer.text) == is_damaged == ("stands where" not in answer.text)


def test_a_ledger_that_was_taken_away_is_not_begun_anew(site):
    client = site.client()
    token = token_in(client.get(f"/objects/{FIRST}.html").text)
    for path in site.ledger_path.parent.glob("ledger.sqlite*"):
        path.unlink()
    form = {"csrf_token": token, "object_id": FIRST, "verdict": "regular", "note": "a long thought"}
    answer = client.post("/verdict", data=form)
    assert answer.status_code == 503 and "there is no ledger" in answer.text and 'value="a long thought"' in answer.text
    assert client.get("/index.html").status_code == 503 and not site.ledger_path.exists()


# --- the real server


def test_over_http_a_verdict_is_kept_and_undone(site):
    with answering(site.app) as url, come_in(site.app, url) as browser:
        page = browser.get(f"{url}/objects/{FIRST}.html")
        form = {"csrf_token": token_in(page.text), "object_id": FIRST, "verdict": "anomaly", "note": "é" * 500}
        there = browser.post(f"{url}/verdict", data=form, headers={"Origin": url})
        assert there.url == f"{url}/objects/{SECOND}.html?judged={FIRST}" and there.history[0].status_code == 303
        assert [item.note for item in site.kept()] == ["é" * 500]
        back = browser.post(f"{url}/undo", data=form, headers={"Origin": url})
        assert back.url == f"{url}/objects/{FIRST}.html" and site.kept() == []
        assert browser.get(f"{url}/").url == f"{url}/index.html"
        assert "Server" not in page.headers
        assert browser.post(f"{url}/verdict", data=form, headers={"Origin": "http://127.0.0.1"}).status_code == 403
        assert browser.get(f"{url}/index.html", headers={"Host": "example.org"}).status_code == 400
        assert browser.post(f"{url}/verdict", data=b"x" * 100_000).status_code == 413


def test_over_http_two_people_judge_at_the_same_time_and_nothing_is_lost(group):
    problems, told = [], []

    def judge_all(name: str) -> None:
        with requests.Session() as browser:
            browser.auth = (name.encode(), group.secrets[name])
            for n in range(5):
                for object_id in (FIRST, SECOND, LAST):
                    page = browser.get(f"{url}/objects/{object_id}.html").text
                    form = {"object_id": object_id, "verdict": "regular", "note": str(n)}
                    while True:
                        sent = form | {"csrf_token": token_in(page), "seen": seen_in(page)}
                        answer = browser.post(f"{url}/verdict", data=sent, allow_redirects=False)
                        if answer.status_code != 409:
                            break
                        told.append(name)
                        page = answer.text
                    if answer.status_code != 303:
                        problems.append(answer.text)

    with answering(group.app, "0.0.0.0") as url:
        people = [threading.Thread(target=judge_all, args=(name,)) for name in group.secrets]
        for person in people:
            person.start()
        for person in people:
            person.join()
    assert problems == []
    said = [(item.person, item.object_id, item.note) for item in group.kept()]
    assert len(said) == len(set(said)) == 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_server_says_where_it_is_and_ends_when_it_is_told_to(tmp_path, number):
    script = """
        import sys
        from pathlib import Path
        from annotator.report.inspect.app import make_app
        from annotator.report.inspect.doors import Alone
        from annotator.report.inspect.serve import serve
        from tests.report.inspection import at_hand, begun_ledger, small_night
        ledger_path = begun_ledger(Path(sys.argv[1]) / "ledger.sqlite")
        app = make_app(at_hand(lambda: small_night(["ZTF99aaaaaaa"])), ledger_path, Alone("Ada"))
        serve(app, "127.0.0.1", 0)
        print("ended")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as server:
        try:
            pattern = r"http://127\.0\.0\.1:\d+/\?key=\S+"
            opened = requests.get(re.search(pattern, server.stdout.readline())[0], timeout=60)
            assert "ZTF99aaaaaaa" in opened.text and "key" not in opened.url
            assert re.search(f"Another browser opens it at {pattern}", server.stdout.readline())
        finally:
            server.send_signal(number)
        assert server.stdout.read() == "ended\n" and server.wait(20) == 0


def test_an_address_that_is_taken_is_an_error_that_says_so(site):
    with answering(site.app) as url, pytest.raises(ConfigError, match="name another --port"):
        listen(site.app, "127.0.0.1", int(url.rsplit(":", 1)[1]))
