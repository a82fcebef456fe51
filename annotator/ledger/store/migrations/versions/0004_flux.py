"""Keep light curves in flux: what was kept in magnitudes with a sign, in ZTF's bands by their letters, is rewritten."""

import json
import logging
import math
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

log = logging.getLogger(__name__)

SNAPSHOTS = sa.table("snapshots", sa.column("object_id", sa.Text), sa.column("transient", sa.Text))
AT_A_TIME = 500
"""Snapshots that are in memory, of some ten kilobytes each."""
NAMED = 3
"""Objects that are named where something could not be rewritten."""


def upgrade() -> None:
    """Rewrite the light curve of each snapshot, and say of which that could not be done.

    A magnitude that no flux can be made of is a missing value from now on; a snapshot that cannot be read stays as it
    is, and goes as it would have.
    """
    connection, after = op.get_bind(), None
    change = (
        sa.update(SNAPSHOTS).where(SNAPSHOTS.c.object_id == sa.bindparam("of")).values(transient=sa.bindparam("text"))
    )
    in_part, unread = [], []
    while True:
        query = sa.select(SNAPSHOTS).order_by(SNAPSHOTS.c.object_id).limit(AT_A_TIME)
        rows = connection.execute(query if after is None else query.where(SNAPSHOTS.c.object_id > after)).all()
        if not rows:
            break
        after = rows[-1].object_id
        changes = []
        for row in rows:
            try:
                text, n_lost = in_flux(row.transient)
            except (KeyError, TypeError, ValueError, RecursionError):
                unread.append(row.object_id)
                continue
            if n_lost:
                in_part.append(row.object_id)
            if text is not None:
                changes.append({"of": row.object_id, "text": text})
        if changes:
            connection.execute(change, changes)
    if in_part or unread:
        log.warning("light curves are kept in flux from now on; %s", _in_words(in_part, unread))


def _in_words(in_part: Sequence[str], unread: Sequence[str]) -> str:
    """Say what could not be rewritten, in one line."""
    told = (
        ("magnitudes that no flux can be made of are missing values now, in", in_part),
        ("what cannot be read stays as it was, of", unread),
    )
    return "; ".join(
        f"{what} {len(of)} object{'s' * (len(of) > 1)} ({', '.join(of[:NAMED])}{', ...' * (len(of) > NAMED)})"
        for what, of in told
        if of
    )


def in_flux(text: str) -> tuple[str | None, int]:
    """Return a transient's JSON with its light curve in flux, None where there is nothing to change.

    And how many of its magnitudes are lost, since no flux can be made of them.

    Raises
    ------
    KeyError, TypeError, ValueError, RecursionError
        If it is damaged.
    """
    transient = json.loads(text)
    curve = transient["light_curve"]
    if curve is None:
        return None, 0
    found = _converted(curve)
    lost = (
        magnitude is not None and flux is None
        for before, after in (("magnitude", "flux_njy"), ("limit_magnitude", "limit_flux_njy"))
        for magnitude, flux in zip(curve[before], found[after], strict=True)
    )
    text = json.dumps(transient | {"light_curve": found}, allow_nan=False, separators=(",", ":"))
    return text, sum(lost)


def _converted(curve: Mapping[str, list]) -> dict[str, list]:
    flux = [_flux(magnitude) for magnitude in curve["magnitude"]]
    signed = zip(flux, curve["is_positive"], strict=True)
    return {
        "time_mjd": curve["time_mjd"],
        "band": [_name(band) for band in curve["band"]],
        "flux_njy": [value if value is None or is_positive else -value for value, is_positive in signed],
        "flux_error_njy": [
            None if value is None or error is None else _finite(value * error * 0.4 * math.log(10))
            for value, error in zip(flux, curve["magnitude_error"], strict=True)
        ],
        "is_forced": [False] * len(flux),
        "limit_time_mjd": curve["limit_time_mjd"],
        "limit_band": [_name(band) for band in curve["limit_band"]],
        "limit_flux_njy": [_flux(magnitude) for magnitude in curve["limit_magnitude"]],
    }


def _flux(magnitude: float | None) -> float | None:
    """Return nJy of an AB magnitude; None of one that is missing, or so far below 0 that there is no such flux."""
    try:
        return None if magnitude is None else _finite(10.0 ** (0.4 * (31.4 - magnitude)))
    except OverflowError:
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _name(band: str) -> str:
    return f"z{band}" if band in ("g", "r", "i") else band
