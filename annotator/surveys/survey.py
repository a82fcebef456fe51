"""What a survey is: one record for each, and whoever needs to know "which survey" asks it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from annotator.preprocess.curve_layout import TWO_BANDS, CurveLayout
from annotator.preprocess.features import Feature
from annotator.preprocess.triplet import Measured
from annotator.transient import Transient, Triplet

_NUMBER = re.compile("[1-9][0-9]{0,18}")
_END_OF_IDS = 2**63
"""An id that is a number has 64 bits: a larger one stops Lasair's own writer of annotations."""


def number_id(value: object) -> str:
    """Return an object id that is a number, as text; empty where it is none.

    It keeps all its digits: it is taken from a whole number or from text, never from a float, which holds no more than
    15 to 17.
    """
    if type(value) is int and abs(value) < _END_OF_IDS:
        value = str(value)
    value = value.strip() if isinstance(value, str) else ""
    return value if _NUMBER.fullmatch(value) and int(value) < _END_OF_IDS else ""


def ids_named(record: Mapping[str, object], id_column: str, parts: Sequence[str]) -> list[object]:
    """Return what a record, and those of its parts, have for an object id, whatever it is, in the order of trust.

    A stream may have the column in small letters.
    """
    own = [record[name] for name in (id_column, id_column.lower()) if name in record]
    of_parts = [
        part[id_column] for name in parts if isinstance(part := record.get(name), Mapping) and id_column in part
    ]
    return own + of_parts


@dataclass(frozen=True)
class Survey:
    """One survey, as its Lasair and the survey itself have it."""

    name: str
    """What configurations, models and the command line call it, such as ztf."""
    endpoint: str
    """URL of its Lasair's API."""
    cutout_hosts: tuple[str, ...]
    """Where its Lasair serves cutouts from."""
    cutout_root: str
    """URL under which its decoder places cutouts that Lasair keeps by the number of a detection; empty where Lasair's
    answers name them."""
    object_pages: Mapping[str, str]
    """Where an object can be looked up, its id in place of ``{}``; ``Lasair`` first."""

    id_column: str
    """The object id, in Lasair's `objects` table, its answers and its streams."""
    id_pattern: re.Pattern[str]
    """What an object id looks like, as text."""
    id_is_number: bool
    """Whether Lasair's tables and messages have it as a whole number; here it is text all the same."""
    id_parts: tuple[str, ...]
    """Parts of a record that name it, too, where the record itself does not, the more trusted one first."""
    epoch_column: str
    """The epoch of the last detection, by which objects are read in order."""
    first_epoch_column: str
    """The epoch of the first detection."""
    epoch_minus_mjd: float
    """Days: 2400000.5 where these columns are JD, 0 where they are MJD."""
    epoch_scale: str
    """``utc`` or ``tai``."""
    count_column: str
    """How many detections there are; above 0 for every object."""
    now_sql: str
    """This moment in Lasair's SQL, in the days of the epoch columns."""
    input_filter: str
    """The shipped filter that selects what is scored."""

    features: tuple[Feature, ...]
    """Its columns that are inputs of the object-feature model, in order."""
    other_columns: tuple[str, ...]
    """Further columns that `parse` reads of a flat row."""
    surroundings: tuple[str, ...]
    """Its columns of what surrounds an object, which no detection changes; some of them are features."""
    parse: Callable[..., Transient]
    """Reads a record (a row of a query, a message of a stream, an answer of `object`), in which no date is later than a
    second argument (MJD; infinity where it is left out); raises RecordError."""
    measured: Callable[[Triplet], Measured]
    """Measures stamps as Lasair serves them, for the triplet model's input; raises MissingModalityError."""
    pixel_arcsec: float
    """Side of a pixel of the stamps as the triplet model is given them."""
    real_bogus: tuple[str, ...]
    """Its own scores of how real a detection is, 0 to 1, among a transient's extras, the most trusted one last."""
    good_detection: str
    """What a detection is that counts as a good one, in words."""

    batch_annotations: int
    """Annotations that its Lasair takes in one call."""
    queues_annotations: bool
    """Whether its Lasair acknowledges what it has only queued, so that a read-back a moment later may miss it."""
    object_with_additions: bool
    """Whether `object` is asked for with what Lasair adds of its own, without which some Lasairs name no cutouts; with
    which Lasair for Rubin fails once a measurement is older than a year."""
    publishes_magnitudes: bool = False
    """Whether its detections are published in magnitudes, and its light curves are drawn as people know them."""

    varying_classes: tuple[str, ...] = ("VS", "CV", "AGN")
    """Sherlock's classes of what is known to vary."""

    normals: str = "classified supernovae"
    """What the models that ship for it know as normal, as sentences name it."""

    features_are_of_light_curve: bool = False
    """Whether the object-feature model is given what the light curve says (:mod:`annotator.preprocess.evolution`), and
    no column."""

    curve_layout: CurveLayout = TWO_BANDS
    """How its light curves are laid out for their model."""

    @property
    def topic(self) -> str:
        """The annotator that the shipped filters name."""
        return f"aha_{self.name}"

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """What a filter has to select for objects to be read in order and scored by all that the models use."""
        errors = (feature.error for feature in self.features if feature.error)
        return (self.id_column, self.epoch_column, *(feature.name for feature in self.features), *errors)

    def in_other_case(self, record: Mapping[str, object]) -> dict[str, str]:
        """Return the needed columns that a record has under a name of other capitals only, and that name."""
        names = {name.lower(): name for name in record if isinstance(name, str)}
        return {
            column: names[column.lower()]
            for column in self.needed_columns
            if column not in record and column.lower() in names
        }

    @property
    def id_sql(self) -> str:
        """The object id's column in Lasair's SQL."""
        return f"objects.{self.id_column}"

    @property
    def epoch_sql(self) -> str:
        """The last epoch's column in Lasair's SQL."""
        return f"objects.{self.epoch_column}"

    def object_id(self, record: object) -> str:
        """Return the object id that a record names, as text without blanks around it; empty where it names none."""
        named = ids_named(record, self.id_column, self.id_parts) if isinstance(record, Mapping) else []
        if self.id_is_number:
            return next((found for value in named if (found := number_id(value))), "")
        return next((value.strip() for value in named[:1] if isinstance(value, str)), "")

    def id_value(self, object_id: str) -> int | str:
        """Return an object id as its Lasair's database and messages have it, and order it."""
        return int(object_id) if self.id_is_number else object_id

    def id_literal(self, object_id: str) -> str:
        """Write an object id in SQL: a number bare, since the database would compare it with text as floats."""
        return object_id if self.id_is_number else f"'{object_id}'"
