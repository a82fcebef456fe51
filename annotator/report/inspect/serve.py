"""The inspection page's server: one address, a few threads, an orderly end."""

import contextlib
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType

import flask

from annotator.errors import ConfigError
from annotator.report.inspect.access import EVERYWHERE, is_loopback
from annotator.report.inspect.app import DOOR, MAX_BODY_BYTES
from annotator.report.inspect.connections import Server
from annotator.report.inspect.doors import Alone

DEFAULT_HOST = "localhost"
DEFAULT_PORT = 8765
THREADS = 8


def serve(app: flask.Flask, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT) -> None:
    """Serve until Ctrl-C or SIGTERM; what was being answered then is finished.

    Prints the address to open, and each next one where it opens once.

    Raises
    ------
    ConfigError
        If others could reach the server and it is for one person, or the address cannot be had.
    """
    server = listen(app, host, port)
    address = "localhost" if host in EVERYWHERE else server.effective_host
    shown = f"[{address}]" if ":" in address else address
    url = f"http://{shown}:{server.effective_port}"
    door = app.extensions[DOOR]
    before = signal.signal(signal.SIGTERM, _end)
    try:
        # The server itself ends with KeyboardInterrupt, and then with its threads; one may come before its first round.
        with contextlib.suppress(KeyboardInterrupt):
            if isinstance(door, Alone):
                door.tell = lambda opens: print(f"Opened. Another browser opens it at {url}{opens}", flush=True)
                print(f"Inspect the night at {url}{door.address} (it opens once; Ctrl-C ends it)", flush=True)
            else:
                print(f"Inspect the night at {url}/ (Ctrl-C ends it)", flush=True)
            server.run()
    finally:
        signal.signal(signal.SIGTERM, before)
        server.close()


def listen(app: flask.Flask, host: str, port: int, clock: Callable[[], float] = time.monotonic) -> Server:
    """Return a server that holds the address and has still to be run; raises as :func:`serve` does."""
    if not app.extensions[DOOR].is_for_many and not is_loopback(host):
        raise ConfigError(
            f"others can reach a server on {host or 'every address'}: name who may judge by --people FILE, or leave "
            "the server on localhost and come through a tunnel (ssh -L)"
        )
    try:
        held = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot serve on {host}, port {port}: {error}; name another --port, or a --host of this machine"
        ) from error
    return Server(
        app,
        _sock=held,
        bind_socket=False,
        sockinfo=(held.family, held.type, held.proto, held.getsockname()),
        clock=clock,
        threads=THREADS,
        ident=None,
        clear_untrusted_proxy_headers=True,
        max_request_body_size=4 * MAX_BODY_BYTES,
    )


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
