"""A private PostgreSQL server: started here, on a socket only, and gone with the test session."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = ("initdb", "postgres", "pg_ctl", "psql")
LOCKED = "keeper"
"""The one user whom the server asks for a password."""
PASSWORD = "s3cret-Åß/@:?#%20"


def _folder() -> Path | None:
    """Return where the programs are: Debian keeps them out of the way, a folder for each release."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("initdb")
    folders += [Path(found).parent] if found else []
    return next((path for path in folders[::-1] if all((path / name).exists() for name in PROGRAMS)), None)


def _user() -> str | None:
    """Return who may run the server: the current user, or for root, whom it refuses, `postgres` where there is one."""
    if os.geteuid() != 0:
        return getpass.getuser()
    return next((entry.pw_name for entry in pwd.getpwall() if entry.pw_name == "postgres"), None)


def why_missing() -> str:
    """Say why there can be no server; empty if there can be one."""
    if _folder() is None:
        return "PostgreSQL is not installed"
    return "" if _user() else "PostgreSQL refuses to run as root, and there is no user postgres"


class Server:
    """A cluster in a temporary folder, without any care for its data."""

    def __init__(self) -> None:
        # Not one of pytest's folders: these are closed to the user postgres, and too deep for a socket.
        self.folder = Path(tempfile.mkdtemp(prefix="aha-pg-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, _user())
        self.folder.chmod(0o755)
        data = self.folder / "data"
        # English order is not that of code points: who relies on the server's order is found out.
        order = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        self._run(
            "initdb", f"--pgdata={data}", "--username=aha", "--auth=trust", "--no-sync", "--encoding=UTF8", *order
        )
        rules = f"local all {LOCKED} scram-sha-256\nlocal all all trust\n"
        subprocess.run(["tee", data / "pg_hba.conf"], input=rules.encode(), stdout=subprocess.DEVNULL, check=True)
        self._data = data
        self._number = 0
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c full_page_writes=off -c shared_buffers=16MB"
        log = f"--log={self.folder / 'log'}"
        self._run("pg_ctl", f"--pgdata={data}", "start", "--wait", log, f"--options={options}")
        literal = PASSWORD.replace("'", "''")
        self.sql(f"CREATE ROLE {LOCKED} LOGIN SUPERUSER PASSWORD '{literal}'")

    def _run(self, program: str, *arguments: object) -> str:
        command = [str(_folder() / program), *map(str, arguments)]
        if os.geteuid() == 0:
            command = ["runuser", "-u", _user(), "--", *command]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def sql(self, statement: str, database: str = "postgres") -> list[str]:
        """Run SQL as somebody else would; return the lines that it prints, columns with ``|`` between."""
        options: Sequence[str] = ("--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
        answer = self._run(
            "psql", f"--host={self.folder}", "--username=aha", *options, "--command", statement, database
        )
        return answer.splitlines()

    def new_schema(self) -> str:
        """Make an empty schema, which is as good as a database and made sooner; return its address."""
        self._number += 1
        self.sql(f"CREATE SCHEMA test_{self._number}")
        return f"{self.address()}&options=-csearch_path%3Dtest_{self._number}"

    def address(self, user: str = "aha") -> str:
        """Return the address of the database that is there, for a user."""
        return f"postgresql+psycopg://{user}@/postgres?host={self.folder}"

    def stop(self) -> None:
        """Stop the server and delete all that it had."""
        try:
            self._run("pg_ctl", f"--pgdata={self._data}", "stop", "--mode=immediate", "--wait")
        finally:
            shutil.rmtree(self.folder)
