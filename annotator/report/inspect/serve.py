"""The inspection page's server: one address, a few threads, an orderly end."""

import contextlib
import signal
import socket
from types import FrameType

import flask
import waitress
from waitress.server import TcpWSGIServer

from annotator.errors import ConfigError
from annotator.report.inspect.access import EVERYWHERE, password_for
from annotator.report.inspect.app import MAX_BODY_BYTES

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 8765
THREADS = 8


def serve(app: flask.Flask, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Serve until Ctrl-C or SIGTERM; what was being answered then is finished. Prints the address to open.

    Raises
    ------
    ConfigError
        If others could reach the server and it asks for no password, or the address cannot be had.
    """
    server = listen(app, host, port)
    address = "localhost" if host in EVERYWHERE else server.effective_host
    shown = f"[{address}]" if ":" in address else address
    before = signal.signal(signal.SIGTERM, _end)
    try:
        # The server itself ends with KeyboardInterrupt, and then with its threads; one may come before its first round.
        with contextlib.suppress(KeyboardInterrupt):
            print(f"Inspect the night at http://{shown}:{server.effective_port}/ (Ctrl-C ends it)", flush=True)
            server.run()
    finally:
        signal.signal(signal.SIGTERM, before)
        server.close()


def listen(app: flask.Flask, host: str, port: int) -> TcpWSGIServer:
    """Return a server that holds the address and has still to be run; raises as :func:`serve` does."""
    if not app.config["AHA_ASKS_FOR_A_PASSWORD"]:
        password_for(host, {})
    try:
        held = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot serve on {host}, port {port}: {error}; name another --port, or a --host of this machine"
        ) from error
    return waitress.create_server(
        app,
        sockets=[held],
        threads=THREADS,
        ident=None,
        clear_untrusted_proxy_headers=True,
        max_request_body_size=4 * MAX_BODY_BYTES,
    )


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
