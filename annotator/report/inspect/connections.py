"""Connections to the inspection page: nobody keeps others out by holding many, or by being slow.

All users of a machine have one address. So a new connection is never turned away for those that are there: the one of
its address that has waited longest without a request makes room, and whoever sends a request at once gets an answer.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer

PER_ADDRESS = 32
"""Connections of one address: a browser has six."""
IN_ALL = 256
IDLE_S = 30.0
"""A request must be there whole so soon after its connection, or the last answer: a browser simply makes another."""
SENDING_S = 600.0
"""An answer must be taken so soon."""


class _Channel(HTTPChannel):
    """One connection."""

    def __init__(self, server: "Server", *rest: Any, **named: Any) -> None:
        self.since = server.clock()
        """When it began to wait for a request, or to be sent an answer."""
        super().__init__(server, *rest, **named)

    def service(self) -> None:
        self.since = self.server.clock()
        super().service()
        self.since = self.server.clock()

    @property
    def has_request(self) -> bool:
        return bool(self.requests)

    @property
    def is_being_sent(self) -> bool:
        return self.total_outbufs_len > 0

    def is_late(self, now: float) -> bool:
        return not self.has_request and now - self.since > (SENDING_S if self.is_being_sent else IDLE_S)


class Server(TcpWSGIServer):
    """A server that makes room for newcomers.

    Parameters
    ----------
    clock
        Seconds, ever rising.
    rest, named
        As waitress takes them.
    """

    channel_class = _Channel

    def __init__(self, *rest: Any, clock: Callable[[], float] = time.monotonic, **named: Any) -> None:
        self.clock = clock
        # The limits here are reached before waitress's own, at which it takes no connection at all.
        # It polls, since select() knows no connection beyond the thousand first files of a process.
        super().__init__(*rest, connection_limit=2 * IN_ALL, cleanup_interval=1, asyncore_use_poll=True, **named)

    def handle_accept(self) -> None:
        """Take a connection, and end another where there are too many."""
        before = set(self.active_channels.values())
        super().handle_accept()
        for channel in set(self.active_channels.values()) - before:
            self._make_room(channel)

    def maintenance(self, now: float) -> None:
        """End connections on which nothing comes, however often a byte of it does."""
        for channel in self.active_channels.values():
            if channel.is_late(self.clock()):
                channel.will_close = True

    def _make_room(self, newest: _Channel) -> None:
        there = [channel for channel in self.active_channels.values() if not channel.will_close]
        of = Counter(channel.addr[0] for channel in there)
        address = newest.addr[0]
        if of[address] <= PER_ADDRESS:
            if len(there) <= IN_ALL:
                return
            address = of.most_common(1)[0][0]
        waiting = [channel for channel in there if channel.addr[0] == address and not channel.has_request]
        # Who is being sent something goes after those who wait, and the newest last of all.
        waiting.sort(key=lambda channel: (channel is newest, channel.is_being_sent, channel.since))
        (waiting or [newest])[0].will_close = True
