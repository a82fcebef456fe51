"""The report as people use it: opened from disk, with mouse, keyboard, and assistive technology."""

import shutil
import subprocess
from pathlib import Path

import pytest

from annotator.report.pages.render import page_name
from annotator.report.pages.write import write_pages
from tests.browser.conftest import wait_until
from tests.conftest import cases_of_the_long_suite, of_the_long_suite
from tests.report.report_nights import MODELS_FOLDER, make_night

N_OBJECTS = 26
PHONE = {"width": 390, "height": 844}
LAPTOP = {"width": 1440, "height": 900}
CONTROL_ROOM = {"width": 2560, "height": 1440}


@pytest.fixture(scope="module")
def night():
    return make_night(N_OBJECTS)


@pytest.fixture(scope="module")
def index(night, tmp_path_factory) -> Path:
    return write_pages(night, MODELS_FOLDER, "ztf", tmp_path_factory.mktemp("browser") / "a report", 1)


@pytest.fixture
def opened(page, index):
    """The list, from disk."""
    page.goto(index.as_uri())
    return page


def shown_ids(page) -> list[str]:
    return page.locator("#night tbody tr:not([hidden]) .id a").all_inner_texts()


def column(page, key: str) -> list[str]:
    number = page.evaluate(
        f"[...document.querySelectorAll('#night th[scope=col]')].findIndex(h => h.dataset.key === '{key}')"
    )
    return page.locator(f"#night tbody tr:not([hidden]) > :nth-child({number + 1})").all_inner_texts()


def test_a_column_sorts_both_ways_with_missing_values_last(opened, night):
    header = opened.locator("th[data-key=lightcurve]")
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    values = column(opened, "lightcurve")
    there = [float(value) for value in values if value[0] != "–"]
    assert there == sorted(there, reverse=True) and 0 < len(there) < N_OBJECTS
    assert all(value[0] == "–" for value in values[len(there) :])
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    values = column(opened, "lightcurve")
    assert [float(value) for value in values[: len(there)]] == sorted(there)
    assert all(value[0] == "–" for value in values[len(there) :])


def test_every_column_sorts(opened):
    for key in ("position", "id", "class", "score", "det", "sherlock", "tns", "words", "verdict"):
        opened.locator(f"th[data-key={key}] button").click()
        opened.locator(f"th[data-key={key}] button").click()
        once = column(opened, key)
        opened.locator(f"th[data-key={key}] button").click()
        missing = [value for value in once if value.startswith("–")]
        rest = [value for value in once if not value.startswith("–")]
        again = [value for value in column(opened, key) if not value.startswith("–")]
        assert again != rest or len(set(rest)) == 1, key
        assert sorted(again) == sorted(rest) and len(missing) + len(rest) == N_OBJECTS, key


def test_the_night_is_ranked_by_any_score(opened, night):
    opened.select_option("#rank", "triplet")
    best = max((item for item in night.candidates if item.modalities["triplet"].score is not None),
               key=lambda item: (round(item.modalities["triplet"].score, 2), -item.rank))  # fmt: skip
    assert shown_ids(opened)[0] == best.object_id
    opened.select_option("#rank", "score")
    assert shown_ids(opened) == [item.object_id for item in night.candidates]


def test_search_finds_names_and_words_and_the_count_is_announced(opened, night):
    item = night.candidates[7]
    opened.fill("#q", item.object_id.upper())
    assert shown_ids(opened) == [item.object_id]
    count = opened.locator("#count")
    assert count.inner_text() == f"1 of {N_OBJECTS}" and count.get_attribute("aria-live") == "polite"
    named = next(item for item in night.candidates if item.tns_name)
    opened.fill("#q", named.tns_name.lower())
    assert named.object_id in shown_ids(opened)
    opened.fill("#q", "supernovae light")
    expected = [
        item.object_id for item in night.candidates if "light" in item.explanation and "supernovae" in item.explanation
    ]
    assert shown_ids(opened) == expected != []
    opened.fill("#q", "nothing is called so")
    assert shown_ids(opened) == [] and opened.locator("#empty").is_visible()


def test_filters_leave_what_they_say(opened, night):
    opened.select_option("#class", "flagged")
    assert shown_ids(opened) == [i.object_id for i in night.candidates if i.classification in ("anomaly", "watch")]
    opened.click("#reset")
    wait_until(opened, f"document.getElementById('count').textContent === '{N_OBJECTS} of {N_OBJECTS}'")
    opened.fill("#min", "1.5")
    assert shown_ids(opened) == [i.object_id for i in night.candidates if round(i.score, 2) >= 1.5]
    opened.fill("#min", "")
    opened.check("#new")
    assert shown_ids(opened) == [i.object_id for i in night.candidates if i.is_new]
    opened.uncheck("#new")
    opened.select_option("#judged", "yes")
    assert shown_ids(opened) == [i.object_id for i in night.candidates if i.judgement] != []
    opened.select_option("#judged", "no")
    assert shown_ids(opened) == [i.object_id for i in night.candidates if not i.judgement]
    opened.select_option("#judged", "")
    opened.select_option("#sherlock", "SN")
    assert shown_ids(opened) == [i.object_id for i in night.candidates if i.sherlock_class == "SN"] != []
    opened.select_option("#sherlock", "-")
    assert shown_ids(opened) == [i.object_id for i in night.candidates if not i.sherlock_class] != []


def test_what_was_asked_for_is_kept_in_the_address(opened, index):
    opened.select_option("#class", "normal")
    opened.fill("#q", "zTF")
    opened.fill("#min", "0.5")
    opened.locator("th[data-key=prior] button").click()
    address, ids = opened.url, shown_ids(opened)
    opened.goto("about:blank")
    opened.goto(address)
    assert shown_ids(opened) == ids != []
    assert opened.input_value("#class") == "normal" and opened.input_value("#q") == "zTF"
    assert opened.input_value("#min") == "0.5"
    assert opened.locator("th[data-key=prior]").get_attribute("aria-sort") == "descending"


def test_an_address_with_nonsense_opens_the_list(page, index):
    page.goto(index.as_uri() + "#sort=__proto__:descending&class=none&min=x&q=%22%3E%3Cb%3E")
    assert page.locator("#count").inner_text() == f"0 of {N_OBJECTS}"


def test_keys_select_a_row_and_open_it(opened, night):
    for key in ("j", "j", "j", "k"):
        opened.keyboard.press(key)
    selected = opened.locator("tr.selected")
    assert selected.count() == 1 and night.candidates[1].object_id in selected.inner_text()
    opened.keyboard.press("Enter")
    opened.wait_for_url(f"**/{page_name(night.candidates[1].object_id)}")


def test_the_keyboard_walks_through_objects_in_the_list_s_order(opened, night):
    opened.locator("th[data-key=id] button").click()
    ids = shown_ids(opened)
    opened.locator("body").click(position={"x": 2, "y": 2})
    opened.keyboard.press("j")
    opened.keyboard.press("Enter")
    opened.wait_for_url(f"**/{page_name(ids[0])}")
    opened.keyboard.press("k")
    assert "first object" in opened.locator("#hint").inner_text()
    opened.keyboard.press("j")
    opened.wait_for_url(f"**/{page_name(ids[1])}")
    assert f"2 of {N_OBJECTS} in the list" in opened.locator("#place").inner_text()
    opened.keyboard.press("k")
    opened.wait_for_url(f"**/{page_name(ids[0])}")
    opened.keyboard.press("l")
    opened.wait_for_url("**/index.html#sort=id*")
    assert ids[0] in opened.locator("tr.selected").inner_text()


def test_a_page_that_was_opened_by_itself_follows_the_ranks(page, index, night):
    page.goto((index.parent / "objects" / page_name(night.candidates[3].object_id)).as_uri())
    page.keyboard.press("j")
    page.wait_for_url(f"**/{page_name(night.candidates[4].object_id)}")


def test_a_click_anywhere_on_a_row_opens_the_object(opened, night):
    opened.locator("tbody tr").nth(2).locator(".class").click()
    opened.wait_for_url(f"**/{page_name(night.candidates[2].object_id)}")


def test_a_link_opens_in_a_tab_of_its_own_where_the_mouse_asks_for_it(opened, night):
    with opened.context.expect_page() as another:
        opened.locator(".id a").first.click(modifiers=["Control"])
    another.value.wait_for_url(f"**/{page_name(night.candidates[0].object_id)}")
    assert opened.url.endswith("index.html")


def test_slash_searches_and_keys_typed_there_are_only_text(opened):
    opened.keyboard.press("/")
    opened.keyboard.type("jk?ar")
    assert opened.input_value("#q") == "jk?ar"
    assert opened.locator("tr.selected").count() == 0 and not opened.locator("#help").is_visible()
    assert opened.locator("#hint").inner_text() == ""


def test_keys_with_a_modifier_are_left_to_the_browser(opened):
    opened.keyboard.press("Control+j")
    opened.keyboard.press("Alt+j")
    assert opened.locator("tr.selected").count() == 0


def test_help_opens_by_key_and_by_button_and_closes(opened):
    opened.keyboard.press("?")
    assert opened.locator("#help").is_visible()
    opened.keyboard.press("j")
    assert opened.locator("tr.selected").count() == 0
    opened.keyboard.press("Escape")
    assert not opened.locator("#help").is_visible()
    opened.click("#help-open")
    opened.get_by_role("button", name="Close").click()
    assert not opened.locator("#help").is_visible()


def test_verdict_keys_say_where_verdicts_are_kept(page, index, night):
    page.goto((index.parent / "objects" / page_name(night.candidates[0].object_id)).as_uri())
    for key in ("a", "r", "b", "u", "z"):
        page.keyboard.press(key)
        assert page.locator("#hint").inner_text() == "Verdicts are kept by aha-annotator inspect"


def test_the_theme_follows_the_system_until_the_button_is_pressed_and_is_kept(opened, index, night):
    def background() -> str:
        return opened.evaluate("getComputedStyle(document.body).backgroundColor")

    opened.emulate_media(color_scheme="dark")
    dark = background()
    opened.emulate_media(color_scheme="light")
    light = background()
    assert dark != light
    opened.click("#theme")
    assert background() == dark
    opened.goto((index.parent / "objects" / page_name(night.candidates[0].object_id)).as_uri())
    assert background() == dark
    opened.keyboard.press("t")
    assert background() == light


def test_every_picture_loads(opened, index, night):
    opened.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager'; })")
    wait_until(opened, "[...document.images].every(image => image.complete)")
    widths = opened.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) > N_OBJECTS and min(widths) > 0
    with_stamps = next(item for item in night.candidates if item.transient and item.transient.triplet)
    opened.goto((index.parent / "objects" / page_name(with_stamps.object_id)).as_uri())
    wait_until(opened, "[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert opened.evaluate("document.images.length") == 1


def test_pictures_far_down_are_not_loaded_before_they_are_needed(page, tmp_path):
    index = write_pages(make_night(60), MODELS_FOLDER, "ztf", tmp_path / "report", 1)
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(index.as_uri(), wait_until="networkidle")
    n_pictures = page.evaluate("document.images.length")
    assert 0 < sum("/images/" in url for url in requested) < n_pictures


def test_the_list_is_whole_without_javascript(browser, index, night):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(index.as_uri())
    assert page.locator("tbody tr").count() == N_OBJECTS
    assert not page.locator("#toolbar").is_visible()
    page.locator(".id a").first.click()
    page.wait_for_url("**/objects/*")
    assert page.locator("h1").inner_text() == night.candidates[0].object_id
    context.close()


def test_hostile_names_and_words_are_not_executed(page, tmp_path):
    night = make_night(N_OBJECTS, hostile=True)
    index = write_pages(night, MODELS_FOLDER, "ztf", tmp_path / "hostile", 1)
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    page.goto(index.as_uri())
    assert page.title().startswith("Night of") and page.locator("tbody tr").count() == N_OBJECTS
    assert page.evaluate("document.documentElement.scrollWidth") <= LAPTOP["width"]
    for key in ("class", "id", "words", "verdict"):
        page.locator(f"th[data-key={key}] button").click()
    page.fill("#q", "<script>")
    assert 0 < page.locator("tbody tr:not([hidden])").count() < N_OBJECTS
    page.fill("#q", "")
    for item in night.candidates[:10]:
        page.goto((index.parent / "objects" / page_name(item.object_id)).as_uri())
        assert page.locator("h1").inner_text().split() == item.object_id.split()
        assert page.title() != "executed" and not page.locator("img[src=x]").count()


@pytest.mark.parametrize("family", ["", "DejaVu Sans", *of_the_long_suite("Liberation Sans", "Noto Sans")])
def test_nothing_is_wider_than_the_screen_in_any_font(page, index, night, family):
    """Words are up to a tenth wider in one font than in another, and a page is shown in what its reader has."""
    if family and not _is_installed(family):
        pytest.skip(f"the font {family} is not installed")
    with_all = next(item for item in night.candidates if item.transient and item.transient.triplet)
    for path in (index, index.parent / "objects" / page_name(with_all.object_id)):
        page.goto(path.as_uri())
        if family:
            page.add_style_tag(content=f':root {{ --font: "{family}"; }}')
            assert page.evaluate("getComputedStyle(document.body).fontFamily") == f'"{family}"'
        for width in (390, 768, 1100, 1280, 1440, 1510, 1920, 2560):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (path.name, width)


def _is_installed(family: str) -> bool:
    return bool(shutil.which("fc-list") and subprocess.run(["fc-list", family], capture_output=True).stdout)


def test_the_head_of_the_list_stays_in_sight(opened):
    opened.evaluate("window.scrollTo(0, 900)")
    box = opened.locator("th[data-key=score]").bounding_box()
    top = opened.locator("#top").bounding_box()
    assert top["y"] == 0 and box["y"] == pytest.approx(top["height"], abs=1)


@pytest.mark.parametrize(
    ("theme", "size"),
    [
        ("light", PHONE),
        ("dark", LAPTOP),
        *cases_of_the_long_suite(("dark", PHONE), ("light", LAPTOP), ("light", CONTROL_ROOM), ("dark", CONTROL_ROOM)),
    ],
)
def test_pages_are_accessible(page, index, night, theme, size):
    axe = pytest.importorskip("axe_playwright_python", reason="axe_playwright_python is not installed: no axe-core")
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=theme)
    judged = next(item for item in night.candidates if item.judgement and item.transient)
    bare = next(item for item in night.candidates if item.transient is None)
    for path in (index, *(index.parent / "objects" / page_name(item.object_id) for item in (judged, bare))):
        page.goto(path.as_uri())
        page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
        found = page.evaluate(
            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'], preload: false})"
        )["violations"]
        said = [
            (item["id"], item["help"], item["nodes"][0]["html"], item["nodes"][0]["failureSummary"]) for item in found
        ]
        assert said == [], path.name
