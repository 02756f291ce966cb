"""Asks a directory whether a password is that of a name, and of which groups the name is a member: bind, StartTLS, compare (RFC 4511).

Three requests, each of which is answered by one number: so it is written out here. ldap3, the client in pure Python, takes 10 MB of the daemon and has
had no release since 2021; python-ldap wants a compiler or the C library.
"""

from __future__ import annotations

import re
import socket
import ssl
from typing import List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from runner.clients import net
from runner.errors import EnvironmentFault

SECONDS = 5.0  # for the server to take a connection, and for each answer
LONGEST = 65536  # of an answer, in bytes
_GOOD, _TRUE, _WRONG = 0, 6, 49
_NOT = (5, 16, 32)  # compared and not so; no such attribute; no such entry
_BIND, _COMPARE, _EXTENDED, _UNBIND = 0x60, 0x6E, 0x77, 0x42
_START_TLS = "1.3.6.1.4.1.1466.20037"


def escaped(name: str) -> str:
    """As part of a distinguished name."""
    return re.sub(r'([,+"\\<>;=#])', r"\\\1", name)


def member_of(url: str, ca: str, user: str, name: str, password: str, groups: Sequence[str]) -> Optional[List[str]]:
    """Which of the groups the name is in, when that is their password; None when it is not. `user`: their entry, with {name} in it.

    Raises EnvironmentFault when the directory cannot be asked.
    """
    if not password:  # an empty one is no proof: a directory calls it good and knows nobody
        return None
    entry, link = user.replace("{name}", escaped(name)), None
    try:
        link = _Link(url, ca)
        code, said = link.ask(_BIND, _number(3) + _text(entry) + _block(0x80, password.encode()))
        if code == _WRONG or code == 32:
            return None
        if code != _GOOD:
            raise EnvironmentFault(f"{url}: it lets nobody in as {entry}: {said or code}", "correct ldap_user")
        return [group for group in groups if link.compare(group, "member", entry) or link.compare(group, "uniqueMember", entry) or link.compare(group, "memberUid", name)]
    except ssl.SSLError as error:
        raise EnvironmentFault(f"{url}: {getattr(error, 'verify_message', '') or error.reason or error}", "name the file of its authority: ldap_ca") from None
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"{url}: {getattr(error, 'strerror', None) or error}", "is ldap_url right, and the directory up?") from None
    finally:
        if link:
            link.close()


class _Link:
    """One connection, always by TLS: `ldaps:` from its first byte, `ldap:` from its first request on."""

    def __init__(self, url: str, ca: str):
        place = urlsplit(url)
        secure, host = place.scheme == "ldaps", place.hostname or ""
        context = net.trust(ca or None)
        self._number = 0
        self._socket = socket.create_connection((host, place.port or (636 if secure else 389)), timeout=SECONDS)
        try:
            if not secure:
                code, said = self.ask(_EXTENDED, _block(0x80, _START_TLS.encode()))
                if code != _GOOD:
                    raise ValueError(f"it speaks no TLS ({said or code}), and no password is sent without")
            self._socket = context.wrap_socket(self._socket, server_hostname=host)
        except BaseException:
            self._socket.close()
            raise

    def compare(self, entry: str, attribute: str, value: str) -> bool:
        code, said = self.ask(_COMPARE, _text(entry) + _block(0x30, _text(attribute) + _text(value)))
        if code not in (_TRUE, *_NOT, 17, 18, 19, 21, 50):  # an attribute or a syntax that this kind of group has not; one may not read it
            raise ValueError(f"{entry}: {said or code}")
        return code == _TRUE

    def ask(self, operation: int, body: bytes) -> Tuple[int, str]:
        """(the number it answers, what it says to it)"""
        self._number += 1
        self._socket.sendall(_block(0x30, _number(self._number) + _block(operation, body)))
        answer = _Reader(self._message())
        if answer.number() != self._number:
            raise ValueError("it answers what was not asked")
        result = _Reader(answer.take()[1])
        code = result.number()
        result.take()
        return code, result.take()[1].decode("utf-8", "replace")

    def _message(self) -> bytes:
        head = self._exactly(2)
        length = head[1]
        if length & 0x80:
            if not 1 <= length & 0x7F <= 4:
                raise ValueError("it does not speak LDAP")
            length = int.from_bytes(self._exactly(length & 0x7F), "big")
        if head[0] != 0x30 or length > LONGEST:
            raise ValueError("it does not speak LDAP")
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        out = b""
        while len(out) < count:
            piece = self._socket.recv(count - len(out))
            if not piece:
                raise ValueError("it closed the connection")
            out += piece
        return out

    def close(self) -> None:
        try:
            self._socket.sendall(_block(0x30, _number(self._number + 1) + _block(_UNBIND, b"")))
        except OSError:
            pass
        self._socket.close()


# ----------------------------------------------------------------------------------------------------------------- BER


def _block(tag: int, data: bytes) -> bytes:
    size = len(data)
    if size < 128:
        return bytes((tag, size)) + data
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + data


def _number(value: int) -> bytes:
    return _block(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _text(value: str) -> bytes:
    return _block(4, value.encode("utf-8", "replace"))


class _Reader:
    """Blocks, one after the other. Raises ValueError where there is none."""

    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def take(self) -> Tuple[int, bytes]:
        """(tag, what is in it)"""
        head = self._data[self._at : self._at + 2]
        if len(head) < 2:
            raise ValueError("it does not speak LDAP")
        at, length = self._at + 2, head[1]
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(self._data[at : at + count], "big"), at + count
        if at + length > len(self._data):
            raise ValueError("it does not speak LDAP")
        self._at = at + length
        return head[0], self._data[at : self._at]

    def number(self) -> int:
        return int.from_bytes(self.take()[1], "big")
