"""Cutouts: from a reference to three stamps, over https from the survey's own hosts or from files beside a record.

What comes over the wire is not trusted: only configured hosts, no redirect to another, a limit on size, and whatever
is not a stamp is a missing cutout with its reason. Fetched files are kept on disk, up to a limit.
"""

import dataclasses
import logging
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from annotator.config import LasairConfig
from annotator.errors import (
    DamagedFileError,
    LasairUnreachableError,
    MissingModalityError,
    NoAnswerError,
    NoStampError,
    NotNowError,
    RejectedError,
)
from annotator.lasair.breaker import Breaker, Breakers
from annotator.lasair.cutout_cache import CutoutCache
from annotator.lasair.http import Http
from annotator.preprocess.fits import MAX_BYTES, read_stamp
from annotator.surveys import Survey
from annotator.transient import CutoutReference, Triplet

log = logging.getLogger(__name__)

LOCAL_HOSTS = ("127.0.0.1", "localhost")
_RETRY_PAUSE_S = 0.5
_KINDS = ("science", "template", "difference")

_NONE = (b"", b"None")
"""How Lasair says that there is none (with status 200)."""

_STAMPS = (b"SIMPLE", b"\x1f\x8b")
"""How a FITS file begins, plain and gzipped; anything else is not the stamps' host's, such as a proxy's page."""

Outcome = Triplet | MissingModalityError | RejectedError | LasairUnreachableError
"""The stamps; or why there are none; or how their host refused them, though not those of others; or why not now."""


class CutoutFetcher:
    """Turns references into triplets, several at a time.

    Parameters
    ----------
    hosts
        Whose URLs may be fetched: by https, or by http where the host is this machine.
    parallel
        Requests under way at a time.
    timeout_s
        Seconds without a sign of life; a whole stamp has twice as many.
    cache
        Where fetched files are kept; None to keep none.
    folder
        Where local paths start from; None where there may be none.
    breakers
        Whether a host is asked; kept by whoever gave them.
    moved
        How URLs begin that are elsewhere, and how they begin there; None where all are where they are said to be.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        parallel: int = 4,
        timeout_s: float = 10.0,
        cache: CutoutCache | None = None,
        folder: Path | None = None,
        breakers: Breakers | None = None,
        moved: tuple[str, str] | None = None,
    ) -> None:
        self._moved = moved
        self._hosts = frozenset(host.lower() for host in hosts)
        self._parallel = parallel
        self._http = Http(timeout_s, MAX_BYTES, keep_alive=True)
        self._cache = cache
        self._folder = folder
        self._breakers = breakers or Breakers()

    def fetch(
        self, references: Sequence[CutoutReference], should_stop: Callable[[], bool] = lambda: False
    ) -> list[Outcome]:
        """Fetch the stamps of several epochs, in order.

        Parameters
        ----------
        references
            Where they are.
        should_stop
            Asked before each request; what is left then counts as unreachable for now.
        """
        if not references:
            return []
        references = [self._where_it_is(reference) for reference in references]

        # Each worker takes the next one that is left: to hand them over one by one takes longer than to read a stamp.
        left, found = iter(list(enumerate(references))), {}

        def work(_: int) -> None:
            for number, reference in left:
                found[number] = self._triplet(reference, should_stop)

        n_workers = min(self._parallel, len(references))
        with ThreadPoolExecutor(n_workers, thread_name_prefix="cutouts") as pool:
            list(pool.map(work, range(n_workers)))
        self._breakers.save()
        if self._cache:
            self._cache.trim()
        return [self._judged(reference, *found[number]) for number, reference in enumerate(references)]

    def _where_it_is(self, reference: CutoutReference) -> CutoutReference:
        if self._moved is None:
            return reference
        said, found = (f"{root}/" for root in self._moved)
        urls = {kind: getattr(reference, kind) for kind in _KINDS}
        moved = {kind: found + url.removeprefix(said) for kind, url in urls.items() if url.startswith(said)}
        return dataclasses.replace(reference, **moved)

    def _triplet(self, reference: CutoutReference, should_stop: Callable[[], bool]) -> tuple[Outcome, str]:
        """Fetch the stamps of one epoch; return them, or why there are none and of which kind that was said."""
        stamps = []
        for kind in _KINDS:
            try:
                stamps.append(self._stamp(reference, kind, should_stop))
            except (MissingModalityError, RejectedError, LasairUnreachableError) as reason:
                return reason, kind
        return Triplet(*stamps, reference.time_mjd, reference.x_pixel, reference.y_pixel, reference.is_negative), ""

    def _judged(self, reference: CutoutReference, outcome: Outcome, kind: str) -> Outcome:
        """Tell what is said of one epoch from what is said of all.

        Where their host gave stamps of others, that it has none of many is a refusal, which is bounded by nights.
        """
        if not isinstance(outcome, RejectedError | NoStampError):
            return outcome
        breaker = self._breaker(getattr(reference, kind), kind)
        if breaker.believes(reference.science):
            return outcome
        if isinstance(outcome, NoStampError) and breaker.has_answered:
            return RejectedError(str(outcome))
        return NotNowError(str(outcome))

    def _breaker(self, url: str, kind: str) -> Breaker:
        """Return that of a kind of stamps at their host: each may lie where the others do not."""
        return self._breakers[f"cutouts {urlsplit(url).hostname} {kind}"]

    def _stamp(self, reference: CutoutReference, kind: str, should_stop: Callable[[], bool]) -> NDArray[np.float32]:
        place = getattr(reference, kind)
        try:
            if "://" not in place:
                return read_stamp(_read_local(place, self._folder))
            kept = self._cache.get(place) if self._cache else None
            if kept is not None:
                try:
                    return read_stamp(kept)
                except MissingModalityError:
                    self._cache.forget(place)
            check_url(place, self._hosts)
            content, stamp = self._download(place, self._breaker(place, kind), reference.science, should_stop)
        except (MissingModalityError, RejectedError) as reason:
            raise type(reason)(f"{kind} cutout: {reason}") from reason
        if self._cache:
            self._cache.put(place, content)
        return stamp

    def _download(
        self, url: str, breaker: Breaker, subject: str, should_stop: Callable[[], bool]
    ) -> tuple[bytes, NDArray[np.float32]]:
        try:
            return self._attempt(url, breaker, subject, should_stop)
        except NotNowError:
            raise
        except LasairUnreachableError:
            if should_stop():
                raise
            time.sleep(_RETRY_PAUSE_S)
            return self._attempt(url, breaker, subject, should_stop)

    def _attempt(
        self, url: str, breaker: Breaker, subject: str, should_stop: Callable[[], bool]
    ) -> tuple[bytes, NDArray[np.float32]]:
        if should_stop():
            raise LasairUnreachableError("cutouts: no time left to fetch them")
        with breaker.call(subject):
            content = self._get(url)
            return content, _read_answer(content)

    def _get(self, url: str) -> bytes:
        """Make one request, and those that it is sent on to on the same host."""
        host = urlsplit(url).hostname
        try:
            reply = self._http.call("GET", url, follow=self._may_follow)
        except NoAnswerError as error:
            raise LasairUnreachableError(f"cutouts: no answer from {host}: {error}") from error
        if reply.status >= 500 or reply.status == 429:
            raise LasairUnreachableError(f"cutouts: their host answered {reply.status}")
        if 300 <= reply.status < 400:
            raise RejectedError("its host sends on to where no stamps are, or without end")
        if reply.status != 200:
            raise RejectedError(f"its host answered {reply.status}")
        if reply.body not in _NONE and not reply.body.startswith(_STAMPS):
            raise RejectedError(f"expected a FITS file, found {reply.body[:20]!r}")
        return reply.body

    def _may_follow(self, url: str, next_url: str) -> bool:
        try:
            check_url(next_url, self._hosts)
        except MissingModalityError:
            return False
        return urlsplit(next_url).hostname == urlsplit(url).hostname


def moved_root(survey: Survey, lasair: LasairConfig) -> tuple[str, str] | None:
    """Return how URLs begin that a survey's decoder makes of the numbers of detections, and how they begin in truth.

    They are at the first of the hosts that are configured, or at the endpoint's own where that is another Lasair; None
    where they are as the decoder says.
    """
    endpoint, hosts = urlsplit(lasair.endpoint), lasair.allowed_cutout_hosts(survey)
    if not survey.cutout_root or urlsplit(survey.cutout_root).hostname in hosts:
        return None
    root = f"{endpoint.scheme}://{endpoint.netloc}" if hosts[0] == endpoint.hostname else f"https://{hosts[0]}"
    return survey.cutout_root, root


def check_url(url: str, hosts: frozenset[str]) -> None:
    """Refuse a URL that may not be fetched.

    Raises
    ------
    MissingModalityError
        Unless it is https to one of the hosts, or http to one of them that is this machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise MissingModalityError("its address is no URL") from None
    if host not in hosts:
        raise MissingModalityError(f"{str(host)[:60]} is none of the survey's hosts: {', '.join(sorted(hosts))}")
    is_local = host in LOCAL_HOSTS and parts.scheme == "http"
    if not is_local and (parts.scheme != "https" or port not in (None, 443)):
        raise MissingModalityError("its address is not https")
    if parts.username is not None:
        raise MissingModalityError("its address names a user")


def _read_answer(content: bytes) -> NDArray[np.float32]:
    """Read what a host sent; a file that breaks off is no answer of the host's."""
    if content in _NONE:
        raise NoStampError("its host has an empty file")
    try:
        stamp = read_stamp(content)
    except DamagedFileError as reason:
        raise RejectedError(str(reason)) from reason
    except MissingModalityError as reason:
        raise NoStampError(str(reason)) from reason
    if not np.nan_to_num(stamp).any():
        raise NoStampError("none of its pixels has a value")
    return stamp


def _read_local(place: str, folder: Path | None) -> bytes:
    """Read a file inside the record's own folder."""
    if folder is None:
        raise MissingModalityError("a path is only read beside a record's own file; expected a URL")
    root = folder.resolve()
    try:
        if Path(place).is_absolute() or ".." in Path(place).parts:
            raise MissingModalityError("its path leads out of the record's folder")
        path = (root / place).resolve(strict=True)
        if not path.is_relative_to(root):
            raise MissingModalityError("its path leads out of the record's folder")
        if not stat.S_ISREG(path.stat().st_mode):
            raise MissingModalityError("its path is no file")
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise MissingModalityError("there is no such file") from None
    except (OSError, ValueError, RuntimeError) as error:
        raise MissingModalityError(f"its file cannot be read: {type(error).__name__}") from error
    if len(content) > MAX_BYTES:
        raise MissingModalityError(f"it has more than {MAX_BYTES} bytes")
    if not content:
        raise MissingModalityError("its file is empty")
    return content
