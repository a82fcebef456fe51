"""Detections of objects by name, from a table of light curves, for whoever computes Lasair's columns from them."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from annotator.annotation import OBJECT_ID_KEY
from annotator.errors import ConfigError
from annotator.surveys.values import sign_of
from annotator.surveys.ztf.candidates import SPELLINGS
from annotator.surveys.ztf.columns import Detection
from annotator.surveys.ztf.tables import DETECTION, LIGHT_CURVE_COLUMNS

OTHER_TELESCOPES = ("YSE_DR1_PS1",)
"""Sources whose g and r are not ZTF's."""


@dataclass(frozen=True)
class Seen:
    """What was seen of some objects."""

    detections: dict[str, list[Detection]]
    """By object id, in no order."""
    groups: tuple[tuple[str, str], ...]
    """Object id and group of catalogues, one for each that has the object."""


def read_detections(curves: Path, wanted: Collection[str]) -> Seen:
    """Read the detections of some objects.

    Parameters
    ----------
    curves
        Light curves (Parquet), one row a detection.
    wanted
        Object ids.

    Raises
    ------
    ConfigError
        If the light curves cannot be read.
    """
    import pandas  # only this command needs it

    try:
        rows = pandas.read_parquet(curves)
    except Exception as failure:  # pandas and pyarrow share no base below Exception
        raise ConfigError(f"--curves {curves}: expected light curves in Parquet, found {failure}") from failure
    absent = [name for name in LIGHT_CURVE_COLUMNS if name not in rows]
    if absent:
        expected = ", ".join(LIGHT_CURVE_COLUMNS)
        raise ConfigError(f"--curves {curves}: expected the columns {expected}, found no {absent}")
    if "source" in rows:
        rows = rows[~rows["source"].isin(OTHER_TELESCOPES)]
    rows = rows[rows[OBJECT_ID_KEY].isin(set(wanted)) & (rows[DETECTION.magnitude] > 0)]
    if "group" not in rows:
        rows = rows.assign(group="all")
    found: dict[str, list[Detection]] = {}
    for object_id, jd, band_number, magnitude, error, sign in rows[[*LIGHT_CURVE_COLUMNS]].itertuples(index=False):
        band = SPELLINGS.name(band_number)
        if band is None:
            continue
        found.setdefault(object_id, []).append(
            Detection(
                jd=jd,
                is_g=band == "zg",
                magnitude=magnitude,
                magnitude_error=error if error > 0 else None,
                is_positive=sign_of(sign) is True,
            )
        )
    return Seen(found, tuple(rows[[OBJECT_ID_KEY, "group"]].drop_duplicates().itertuples(index=False, name=None)))
