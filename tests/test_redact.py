"""Secrets are in nothing that is said: a marker is looked for in all that passes, reports and digests leave behind."""

import html
import io
import json
import logging
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator import lasair_token, ledger_address
from annotator.cli import main
from annotator.redact import HIDDEN, MIN_CHARACTERS, SECRETS, RedactingFilter, Redactor, redactor_of
from annotator.report import digest
from annotator.sandbox import Account, Sandbox, Topic, simulate_night
from tests.conftest import copy_features_model, write_config

MARKER = "marker-0f3c9a51"


def test_every_secret_that_the_program_reads_is_known():
    assert {*SECRETS} == {
        lasair_token.TOKEN_VARIABLE,
        ledger_address.PASSWORD_VARIABLE,
        digest.WEBHOOK_VARIABLE,
    }


@given(st.text(min_size=MIN_CHARACTERS), st.text(), st.text())
def test_a_secret_of_any_text_is_taken_out_wherever_it_stands(secret, before, after):
    assert secret not in Redactor([secret])(f"{before}{secret}{after}") or secret in HIDDEN


def test_a_secret_in_a_url_and_the_path_of_a_secret_url_are_taken_out():
    redact = redactor_of(
        {"AHA_LEDGER_PASSWORD": "pass/word 1", "AHA_WEBHOOK_URL": "https://hooks.example.org/services/T0/B0/xyz"}
    )
    assert redact("postgresql://aha:pass%2Fword%201@host") == f"postgresql://aha:{HIDDEN}@host"
    assert redact("Max retries exceeded with url: /services/T0/B0/xyz") == f"Max retries exceeded with url: {HIDDEN}"
    assert redactor_of({"LASAIR_TOKEN": "abc"})("abcdef") == "abcdef"


ODD = """p@ss/w'o"rd\\ +&<x>\N{LATIN SMALL LETTER E WITH ACUTE}"""


@pytest.mark.parametrize(
    "written",
    [
        ODD.upper(),
        quote(ODD, safe=""),
        quote(ODD),
        quote(ODD, safe="").lower(),
        quote_plus(ODD),
        json.dumps(ODD),
        json.dumps(ODD, ensure_ascii=False),
        repr(ODD),
        html.escape(ODD),
    ],
)
def test_a_secret_is_taken_out_however_it_is_written(written):
    assert "ss" not in Redactor([ODD])(f"found {written}").lower()


def test_a_secret_that_is_no_text_hides_nothing_and_breaks_nothing():
    assert Redactor(["\udcff" * 9])("found nothing") == "found nothing"


def test_a_line_of_the_log_and_its_traceback_are_clean():
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter(Redactor([MARKER])))
    logger = logging.Logger("a")
    logger.addHandler(handler)
    try:
        raise KeyError(f"of {MARKER}")
    except KeyError:
        logger.exception("says %s and %d", MARKER, 3, stack_info=True)
    logger.warning("does not fit %d", MARKER)
    assert MARKER not in stream.getvalue() and f"says {HIDDEN} and 3" in stream.getvalue()


def test_a_fault_of_the_program_is_told_without_secrets(monkeypatch, capsys):
    def breaks(options):
        raise RuntimeError(f"in the middle of {MARKER}")

    monkeypatch.setenv("LASAIR_TOKEN", MARKER)
    monkeypatch.setattr("annotator.commands.watch._status", breaks)
    assert main(["status", "-c", "aha.yaml"]) == 1
    said = capsys.readouterr().err
    assert "RuntimeError" in said and MARKER not in said


def test_a_server_that_repeats_the_token_brings_it_nowhere(tmp_path, monkeypatch, capsys):
    posted = []
    monkeypatch.setenv("LASAIR_TOKEN", MARKER)
    monkeypatch.setenv("AHA_WEBHOOK_URL", f"https://hooks.example.org/{MARKER}/hook")
    monkeypatch.setattr(digest, "post", lambda text, url: posted.append(text))
    models = str(copy_features_model(tmp_path))
    night = simulate_night(seed=5, n_objects=30)
    with Sandbox(night, accounts=[Account(MARKER, "power")], topics=[Topic("aha_ztf", MARKER)]) as server:
        write_config(tmp_path, server, MARKER, models=models)
        where = ["-c", str(tmp_path / "aha.yaml")]
        for endpoint in ("*", "annotate"):
            server.misbehave(endpoint, "repeat_token")
            for command in ("once", "status", "check"):
                main([command, *where])
            server.behave()
        main(["once", *where])
        repeated = {"tns_name": f"2026{MARKER}", "type": MARKER, "gmag": MARKER}
        rows = [row | repeated for row in night.rows()]
        server.misbehave("query", "answer", content=rows)
        main(["once", *where])
        main(["report", *where, "--out", str(tmp_path / "report")])
        main(["report", *where, "--digest"])
    said = capsys.readouterr()
    assert (tmp_path / "report").is_dir()
    assert MARKER not in said.out + said.err + json.dumps(posted)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or MARKER.encode() not in path.read_bytes(), path
    assert MARKER not in "".join(sys.argv)
