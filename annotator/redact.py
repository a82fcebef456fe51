"""Secrets stay where they belong: nothing that is logged, kept, shown or posted repeats one.

A server may repeat what it was sent. So what comes from one is cleaned of the secrets that it knows at the door, before
anybody reads it, and every line of the log and of standard error once more, of all secrets there are.
"""

import html
import json
import logging
import re
import traceback
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus, urlsplit

from annotator.lasair_token import token_if_any

HIDDEN = "(hidden)"
MIN_CHARACTERS = 6
"""A shorter secret is not looked for: it stands in ordinary words as well."""
SECRETS = ("LASAIR_TOKEN", "AHA_LEDGER_PASSWORD", "AHA_WEBHOOK_URL")
"""The environment variables that hold one."""


class Redactor:
    """Takes secrets out of texts.

    Parameters
    ----------
    secrets
        Also looked for in capitals and small letters, and as they are written in a URL, in JSON, by Python and in HTML;
        of a secret that is a URL also its path, which is what errors name.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret) if len(form) >= MIN_CHARACTERS}
        any_of = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
        self._pattern = re.compile(any_of, re.IGNORECASE) if forms else None

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


def redactor_of(environ: Mapping[str, str]) -> Redactor:
    """Return what takes out all secrets that the environment holds, or names the file of."""
    return Redactor([*(environ.get(name, "").strip() for name in SECRETS), token_if_any(environ)])


class RedactingFilter(logging.Filter):
    """Takes secrets out of the log's records, tracebacks included; for handlers, which every record goes through."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record, and let it pass."""
        try:
            record.msg = self._redact(record.getMessage())
        except (TypeError, ValueError):  # the arguments don't fit; logging says so by itself
            record.msg = self._redact(str(record.msg))
        record.args = ()
        if record.exc_info and record.exc_info[1]:
            record.exc_text = self._redact("".join(traceback.format_exception(record.exc_info[1])).rstrip())
        if record.stack_info:
            record.stack_info = self._redact(record.stack_info)
        return True


_IN_URL = re.compile(r"(?<=://)[^/\s'\"@]*@|(?<=[?&])([^=&#\s'\"]*)=[^&#\s'\"]+")


def without_credentials(text: str) -> str:
    """Return a text in which no URL has a user, a password or values of a query: people write tokens there."""
    return _IN_URL.sub(lambda found: HIDDEN + "@" if found[1] is None else f"{found[1]}={HIDDEN}", text)


def _forms(secret: str) -> Iterable[str]:
    parts = urlsplit(secret) if "://" in secret else None
    for text in (secret, *((parts.path, parts.query) if parts else ())):
        yield text
        for safe in ("", "/"):
            yield quote(text, safe=safe, errors="replace")
        yield quote_plus(text, errors="replace")
        for escaped in (json.dumps(text), json.dumps(text, ensure_ascii=False), repr(text)):
            yield escaped[1:-1]
        yield html.escape(text)
