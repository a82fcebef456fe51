"""An embedded Lasair-ZTF: its REST interface over HTTP, on this machine, for trying and testing.

It answers as Lasair-ZTF was measured to answer in 2026, its faults included, and says in every header that it is a
simulation. A cutout that is not there is answered with status 200 and an empty body, as Lasair answers.

Of 104 requests that were put to Lasair's own views, these are answered otherwise, since no client goes by it: the words
of MariaDB's errors and of Django's pages; the order of the columns of `*`; forced photometry, of which there is none;
`id` and `cone_id` of the block of the Transient Name Server. A NaN that was loaded is answered by `query`, which
Lasair's database could not hold: clients must bear it.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from annotator.sandbox.lasair.answers import candidate
from annotator.sandbox.lasair.api import Account, Topic
from annotator.sandbox.lasair.database import Database
from annotator.sandbox.lasair.embedded import EmbeddedLasair
from annotator.sandbox.lasair.endpoints import Endpoints
from annotator.sandbox.lasair.wire import Answer
from annotator.sandbox.sky.night import Night, SimulatedObject
from annotator.sandbox.sky.observe import Epoch
from annotator.sandbox.sky.stamps import KINDS, render


class Sandbox(EmbeddedLasair):
    """Lasair-ZTF on 127.0.0.1, a context manager.

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
        Returns Unix seconds: the present of jdnow(), NOW(), timestamps, quotas and the header `Date`.
    batch_annotate
        Whether `annotatelist` exists; on Lasair-ZTF it doesn't (404).
    tells_time
        Whether answers have the header `Date`; without it a pass goes by its own clock.
    """

    name = "Lasair-ZTF"

    def __init__(
        self,
        night: Night | None = None,
        *,
        accounts: Sequence[Account] = (Account("sandbox-token", "power"),),
        topics: Sequence[Topic] = (Topic("aha_ztf", "sandbox-token"),),
        port: int = 0,
        clock: Callable[[], float] = time.time,
        batch_annotate: bool = False,
        tells_time: bool = True,
    ) -> None:
        super().__init__(Database(clock), port, clock, tells_time)
        self._candidates: dict[str, list[Mapping[str, object]]] = {}
        self._simulated: dict[str, SimulatedObject] = {}
        self.endpoints = Endpoints(self.database, self._candidates_of, accounts, topics, clock, batch_annotate)
        self._detections: dict[str, tuple[SimulatedObject, Epoch, int]] = {}
        self._rendered: dict[str, dict[str, bytes]] = {}
        if night is not None:
            self._load_night(night)

    def load(self, rows: Iterable[Mapping[str, object]], replace: bool = False) -> int:
        """Add objects by flat rows, as a query or a stream gives them; return how many.

        Parameters
        ----------
        rows
            Each with `objectId` and any columns of the tables; with `candidates`, also a light curve. Where `jdmax` is
            absent the object was seen just now.
        replace
            Forget the objects that were there.
        """
        rows = list(rows)
        if replace:
            self.database.clear_objects()
            self._candidates.clear()
            self._simulated.clear()
            self._detections.clear()
        for row in rows:
            if "candidates" in row:
                self._candidates[row["objectId"]] = list(row["candidates"])
        return self.database.put_rows(rows)

    def update(self, rows: Iterable[Mapping[str, object]]) -> int:
        """Change the named columns of objects that are there, as a new detection does; return how many."""
        return self.load(rows)

    # What follows is called by the HTTP handler.

    def is_cutout(self, path: str) -> bool:
        """Say whether a path is one of a cutout, whatever there is at it."""
        return path.endswith(".fits") and "/fits/" in path

    def cutout(self, path: str) -> Answer:
        """Answer with the FITS file at a path; empty where there is none."""
        candid, _, kind = path.rpartition("/")[2].removesuffix(".fits").partition("_cutout")
        if candid not in self._detections or kind not in KINDS:
            return Answer(200, b"")
        stamps = self._rendered.get(candid)
        if stamps is None:
            stamps = render(*self._detections[candid])
            self._rendered = {candid: stamps}  # the other two are mostly asked for next
        return Answer(200, stamps[kind])

    def _candidates_of(self, object_id: str) -> Sequence[Mapping[str, object]]:
        """Return the light curve that was loaded of an object, else the simulated one, written when it is asked for."""
        if object_id in self._candidates or object_id not in self._simulated:
            return self._candidates.get(object_id, ())
        url = f"{self.root_url}/lasair/static/fits"
        return [candidate(epoch, url) for epoch in self._simulated[object_id].epochs]

    def _load_night(self, night: Night) -> None:
        self.load(night.rows())
        for simulated in night.objects:
            self._simulated[simulated.object_id] = simulated
            for epoch in simulated.epochs:
                if epoch.candid is not None:
                    self._detections[str(epoch.candid)] = (simulated, epoch, night.seed)
            if simulated.tns is not None:
                self.database.put_tns(simulated.object_id, simulated.tns)
