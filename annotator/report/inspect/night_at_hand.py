"""The night that is inspected: read when it is first asked for, and anew when a pass has ended since."""

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from annotator.fences import failure_of
from annotator.ledger.pass_log import PassRecord
from annotator.models import ModelSet
from annotator.models.known import Known
from annotator.report.expected import Shown, show, show_curve, show_stamps
from annotator.report.night import Candidate, Night
from annotator.report.pages.render import (
    INDEX,
    make_tools,
    page_name,
    pictures_of,
    places,
    render_failed,
    render_index,
    render_object,
    stem_of,
)
from annotator.report.pages.session import Session
from annotator.report.pages.thumbnails import light_curve_thumbnail, stamps_png, stamps_thumbnail_png
from annotator.report.read import judgement
from annotator.verdicts import Verdict

log = logging.getLogger(__name__)

_SHOWN_AT_HAND = 64
"""Objects of which what the models expect is kept: a page and its picture of the stamps ask for it one after the other,
and who goes back asks again."""


class NightPages:
    """The pages and pictures of a night as it was read, each made when it is asked for.

    Parameters
    ----------
    night
        What is shown.
    models, known
        Those that are installed.
    """

    def __init__(self, night: Night, models: ModelSet, known: Known | None) -> None:
        self.night = night
        self._tools = make_tools(replace(night, candidates=()), len(night.candidates), models, known)
        self._places = dict(zip(map(_page_of, night.candidates), places(night.candidates), strict=True))
        self._by_page = {_page_of(item): item for item in night.candidates}
        self._by_stem = {stem_of(item.object_id): item for item in night.candidates}
        self._drawing = threading.Lock()  # neither matplotlib's settings nor its figures are for two threads at once
        self._shown = functools.lru_cache(_SHOWN_AT_HAND)(self._show)

    @functools.cached_property
    def object_ids(self) -> frozenset[str]:
        """The objects of the list."""
        return frozenset(item.object_id for item in self.night.candidates)

    def object_id(self, page: str) -> str | None:
        """Return the object that a page is of, None where there is no such page."""
        return self._by_page[page].object_id if page in self._by_page else None

    def index(self, holding: Mapping[str, Verdict], session: Session) -> str:
        """Return the list with the verdicts that hold now."""
        candidates = tuple(_judged(item, holding) for item in self.night.candidates)
        return render_index(replace(self.night, candidates=candidates), self._pictures, session)

    def object_page(self, page: str, session: Session) -> str:
        """Return an object's page."""
        item = self._by_page[page]
        try:
            with self._drawing:
                return render_object(self._tools, item, self._places[page], self._shown(page), session)
        except Exception as error:
            failure = failure_of(error)
            log.warning("the page of %s could not be made: %s", item.object_id, failure)
            return render_failed(item.object_id, failure, session)

    def picture(self, name: str) -> tuple[bytes, str] | None:
        """Return a picture and its type by the name that pages have for it; None where there is no such picture."""
        try:
            return self._picture(name)
        except Exception as error:
            log.warning("the picture %s could not be made: %s", name, failure_of(error))
            return None

    def _picture(self, name: str) -> tuple[bytes, str] | None:
        stem, _, kind = name.rpartition("_")
        item = self._by_stem.get(stem)
        if item is None or item.transient is None:
            return None
        if kind == "lightcurve.svg":
            curve = show_curve(item.transient, None)
            return None if curve is None else (light_curve_thumbnail(curve).encode(), "image/svg+xml")
        if kind == "thumbnail.png":
            stamps, draw = show_stamps(item.transient, None), stamps_thumbnail_png
        elif kind == "stamps.png":
            with self._drawing:
                stamps, draw = self._shown(_page_of(item)).stamps, stamps_png
        else:
            return None
        return None if stamps is None else (draw(stamps), "image/png")

    def page_after(self, object_id: str, wanted: str) -> str:
        """Return the page to show after an object was judged: the one that was asked for if it is one of this night.

        Whoever asks for the page of the object itself is at the end of their list.
        """
        own = page_name(object_id)
        if wanted == own:
            return INDEX
        if wanted in self._by_page:
            return f"objects/{wanted}"
        place = self._places.get(own)
        return f"objects/{place.next}" if place is not None and place.next else INDEX

    @functools.cached_property
    def _pictures(self) -> list:
        return [pictures_of(item) for item in self.night.candidates]

    def _show(self, page: str) -> Shown:
        return show(self._by_page[page], self._tools.models, self._tools.known)


def _page_of(candidate: Candidate) -> str:
    return page_name(candidate.object_id)


def _judged(candidate: Candidate, holding: Mapping[str, Verdict]) -> Candidate:
    verdict = holding.get(candidate.object_id)
    return replace(candidate, judgement=judgement(verdict) if verdict else None)


class NightAtHand:
    """A night that follows the ledger.

    Parameters
    ----------
    read
        Reads it.
    models, known
        Those that are installed.
    """

    def __init__(self, read: Callable[[], Night], models: ModelSet, known: Known | None) -> None:
        self._read, self._models, self._known = read, models, known
        self._reading = threading.Lock()
        self._pages: NightPages | None = None
        self._last_pass: PassRecord | None = None
        self._listed: frozenset[str] = frozenset()

    def pages(self, last_pass: PassRecord | None) -> NightPages:
        """Return the pages of the night, read anew where another pass than when it was read was the last to end."""
        with self._reading:
            if self._pages is None or last_pass != self._last_pass:
                self._pages, self._last_pass = NightPages(self._read(), self._models, self._known), last_pass
                self._listed |= self._pages.object_ids
            return self._pages

    def pages_at_hand(self) -> NightPages:
        """Return the pages of the night as it was read last: pictures belong to a page that was sent before them."""
        return self._pages or self.pages(None)

    def was_listed(self, object_id: str) -> bool:
        """Say whether an object is in the list, or was when a page that may still be open was sent."""
        return object_id in self._listed
