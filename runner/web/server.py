"""Listens, in threads of its own. Whatever goes wrong here is said in the daemon's log and never keeps it from scheduling."""

from __future__ import annotations

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
from runner.errors import EnvironmentFault, RunnerError
from runner.web import heap
from runner.web.app import create_app
from runner.web.desk import Desk
from runner.web.edge import Edge
from runner.web.peers import is_loopback

THREADS = 4
RETRY_SECONDS = 30.0  # a busy port is tried again
END_SECONDS = 3.0
MOST_CONNECTIONS = 1000


class Server:
    """The page of one daemon, from `start` to `close`."""

    def __init__(self, config: Config, environ: Mapping[str, str], clock: Clock, log: logging.Logger, tell: Callable[[str], None] = lambda trouble: None):
        """`tell` takes why the page is not served, for who looks at the daemon; "" when it is."""
        self._config, self._log, self._tell = config, log, tell
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
                self._tell("")
                self._serve(listening)
        except RunnerError as error:
            self._complain(f"the page is not served: {error.message}. {error.hint}")
        except Exception as error:  # noqa: BLE001 - the daemon goes on without a page
            self._complain(f"the page is not served: {error!r}")

    def _complain(self, trouble: str, level: int = logging.ERROR) -> None:
        self._log.log(level, trouble)
        self._tell(trouble)

    def _listen(self) -> Optional[socket.socket]:
        """The socket; a busy port is waited for. None when told to close before."""
        host, port = address_of(self._config.listen)
        said = False
        while not self._over.is_set():
            try:
                return _bound(host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    self._complain(f"the page is not served: {self._config.listen}: {error.strerror}; correct the setting listen, or --listen")
                    return None
                if not said:
                    self._complain(f"the page is not served yet: port {port} is taken by {holder_of(port) or 'a process of another user'}; "
                                   "end that, or write another port into the setting listen, or behind --listen", logging.WARNING)
                said = True
            self._over.wait(RETRY_SECONDS)
        return None

    def _serve(self, listening: socket.socket) -> None:
        heap.steady()
        from waitress import wasyncore

        config, certificate = self._config, self._certificate()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        most = max(20, min(MOST_CONNECTIONS, files // 4))  # the steps need files too
        parts = (Edge(create_app(self._desk), self._desk), listening, THREADS, most, self._map)
        if certificate is None:
            from runner.web.connections import Listener

            server: Any = Listener(*parts)
        else:
            from runner.web.tls import SecureListener

            server = SecureListener(*parts, certificate)
        self._wake = server.pull_trigger
        self._log.info(f"the page: {config.page_url or ('https://' if certificate else 'http://') + config.listen}")
        if certificate is None and not config.page_url.startswith("https:") and not is_loopback(address_of(config.listen)[0]):
            self._log.warning("the page speaks http to other servers, passwords included; set page_certificate and page_key, or put a proxy before it")
        try:
            while not self._over.is_set():
                wasyncore.loop(timeout=10, use_poll=True, map=self._map, count=1)
        finally:
            server.end()

    def _certificate(self) -> Any:
        config = self._config
        if not (config.page_certificate or config.page_key):
            return None
        if not (config.page_certificate and config.page_key):
            raise EnvironmentFault("page_certificate and page_key belong together", "set both, or none")
        from runner.web.tls import Certificate

        return Certificate(config.page_certificate, config.page_key, self._desk.clock, self._log.warning)


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
