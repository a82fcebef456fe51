"""A page of a real browser, in which an error on the page or its console fails the test."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_S = 60.0
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium without a window, once for all tests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser to test in")
    if not CHROMIUM.is_file():
        pytest.skip(f"no {CHROMIUM}: no browser to test in")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A page of its own for each test, 1440 x 900; what it reports as an error fails the test at its end."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("requestfailed", lambda request: _note_failure(request, errors))
    yield opened
    context.close()
    assert errors == []


def wait_until(page: "Page", expression: str) -> None:
    """Wait until an expression is true on a page; Playwright's own way makes code of text, which its policy forbids."""
    ends_at = time.monotonic() + PATIENCE_S
    while not page.evaluate(expression):
        assert time.monotonic() < ends_at, f"not so within {PATIENCE_S:g} s: {expression}"
        page.wait_for_timeout(20)


def _note_failure(request: "Request", errors: list[str]) -> None:
    if request.failure != "net::ERR_ABORTED":  # pictures that were on their way when the page was left
        errors.append(f"{request.url}: {request.failure}")
