"""Keep light curves in flux: what was kept in magnitudes with a sign, in ZTF's bands by their letters, is rewritten."""

import json
import math
from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SNAPSHOTS = sa.table("snapshots", sa.column("object_id", sa.Text), sa.column("transient", sa.Text))
AT_A_TIME = 500
"""Snapshots that are in memory, of some ten kilobytes each."""


def upgrade() -> None:
    """Rewrite the light curve of each snapshot; one that cannot be read stays as it is, and goes as it would have."""
    connection, after = op.get_bind(), None
    change = (
        sa.update(SNAPSHOTS).where(SNAPSHOTS.c.object_id == sa.bindparam("of")).values(transient=sa.bindparam("text"))
    )
    while True:
        query = sa.select(SNAPSHOTS).order_by(SNAPSHOTS.c.object_id).limit(AT_A_TIME)
        rows = connection.execute(query if after is None else query.where(SNAPSHOTS.c.object_id > after)).all()
        if not rows:
            return
        after = rows[-1].object_id
        changed = [(row.object_id, in_flux(row.transient)) for row in rows]
        changes = [{"of": object_id, "text": text} for object_id, text in changed if text is not None]
        if changes:
            connection.execute(change, changes)


def in_flux(text: str) -> str | None:
    """Return a transient's JSON with its light curve in flux; None where there is nothing to change."""
    try:
        transient = json.loads(text)
        curve = transient["light_curve"]
        transient["light_curve"] = None if curve is None else _converted(curve)
    except (KeyError, TypeError, ValueError):
        return None
    return None if curve is None else json.dumps(transient, allow_nan=False, separators=(",", ":"))


def _converted(curve: Mapping[str, list]) -> dict[str, list]:
    flux = [_flux(magnitude) for magnitude in curve["magnitude"]]
    signed = zip(flux, curve["is_positive"], strict=True)
    return {
        "time_mjd": curve["time_mjd"],
        "band": [_name(band) for band in curve["band"]],
        "flux_njy": [value if value is None or is_positive else -value for value, is_positive in signed],
        "flux_error_njy": [
            None if value is None or error is None else value * error * 0.4 * math.log(10)
            for value, error in zip(flux, curve["magnitude_error"], strict=True)
        ],
        "is_forced": [False] * len(flux),
        "limit_time_mjd": curve["limit_time_mjd"],
        "limit_band": [_name(band) for band in curve["limit_band"]],
        "limit_flux_njy": [_flux(magnitude) for magnitude in curve["limit_magnitude"]],
    }


def _flux(magnitude: float | None) -> float | None:
    """Return nJy of an AB magnitude."""
    return None if magnitude is None else 10 ** (0.4 * (31.4 - magnitude))


def _name(band: str) -> str:
    return f"z{band}" if band in ("g", "r", "i") else band
