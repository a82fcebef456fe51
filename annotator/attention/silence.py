"""For how long a source has given nothing, and whether that is news."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from annotator.config import FileSource, Source, StreamSource
from annotator.nights import DAY_S

NEWS = "news"
"""Among a pass's counts: the records that say something new of the source; absent where it was not read to its end."""

HOUR_S = 3600.0
WEEK_S = 7 * DAY_S
MIN_WEEKS = 4
"""From so many on what is usual at an hour of the week is known."""
MAX_WEEKS = 26
"""That are looked back."""


@dataclass(frozen=True)
class Silence:
    """How long a source had given nothing when a pass last read it."""

    hours: float
    weeks: int
    """In which a pass was made at this hour of the week, before this one."""
    is_unusual: bool


def silence(heard: Sequence[tuple[float, int]], silent_nights: float) -> Silence | None:
    """Look how long the source has been silent, and whether that is too long.

    Too long is two nights, or as many as are configured; and once four weeks are known, longer by an hour than it ever
    was at this hour of the week. Where no pass was made nothing could be heard: only passes tell of silence.

    Parameters
    ----------
    heard
        When passes ended that read the source to its end, in seconds since 1970 up to now, and how much news it gave
        them; in any order, of :data:`MAX_WEEKS`.
    silent_nights
        Nights without anything, where no four weeks are known.

    Returns
    -------
    Silence or None
        None where no pass has read the source to its end.
    """
    if not heard:
        return None
    heard = sorted(heard)
    ended = [moment for moment, _ in heard]
    silent_s, since = [], ended[0]
    for moment, news in heard:
        since = moment if news else since
        silent_s.append(moment - since)
    at_this_hour = []
    for week in range(1, MAX_WEEKS + 1):
        moment = ended[-1] - week * WEEK_S
        near = silent_s[bisect_left(ended, moment - HOUR_S / 2) : bisect_right(ended, moment + HOUR_S / 2)]
        if near:
            at_this_hour.append(max(near))
    if len(at_this_hour) < MIN_WEEKS:
        is_unusual = silent_s[-1] >= silent_nights * DAY_S
    else:
        is_unusual = silent_s[-1] > max(at_this_hour) + HOUR_S
    return Silence(silent_s[-1] / HOUR_S, len(at_this_hour), is_unusual)


def silence_in_words(found: Silence | None, source: Source) -> list[str]:
    """Say what a person must look at, in a sentence; a recorded file is never silent."""
    if found is None or not found.is_unusual or isinstance(source, FileSource):
        return []
    often = f", longer than ever at this hour in {found.weeks} weeks" if found.weeks >= MIN_WEEKS else ""
    if isinstance(source, StreamSource):
        ask = f"is the filter of {source.topic} still active? Lasair ends active filters after 180 days"
    else:
        ask = f"does the filter {source.filter} still select what is new, and does Lasair still take in alerts?"
    return [f"the source has given nothing for {found.hours:.0f} hours{often}: {ask}"]
