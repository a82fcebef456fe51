"""The ranked night as pages: a folder that opens from disk, without a server and without a network."""

import concurrent.futures
import dataclasses
import functools
import hashlib
import importlib.resources
import multiprocessing
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from annotator.annotation import OBJECT_ID
from annotator.errors import ConfigError
from annotator.models import ModelSet, load_models
from annotator.models.known import Known, load_known
from annotator.preprocess.triplet import CHANNELS
from annotator.report.expected import Shown, show
from annotator.report.night import Candidate, Night
from annotator.report.pages import text as page_text
from annotator.report.pages.light_curve_plot import LightCurvePlot, need_matplotlib
from annotator.report.pages.swap import MARKER, finish_swaps, refuse_foreign, swap
from annotator.report.pages.thumbnails import (
    DEVIATION_RANGE,
    THUMBNAIL_SIDE,
    light_curve_thumbnail,
    score_history_svg,
    stamps_png,
    stamps_side,
    stamps_thumbnail_png,
)
from annotator.surveys.links import lasair_page, links

if TYPE_CHECKING:
    import jinja2


INDEX = "index.html"

MODALITIES: Mapping[str, str] = page_text.MODALITIES

FIRST_QUANTITIES = 14
"""Rows of features that are shown at once; the others are folded."""

_OBJECTS_AT_A_TIME = 20
"""That a process is given at once: few enough that the last of them does not keep everybody waiting."""


@dataclass(frozen=True)
class Pictures:
    """Which pictures an object has."""

    has_curve: bool = False
    stamp_rows: int = 0
    """Rows of three stamps: as seen, as expected, deviation."""


@dataclass(frozen=True)
class Place:
    """Where an object stands in the night's order: the pages beside its own."""

    previous: str | None
    next: str | None


@dataclass(frozen=True)
class _Work:
    """What a process needs to make pages."""

    night: Night
    """Without its objects."""
    n_objects: int
    models_folder: Path | None
    folder: Path


@dataclass
class _Tools:
    """What a process makes once."""

    work: _Work
    models: ModelSet
    known: Known | None
    plot: LightCurvePlot
    page: "jinja2.Template" = field(repr=False)


def page_name(object_id: str) -> str:
    """Return the name of an object's page in the folder ``objects``.

    It is the object's own name wherever that is one Lasair knows; any other may hold what no file name can.
    """
    return f"{_stem(object_id)}.html"


def _stem(object_id: str) -> str:
    if OBJECT_ID.fullmatch(object_id):
        return object_id
    return f"object-{hashlib.sha256(object_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def write_pages(night: Night, models_folder: Path | None, survey: str, folder: Path, jobs: int = 2) -> Path:
    """Write a night as pages.

    They are written beside the folder and put in its place when all are there: an interrupted report leaves the earlier
    one. The same night gives the same files.

    Parameters
    ----------
    night
        What is shown.
    models_folder, survey
        The models that are asked what they expect, as :func:`annotator.models.load_models` takes them.
    folder
        Where the pages go. An earlier report there is replaced; files that are not of a report stay.
    jobs
        Processes; with 1 all is done in this one.

    Returns
    -------
    Path
        The page to open.

    Raises
    ------
    ConfigError
        If the folder holds something else, or what reports are made with is not installed.
    """
    need_matplotlib()
    environment = _environment()
    folder = folder.resolve()
    finish_swaps(folder)
    refuse_foreign(folder)
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for part in ("objects", "images", "static"):
            (new / part).mkdir(parents=True)
        for name in ("style.css", "report.js"):
            (new / "static" / name).write_bytes(
                (importlib.resources.files("annotator.report") / "static" / name).read_bytes()
            )
        work = _Work(dataclasses.replace(night, candidates=()), len(night.candidates), models_folder, new)
        pictures = _write_objects(night.candidates, work, survey, jobs)
        page = environment.get_template(INDEX).render(_index_data(night, pictures))
        (new / INDEX).write_text(page, encoding="utf-8", errors="replace")
        files = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
        (new / MARKER).write_text("\n".join([*files, MARKER, ""]), encoding="utf-8")
        swap(folder, new)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder / INDEX


def _write_objects(candidates: Sequence[Candidate], work: _Work, survey: str, jobs: int) -> list[Pictures]:
    """Write the objects' pages and pictures, in order; say what each has."""
    names = [page_name(item.object_id) for item in candidates]
    if len(set(names)) < len(names):
        raise ConfigError("expected each object of a night once, found one twice; make the night anew")
    tasks = [
        (item, Place(names[number - 1] if number else None, names[number + 1] if number + 1 < len(names) else None))
        for number, item in enumerate(candidates)
    ]
    parts = [tasks[start : start + _OBJECTS_AT_A_TIME] for start in range(0, len(tasks), _OBJECTS_AT_A_TIME)]
    if jobs <= 1 or len(parts) < 2:
        tools = _make_tools(work, survey)
        return [_write_object(tools, *task) for task in tasks]
    with concurrent.futures.ProcessPoolExecutor(
        min(jobs, len(parts)), multiprocessing.get_context("spawn"), _start_process, (work, survey)
    ) as pool:
        return [pictures for part in pool.map(_write_part, parts) for pictures in part]


_process: _Tools | None = None
"""Of a process of the pool."""


def _start_process(work: _Work, survey: str) -> None:
    global _process
    _process = _make_tools(work, survey)


def _write_part(tasks: Sequence[tuple[Candidate, Place]]) -> list[Pictures]:
    return [_write_object(_process, *task) for task in tasks]


def _make_tools(work: _Work, survey: str) -> _Tools:
    models = load_models(work.models_folder, survey)
    known = load_known(work.models_folder, survey, models)
    return _Tools(work, models, known, LightCurvePlot(), _environment().get_template("object.html"))


def _write_object(tools: _Tools, candidate: Candidate, place: Place) -> Pictures:
    shown = show(candidate.transient, tools.models, tools.known, candidate.reasons)
    folder, stem = tools.work.folder, _stem(candidate.object_id)
    pictures = _write_pictures(folder / "images", stem, shown)
    page = tools.page.render(_object_data(tools, candidate, place, shown, pictures))
    (folder / "objects" / f"{stem}.html").write_text(page, encoding="utf-8", errors="replace")
    return pictures


def _write_pictures(folder: Path, stem: str, shown: Shown) -> Pictures:
    stamp_rows = 0
    if shown.curve is not None:
        (folder / f"{stem}_lightcurve.svg").write_text(light_curve_thumbnail(shown.curve), encoding="utf-8")
    if shown.stamps is not None:
        (folder / f"{stem}_thumbnail.png").write_bytes(stamps_thumbnail_png(shown.stamps))
        (folder / f"{stem}_stamps.png").write_bytes(stamps_png(shown.stamps))
        stamp_rows = 1 + (shown.stamps.expected is not None) + (shown.stamps.deviation is not None)
    return Pictures(shown.curve is not None, stamp_rows)


def _object_data(
    tools: _Tools, candidate: Candidate, place: Place, shown: Shown, pictures: Pictures
) -> dict[str, object]:
    import markupsafe

    night = tools.work.night
    curve = history = None
    legend: set[str] = set()
    if shown.curve is not None:
        reasons = candidate.reasons.get("lightcurve", ())
        label = page_text.describe_curve(candidate.object_id, shown.curve, reasons)
        legend = page_text.legend(shown.curve, reasons)
        curve = markupsafe.Markup(tools.plot.svg(shown.curve, reasons, label))
    if candidate.history:
        history = markupsafe.Markup(score_history_svg(candidate.history, night.watch_score, night.anomaly_score))
    return {
        "night": night,
        "n_objects": tools.work.n_objects,
        "item": candidate,
        "place": place,
        "shown": shown,
        "pictures": pictures,
        "stem": _stem(candidate.object_id),
        "curve": curve,
        "legend": legend,
        "history": history,
        "modalities": page_text.modality_rows(candidate, tools.models.models),
        "marks": page_text.stamp_marks(candidate.reasons.get("triplet", ()), pictures.stamp_rows),
        "stamps_width": stamps_side(len(CHANNELS)),
        "stamps_height": stamps_side(pictures.stamp_rows),
        "deviation_range": f"{DEVIATION_RANGE:g}",
        "n_first": max(FIRST_QUANTITIES, sum(item.is_reason for item in shown.quantities)),
        "facts": page_text.facts(candidate),
        "links": links(night.survey, candidate.object_id, candidate.transient, candidate.tns_name),
        "root": "../",
    }


def _index_data(night: Night, pictures: Sequence[Pictures]) -> dict[str, object]:
    return {
        "night": night,
        "rows": list(zip(night.candidates, pictures, strict=True)),
        "tiles": page_text.tiles(night),
        "account": page_text.account(night.summary),
        "classes": sorted({item.classification for item in night.candidates}),
        "sherlock_classes": sorted({item.sherlock_class for item in night.candidates}),
        "score_scale": page_text.score_scale(night),
        "thumbnail_side": THUMBNAIL_SIDE,
        "stamps_width": stamps_side(len(CHANNELS)),
        "stamps_height": stamps_side(1),
        "root": "",
    }


@functools.cache
def _environment() -> "jinja2.Environment":
    try:
        import jinja2
    except ImportError as missing:
        raise ConfigError(
            "reports are written with jinja2, which is not installed: pip install 'lasair-aha[report]'"
        ) from missing
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("annotator.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= page_text.FILTERS
    environment.filters["is_lasair_id"] = OBJECT_ID.fullmatch
    environment.globals |= {
        "MODALITIES": MODALITIES,
        "page_name": page_name,
        "stem_of": _stem,
        "lasair_page": lasair_page,
    }
    return environment
