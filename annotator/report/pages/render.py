"""The night's pages as text: the list, and a page an object, for a folder or for whoever asks a server."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from annotator.annotation import OBJECT_ID
from annotator.errors import ConfigError
from annotator.fences import Failure
from annotator.models import ModelSet
from annotator.models.known import Known
from annotator.preprocess.triplet import CHANNELS
from annotator.report.expected import Shown, ShownStamps, has_curve, has_stamps, that_scored
from annotator.report.night import Candidate, Night
from annotator.report.pages import text as page_text
from annotator.report.pages.band_styles import styles_of
from annotator.report.pages.light_curve_plot import LightCurvePlot
from annotator.report.pages.session import Session
from annotator.report.pages.thumbnails import (
    DEVIATION_RANGE,
    THUMBNAIL_SIDE,
    score_history_svg,
    stamps_side,
)
from annotator.surveys.links import lasair_page, links
from annotator.transient import Modality
from annotator.verdicts import VerdictKind

if TYPE_CHECKING:
    import jinja2

INDEX = "index.html"

MAX_NOTE = 500
"""Characters of a verdict's note."""

FIRST_QUANTITIES = 14
"""Rows of features that are shown at once; the others are folded."""


@dataclass(frozen=True)
class Place:
    """Where an object stands in the night's order: the pages beside its own."""

    previous: str | None
    next: str | None


@dataclass(frozen=True)
class Pictures:
    """Which pictures an object has in the list."""

    has_curve: bool
    has_stamps: bool


@dataclass(frozen=True)
class Tools:
    """What the pages of one night are made with; the plot serves one thread at a time."""

    night: Night
    n_objects: int
    models: ModelSet
    """Those that scored the night; none where others are installed."""
    known: Known | None
    """The known objects by these models, where there are any."""
    plot: LightCurvePlot


def make_tools(night: Night, n_objects: int, models: ModelSet, known: Known | None) -> Tools:
    """Gather what a night's pages are made with.

    Parameters
    ----------
    night
        Its objects are not looked at, and can be left out.
    n_objects
        How many it lists.
    models, known
        Those that are installed.

    Raises
    ------
    ConfigError
        If what reports are made with is not installed.
    """
    return Tools(
        night=night,
        n_objects=n_objects,
        models=that_scored(night.model_set, models),
        known=None if night.other_models else known,
        plot=LightCurvePlot(),
    )


def page_name(object_id: str) -> str:
    """Return the name of an object's page in the folder ``objects``.

    It is the object's own name wherever that is one Lasair knows; any other may hold what no file name can.
    """
    return f"{stem_of(object_id)}.html"


def stem_of(object_id: str) -> str:
    """Return what the names of an object's page and pictures begin with."""
    if OBJECT_ID.fullmatch(object_id):
        return object_id
    return f"object-{hashlib.sha256(object_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def places(candidates: Sequence[Candidate]) -> list[Place]:
    """Return where each object stands, in order.

    Raises
    ------
    ConfigError
        If an object is there twice.
    """
    names = [page_name(item.object_id) for item in candidates]
    if len(set(names)) < len(names):
        raise ConfigError("expected each object of a night once, found one twice; make the night anew")
    beside = [None, *names, None]
    return [Place(beside[number], beside[number + 2]) for number in range(len(names))]


def pictures_of(candidate: Candidate) -> Pictures:
    """Say which pictures an object has; no model is asked."""
    return Pictures(has_curve(candidate.transient), has_stamps(candidate.transient))


def render_index(night: Night, pictures: Sequence[Pictures], session: Session | None = None) -> str:
    """Write the list of a night.

    Parameters
    ----------
    pictures
        Of each object.
    session
        Who judges, and what is shown to them; None where nobody can.
    """
    return template(INDEX).render(
        night=night,
        rows=list(zip(night.candidates, pictures, strict=True)),
        tiles=page_text.tiles(night),
        account=page_text.account(night.summary),
        classes=sorted({item.classification for item in night.candidates}),
        sherlock_classes=sorted({item.sherlock_class for item in night.candidates}),
        score_scale=page_text.score_scale(night),
        has_worth=any(item.worth is not None for item in night.candidates),
        thumbnail_side=THUMBNAIL_SIDE,
        stamps_width=stamps_side(len(CHANNELS)),
        stamps_height=stamps_side(1),
        root="",
        session=session,
    )


def render_object(
    tools: Tools, candidate: Candidate, place: Place, shown: Shown, session: Session | None = None
) -> str:
    """Write the page of an object.

    Parameters
    ----------
    shown
        What :func:`annotator.report.expected.show` says of it.
    session
        As for :func:`render_index`.
    """
    import markupsafe

    night, curve, legend = tools.night, None, frozenset()
    if shown.curve is not None:
        reasons = candidate.reasons.get(Modality.LIGHTCURVE, ())
        label = page_text.describe_curve(candidate.object_id, shown.curve, reasons)
        legend = page_text.legend(shown.curve, reasons)
        curve = markupsafe.Markup(tools.plot.svg(shown.curve, reasons, label))
    history = None
    if candidate.history:
        history = markupsafe.Markup(score_history_svg(candidate.history, night.watch_score, night.anomaly_score))
    rows = stamp_rows(shown.stamps)
    return template("object.html").render(
        night=night,
        n_objects=tools.n_objects,
        item=candidate,
        place=place,
        shown=shown,
        stamp_rows=rows,
        stem=stem_of(candidate.object_id),
        curve=curve,
        legend=legend,
        bands=styles_of(legend),
        history=history,
        modalities=page_text.modality_rows(candidate),
        why_no_reasons=page_text.why_no_reasons(candidate),
        marks=page_text.stamp_marks(candidate.reasons.get(Modality.TRIPLET, ()), rows),
        stamps_width=stamps_side(len(CHANNELS)),
        stamps_height=stamps_side(rows),
        deviation_range=f"{DEVIATION_RANGE:g}",
        n_first=max(FIRST_QUANTITIES, sum(item.is_reason for item in shown.quantities)),
        facts=page_text.facts(candidate),
        links=links(night.survey, candidate.object_id, candidate.transient, candidate.tns_name),
        root="../",
        session=session,
    )


def render_failed(object_id: str, failure: Failure, session: Session | None = None) -> str:
    """Write what stands in the place of an object's page that could not be made: why."""
    words = f"This page could not be made ({failure}). Everything else is as it was."
    return template("verdict_message.html").render(title=object_id, words=words, root="../", session=session)


def stamp_rows(stamps: ShownStamps | None) -> int:
    """Return how many rows of three stamps there are: as seen, as expected, deviation."""
    if stamps is None:
        return 0
    return 1 + (stamps.expected is not None) + (stamps.deviation is not None)


def template(name: str) -> "jinja2.Template":
    """Return a template of this report.

    Raises
    ------
    ConfigError
        If what pages are written with is not installed.
    """
    return _environment().get_template(name)


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
        "MODALITIES": page_text.MODALITIES,
        "VERDICTS": tuple(VerdictKind),
        "MAX_NOTE": MAX_NOTE,
        "page_name": page_name,
        "stem_of": stem_of,
        "lasair_page": lasair_page,
    }
    return environment
