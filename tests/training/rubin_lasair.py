"""A Lasair for Rubin that holds simulated objects of known type, later than a year after their first detections."""

from collections.abc import Sequence

from annotator.sandbox import LsstSandbox
from tests.lsst_records import RubinObject, shapes

NOW_MJD = 61800.0
"""When an answer with Lasair's additions would fail."""


def clock() -> float:
    return (NOW_MJD - 40587.0) * 86400


def load(server: LsstSandbox, items: Sequence[RubinObject], types: Sequence[str | None]) -> None:
    """Let a Lasair have objects, each of a type; None for one that TNS does not know."""
    server.load([shapes(item)["full"] for item in items])
    for number, (item, kind) in enumerate(zip(items, types, strict=True)):
        if kind is not None:
            place = {"ra": item.ra_deg, "decl": item.dec_deg}
            server.database.put_tns(item.object_id, {"tns_name": f"2099{number:04d}", "type": kind, "z": None, **place})
