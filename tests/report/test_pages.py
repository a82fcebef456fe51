"""The pages of a night: whole, offline, safe with any text, and never half written."""

import collections
import dataclasses
import html.parser
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from annotator.errors import ConfigError
from annotator.models import Model, load_models
from annotator.report.expected import has_stamps
from annotator.report.night import PastScore
from annotator.report.pages import render
from annotator.report.pages import write as pages
from annotator.report.pages.render import page_name, pictures_of, render_index
from annotator.report.pages.swap import MARKER
from annotator.report.pages.write import write_pages
from tests.report.report_nights import HOSTILE, MODELS_FOLDER, make_night, night_with

N_OBJECTS = 22
MAX_BYTES_A_ROW = 3000


class Page(html.parser.HTMLParser):
    """What a browser finds on a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] for _, attrs in self.elements if name in attrs]


def write(night, folder: Path, jobs: int = 1) -> Path:
    return write_pages(night, MODELS_FOLDER, "ztf", folder, jobs)


@pytest.fixture(scope="module")
def night():
    return make_night(N_OBJECTS)


@pytest.fixture(scope="module")
def index(night, tmp_path_factory) -> Path:
    return write(night, tmp_path_factory.mktemp("night") / "report")


@pytest.fixture(scope="module")
def hostile_index(tmp_path_factory) -> Path:
    return write(make_night(N_OBJECTS, hostile=True), tmp_path_factory.mktemp("hostile") / "report")


def all_pages(index: Path) -> list[Page]:
    return [Page(path) for path in (index, *sorted((index.parent / "objects").iterdir()))]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_object_has_a_row_in_the_order_of_ranks_and_a_page(night, index):
    rows = [attrs["href"] for tag, attrs in Page(index).elements if tag == "a" and attrs["href"].startswith("objects/")]
    assert rows == [f"objects/{item.object_id}.html" for item in night.candidates]
    for item in night.candidates:
        page = Page(index.parent / "objects" / page_name(item.object_id))
        assert item.object_id in page.text and item.explanation in page.text
        assert f"rank {item.rank} of {N_OBJECTS}" in page.text
        for reasons in item.reasons.values():
            assert all(reason.words in page.text for reason in reasons)
        for result in item.modalities.values():
            assert result.missing in page.text


def test_pages_lead_from_one_object_to_the_next_by_rank(night, index):
    for number, item in enumerate(night.candidates):
        page = Page(index.parent / "objects" / page_name(item.object_id))
        turns = {attrs["rel"]: attrs["href"] for tag, attrs in page.elements if attrs.get("rel") in ("prev", "next")}
        expected = {}
        if number:
            expected["prev"] = page_name(night.candidates[number - 1].object_id)
        if number + 1 < N_OBJECTS:
            expected["next"] = page_name(night.candidates[number + 1].object_id)
        assert turns == expected


@pytest.mark.parametrize("which", ["index", "hostile_index"])
def test_every_link_is_relative_and_leads_to_a_file_or_out_over_https(which, request):
    place = request.getfixturevalue(which)
    n_files = 0
    for page in all_pages(place):
        for address in page.attributes("href") + page.attributes("src") + page.attributes("xlink:href"):
            if address.startswith(("https://", "#")) or address == "data:,":
                continue
            assert not address.startswith("/") and ":" not in address
            assert (page.path.parent / unquote(address)).is_file(), f"{page.path.name}: {address}"
            n_files += 1
    assert n_files > 5 * N_OBJECTS


@pytest.mark.parametrize("which", ["index", "hostile_index"])
def test_a_page_runs_nothing_but_the_report_s_own_script(which, request):
    for page in all_pages(request.getfixturevalue(which)):
        scripts = [attrs for tag, attrs in page.elements if tag == "script"]
        assert [set(attrs) for attrs in scripts] == [{"src"}] and scripts[0]["src"].endswith("static/report.js")
        assert not [tag for tag, _ in page.elements if tag in ("iframe", "object", "embed", "base", "style")]
        assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
        assert not [value for value in page.attributes("href") if value.lower().startswith("javascript")]
        (policy,) = [attrs["content"] for _, attrs in page.elements if attrs.get("http-equiv")]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe-eval" not in policy


def test_hostile_text_is_shown_as_it_is(hostile_index):
    page = Page(hostile_index)
    for text in HOSTILE:
        assert text in page.text
    shown = "".join(page.text for page in all_pages(hostile_index)[1:])
    for text in HOSTILE:
        assert shown.count(text) > 5  # name, class, explanation, person, note, reason


def test_names_on_a_page_are_unique(index):
    for page in all_pages(index):
        names = page.attributes("id")
        assert len(names) == len(set(names)), page.path
        for reference in page.attributes("aria-labelledby"):
            assert reference in names


def test_pictures_have_a_size_and_an_alternative_and_those_of_the_list_are_loaded_late(index):
    for page in all_pages(index):
        for tag, attrs in page.elements:
            if tag == "img":
                assert attrs["alt"] and int(attrs["width"]) > 0 and int(attrs["height"]) > 0
                assert page.path.name != "index.html" or attrs["loading"] == "lazy"


def test_the_list_stays_below_three_megabytes_for_a_thousand_objects(night, tmp_path):
    longest = [dataclasses.replace(item, explanation="x" * 250) for item in night.candidates]
    whole = write(night_with(longest), tmp_path / "whole").stat().st_size
    empty = write(night_with([]), tmp_path / "empty").stat().st_size
    assert (whole - empty) / N_OBJECTS < MAX_BYTES_A_ROW
    assert 1000 * (whole - empty) / N_OBJECTS + empty < 3e6


def test_the_same_night_gives_the_same_files_whatever_number_of_processes_writes_them(
    night, index, tmp_path, monkeypatch
):
    monkeypatch.setattr(pages, "_WORTH_A_PROCESS", N_OBJECTS // 2)
    again = write(night, tmp_path / "again", jobs=2)
    assert contents(again.parent) == contents(index.parent)


def test_a_report_takes_the_place_of_an_earlier_one(night, tmp_path):
    write(night, tmp_path / "report")
    index = write(night_with(night.candidates[:2]), tmp_path / "report")
    assert len(list((index.parent / "objects").iterdir())) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_what_is_no_file_of_the_earlier_report_stays(night, tmp_path):
    few = night_with(night.candidates[:2])
    index = write(few, tmp_path / "report")
    for name in ("notes.txt", "objects/mine.html", "mine/deep/file.csv"):
        (index.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (index.parent / name).write_text("mine")
    write(few, tmp_path / "report")
    for name in ("notes.txt", "objects/mine.html", "mine/deep/file.csv"):
        assert (index.parent / name).read_text() == "mine"


def test_a_link_to_somebody_s_folder_stays_too(night, tmp_path):
    few = night_with(night.candidates[:1])
    folder = write(few, tmp_path / "report").parent
    (tmp_path / "notes").mkdir()
    (folder / "notes").symlink_to(tmp_path / "notes")
    write(few, folder)
    assert (folder / "notes").resolve() == tmp_path / "notes"


@pytest.mark.parametrize("n_renames", [1, 2])
def test_the_next_report_finishes_what_one_was_killed_at(n_renames, night, tmp_path, monkeypatch):
    few = night_with(night.candidates[:1])
    folder = write(few, tmp_path / "report").parent
    (folder / "mine.txt").write_text("mine")
    left = iter(range(n_renames))
    rename = Path.rename

    def killed(self, target):
        if next(left, None) is None:
            raise SystemExit
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(SystemExit):
            write(few, folder)
    assert not (folder / "mine.txt").exists()
    write(few, folder)
    assert (folder / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_an_interrupted_report_leaves_the_earlier_one(night, tmp_path, monkeypatch):
    few = night_with(night.candidates[:3])
    index = write(few, tmp_path / "report")
    before = contents(index.parent)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pages, "_write_pictures", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(few, tmp_path / "report")
    assert contents(index.parent) == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_report_that_cannot_be_put_in_place_leaves_the_earlier_one(night, tmp_path, monkeypatch):
    few = night_with(night.candidates[:1])
    index = write(few, tmp_path / "report")
    before = contents(index.parent)
    rename = Path.rename

    def failing(self, target):
        if Path(target).name == "report" and not self.name.endswith("-old"):
            raise OSError("no space")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="no space"):
        write(few, tmp_path / "report")
    assert contents(index.parent) == before


def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(night, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="other files"):
        write(night, tmp_path / "thesis")
    assert contents(tmp_path / "thesis") == {"chapter.tex": b"years of work"}
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="found a file"):
        write(night, tmp_path / "file")


def test_a_folder_that_only_looks_like_one_an_interrupted_report_left_is_not_touched(night, tmp_path):
    few = night_with(night.candidates[:1])
    (tmp_path / ".report.mine-old").mkdir()
    (tmp_path / ".report.mine-old" / "chapter.tex").write_text("years of work")
    for _ in range(2):
        write(few, tmp_path / "report")
    assert contents(tmp_path / ".report.mine-old") == {"chapter.tex": b"years of work"}


def test_an_empty_folder_and_one_whose_parents_are_missing_are_filled(night, tmp_path):
    few = night_with(night.candidates[:1])
    (tmp_path / "empty").mkdir()
    assert write(few, tmp_path / "empty").is_file()
    assert (write(few, tmp_path / "a" / "b").parent / MARKER).is_file()


def test_a_night_without_objects_says_so(tmp_path):
    page = Page(write(night_with([]), tmp_path / "report"))
    assert "No object was scored in this night." in page.text
    assert not [tag for tag, _ in page.elements if tag == "table"]


def test_the_list_is_ranked_by_worth_only_where_there_is_any_and_says_of_models_that_they_are_provisional(night):
    bare = night_with(night.candidates[:2])
    with_worth = night_with([night.candidates[0], dataclasses.replace(night.candidates[1], worth=0.4)])
    of_simulations = dataclasses.replace(bare, provisional="of simulations alone")
    for shown, has_worth in ((with_worth, True), (of_simulations, False)):
        text = render_index(shown, [pictures_of(item) for item in shown.candidates])
        assert [name in text for name in (">worth</option>", ">worth, known or not</option>")] == [has_worth] * 2
        assert ("<dt>Provisional models</dt><dd>of simulations alone</dd>" in text) is not has_worth


def test_a_night_without_any_stamps_or_light_curves_has_pages_that_say_why(night, tmp_path):
    bare = [
        dataclasses.replace(
            item, transient=item.transient and dataclasses.replace(item.transient, triplet=None, light_curve=None)
        )
        for item in night.candidates[:3]
    ]
    index = write(night_with(bare), tmp_path / "report")
    assert list((index.parent / "images").iterdir()) == []
    page = Page(index.parent / "objects" / page_name(bare[0].object_id))
    assert "No stamps." in page.text and "No light curve." in page.text


def test_an_object_whose_evidence_is_gone_keeps_its_scores_and_reasons(night, tmp_path):
    gone = dataclasses.replace(night.candidates[1], transient=None)
    page = Page(write(night_with([gone]), tmp_path / "report").parent / "objects" / page_name(gone.object_id))
    assert "no longer kept" in page.text and f"{gone.score:.2f}" in page.text and gone.explanation in page.text


def test_thresholds_and_scores_of_0_make_a_report_like_any_other(night, tmp_path):
    none = dataclasses.replace(night.candidates[0], score=0.0, history=(PastScore(1.8e9, None, None, "", "", 0.0, {}),))
    index = write(dataclasses.replace(night_with([none]), anomaly_score=0.0, watch_score=0.0), tmp_path / "report")
    assert "anomaly from 0" in Page(index).text
    assert "watch 0" in Page(index.parent / "objects" / page_name(none.object_id)).text


def test_an_object_without_a_history_judgement_or_any_modality_has_a_page(night, tmp_path):
    bare = dataclasses.replace(
        night.candidates[0], modalities={}, reasons={}, history=(), judgement=None, prior=None, exotic=None, n_det=None,
        mjd=None, first_flagged_mjd=None, tns_name="", transient=None,
    )  # fmt: skip
    page = Page(write(night_with([bare]), tmp_path / "report").parent / "objects" / page_name(bare.object_id))
    assert "No scoring is kept." in page.text


def test_an_object_twice_in_a_night_is_refused(night, tmp_path):
    with pytest.raises(ConfigError, match="found one twice"):
        write(night_with([night.candidates[0]] * 2), tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_a_judgement_is_shown_with_who_gave_it_and_when(night, index):
    judged = [item for item in night.candidates if item.judgement]
    assert judged
    for item in judged:
        text = Page(index.parent / "objects" / page_name(item.object_id)).text
        said = item.judgement
        assert said.verdict in text and said.person in text and said.when in text and said.note in text


def test_an_object_without_reasons_says_when_they_are_found(night, tmp_path):
    unknown = dataclasses.replace(night.candidates[0], reasons={}, has_reasons=False)
    gone = dataclasses.replace(unknown, object_id="ZTF99gone", transient=None)
    index = write(night_with([unknown, gone]), tmp_path / "report")
    text = Page(index.parent / "objects" / page_name(unknown.object_id)).text
    assert "What carries the score is not known yet" in text and "No part of it stands out" not in text
    assert "Nobody looked for what carries the score" in Page(index.parent / "objects" / page_name(gone.object_id)).text


def test_of_other_models_than_those_installed_only_what_was_seen_is_shown(night, tmp_path):
    item = next(item for item in night.candidates if item.transient and item.transient.triplet)
    other = dataclasses.replace(night_with([item]), model_set="aha-ztf-0.9", other_models=night.model_set)
    index = write(other, tmp_path / "report")
    page = Page(index.parent / "objects" / page_name(item.object_id))
    for text in (Page(index).text, page.text):
        assert f"{night.model_set} is installed, so that nothing is shown of what the models expect" in text
    (stamps,) = [attrs for tag, attrs in page.elements if tag == "img"]
    assert int(stamps["height"]) == 63 and "most like it" not in page.text
    assert item.explanation in page.text and "Nearest known objects" not in page.text


def test_a_report_asks_each_model_that_has_a_picture_once_an_object_and_no_other_anything(night, tmp_path, monkeypatch):
    runs: collections.Counter[str] = collections.Counter()
    run = Model.run

    def counted(model, tensors, outputs=None):
        runs[model.manifest.modality] += len(next(iter(tensors.values())))
        return run(model, tensors, outputs)

    monkeypatch.setattr(Model, "run", counted)
    load_models(MODELS_FOLDER, "ztf")
    of_loading = runs.copy()
    runs.clear()
    write(night, tmp_path / "report")
    drawn = [item.transient for item in night.candidates if item.transient]
    assert runs["features"] == of_loading["features"]
    assert runs["lightcurve"] - of_loading["lightcurve"] <= sum(item.light_curve is not None for item in drawn)
    assert runs["triplet"] - of_loading["triplet"] == sum(has_stamps(item) for item in drawn) > 0


@pytest.mark.parametrize("object_id", ["../../etc/passwd", "a/b", "", "ZTF99aaaaaaa.html", "x" * 300, *HOSTILE])
def test_a_name_that_is_no_file_name_gets_one(object_id):
    name = page_name(object_id)
    assert name.removesuffix(".html").replace("-", "").isalnum() and len(name) < 40
    assert page_name("ZTF99aaaaaaa") == "ZTF99aaaaaaa.html" != name


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_a_missing_package_is_named_with_what_to_install(missing, night, tmp_path, monkeypatch):
    render._environment.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"{missing}.*pip install 'lasair-aha\[report\]'"):
        write(night, tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def test_the_command_starts_without_what_only_reports_need():
    code = "import sys, annotator.cli, annotator.report.pages.write, annotator.report.explain_plot; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"matplotlib", "jinja2", "flask"} & {name.partition(".")[0] for name in ran.stdout.split()}
