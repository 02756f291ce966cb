"""A TCP connection to a database: reached or told why not, and kept alive, so that a server that vanished is noticed."""

from __future__ import annotations

import os
import socket
from typing import Any, Mapping, Tuple

from runner.clients import net
from runner.clients.databases import TIMEOUT
from runner.errors import RunnerError, UsageError

_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # two minutes of silence on the wire and it is gone


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
