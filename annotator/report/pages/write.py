"""The ranked night as pages: a folder that opens from disk, without a server and without a network."""

import concurrent.futures
import importlib.resources
import logging
import multiprocessing
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from annotator.fences import failure_of
from annotator.models import load_models
from annotator.models.known import load_known
from annotator.owned_folder import refuse_foreign
from annotator.report.expected import Shown, show
from annotator.report.night import Candidate, Night
from annotator.report.pages.light_curve_plot import need_matplotlib
from annotator.report.pages.render import (
    INDEX,
    Pictures,
    Place,
    Tools,
    make_tools,
    places,
    render_failed,
    render_index,
    render_object,
    stem_of,
    template,
)
from annotator.report.pages.swap import KIND, MARKER, finish_swaps, swap
from annotator.report.pages.thumbnails import light_curve_thumbnail, stamps_png, stamps_thumbnail_png

log = logging.getLogger(__name__)

STATIC: Mapping[str, str] = MappingProxyType({"style.css": "text/css", "report.js": "text/javascript"})
"""What every page loads, and of which type it is."""

_OBJECTS_AT_A_TIME = 20
"""That a process is given at once: few enough that the last of them does not keep everybody waiting."""
_WORTH_A_PROCESS = 75
"""So many objects' pages take as long as a process of its own takes to begin."""


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
        Processes at most; with 1, or where there are few objects, all is done in this one.

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
    template(INDEX)
    folder = folder.resolve()
    finish_swaps(folder)
    refuse_foreign(folder, KIND)
    new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for part in ("objects", "images", "static"):
            (new / part).mkdir(parents=True)
        for name in STATIC:
            (new / "static" / name).write_bytes(static_file(name))
        work = _Work(replace(night, candidates=()), len(night.candidates), models_folder, survey, new)
        pictures = _write_objects(night.candidates, work, jobs)
        _write(new / INDEX, render_index(night, pictures))
        files = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
        (new / MARKER).write_text("\n".join([*files, MARKER, ""]), encoding="utf-8")
        swap(folder, new)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder / INDEX


def static_file(name: str) -> bytes:
    """Read a file of :data:`STATIC`."""
    return (importlib.resources.files("annotator.report") / "static" / name).read_bytes()


@dataclass(frozen=True)
class _Work:
    """What a process needs to make pages."""

    night: Night
    """Without its objects, which are given to processes a few at a time."""
    n_objects: int
    models_folder: Path | None
    survey: str
    folder: Path

    def tools(self) -> Tools:
        models = load_models(self.models_folder, self.survey)
        known = load_known(self.models_folder, self.survey, models)
        return make_tools(self.night, self.n_objects, models, known)


def _write_objects(candidates: Sequence[Candidate], work: _Work, jobs: int) -> list[Pictures]:
    """Write the objects' pages and pictures, in order; say what each has."""
    tasks = list(zip(candidates, places(candidates), strict=True))
    parts = [tasks[start : start + _OBJECTS_AT_A_TIME] for start in range(0, len(tasks), _OBJECTS_AT_A_TIME)]
    jobs = min(jobs, len(tasks) // _WORTH_A_PROCESS)
    if jobs <= 1:
        tools = work.tools()
        return [_write_object(tools, work.folder, *task) for task in tasks]
    with concurrent.futures.ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _start_process, (work,)
    ) as pool:
        return [pictures for part in pool.map(_write_part, parts) for pictures in part]


_process: tuple[Tools, Path] | None = None
"""Of a process of the pool: what it makes pages with, and where they go."""


def _start_process(work: _Work) -> None:
    global _process
    _process = work.tools(), work.folder


def _write_part(tasks: Sequence[tuple[Candidate, Place]]) -> list[Pictures]:
    tools, folder = _process
    return [_write_object(tools, folder, *task) for task in tasks]


def _write_object(tools: Tools, folder: Path, candidate: Candidate, place: Place) -> Pictures:
    """Write an object's page and pictures; where that fails, a page that says why."""
    stem = stem_of(candidate.object_id)
    page = folder / "objects" / f"{stem}.html"
    try:
        shown = show(candidate, tools.models, tools.known)
        _write_pictures(folder / "images", stem, shown)
        _write(page, render_object(tools, candidate, place, shown))
        return Pictures(shown.curve is not None, shown.stamps is not None)
    except Exception as error:
        failure = failure_of(error)
        log.warning("the page of %s could not be made: %s", candidate.object_id, failure)
        _write(page, render_failed(candidate.object_id, failure))
        return Pictures(False, False)


def _write_pictures(folder: Path, stem: str, shown: Shown) -> None:
    if shown.curve is not None:
        (folder / f"{stem}_lightcurve.svg").write_text(light_curve_thumbnail(shown.curve), encoding="utf-8")
    if shown.stamps is not None:
        (folder / f"{stem}_thumbnail.png").write_bytes(stamps_thumbnail_png(shown.stamps))
        (folder / f"{stem}_stamps.png").write_bytes(stamps_png(shown.stamps))


def _write(path: Path, page: str) -> None:
    path.write_text(page, encoding="utf-8", errors="replace")
