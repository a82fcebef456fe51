"""Cutouts over real HTTP, from the sandbox and from servers that mean no good; and from files beside a record."""

import gzip
import json
import os
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.decision.config import DecisionConfig
from annotator.errors import (
    ConfigError,
    LasairUnreachableError,
    MissingModalityError,
    NoStampError,
    NotNowError,
    RejectedError,
)
from annotator.lasair import cutouts
from annotator.lasair.cutout_cache import CutoutCache
from annotator.lasair.cutouts import CutoutFetcher, check_url
from annotator.passes.score_file import score_lines
from annotator.sandbox.sky.stamps import to_fits
from annotator.surveys.ztf.parse import parse
from annotator.transient import CutoutReference, Triplet
from tests.stand_ins import with_stand_ins

LOCAL = ("127.0.0.1",)
STAMPS = {
    name: np.full((63, 63), value, dtype=np.float32) for name, value in (("science", 2), ("template", 1), ("x", 3))
}
HANG_S = 120.0
"""What ends within it did not hang, on the busiest machine."""
FITS = {name: to_fits(stamp, name) for name, stamp in STAMPS.items()}


class Host:
    """A host of files: path to status, headers and body; it counts what it was asked for, and how much at a time."""

    def __init__(self):
        self.files: dict[str, tuple[int, dict, bytes]] = {f"/{name}": (200, {}, body) for name, body in FITS.items()}
        self.asked = Counter()
        self.pause_s = self.drip_s = 0.0
        self.busy = self.most_busy = 0
        host, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with lock:
                    host.asked[self.path] += 1
                    host.busy += 1
                    host.most_busy = max(host.busy, host.most_busy)
                time.sleep(host.pause_s)
                status, headers, body = host.files.get(self.path, (404, {}, b"nothing here"))
                with lock:
                    host.busy -= 1
                try:
                    self.send_response(status)
                    for name, value in ({"Content-Length": str(len(body))} | headers).items():
                        self.send_header(name, value)
                    self.end_headers()
                    for start in range(0, len(body), 100 if host.drip_s else max(1, len(body))):
                        self.wfile.write(body[start:][: 100 if host.drip_s else None])
                        time.sleep(host.drip_s)
                except ConnectionError:
                    self.close_connection = True
                if "Content-Length" in headers:
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def reference(self, science="/science", template="/template", difference="/x") -> CutoutReference:
        return CutoutReference(*(self.url + path for path in (science, template, difference)), time_mjd=61000.5)


@pytest.fixture
def host(monkeypatch):
    monkeypatch.setattr(cutouts, "_RETRY_PAUSE_S", 0.01)
    server = Host()
    server.thread.start()
    yield server
    server.server.shutdown()
    server.thread.join()
    server.server.server_close()


def fetch(reference, **options):
    options = {"hosts": LOCAL, "timeout_s": 20.0} | options
    (outcome,) = CutoutFetcher(**options).fetch([reference])
    return outcome


def test_three_stamps_come_back_as_one_triplet_of_its_epoch(host):
    triplet = fetch(host.reference())
    assert isinstance(triplet, Triplet) and triplet.time_mjd == 61000.5
    assert np.array_equal(triplet.science, STAMPS["science"]) and np.array_equal(triplet.difference, STAMPS["x"])


def test_gzip_is_unpacked_and_a_small_file_that_unpacks_to_a_huge_one_is_refused(host):
    host.files["/packed"] = (200, {}, gzip.compress(FITS["science"]))
    host.files["/encoded"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(FITS["science"]))
    host.files["/bomb"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(FITS["science"] + bytes(30_000_000)))
    assert isinstance(fetch(host.reference("/packed", "/encoded")), Triplet)
    assert "science cutout" in str(outcome := fetch(host.reference("/bomb"))) and "bytes" in str(outcome)


NONES = [
    ((200, {}, b""), "empty"),
    ((200, {}, b"None"), "empty"),
    ((200, {}, to_fits(np.zeros((501, 2), np.float32), "science")), "at most 500 pixels"),
    ((200, {}, to_fits(np.full((63, 63), np.nan, np.float32), "science")), "none of its pixels"),
    ((200, {}, to_fits(np.zeros((63, 63), np.float32), "science")), "none of its pixels"),
    ((200, {}, gzip.compress(b"<html>sorry</html>")), "expected a FITS file"),
]


@pytest.mark.parametrize(("answer", "reason"), NONES)
def test_what_is_no_stamp_is_missing_and_says_which_and_why(host, answer, reason):
    host.files["/odd"] = answer
    references = [host.reference(), host.reference(template="/odd"), host.reference()]
    outcomes = CutoutFetcher(LOCAL, parallel=1).fetch(references)
    assert [type(outcome) for outcome in outcomes] == [Triplet, NoStampError, Triplet]
    assert str(outcomes[1]).startswith("template cutout: ") and reason in str(outcomes[1])


@pytest.mark.parametrize(("answer", "reason"), NONES)
def test_a_host_that_has_no_stamp_of_any_object_is_asked_again_of_all_of_them(host, answer, reason):
    host.files |= {f"/{number}": answer for number in range(9)}
    fetcher = CutoutFetcher(LOCAL, parallel=1)
    empty = [host.reference(f"/{number}") for number in range(9)]
    outcomes = fetcher.fetch(empty)
    assert {type(outcome) for outcome in outcomes} == {NotNowError} and reason in str(outcomes[8])
    with_others = fetcher.fetch([host.reference(), empty[0], host.reference(), empty[1]])
    assert [isinstance(outcome, MissingModalityError) for outcome in with_others] == [False, True, False, True]
    gone_since = fetcher.fetch([host.reference(), *empty[2:]])
    assert {type(outcome) for outcome in gone_since} == {Triplet, RejectedError}  # another night tells


REFUSALS = [
    ((200, {}, FITS["x"][:5000]), "truncated"),
    ((200, {}, FITS["x"][:200]), "cannot be read"),
    ((200, {}, gzip.compress(FITS["x"])[:100]), "truncated"),
    ((200, {}, gzip.compress(FITS["x"])[:40] + bytes(400)), "damaged"),
    ((200, {}, b"<html>sorry</html>"), "expected a FITS file"),
    ((404, {}, b""), "answered 404"),
    ((403, {}, FITS["x"]), "answered 403"),
    ((302, {"Location": "http://127.0.0.2:1/x"}, b""), "sends on"),
    ((302, {"Location": "ftp://127.0.0.1/x"}, b""), "sends on"),
    ((302, {"Location": "/odd"}, b""), "sends on"),
]


@pytest.mark.parametrize(("answer", "reason"), REFUSALS)
def test_what_a_host_says_of_one_object_is_a_refusal_while_others_get_their_stamps(host, answer, reason):
    host.files["/odd"] = answer
    outcomes = CutoutFetcher(LOCAL, parallel=1).fetch([host.reference(), host.reference("/odd"), host.reference()])
    assert [type(outcome) for outcome in outcomes] == [Triplet, RejectedError, Triplet]
    assert str(outcomes[1]).startswith("science cutout: ") and reason in str(outcomes[1])


@pytest.mark.parametrize(("answer", "reason"), REFUSALS)
def test_what_a_host_says_of_every_object_is_about_the_host_and_is_asked_three_times(host, answer, reason):
    host.files |= {f"/{name}": answer for name in (*range(9), "odd")}
    outcomes = CutoutFetcher(LOCAL, parallel=1).fetch([host.reference(f"/{number}") for number in range(9)])
    assert {type(outcome) for outcome in outcomes} == {NotNowError} and reason in str(outcomes[8])
    assert [host.asked[f"/{number}"] for number in range(9)] == [1] * 3 + [0] * 6


@pytest.mark.parametrize("kind", ["science", "template", "difference"])
def test_one_kind_of_stamps_that_is_away_for_every_object_is_about_the_host_whatever_the_others_are(host, kind):
    host.files |= {f"/whole{number}": (200, {}, FITS["science"]) for number in range(9)}
    places = [{"science": f"/whole{number}", kind: f"/{number}"} for number in range(9)]
    outcomes = CutoutFetcher(LOCAL, parallel=1).fetch([host.reference(**place) for place in places])
    assert {type(outcome) for outcome in outcomes} == {NotNowError} and f"{kind}: no good answer" in str(outcomes[8])
    assert [host.asked[f"/{number}"] for number in range(9)] == [1] * 3 + [0] * 6


def test_a_redirect_on_the_same_host_is_followed(host):
    host.files["/moved"] = (301, {"Location": "/science"}, b"")
    assert isinstance(fetch(host.reference("/moved")), Triplet)


def test_a_host_that_stumbles_is_asked_a_second_time_and_no_third(host):
    host.files["/odd"] = (503, {}, b"")
    assert isinstance(fetch(host.reference("/odd")), LasairUnreachableError)
    assert host.asked["/odd"] == 2
    host.files["/broken"] = (200, {"Content-Length": "99999"}, FITS["x"])
    assert isinstance(fetch(host.reference("/broken")), LasairUnreachableError)


def test_a_file_of_more_bytes_than_a_stamp_can_have_is_no_answer(host):
    host.files["/odd"] = (200, {}, b"SIMPLE  =" + bytes(2_100_000))
    outcome = fetch(host.reference("/odd"))
    assert isinstance(outcome, LasairUnreachableError) and "more than 2000000 bytes" in str(outcome)


def test_a_host_that_drips_is_not_waited_for_without_end(host):
    host.drip_s = 0.05
    host.files["/science"] = (200, {}, bytes(1_500_000))  # drips for 750 s
    started = time.monotonic()
    assert "none within 0.6 s" in str(fetch(host.reference(), timeout_s=0.3))
    assert time.monotonic() - started < HANG_S


def test_a_host_that_is_silent_is_left_alone_after_a_few_requests(host):
    host.pause_s = 5.0
    started = time.monotonic()
    fetcher = CutoutFetcher(LOCAL, parallel=8, timeout_s=0.2)
    outcomes = fetcher.fetch([host.reference()] * 200)
    assert all(isinstance(outcome, LasairUnreachableError) for outcome in outcomes)
    assert time.monotonic() - started < HANG_S and sum(host.asked.values()) <= 3 + 8


def test_no_more_requests_are_under_way_than_allowed_and_the_order_stays(host):
    host.pause_s = 0.02
    references = [host.reference() if number % 3 else host.reference("/gone") for number in range(12)]
    outcomes = CutoutFetcher(LOCAL, parallel=3).fetch(references)
    assert [isinstance(outcome, Triplet) for outcome in outcomes] == [bool(number % 3) for number in range(12)]
    assert 1 < host.most_busy <= 3


def test_a_pass_that_ends_asks_for_nothing_more(host):
    outcomes = CutoutFetcher(LOCAL).fetch([host.reference()] * 3, should_stop=lambda: True)
    assert all(isinstance(outcome, LasairUnreachableError) for outcome in outcomes) and not host.asked


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://lasair-ztf.lsst.ac.uk/x.fits", "not https"),
        ("https://lasair-ztf.lsst.ac.uk:8443/x.fits", "not https"),
        ("https://elsewhere.example/x.fits", "none of the survey's hosts"),
        ("https://lasair-ztf.lsst.ac.uk.elsewhere.example/x.fits", "none of the survey's hosts"),
        ("https://lasair-ztf.lsst.ac.uk@elsewhere.example/x.fits", "none of the survey's hosts"),
        ("https://user:secret@lasair-ztf.lsst.ac.uk/x.fits", "names a user"),
        ("http://127.0.0.1/x.fits", "none of the survey's hosts"),
        ("http://169.254.169.254/latest", "none of the survey's hosts"),
        ("file:///etc/passwd", "none of the survey's hosts"),
        ("https://[broken", "no URL"),
        ("https://lasair-ztf.lsst.ac.uk:99999/x", "no URL"),
    ],
)
def test_only_https_from_the_survey_s_own_hosts_is_fetched(url, reason):
    with pytest.raises(MissingModalityError, match=reason):
        check_url(url, frozenset(["lasair-ztf.lsst.ac.uk"]))
    outcome = fetch(CutoutReference(url, url, url), hosts=["lasair-ztf.lsst.ac.uk"])
    assert isinstance(outcome, MissingModalityError)


def test_plain_http_is_only_for_a_configured_host_that_is_this_machine():
    check_url("http://127.0.0.1:8000/x.fits", frozenset(["127.0.0.1"]))
    check_url("https://lasair-ztf.lsst.ac.uk/x.fits", frozenset(["lasair-ztf.lsst.ac.uk"]))


@given(st.text(max_size=60))
def test_no_text_is_an_address_that_crashes(text):
    outcome = fetch(CutoutReference(text, "t", "d"))
    assert isinstance(outcome, MissingModalityError)


# The cache


def test_what_was_fetched_is_not_fetched_again_and_a_damaged_file_is(host, tmp_path):
    fetch(host.reference(), cache=CutoutCache(tmp_path, 1e6))
    assert isinstance(fetch(host.reference(), cache=CutoutCache(tmp_path, 1e6)), Triplet)
    assert host.asked == {"/science": 1, "/template": 1, "/x": 1}
    kept = sorted(tmp_path.glob("*.fits"))
    assert {path.name for path in tmp_path.iterdir()} == {".aha-cutouts", *(path.name for path in kept)}
    assert len(kept) == 3
    kept[0].write_bytes(b"SIMPLE  = damaged")
    kept[1].write_bytes(b"")
    assert isinstance(fetch(host.reference(), cache=CutoutCache(tmp_path, 1e6)), Triplet)
    assert sum(host.asked.values()) == 5
    assert isinstance(fetch(host.reference(), cache=CutoutCache(tmp_path, 1e6)), Triplet)
    assert sum(host.asked.values()) == 5


def test_what_is_no_stamp_is_not_kept(host, tmp_path):
    host.files["/odd"] = (200, {}, b"")
    fetch(host.reference(difference="/odd"), cache=CutoutCache(tmp_path, 1e6))
    host.files["/odd"] = (200, {}, FITS["x"])
    assert isinstance(fetch(host.reference(difference="/odd"), cache=CutoutCache(tmp_path, 1e6)), Triplet)


def test_the_least_recently_used_files_go_when_there_are_too_many(tmp_path):
    cache = CutoutCache(tmp_path, 2500)
    for number, url in enumerate(("https://a/1", "https://a/2", "https://a/3")):
        cache.put(url, bytes(1000))
        os.utime(cache._path(url), (1e9 + number, 1e9 + number))
    assert cache.get("https://a/1") == bytes(1000)  # used just now
    cache.trim()
    assert [cache.get(f"https://a/{number}") is not None for number in (1, 2, 3)] == [True, False, True]


def test_a_cache_that_cannot_be_written_to_costs_nothing_but_the_next_fetch(host, tmp_path, monkeypatch):
    assert isinstance(fetch(host.reference(), cache=CutoutCache(tmp_path / "none", 0)), Triplet)
    assert not (tmp_path / "none").exists()
    monkeypatch.setattr(tempfile, "mkstemp", lambda **_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert isinstance(fetch(host.reference(), cache=CutoutCache(tmp_path, 1e6)), Triplet)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_no_cache_and_stays_as_it_is(host, tmp_path):
    (tmp_path / "aha.yaml").write_text("survey: ztf")
    for place in (tmp_path, tmp_path / "aha.yaml"):
        with pytest.raises(ConfigError, match="name another"):
            CutoutCache(place, 1e6)
    cache = CutoutCache(tmp_path / "new", 1.0)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "thesis.tex").write_text("years of work")  # it was nobody's when the pass began
    assert isinstance(fetch(host.reference(), cache=cache), Triplet)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["thesis.tex"]


def test_in_its_folder_the_cache_deletes_what_it_wrote_and_nothing_else(tmp_path):
    outside, folder = tmp_path / "outside.fits", tmp_path / "cache"
    outside.write_bytes(bytes(10_000))
    cache = CutoutCache(folder, 1.0)
    cache.put("https://a/1", bytes(1000))
    foreign = ["thesis.tex", "mine.fits", "ab.part", f"{'a' * 39}.fits", f"{'A' * 40}.fits"]
    for name in foreign:
        (folder / name).write_bytes(bytes(1000))
    (folder / f"{'b' * 40}.fits").symlink_to(outside)
    (folder / f"{'c' * 40}.fits").mkdir()
    (folder / f".{'d' * 40}.killed.part").write_bytes(bytes(10))
    cache.trim()
    left = {path.name for path in folder.iterdir()}
    assert left == {".aha-cutouts", *foreign, f"{'b' * 40}.fits", f"{'c' * 40}.fits"}
    assert outside.stat().st_size == 10_000


def test_a_link_in_the_cache_is_neither_read_nor_written_through(tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    cache = CutoutCache(tmp_path / "cache", 1e6)
    cache.put("https://a/1", b"stamp")
    place = cache._path("https://a/2")
    place.symlink_to(outside)
    assert cache.get("https://a/2") is None
    cache.put("https://a/2", b"stamp")
    assert cache.get("https://a/2") == b"stamp" and outside.read_bytes() == b"secret"
    pipe = cache._path("https://a/3")
    os.mkfifo(pipe)
    assert cache.get("https://a/3") == b""  # a stamp that is empty is fetched again; nobody waits for a writer


# Files beside a record


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "night"
    (folder / "stamps").mkdir(parents=True)
    for name, body in FITS.items():
        (folder / "stamps" / f"{name}.fits").write_bytes(body)
    (tmp_path / "secret.fits").write_bytes(FITS["x"])
    (folder / "out.fits").symlink_to(tmp_path / "secret.fits")
    (folder / "in.fits").symlink_to("stamps/x.fits")
    os.mkfifo(folder / "pipe.fits")
    (folder / "large.fits").write_bytes(FITS["x"] + bytes(2_000_000))
    (folder / "empty.fits").touch()
    return folder


def test_paths_are_read_inside_the_record_s_own_folder(folder):
    paths = CutoutReference("stamps/science.fits", "stamps/template.fits", "in.fits")
    assert np.array_equal(fetch(paths, folder=folder).difference, STAMPS["x"])
    assert "expected a URL" in str(fetch(paths))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("../secret.fits", "out of the record's folder"),
        ("stamps/../../secret.fits", "out of the record's folder"),
        ("/etc/hostname", "out of the record's folder"),
        ("out.fits", "out of the record's folder"),
        ("absent.fits", "no such file"),
        ("stamps", "no file"),
        ("pipe.fits", "no file"),
        ("large.fits", "more than 2000000 bytes"),
        ("empty.fits", "empty"),
        ("nul\0.fits", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ],
)
def test_a_path_that_leads_out_or_to_no_stamp_is_missing(folder, path, reason):
    outcome = fetch(CutoutReference("stamps/science.fits", path, "in.fits"), folder=folder)
    assert isinstance(outcome, MissingModalityError) and reason in str(outcome)


# `score`


def test_score_reads_stamps_by_path_and_by_url_and_says_why_there_are_none(folder, host, models):
    paths = {"science": "stamps/science.fits", "template": "stamps/template.fits", "difference": "in.fits"}
    urls = {kind.capitalize(): f"{host.url}/{name}" for kind, name in zip(paths, FITS, strict=True)}
    records = [
        {"objectId": "a", "cutouts": paths},
        {"objectId": "b", "image_urls": urls},
        {"objectId": "c", "cutouts": paths | {"template": "../secret.fits"}},
        {"objectId": "d"},
    ]
    lines = [
        json.loads(line.text)
        for line in score_lines(
            records,
            with_stand_ins(models, "lightcurve", "triplet"),
            DecisionConfig(),
            CutoutFetcher(LOCAL, folder=folder),
        )
    ]
    assert lines[0]["triplet"] == lines[1]["triplet"] == {"score": 1.0, "error": 6.0}
    assert all(line["lightcurve"] == {"missing": "the record has no light curve"} for line in lines[:2])
    assert "triplet: " in lines[2]["refused"] and "out of the record's folder" in lines[2]["refused"]
    assert "triplet: the record has no cutouts" in lines[3]["refused"]
    assert parse(records[1]).cutouts.difference == f"{host.url}/x"
