"""https by the daemon itself: the same loop of waitress, with TLS in each channel, so that a slow handshake costs no thread."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import threading
from typing import Any, Callable, Dict, Optional, Tuple

from runner.clock import Clock
from runner.errors import EnvironmentFault
from runner.web.connections import Channel, Listener

LOOK_SECONDS = 5.0  # how soon new files of a certificate count
_PLAIN = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nrunner: this page speaks https: put https:// before its address\n"
_WAIT = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Certificate:
    """A certificate and its key, read again when the files change; a faulty new pair is said once, and the old one stays."""

    def __init__(self, certificate: str, key: str, clock: Clock, say: Callable[[str], None]):
        """Raises EnvironmentFault when they cannot be used."""
        self._paths, self._clock, self._say = (certificate, key), clock, say
        self._seen, self._stamp = clock.monotonic(), self._stamped()
        self._context = _load(certificate, key)

    def context(self) -> ssl.SSLContext:
        tick = self._clock.monotonic()
        if tick - self._seen >= LOOK_SECONDS:
            self._seen, stamp = tick, self._stamped()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._context = _load(*self._paths)
                    self._say("the page: its certificate was read again")
                except EnvironmentFault as error:
                    self._say(f"the page keeps its old certificate: {error.message}. {error.hint}")
        return self._context

    def _stamped(self) -> Tuple[Any, ...]:
        out = []
        for path in self._paths:
            try:
                found = os.stat(path)
                out.append((found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode))
            except OSError:
                out.append(())
        return tuple(out)


def _load(certificate: str, key: str) -> ssl.SSLContext:
    _private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        why = "the key is not that of the certificate" if "MISMATCH" in str(error.reason) else f"{error.reason or error}"
        raise EnvironmentFault(f"page_certificate {certificate} with page_key {key}: {why}", "both are PEM files; type: openssl x509 -noout -subject -enddate -in " + certificate) from None
    except ValueError as error:
        raise EnvironmentFault(f"page_key {key}: {error}", f"take its password away: openssl pkey -in {key} -out {key}.open && chmod 600 {key}.open") from None
    except OSError as error:
        raise EnvironmentFault(f"page_certificate {certificate}: {error.strerror}", f"type: ls -l {certificate} {key}") from None
    return context


def _no_password() -> str:
    raise ValueError("it is locked by a password, which nobody could type when the daemon starts")


def _private(key: str) -> None:
    """Root may give a key to a group, as distributions do; nobody else may read it."""
    try:
        found = os.stat(key)
    except OSError as error:
        raise EnvironmentFault(f"page_key {key}: {error.strerror}", f"type: ls -l {key}") from None
    allowed = stat.S_IRWXU if found.st_uid == os.getuid() else stat.S_IRWXU | stat.S_IRGRP
    if stat.S_IMODE(found.st_mode) & ~allowed & 0o777:
        raise EnvironmentFault(f"page_key {key} can be read by others (mode {stat.S_IMODE(found.st_mode):o})", f"type: chmod 600 {key}")


class _Nothing(Exception):
    """Less came than makes something to read."""


class SecureChannel(Channel):
    """One connection. Threads of waitress send while its loop reads: a lock keeps the two apart, which OpenSSL leaves to us."""

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Optional[Dict[int, Any]] = None):
        self._tls = threading.RLock()
        self._shaken = self._shake_writes = False
        sock.setblocking(False)
        secure = server.certificate.context().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        super().__init__(server, secure, addr, adj, map=map)

    def readable(self) -> bool:
        return super().readable() if self._shaken else not self.will_close

    def writable(self) -> bool:
        return super().writable() if self._shaken else self._shake_writes or self.will_close

    def handle_read(self) -> None:
        if not self._shaken:
            self._shake()
            return
        try:
            super().handle_read()
            while self.connected and self.socket.pending():  # read by OpenSSL already: no poll would tell of it
                super().handle_read()
        except _Nothing:
            pass

    def handle_write(self) -> None:
        if self._shaken or self.will_close:
            super().handle_write()
        else:
            self._shake()

    def _shake(self) -> None:
        try:
            with self._tls:
                self.socket.do_handshake()
            self._shaken, self._shake_writes = True, False
        except ssl.SSLWantReadError:
            self._shake_writes = False
        except ssl.SSLWantWriteError:
            self._shake_writes = True
        except OSError as error:
            if getattr(error, "reason", "") == "HTTP_REQUEST":
                self._say_plainly()
            self.handle_close()

    def _say_plainly(self) -> None:
        try:
            socket.socket.recv(self.socket, 65536)  # what came is taken, so that the answer is not lost with it
        except OSError:
            pass
        try:
            socket.socket.send(self.socket, _PLAIN)
        except OSError:
            pass

    def recv(self, size: int) -> bytes:
        try:
            with self._tls:
                data = self.socket.recv(size)
        except _WAIT:
            raise _Nothing() from None
        if not data:
            self.handle_close()
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        try:
            with self._tls:
                return self.socket.send(data)
        except _WAIT:
            return 0
        except OSError:
            if do_close:
                self.handle_close()
            return 0

    def close(self) -> None:
        with self._tls:
            super().close()


class SecureListener(Listener):
    channel_class = SecureChannel

    def __init__(self, app: Callable[..., Any], listening: socket.socket, threads: int, most: int, channels: Dict[int, Any], certificate: Certificate):
        self.certificate = certificate
        super().__init__(app, listening, threads, most, channels, "https")
