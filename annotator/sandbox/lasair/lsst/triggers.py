"""Lasair for Rubin's service that runs filters on annotations, and the streams that come of it.

Twenty seconds after the last annotation it runs every filter that reads the annotator, once for each object, on the
main database. What main does not have yet it does not find, and does not look for again. As released it lowers the case
of the whole statement and sends no light curve; as being developed it keeps the case, and sends for an object that was
annotated before the light curve of then. A filter that asks for light curves without selecting the id ends it for all.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from annotator.errors import RejectedError
from annotator.lasair.filters import FilterFile
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.filter_form import form_tables
from annotator.sandbox.lasair.lsst.records import ObjectRecords
from annotator.sandbox.lasair.lsst.stream import Output, light_curve
from annotator.sandbox.lasair.query_rules import build_query

QUIET_S = 20.0
"""For so long no annotation has to come before the filters run."""


@dataclass(frozen=True)
class ActiveFilter:
    """A filter that somebody has saved to be run on annotations."""

    filter_file: FilterFile
    output: Output = "plain"


class AnnotationFilters:
    """The filters that run on annotations, and what they have sent.

    Parameters
    ----------
    database
        The main one.
    records
        Returns what is known of an object's light curve.
    clock
        Returns Unix seconds.
    release
        `main`: as released; `develop`: as being developed.
    """

    def __init__(
        self,
        database: Database,
        records: Callable[[int], ObjectRecords | None],
        clock: Callable[[], float],
        release: Literal["main", "develop"],
    ) -> None:
        self._database = database
        self._records = records
        self._clock = clock
        self._is_main = release == "main"
        self._lock = threading.RLock()
        self._filters: list[ActiveFilter] = []
        self._waiting: list[tuple[int, str]] = []
        self._last_annotated = 0.0
        self._light_curves: dict[int, dict[str, object]] = {}
        self._sent: dict[str, list[dict[str, object]]] = {}
        self._why_dead = ""

    @property
    def why_dead(self) -> str:
        """What ended the service; empty while it runs."""
        return self._why_dead

    def add(self, active: ActiveFilter) -> None:
        """Save a filter."""
        with self._lock:
            self._filters.append(active)

    def note(self, object_id: int, topic: str) -> None:
        """Hear of an annotation that was stored under a topic, as it was typed."""
        with self._lock:
            self._waiting.append((object_id, topic))
            self._last_annotated = self._clock()

    def settle(self) -> None:
        """Run the filters if it has been quiet for long enough."""
        with self._lock:
            if self._why_dead or not self._waiting or self._clock() < self._last_annotated + QUIET_S:
                return
            waiting, self._waiting = list(dict.fromkeys(self._waiting)), []
            for active in self._filters:
                for object_id, topic in waiting:
                    if topic in active.filter_file.tables:  # a test of letters, in their case
                        self._run(active, object_id)
                    if self._why_dead:
                        return

    def sent(self, name: str) -> list[dict[str, object]]:
        """Return the messages of a filter's stream, oldest first."""
        with self._lock:
            return list(self._sent.get(name, ()))

    def _run(self, active: ActiveFilter, object_id: int) -> None:
        of, is_it = active.filter_file, f"objects.diaObjectId={object_id}"
        parts = of.selected, form_tables(of.selected, of.annotators), _narrowed(of.conditions, is_it)
        selected, tables, conditions = (part.lower() for part in parts) if self._is_main else parts
        try:
            rows = self._database.run(build_query(selected, tables, conditions, self._database.schema), limit=1000)
        except RejectedError:  # its owner gets a mail
            return
        id_label = "diaobjectid" if self._is_main else "diaObjectId"
        for row in rows:
            if active.output != "plain" and id_label not in row:
                self._why_dead = f"NameError: filter {of.name} wants a light curve, and its rows have no {id_label}"
                return
            message = {**row, "UTC": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self._clock()))}
            if active.output != "plain" and not self._is_main:
                message["alert"] = self._first_light_curve(object_id, active.output)
            self._sent.setdefault(of.name, []).append(message)

    def _first_light_curve(self, object_id: int, output: Output) -> dict[str, object]:
        """Return what was sent of this object at first: the service never forgets a light curve."""
        if object_id not in self._light_curves:
            self._light_curves[object_id] = light_curve(self._records(object_id), output)
        return self._light_curves[object_id]


def _narrowed(conditions: str, is_it: str) -> str:
    """Put a condition before others, of which there may be none."""
    has_any = conditions.strip() and not conditions.strip().lower().startswith("order")
    return f"{is_it} AND {conditions}" if has_any else f"{is_it} {conditions}"
