"""Where a ledger lies: in a file of SQLite, or in a database of PostgreSQL."""

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from annotator.errors import ConfigError

PASSWORD_VARIABLE = "AHA_LEDGER_PASSWORD"
SCHEME = "postgresql+psycopg"
EXPECTED = f"the path of a file, or {SCHEME}://USER@HOST/DATABASE"


@dataclass(frozen=True)
class PostgresAddress:
    """A database of PostgreSQL; its text is safe to show.

    Raises
    ------
    ConfigError
        If the text is not such an address, or holds a password. The message shows nothing of it.
    """

    url: str
    password: str | None = field(default=None, repr=False, compare=False)
    """None: what libpq finds by itself, in PGPASSWORD or ~/.pgpass, or what the server does not ask for."""
    folder: Path | None = field(default=None, repr=False, compare=False)
    """Where a file may lie that says which ledger was used last; None: nowhere."""

    def __post_init__(self) -> None:
        url = urlsplit(self.url)
        options = dict(parse_qsl(url.query, keep_blank_values=True))
        if url.password is not None or any("password" in name.lower() for name in options):
            raise ConfigError(
                f"must hold no password: set the environment variable {PASSWORD_VARIABLE}, or use libpq's ~/.pgpass"
            )
        if url.scheme != SCHEME or url.fragment or not re.fullmatch(r"/[A-Za-z0-9_.$\-]+", url.path) or not _port(url):
            raise ConfigError(f"must be {EXPECTED}; port and options (?sslmode=require) may be named")

    def __str__(self) -> str:
        return self.url

    @property
    def id_file(self) -> Path | None:
        """The file that says which ledger was used last at this address."""
        if self.folder is None:
            return None
        return self.folder / f"aha-ledger-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}.id"


LedgerAddress = Path | PostgresAddress


def read_address(text: str, folder: Path, password: str | None = None) -> LedgerAddress:
    """Read an address as a person writes it; a relative path is relative to `folder`, a password is for a server.

    Raises
    ------
    ConfigError
        If it is an address, but none of a ledger.
    """
    return PostgresAddress(text, password or None, folder) if "://" in text else folder / os.path.expanduser(text)


def _port(url: object) -> bool:
    try:
        return url.port is None or url.port > 0
    except ValueError:
        return False
