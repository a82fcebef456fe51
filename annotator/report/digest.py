"""The night's few best objects as a message: plain text, Markdown, and a post to a Slack-compatible webhook."""

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from urllib3 import Retry
from urllib3.exceptions import InvalidHeader

from annotator.annotation import Classification
from annotator.decision.announcement import Anomaly, is_to_be_announced
from annotator.decision.sending import FLAGS
from annotator.errors import ConfigError, NoAnswerError, WebhookError
from annotator.lasair.cutouts import LOCAL_HOSTS
from annotator.lasair.http import Http
from annotator.ledger import Ledger
from annotator.report.night import Candidate, Night
from annotator.surveys.links import links

WEBHOOK_VARIABLE = "AHA_WEBHOOK_URL"
TOP = 10
"""Objects that a digest names."""
TRIES = 5
FIRST_PAUSE_S = 2.0
"""Before the second try; it doubles from one to the next."""
MAX_PAUSE_S = 60.0
TIMEOUT_S = 15.0
"""Without a sign of life; a whole try has twice as long."""
MAX_REPLY_BYTES = 1_000_000


def flagged(night: Night) -> list[Candidate]:
    """Return the night's anomalies and what is to be watched, in the order of attention."""
    found = [item for item in night.candidates if item.classification in FLAGS]
    return sorted(found, key=lambda item: item.rank)


def news(night: Night, ledger: Ledger, margin: float) -> list[Candidate]:
    """Return those of the flagged that were not posted, or to which more is known than when they were.

    Parameters
    ----------
    margin
        By how much a score has to have risen since.
    """
    found = flagged(night)
    posted = ledger.announcements.posted([item.object_id for item in found])
    return [item for item in found if is_to_be_announced(_as_anomaly(item), posted.get(item.object_id), margin)]


def to_text(night: Night, items: Sequence[Candidate], top: int = TOP) -> str:
    """Write a digest for a terminal, a mail or a chat."""
    lines = [_headline(night), _in_numbers(night), ""]
    for place, item in enumerate(items[:top], 1):
        lines += [f"{place}. {_title(item)}", *(f"   {words}" for words in _said(item))]
        lines += [f"   {name}: {address}" for name, address in _addresses(night, item).items()]
    return "\n".join([*lines, *_ending(night, items, top)]) + "\n"


def to_markdown(night: Night, items: Sequence[Candidate], top: int = TOP) -> str:
    """Write a digest in Markdown."""
    lines = [f"## {_headline(night)}", "", _in_numbers(night), ""]
    for place, item in enumerate(items[:top], 1):
        addresses = " · ".join(f"[{name}]({address})" for name, address in _addresses(night, item).items())
        said = [f"   {_escaped(words)}  " for words in _said(item)]
        lines += [f"{place}. **{_escaped(_title(item))}**  ", *said, f"   {addresses}"]
    return "\n".join([*lines, *map(_escaped, _ending(night, items, top))]) + "\n"


def _headline(night: Night) -> str:
    return f"AHA for Lasair: night of {night.date}, {night.survey.upper()}, {night.model_set}"


def _in_numbers(night: Night) -> str:
    summary = night.summary
    scored = ", ".join(f"{name} {count}" for name, count in summary.by_modality.items())
    anomalies, watched, artefacts, variables = (
        summary.classes.get(name, 0) for name in (*FLAGS, Classification.ARTEFACT, Classification.VARIABLE)
    )
    return (
        f"{summary.objects} objects scored ({scored}): {anomalies} anomalies, {watched} to watch, "
        f"{artefacts} artefacts, {variables} known variables; {summary.newly_flagged} flagged for the first time."
        f"{f' Provisional models: {night.provisional}.' if night.provisional else ''}"
    )


def _title(item: Candidate) -> str:
    parts = [item.object_id, f"{item.classification} {item.score:.2f}"]
    parts += [f"exotic {item.exotic:.2f}"] if item.exotic is not None else []
    parts += [f"{item.tns_name} {item.tns_type}".strip()] if item.tns_name else []
    parts += ["first flagged tonight"] if item.is_newly_flagged else []
    parts += [f"judged {item.judgement.verdict}"] if item.judgement else []
    return ", ".join(parts)


def _said(item: Candidate) -> list[str]:
    """Return what is said of an object: what was found, and why it is worth a look."""
    return [
        item.explanation,
        *([f"{item.worth_in_words[:1].upper()}{item.worth_in_words[1:]}."] if item.worth_in_words else []),
    ]


def _addresses(night: Night, item: Candidate) -> dict[str, str]:
    found = links(night.survey, item.object_id, item.transient, item.tns_name)
    return {name: found[name] for name in ("Lasair", "TNS") if name in found}


def _ending(night: Night, items: Sequence[Candidate], top: int) -> list[str]:
    lines = [] if items else ["Nothing is flagged."]
    if len(items) > top:
        lines += ["", f"and {len(items) - top} more, in the report."]
    attention = [f"ATTENTION: {words}" for words in night.summary.attention]
    return [*lines, *(["", *attention] if attention else [])]


def _escaped(text: str) -> str:
    """Escape what Markdown would take for a sign."""
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>#+-!|~" else sign for sign in text)


def _as_anomaly(item: Candidate) -> Anomaly:
    scored = frozenset(name for name, said in item.modalities.items() if said.score is not None)
    return Anomaly(item.object_id, item.score, scored, "", 0)


# --- to people


def check_webhook(url: str) -> None:
    """Raise ConfigError where a webhook's address is none. It is a secret: no message repeats it."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL_HOSTS):
        raise ConfigError(f"{WEBHOOK_VARIABLE} must be an https URL (http only to this machine)")


def post_news(
    night: Night,
    ledger: Ledger,
    url: str,
    margin: float,
    now: float,
    top: int = TOP,
) -> int:
    """Post what is new in a night to a webhook; where it is nothing, post nothing. Return how many objects it names.

    What was posted is noted after the webhook took it: a crash in between posts twice, and never fails to post.

    Raises
    ------
    WebhookError
        If it did not take it, after several tries where another might help.
    """
    items = news(night, ledger, margin)[:top]
    if items:
        post(to_text(night, items, top), url)
        ledger.announcements.mark_posted([_as_anomaly(item) for item in items], now)
    return len(items)


def post(text: str, url: str) -> None:
    """Post a text to a Slack-compatible webhook.

    Raises
    ------
    WebhookError
        If it did not take it. The message names neither the address nor what is in it.
    """
    # The three characters that Slack takes for its own signs, as its documentation asks for.
    message = {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}
    http = Http(TIMEOUT_S, MAX_REPLY_BYTES)
    with _address_kept_out_of_logs():
        for number in range(TRIES):
            asked_s, is_last = 0.0, number == TRIES - 1
            try:
                reply = http.call("POST", url, json=message)
            except NoAnswerError as error:
                failure = f"no answer ({error})"
            else:
                if reply.status == 200:
                    return
                failure = f"it answered {reply.status}"
                is_last |= reply.status != 429 and reply.status < 500
                asked_s = _asked_pause_s(reply.headers.get("Retry-After", ""))
            if is_last:
                break
            time.sleep(min(max(asked_s, FIRST_PAUSE_S * 2**number), MAX_PAUSE_S))
    raise WebhookError(
        f"the digest was not posted: {failure}; its objects are in the next digest. Is {WEBHOOK_VARIABLE} right?"
    )


def _asked_pause_s(retry_after: str) -> float:
    """Return for how long a webhook asks to be left alone, 0 where it does not say."""
    try:
        return Retry().parse_retry_after(retry_after)
    except InvalidHeader:
        return 0.0


@contextlib.contextmanager
def _address_kept_out_of_logs() -> Iterator[None]:
    """Keep urllib3 from saying that it tries again: it would name the address, which is a secret."""
    loggers = [logging.getLogger(name) for name in ("urllib3.connectionpool", "urllib3.util.retry")]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger in loggers:
            logger.disabled = False
