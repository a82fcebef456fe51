"""What pages say: numbers, dates and descriptions as a person reads them."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from annotator.annotation import Classification
from annotator.nights import MJD_0
from annotator.preprocess.triplet import CHANNELS, SIDE
from annotator.reasons.reason import Reason
from annotator.report.expected import ShownCurve
from annotator.report.night import Candidate, Night, NightSummary
from annotator.report.pages.band_styles import BAND_STYLES
from annotator.report.pages.thumbnails import GAP
from annotator.surveys import SURVEYS
from annotator.transient import History, Modality

MODALITIES: Mapping[str, str] = MappingProxyType(
    {Modality.FEATURES: "Features", Modality.LIGHTCURVE: "Light curve", Modality.TRIPLET: "Stamps"}
)
"""In the order of the columns."""

NO_VALUE = "–"
_MINUS = "\N{MINUS SIGN}"
_LARGEST_BAR = 4.0
"""Of scores, in a column of bars, where no object of the night has more."""


def number(value: float | None, digits: int = 2) -> str:
    """Write a number with so many decimals and a true minus sign."""
    return NO_VALUE if value is None else f"{value:.{digits}f}".replace("-", _MINUS)


def significant(value: float | None) -> str:
    """Write a number with three significant digits, without an exponent where it has a common size."""
    if value is None:
        return NO_VALUE
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    text = f"{value:.2e}" if digits > 6 or digits < -4 else f"{value:.{max(0, digits)}f}"
    return text.replace("-", _MINUS)


def date_of_mjd(mjd: float | None) -> str:
    """Write an epoch as date and time, UTC."""
    if mjd is None:
        return NO_VALUE
    return (MJD_0 + datetime.timedelta(days=mjd)).strftime("%Y-%m-%d %H:%M")


def date_of_unix(seconds: float) -> str:
    """Write a moment as date and time, UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def minute(when: datetime.datetime) -> str:
    """Write a moment to the minute, UTC."""
    return f"{when.astimezone(datetime.UTC):%Y-%m-%d %H:%M}"


def percent(share: float) -> str:
    """Write a share as a whole percentage."""
    return f"{100 * share:.0f} %"


def percentile(value: float, is_beyond: bool) -> str:
    """Write a percentile; one beyond those that are kept only as that."""
    if is_beyond:
        return f"< {value:g}" if value < 50 else f"> {value:g}"
    return f"{value:.1f}" if value < 5 or value > 95 else f"{value:.0f}"


def share_of(value: float, whole: float) -> str:
    """Write what share of a bar is filled, for a style sheet."""
    return f"{min(max(value / whole, 0.0), 1.0) if whole > 0 else 0.0:.2f}".rstrip("0").rstrip(".")


FILTERS: Mapping[str, Callable] = MappingProxyType(
    {
        "capitalize_first": lambda text: f"{text[:1].upper()}{text[1:]}",
        "number": number,
        "significant": significant,
        "date_of_unix": date_of_unix,
        "minute": minute,
        "percent": percent,
        "percentile": percentile,
        "share_of": share_of,
    }
)


def score_scale(night: Night) -> float:
    """Return the score that fills a bar."""
    return max([_LARGEST_BAR, *(item.score for item in night.candidates)])


_SHOWN_CLASSES = (
    *(Classification.ANOMALY, Classification.WATCH),
    *(Classification.ARTEFACT, Classification.VARIABLE, Classification.NORMAL),
)
"""In the order of the tiles."""


@dataclass(frozen=True)
class Tile:
    """One number of how the night went."""

    value: str
    name: str
    kind: str = ""
    """A classification, where it counts objects of one."""


def tiles(night: Night) -> list[Tile]:
    """Return the numbers that stand above the list."""
    summary = night.summary
    counted = [Tile(str(summary.classes.get(name, 0)), name, name) for name in _SHOWN_CLASSES]
    seen = [Tile(str(summary.by_modality.get(name, 0)), f"with {word.lower()}") for name, word in MODALITIES.items()]
    return [
        Tile(str(summary.objects), "objects"),
        *counted,
        Tile(str(summary.newly_flagged), "newly flagged"),
        Tile(str(summary.new_objects), "new"),
        *seen,
    ]


def account(summary: NightSummary) -> list[tuple[str, str]]:
    """Return how the night went, by name."""
    lines = [
        ("Passes", f"{summary.passes}, {summary.scorings} scorings of {summary.objects} objects"),
        ("Refused records", str(summary.refused)),
        ("Incomplete objects", f"{summary.incomplete} wait for their light curve or stamps"),
        ("Calls left this hour", f"{summary.reads_left} to read, {summary.writes_left} to write"),
        ("Annotations", f"{summary.outbox_waiting} wait to be sent, {summary.outbox_failed} failed"),
    ]
    return [*lines, *(("Drift", words) for words in summary.drift)]


@dataclass(frozen=True)
class ModalityRow:
    """What one modality says of an object, as its page shows it."""

    name: str
    title: str
    score: float | None
    error: float | None
    missing: str
    mjd: float | None
    reasons: tuple[Reason, ...]


def modality_rows(candidate: Candidate) -> list[ModalityRow]:
    """Return the modalities in the order of the columns; one that the object has no result of is not among them."""
    rows = []
    for name, title in MODALITIES.items():
        result = candidate.modalities.get(name)
        if result is not None:
            reasons = tuple(candidate.reasons.get(name, ()))
            rows.append(ModalityRow(name, title, result.score, result.error, result.missing, result.mjd, reasons))
    return rows


def why_no_reasons(candidate: Candidate) -> str:
    """Say why nothing is said of what carries the scores; empty where a pass has looked for it."""
    if candidate.has_reasons:
        return ""
    if candidate.transient is None:
        return "Nobody looked for what carries the score before what was scored was dropped."
    return "What carries the score is not known yet: passes look for it when they have delivered, highest scores first."


def facts(candidate: Candidate) -> list[tuple[str, str]]:
    """Return what is known of an object, by name."""
    transient = candidate.transient
    lines = [("Detections", NO_VALUE if candidate.n_det is None else str(candidate.n_det))]
    if candidate.stream is not None:
        lines.append(("In this stream", f"1 in {10**candidate.stream:.0f} of like sampling scores as high"))
    if candidate.mjd is not None:
        lines.append(("Last detection", f"{date_of_mjd(candidate.mjd)} UTC (MJD {candidate.mjd:.4f})"))
    if candidate.first_flagged_mjd is not None:
        lines.append(("First flagged", f"MJD {candidate.first_flagged_mjd:.4f}"))
    if transient is not None and transient.ra_deg is not None and transient.dec_deg is not None:
        lines.append(("Position (J2000)", position(transient.ra_deg, transient.dec_deg)))
        lines.append(("RA, Dec", f"{transient.ra_deg:.6f}, {number(transient.dec_deg, 6)}"))
    if transient is not None and transient.history.first_year is not None:
        lines.append(("Known since", past_in_words(transient.history)))
    lines.append(("Sherlock", candidate.sherlock_class or "unknown"))
    if transient is not None:
        real_bogus = SURVEYS[transient.survey].real_bogus
        lines += [(name, number(transient.extras[name])) for name in real_bogus if name in transient.extras]
    lines.append(("TNS", " ".join(filter(None, (candidate.tns_name, candidate.tns_type))) or "not reported"))
    return lines


def past_in_words(past: History) -> str:
    """Write since when a place is known, and how often something was seen there."""
    parts = [str(past.first_year)]
    parts += [f"{past.n_detections} detections ever"] if past.n_detections is not None else []
    parts += [f"{past.n_negative} of its own negative"] if past.n_negative else []
    parts += [f"{past.n_earlier_seasons} earlier seasons"] if past.n_earlier_seasons else []
    return ", ".join(parts)


def position(ra_deg: float, dec_deg: float) -> str:
    """Write a position in hours, minutes and seconds, and degrees, arc minutes and seconds."""
    ra_centiseconds = round(ra_deg / 15 * 3600 * 100) % (24 * 3600 * 100)
    dec_tenths = round(abs(dec_deg) * 3600 * 10)
    sign = _MINUS if dec_deg < 0 else "+"
    ra_s, dec_s = ra_centiseconds / 100, dec_tenths / 10
    return (
        f"{int(ra_s // 3600):02d} {int(ra_s // 60 % 60):02d} {ra_s % 60:05.2f} "
        f"{sign}{int(dec_s // 3600):02d} {int(dec_s // 60 % 60):02d} {dec_s % 60:04.1f}"
    )


@dataclass(frozen=True)
class StampMark:
    """A circle about what a reason names, in units of pixels of the picture of all stamps."""

    x: float
    y: float
    radius: float


def stamp_marks(reasons: Sequence[Reason], n_rows: int = 1) -> list[StampMark]:
    """Return the circles: in the stamps as seen, which are the first row, and in the last of so many rows."""
    marks = []
    for reason in reasons:
        where = reason.where
        placed = [where.get(name) for name in ("row", "column", "radius")]
        if where.get("stamp") in CHANNELS and all(isinstance(value, int | float) for value in placed):
            row, column, radius = placed
            left = CHANNELS.index(where["stamp"]) * (SIDE + GAP)
            for top in sorted({0, (n_rows - 1) * (SIDE + GAP)}):
                marks.append(StampMark(left + column + 0.5, top + row + 0.5, max(radius, 1.0) + 1.5))
    return marks


def legend(curve: ShownCurve, reasons: Sequence[Reason]) -> set[str]:
    """Return what of a light curve's legend is on its plot: bands, negative, forced, limit, unused, reason."""
    seen = curve.light_curve
    found = {
        "negative": not (curve.in_flux or seen.is_positive.all()),
        "forced": bool(seen.is_forced.any()),
        "limit": len(seen.limit_time_mjd) > 0,
        "unused": not curve.is_used.all(),
        "reason": bool(reasons),
    }
    return {
        *curve.letter.tolist(),
        *curve.limit_letter.tolist(),
        *(name for name, is_there in found.items() if is_there),
    }


def describe_curve(object_id: str, curve: ShownCurve, reasons: Sequence[Reason]) -> str:
    """Say what a light curve's plot shows, for those who do not see it."""
    seen = curve.light_curve
    parts = [f"Light curve of {object_id}"]
    for letter in BAND_STYLES:
        n_found, n_forced = (
            int((is_such & (curve.letter == letter)).sum()) for is_such in (~seen.is_forced, seen.is_forced)
        )
        parts += [f"{n_found} detections in {letter}"] if n_found else []
        parts += [f"{n_forced} forced measurements in {letter}"] if n_forced else []
    parts.append(f"{len(seen.limit_time_mjd)} upper limits")
    if len(seen.time_mjd):
        parts.append(f"peak {curve.peak_mag:.1f} mag on MJD {curve.peak_mjd:.1f}")
    parts.append(
        "no expected curve" if curve.expected_mag is None else "with the normal supernova most like it and the residual"
    )
    return "; ".join(parts + [reason.words for reason in reasons])
