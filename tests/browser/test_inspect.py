"""Judging with mouse and keys in a real browser, against the real server."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("flask_wtf", reason="no Flask-WTF: these tests run where lasair-aha[report] is installed")

pytest.importorskip("axe_playwright_python", reason="no axe-playwright-python: nothing to check accessibility with")

from axe_playwright_python.sync_playwright import Axe

from annotator.ledger import Ledger
from annotator.report.inspect.app import make_app
from annotator.report.inspect.doors import Alone
from annotator.report.inspect.night_at_hand import NightAtHand
from annotator.verdicts import Verdict
from tests.conftest import cases_of_the_long_suite
from tests.report.inspection import answering, begun_ledger
from tests.report.report_nights import make_night, models

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<script>document.title = 'broken'</script>\"><img src=x onerror=alert(1)>"


@dataclass(frozen=True)
class Site:
    """A server, and what it serves."""

    url: str
    object_ids: list[str]
    """In the order of rank."""
    ledger_path: Path
    door: Alone

    def page_of(self, number: int) -> str:
        return f"{self.url}/objects/{self.object_ids[number]}.html"

    def kept(self) -> list[Verdict]:
        with Ledger(self.ledger_path) as ledger:
            return ledger.verdicts.holding()


@pytest.fixture
def site(tmp_path, browser: "Browser") -> Iterator[Site]:
    night, ledger_path = make_night(5), begun_ledger(tmp_path / "ledger.sqlite")
    door = Alone("Ada <b>Ångström</b>")
    app = make_app(NightAtHand(lambda: night, models(), None), ledger_path, door)
    with answering(app) as url:
        yield Site(url, [item.object_id for item in night.candidates], ledger_path, door)
        for context in browser.contexts:  # pages go before their server: what they still load is no failure
            context.close()


@pytest.fixture
def page(page: "Page", site: Site) -> "Page":
    """A page that has come in by the address that was printed."""
    page.goto(f"{site.url}{site.door.address}")
    assert page.url == f"{site.url}/index.html"
    return page


def test_a_click_on_a_button_judges_with_the_note_and_shows_the_next_object(page: "Page", site):
    page.goto(site.page_of(0))
    page.get_by_label("Note").fill("two peaks")
    page.get_by_role("button", name="Artefact").click()
    page.wait_for_url(f"{site.page_of(1)}?judged=*")
    (kept,) = site.kept()
    assert (kept.object_id, kept.verdict, kept.note) == (site.object_ids[0], "artefact", "two peaks")
    page.goto(site.page_of(0))
    assert page.locator(".verdict-current").inner_text().startswith("artefact by Ada <b>Ångström</b>, ")
    assert page.locator('.verdict-button[aria-pressed="true"]').get_attribute("data-verdict") == "artefact"
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector("text=Not judged yet")
    assert page.url == site.page_of(0) and site.kept() == []


def test_keys_judge_one_object_after_the_other_to_the_end_of_the_list_and_take_back(page: "Page", site):
    page.goto(site.page_of(0))
    for number, key in enumerate("arbu"):
        page.keyboard.press(key)
        page.wait_for_url(f"{site.page_of(number + 1)}?judged=*")
    said = [(item.object_id, item.verdict) for item in site.kept()]
    assert said == list(zip(site.object_ids, ["anomaly", "regular", "artefact", "unknown"], strict=False))
    page.keyboard.press("z")
    page.wait_for_url(site.page_of(3))
    assert [item.object_id for item in site.kept()] == site.object_ids[:3]
    page.keyboard.press("z")
    page.wait_for_selector("#hint:has-text('There is no verdict to take back')")
    for key, then in (("u", f"{site.page_of(4)}?judged=*"), ("a", f"{site.url}/index.html*")):
        page.keyboard.press(key)
        page.wait_for_url(then)
    page.keyboard.press("z")
    page.wait_for_url(site.page_of(4))
    page.keyboard.press("r")
    page.wait_for_url(f"{site.url}/index.html*")
    shown = [cell.split()[0] for cell in page.locator("#night tbody td.verdict").all_inner_texts()]
    assert shown == ["anomaly", "regular", "artefact", "unknown", "regular"]
    assert "5 of 5 judged" in page.get_by_label("Verdicts", exact=True).inner_text()
    page.goto(site.page_of(1))
    page.keyboard.press("z")
    page.wait_for_selector("text=Not judged yet")
    assert site.object_ids[1] not in {item.object_id for item in site.kept()}


def test_the_next_object_is_the_next_of_the_list_as_it_was_sorted(page: "Page", site):
    page.goto(f"{site.url}/index.html")
    page.get_by_role("button", name="Prior").click()
    order = page.locator("#night tbody .id a").all_inner_texts()
    assert order != site.object_ids
    page.locator("#night tbody .id a").first.click()
    page.wait_for_url(f"{site.url}/objects/{order[0]}.html")
    for object_id in order[1:]:
        page.keyboard.press("r")
        page.wait_for_url(f"{site.url}/objects/{object_id}.html?judged=*")
    page.keyboard.press("r")
    page.wait_for_url(f"{site.url}/index.html*")
    assert [item.object_id for item in site.kept()] == order


def test_while_a_note_is_typed_letters_and_enter_judge_nothing(page: "Page", site):
    page.goto(site.page_of(0))
    page.get_by_label("Note").focus()
    page.keyboard.type("a bruz")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert page.url == site.page_of(0) and site.kept() == []
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_url(f"{site.page_of(1)}?judged=*")
    assert [item.note for item in site.kept()] == ["a bruz"]


def test_a_note_with_a_script_is_shown_as_text(page: "Page", site):
    page.goto(site.page_of(0))
    page.get_by_label("Note").fill(HOSTILE)
    page.get_by_role("button", name="Anomaly").click()
    page.wait_for_url(f"{site.page_of(1)}?judged=*")
    page.goto(site.page_of(0))
    assert HOSTILE in page.locator(".verdict-current").inner_text()
    assert site.object_ids[0] in page.title() and page.locator(".verdict-bar img, .verdict-bar script").count() == 0
    page.goto(f"{site.url}/index.html")
    assert page.locator("#night tbody td.verdict small").inner_text() == "Ada <b>Ångström</b>"


def test_a_verdict_on_what_somebody_has_just_judged_comes_back_with_the_note(browser: "Browser", site):
    page = browser.new_page()  # one that may report an error: two answers are one
    page.goto(f"{site.url}{site.door.address}")
    page.goto(site.page_of(0))
    with Ledger(site.ledger_path) as ledger:
        ledger.verdicts.add(Verdict(site.object_ids[0], "artefact", "Grace", datetime.datetime.now(datetime.UTC)))
    page.get_by_label("Note").fill("a long thought")
    page.get_by_role("button", name="Regular").click()
    page.wait_for_selector("text=Grace said artefact")
    assert page.get_by_label("Note").input_value() == "a long thought"
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.get_by_role("button", name="Regular").click()
    page.wait_for_url(f"{site.page_of(1)}?judged=*")
    assert [item.note for item in site.kept()] == ["", "a long thought"]
    page.goto(site.page_of(0))
    page.context.clear_cookies()  # as after a restart
    page.get_by_label("Note").fill("another thought")
    page.get_by_role("button", name="Regular").click()
    page.wait_for_selector("text=Your note, which was not kept: another thought")
    assert len(site.kept()) == 2
    page.close()


@pytest.mark.parametrize(
    ("theme", "width"), [("light", 390), ("dark", 1440), *cases_of_the_long_suite(("light", 1440), ("dark", 390))]
)
def test_the_pages_with_verdicts_are_accessible_and_fit(page: "Page", site, theme, width):
    with Ledger(site.ledger_path) as ledger:
        for person in ("Ada <b>Ångström</b>", "Grace"):
            when = datetime.datetime.now(datetime.UTC)
            ledger.verdicts.add(Verdict(site.object_ids[0], "anomaly", person, when, "a long note " * 40))
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=theme)
    judged = f"?judged={site.object_ids[0]}"
    for url in (site.page_of(0), site.page_of(1) + judged, f"{site.url}/index.html{judged}", f"{site.url}/index.html"):
        page.goto(url)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
