"""An embedded Lasair for Rubin: its REST interface over HTTP, on this machine, for trying and testing.

It answers as Lasair for Rubin was measured to answer in 2026, its faults included, and says in every header that it is
a simulation. Known to differ, since no client goes by it: the words of MariaDB's errors and of Django's pages; the
words of success beside `status`; Sherlock's own endpoints; the fits whose columns begin with BBB, which are null.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from annotator.sandbox.lasair.api import Account, Topic
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.embedded import EmbeddedLasair
from annotator.sandbox.lasair.lsst.answers import MAX_CUTOUT_DAYS
from annotator.sandbox.lasair.lsst.endpoints import LsstEndpoints
from annotator.sandbox.lasair.lsst.queue import AS_MEASURED, AnnotationQueue, Queueing
from annotator.sandbox.lasair.lsst.records import ObjectRecords, bbox_size, records_of
from annotator.sandbox.lasair.lsst.schema import LSST, MJD_MINUS_JD
from annotator.sandbox.lasair.lsst.triggers import AnnotationFilters
from annotator.sandbox.lasair.schema import UNIX_EPOCH_JD
from annotator.sandbox.lasair.wire import Answer
from annotator.sandbox.sky.rubin.night import RubinNight, RubinObject
from annotator.sandbox.sky.rubin.stamps import KINDS, render

_CUTOUT = re.compile(r"/fits/(?:\d+/)?(\d+)_cutout(\w+)/?")
_MEDIA_TYPE = "image/fits"


class LsstSandbox(EmbeddedLasair):
    """Lasair for Rubin on 127.0.0.1, a context manager.

    Parameters
    ----------
    night
        What its tables hold at the start; None for empty tables.
    accounts
        Who may call.
    topics
        The registered annotators.
    port
        0 for any free one.
    clock
        Returns Unix seconds: the present of mjdnow(), NOW(), timestamps, quotas, of annotations that wait and of the
        header `Date`.
    queueing
        How long annotations wait, and how many of them longer.
    release
        Of the service that runs filters on annotations.
    tells_time
        Whether answers have the header `Date`; without it a pass goes by its own clock.
    """

    name = "Lasair-LSST"

    def __init__(
        self,
        night: RubinNight | None = None,
        *,
        accounts: Sequence[Account] = (Account("sandbox-token", "power"),),
        topics: Sequence[Topic] = (Topic("aha_lsst", "sandbox-token"),),
        port: int = 0,
        clock: Callable[[], float] = time.time,
        queueing: Queueing = AS_MEASURED,
        release: Literal["main", "develop"] = "main",
        tells_time: bool = True,
    ) -> None:
        super().__init__(Database(clock, LSST), port, clock, tells_time)
        self._simulated: dict[int, RubinObject] = {}
        self._by_source: dict[int, tuple[RubinObject, int]] = {}
        self._records: dict[int, ObjectRecords] = {}
        self._seed = night.seed if night else 0
        self.filters = AnnotationFilters(self.database, self.records, clock, release)
        self.queue = AnnotationQueue(self._store, queueing, clock)
        self.endpoints = LsstEndpoints(
            self.database, self.records, self.queue, lambda: self.root_url, accounts, topics, clock
        )
        if night is not None:
            self._load_night(night)

    def records(self, object_id: int) -> ObjectRecords | None:
        """Return what is known of an object's light curve, its lists oldest first; None where there is nothing."""
        if object_id not in self._records and object_id in self._simulated:
            self._records[object_id] = records_of(self._simulated[object_id])
        return self._records.get(object_id)

    def load(self, rows: Iterable[Mapping[str, object]]) -> int:
        """Add objects, or change what is named of those that are there, by flat rows; return how many.

        Each has `diaObjectId` as a whole number and any columns of the tables; with `alert`, as a stream has it, also a
        light curve. Where `lastDiaSourceMjdTai` is absent a new object was seen just now.
        """
        rows = list(rows)
        for row in rows:
            if alert := row.get("alert"):
                self._records[row["diaObjectId"]] = ObjectRecords(
                    dict(alert.get("diaObject") or {}),
                    *(
                        tuple(sorted(alert.get(name) or (), key=lambda record: record["midpointMjdTai"]))
                        for name in ("diaSourcesList", "diaForcedSourcesList")
                    ),
                )
        return self.database.put_rows(rows)

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        self.endpoints.settle()
        self.filters.settle()

    # What follows is called by the HTTP handler.

    def is_cutout(self, path: str) -> bool:
        """Say whether a path is one of a cutout, whatever there is at it."""
        return _CUTOUT.fullmatch(path) is not None

    def cutout(self, path: str) -> Answer:
        """Answer with a FITS file; without a slash at the end by sending on, and with `None` where there is none."""
        if not path.endswith("/"):
            return Answer(301, "", location=f"{path}/")
        found = _CUTOUT.fullmatch(path)
        source_id, kind = int(found[1]), found[2]
        if source_id not in self._by_source or kind not in KINDS:
            return Answer(200, b"None", media_type=_MEDIA_TYPE)
        simulated, i = self._by_source[source_id]
        now_mjd = self.clock() / 86400 + UNIX_EPOCH_JD + MJD_MINUS_JD
        if now_mjd - simulated.source_mjd_tai[i] > MAX_CUTOUT_DAYS:
            return Answer(200, b"None", media_type=_MEDIA_TYPE)
        stamps = render(simulated, i, bbox_size(simulated, i), self._seed)
        return Answer(200, stamps[kind], media_type=_MEDIA_TYPE)

    def _store(self, annotation: Mapping[str, str]) -> None:
        self.database.annotate(annotation)
        self.filters.note(int(annotation["objectId"]), annotation["topic"])

    def _load_night(self, night: RubinNight) -> None:
        for simulated in night.objects:
            self._simulated[simulated.object_id] = simulated
            self._by_source |= {identifier: (simulated, i) for i, identifier in enumerate(simulated.source_ids)}
            rows = [simulated.columns | (simulated.sherlock or {})]
            self.database.put_rows(rows)
            if simulated.tns is not None:
                self.database.put_tns(simulated.object_id, simulated.tns)
