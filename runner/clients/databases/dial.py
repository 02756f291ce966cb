"""A TCP connection to a database: reached or told why not, and kept alive, so that a server that vanished is noticed."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Tuple

from runner.clients import net
from runner.clients.databases import TIMEOUT, wanted
from runner.errors import EnvironmentFault, RunnerError, UsageError

_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # two minutes of silence on the wire and it is gone


@dataclass(frozen=True)
class Server:
    """A server as its connection names it, and the words for what it may have against us."""

    product: str
    host: str
    port: int
    user: str
    database: Optional[str]
    password: str
    seconds: float
    context: Any  # see `tls`

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """By a socket of this server, where TLS means nothing."""
        return self.host.startswith("/")

    def about(self, version: str, database: str = "") -> str:
        return f"{version}, {self.user}@{self.place}/{self.database or database}"

    def dial(self) -> socket.socket:
        return dial(self.host, self.port, self.seconds)

    def trouble(self, error: OSError) -> RunnerError:
        return trouble(error, self.host, self.port, self.seconds, f"is it {self.product}? look at `host:` and `port:` of the connection")

    def refuses(self, said: str) -> UsageError:
        return UsageError(f"{self.place} refuses user {self.user}: {said}", "look at `user:` and `password:` of the connection")

    def lacks_database(self) -> UsageError:
        return UsageError(f"{self.place} has no database {self.database or self.user}", "look at `database:` of the connection")

    def lacks_tls(self) -> UsageError:
        return UsageError(f"{self.place} offers no TLS", "write `tls: off` in the connection, where the network may be trusted")

    def is_silent(self) -> EnvironmentFault:
        return EnvironmentFault(f"{self.place} takes the connection but does not answer within {self.seconds:g} s", f"is it {self.product}, and does it hang?")

    def is_another(self, error: BaseException) -> EnvironmentFault:
        return EnvironmentFault(f"{self.place} does not speak {self.product}: {error}", "look at `host:` and `port:` of the connection")


def server(product: str, settings: Mapping[str, Any], port: int) -> Server:
    """Raises RunnerError."""
    host, port = place(settings, port)
    return Server(product, host, port, wanted(settings, "user"), str(settings.get("database") or "") or None, str(settings.get("password") or ""),
                  limit(settings), tls(settings))


def place(settings: Mapping[str, Any], port: int) -> Tuple[str, int]:
    """Host and port. Raises UsageError."""
    text = str(settings.get("port") or port).strip()
    if not (text.isdigit() and 0 < int(text) < 65536):
        raise UsageError(f"port: {text!r} is no port", "write a number from 1 to 65535")
    return str(settings.get("host") or "localhost").strip(), int(text)


def limit(settings: Mapping[str, Any]) -> float:
    return net.seconds(settings.get("connect_timeout"), TIMEOUT, "connect_timeout")


def tls(settings: Mapping[str, Any]) -> Any:
    """False: never; None: where the server offers it; else the context that it must pass. Raises RunnerError."""
    mode = str(settings.get("tls") or ("verify" if settings.get("ca") else "prefer")).strip().lower()
    if mode not in ("off", "prefer", "require", "verify"):
        raise UsageError(f"tls: {mode!r} is not known", "write off, prefer, require (encrypted) or verify (encrypted, certificate checked)")
    if mode in ("off", "prefer"):
        return False if mode == "off" else None
    return net.trust(str(settings.get("ca") or "") or None, insecure=mode == "require")


def dial(host: str, port: int, seconds: float) -> socket.socket:
    """An open socket that still has the time limit on it. `host` may be the path of a socket's folder or file. Raises RunnerError."""
    if host.startswith("/"):
        host = os.path.join(host, f".s.PGSQL.{port}") if os.path.isdir(host) else host
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        found.settimeout(seconds)
        try:
            found.connect(host)
        except OSError as error:
            found.close()
            raise net.trouble(error, host, seconds) from None
        return found
    try:
        found = socket.create_connection((host, port), seconds)
    except OSError as error:
        raise trouble(error, host, port, seconds) from None
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ALIVE.items():
        found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return found


def trouble(error: OSError, host: str, port: int, seconds: float, tls_hint: str = "") -> RunnerError:
    """net.trouble with our own name for the time limit."""
    found = net.trouble(error, f"{host}:{port}", seconds, tls_hint)
    found.hint = found.hint.replace("`timeout:`", "`connect_timeout:`")
    return found
