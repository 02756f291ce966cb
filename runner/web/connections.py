"""waitress, with two things it does not do: no connection is kept by who is slow on purpose, and none by who has many."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from typing import Any, Callable, Dict

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

SILENT_SECONDS = 30  # a connection that says nothing, or has not said all of what it asks, is closed
LONGEST_HEADER, LONGEST_BODY = 32 * 1024, 1024 * 1024
CROWDED = 0.9  # of the connections that may be open


class Channel(HTTPChannel):
    """One connection."""

    def handle_read(self) -> None:
        before, begun = self.last_activity, self.request
        super().handle_read()
        if begun is not None and self.request is begun:  # a byte now and then shall not keep it open
            self.last_activity = before

    @property
    def spare(self) -> bool:
        """Whether it may be closed without anybody losing an answer."""
        return not self.requests and not self.total_outbufs_len


class Listener(TcpWSGIServer):
    """The one socket that listens."""

    channel_class = Channel

    def __init__(self, app: Callable[..., Any], listening: socket.socket, threads: int, most: int, channels: Dict[int, Any], scheme: str = "http"):
        for name in ("waitress", "waitress.queue"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        adjusted = Adjustments(
            sockets=[listening], threads=threads, ident="", expose_tracebacks=False, connection_limit=most, max_request_header_size=LONGEST_HEADER,
            max_request_body_size=LONGEST_BODY, channel_timeout=SILENT_SECONDS, cleanup_interval=10, clear_untrusted_proxy_headers=False,
            asyncore_use_poll=True, url_scheme=scheme,
        )
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(threads)
        place = (listening.family, listening.type, listening.proto, listening.getsockname())
        super().__init__(app, channels, True, listening, dispatcher=dispatcher, adj=adjusted, sockinfo=place, bind_socket=False)

    def handle_accept(self) -> None:
        try:
            super().handle_accept()
        except (OSError, ValueError):  # who came is gone already; the next one is answered
            pass

    def readable(self) -> bool:
        if len(self.active_channels) > CROWDED * self.adj.connection_limit:
            self._make_room()
        return super().readable()

    def _make_room(self) -> None:
        """Close what is spare: first of whom has most connections, then what was quiet longest. A browser opens it again when it needs it."""
        count = Counter(channel.addr[0] for channel in self.active_channels.values())
        spare = [channel for channel in self.active_channels.values() if channel.spare and not channel.will_close]
        closing = sum(channel.will_close for channel in self.active_channels.values())
        excess = len(self.active_channels) - closing - int(CROWDED * self.adj.connection_limit)
        spare.sort(key=lambda channel: (-count[channel.addr[0]], channel.last_activity))
        for channel in spare[: max(0, excess)]:
            channel.will_close = True

    def end(self) -> None:
        self.task_dispatcher.shutdown(cancel_pending=True, timeout=2)
        self.asyncore.close_all(self._map, ignore_all=True)
