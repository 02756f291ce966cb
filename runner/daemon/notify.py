"""What systemd is told: that the daemon is ready, what it does, that it still turns, that it leaves (sd_notify(3)).

Without systemd every call does nothing. A message that cannot be sent is dropped: systemd decides what its absence means.
"""

from __future__ import annotations

import os
import socket
from typing import Mapping, MutableMapping, Optional

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
SEND_SECONDS = 1.0  # the loop stands still no longer than this when systemd does not read


class Notify:
    """The line to systemd."""

    def __init__(self, environ: MutableMapping[str, str], pid: Optional[int] = None):
        """Takes its variables out of `environ`, so that a step that knows sd_notify too does not speak for the daemon."""
        self.watchdog_seconds = watchdog_seconds(environ, os.getpid() if pid is None else pid)
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        for name in VARIABLES:
            environ.pop(name, None)

    @property
    def listens(self) -> bool:
        """Whether anybody wants to know."""
        return self._address is not None

    def ready(self, status: str = "") -> bool:
        """Started, or done with reloading."""
        return self._send("READY=1", _status(status))

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send(_status(text))

    def alive(self) -> bool:
        """The loop turns: due at least every `watchdog_seconds`, better twice as often."""
        return self._send("WATCHDOG=1")

    def reloading(self, monotonic_usec: int) -> bool:
        """SIGHUP was heard; `ready` must follow. `monotonic_usec`: clock.monotonic_usec(), which Type=notify-reload wants."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_usec}")

    def stopping(self, status: str = "") -> bool:
        """On the way out."""
        return self._send("STOPPING=1", _status(status))

    def _send(self, *lines: str) -> bool:
        """Send assignments in one datagram; False when nobody got them."""
        if self._address is None:
            return False
        message = "\n".join(filter(None, lines)).encode("utf-8", "replace")
        try:
            # A socket for each message: nothing to lose when systemd starts itself anew.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                line.settimeout(SEND_SECONDS)
                return line.sendto(message, self._address) == len(message)
        except OSError:
            return False


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> Optional[float]:
    """Seconds of silence after which systemd kills this process; None when it does not watch it."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None  # meant for the process that started us
    try:
        usec = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return usec / 1e6 if usec > 0 else None


def _address(text: str) -> Optional[bytes]:
    """The socket's address: a path, or after `@` a name in the abstract space. Others (vsock) are not for services."""
    if text.startswith("@"):
        return b"\0" + os.fsencode(text[1:])
    return os.fsencode(text) if text.startswith("/") else None


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split()) if text else ""  # a line break would begin another assignment
