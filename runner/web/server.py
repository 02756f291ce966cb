"""Listens, in threads of its own. Whatever goes wrong here is said in the daemon's log and never keeps it from scheduling."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import resource
import socket
import threading
from typing import Any, Callable, Mapping, Optional

from runner.clock import Clock
from runner.config import Config, address_of
from runner.web.app import create_app
from runner.web.desk import Desk
from runner.web.edge import Edge

THREADS = 4
RETRY_SECONDS = 30.0  # a busy port is tried again
END_SECONDS = 3.0
LONGEST_HEADER, LONGEST_BODY = 32 * 1024, 1024 * 1024
SILENT_SECONDS = 30  # a connection that says nothing is closed
MOST_CONNECTIONS = 1000
_M_ARENA_MAX = -8  # of malloc.h


class Server:
    """The page of one daemon, from `start` to `close`."""

    def __init__(self, config: Config, environ: Mapping[str, str], clock: Clock, log: logging.Logger):
        self._config, self._log = config, log
        self._desk = Desk(config, environ, clock, log.error)
        self._over = threading.Event()
        self._map: dict = {}
        self._wake: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)

    def start(self) -> "Server":
        self._thread.start()
        return self

    def close(self) -> None:
        """Answer nobody any more. Waits a little for those who are being answered."""
        self._over.set()
        self._wake()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        try:
            listening = self._listen()
            if listening is not None:
                self._serve(listening)
        except Exception as error:  # noqa: BLE001 - the daemon goes on without a page
            self._log.error(f"the page is not served: {error!r}")

    def _listen(self) -> Optional[socket.socket]:
        """The socket; a busy port is waited for. None when told to close before."""
        host, port = address_of(self._config.listen)
        said = False
        while not self._over.is_set():
            try:
                return _bound(host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    self._log.error(f"the page is not served: {self._config.listen}: {error.strerror}; correct the setting listen")
                    return None
                if not said:
                    self._log.warning(f"the page is not served yet: port {port} is taken by {holder_of(port) or 'a process of another user'}; "
                                      "end that, or write another port into the setting listen")
                said = True
            self._over.wait(RETRY_SECONDS)
        return None

    def _serve(self, listening: socket.socket) -> None:
        _one_heap()
        from waitress import wasyncore
        from waitress.server import create_server

        for name in ("waitress", "waitress.queue"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        server: Any = create_server(
            Edge(create_app(self._desk), self._desk), sockets=[listening], map=self._map, threads=THREADS, ident="", expose_tracebacks=False,
            connection_limit=max(20, min(MOST_CONNECTIONS, files // 4)),  # the steps need files too
            max_request_header_size=LONGEST_HEADER, max_request_body_size=LONGEST_BODY, channel_timeout=SILENT_SECONDS, cleanup_interval=10,
            clear_untrusted_proxy_headers=False, asyncore_use_poll=True,
        )
        self._wake = server.trigger.pull_trigger
        self._log.info(f"the page: {self._config.page_url or 'http://' + self._config.listen}")
        try:
            while not self._over.is_set():
                wasyncore.loop(timeout=10, use_poll=True, map=self._map, count=1)
        finally:
            server.task_dispatcher.shutdown(cancel_pending=True, timeout=2)
            wasyncore.close_all(self._map, ignore_all=True)


def _one_heap() -> None:
    """glibc would give each thread a heap of its own, which keeps what the largest page of that thread took: 6 MB together."""
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    except (OSError, AttributeError):  # another libc
        pass


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    out = socket.socket(family, socket.SOCK_STREAM)
    try:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        out.bind((host.strip("[]"), port))
        out.listen(128)
        return out
    except BaseException:
        out.close()
        raise


def holder_of(port: int, proc: str = "/proc") -> str:
    """`pid 4711 (java)`: who listens on a port of this server; "" when it cannot be seen."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        try:
            with open(f"{proc}/net/{name}", encoding="ascii") as file:
                inodes.update(words[9] for words in map(str.split, file) if words[3] == "0A" and words[1].endswith(f":{port:04X}"))
        except OSError:
            continue
    for pid in filter(str.isdigit, os.listdir(proc)):
        try:
            for fd in os.listdir(f"{proc}/{pid}/fd"):
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"{proc}/{pid}/fd/{fd}"))
                if found and found[1] in inodes:
                    with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
                        return f"pid {pid} ({file.read().strip()})"
        except OSError:
            continue
    return ""
