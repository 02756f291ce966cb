"""Tickets from a keytab: `kinit` into a private ccache, told in a word when it fails, and how long the ticket holds."""

from __future__ import annotations

import hashlib
import os
import re
import struct
from typing import BinaryIO, List, Mapping, NamedTuple, Tuple

CCACHE = "krb5cc"  # in the attempt's folder
FRESH = 300  # seconds by which the KDC's clock may be ahead of ours
PATIENCE = 30.0  # seconds for one kinit: a KDC that drops packets never answers
_PASSING = re.compile(r"contact any KDC|resolve network address|unable to reach|timed out|refused|unreachable|no route|temporar", re.I)
_TIMES = struct.Struct(">4I")


class KinitFailed(Exception):
    """No ticket. `passing`: it may be there in a moment."""

    def __init__(self, message: str, hint: str = "", passing: bool = False):
        super().__init__(message)
        self.message, self.hint, self.passing = message, hint, passing


class Ticket(NamedTuple):
    """The times of a ticket by the KDC's clock, in seconds since 1970."""

    start: int
    end: int
    renew_until: int  # 0: it cannot be renewed


def kinit(principal: str, keytab: str, cache: str, environ: Mapping[str, str], started=lambda process: None) -> Ticket:
    """Get a ticket into the file `cache`, which is replaced whole: who reads it meanwhile finds the old one or the new one.

    `started` is handed the process, so that it can be ended. Raises KinitFailed.
    """
    import subprocess  # here: `runner plan` only wants the name of the cache

    check_keytab(keytab)
    fresh = f"{cache}.new"
    try:
        process = subprocess.Popen(
            ["kinit", "-k", "-t", keytab, "-c", f"FILE:{fresh}", principal], env={**environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        hint = "install krb5-workstation (RHEL) or krb5-user (Debian)" if isinstance(error, FileNotFoundError) else ""
        raise KinitFailed(f"kinit: cannot be started: {error.strerror} (PATH: {environ.get('PATH', '')})", hint) from None
    started(process)
    try:
        out = process.communicate(timeout=PATIENCE)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise KinitFailed(f"kinit: no answer within {PATIENCE:g} s", "is the KDC up? runner doctor kerberos", passing=True) from None
    except BaseException:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        said = (out.strip().splitlines() or [f"ended with {process.returncode}"])[-1]
        said = re.sub(r"^kinit(\(\w+\))?: ", "", said)
        raise KinitFailed(f"kinit: {said} ({principal}, keytab {keytab})", _hint(said), bool(_PASSING.search(said)))
    try:
        os.chmod(fresh, 0o600)
        ticket = read_ticket(fresh)
        if ticket.end <= ticket.start:
            raise KinitFailed(f"kinit: the ticket has ended before it began: this server's clock is behind the KDC's ({principal})", _hint("skew"))
        os.replace(fresh, cache)
    except (OSError, ValueError) as error:
        raise KinitFailed(f"kinit: its ticket cannot be read: {error}") from None
    return ticket


def shared(principal: str, keytab: str, home: str) -> str:
    """The cache of all that wait with that principal: a look every few minutes is no reason for a ticket of its own."""
    return os.path.join(home, "cache", f"{CCACHE}-{hashlib.sha256(f'{principal} {keytab}'.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}")


def keep_fresh(principal: str, keytab: str, cache: str, environ: Mapping[str, str], now: float) -> None:
    """A ticket in `cache` with half of its life before it; several may ask at once. Raises KinitFailed."""
    import fcntl

    os.makedirs(os.path.dirname(cache), 0o750, exist_ok=True)
    with open(cache + ".lock", "a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            ticket = read_ticket(cache)
            if ticket.start - FRESH <= now < ticket.end - (ticket.end - ticket.start) * 0.5:
                return
        except (OSError, ValueError):
            pass
        kinit(principal, keytab, cache, environ)


def check_keytab(keytab: str) -> None:
    """Raises KinitFailed for one that cannot be read: kinit itself tells little."""
    try:
        with open(keytab, "rb") as file:
            head = file.read(2)
    except OSError as error:
        raise KinitFailed(f"kinit: keytab {keytab}: {error.strerror}", f"type: ls -l {keytab}") from None
    if head[:1] != b"\x05":
        raise KinitFailed(f"kinit: {keytab} is no keytab", f"type: klist -kt {keytab}")


def _hint(said: str) -> str:
    low = said.lower()
    if "skew" in low:
        return "the clocks of this server and the KDC differ: chronyc sources"
    if "preauth" in low or "password incorrect" in low or "decrypt" in low:
        return "the keytab is older than the principal's key: have a new one made"
    if "no suitable keys" in low or "keytab" in low and "not found" in low:
        return "the keytab holds another principal: klist -kt shows which"
    if "not found in kerberos database" in low or "client not found" in low:
        return "the KDC knows no such principal: is the name, with its realm, right?"
    return "type: runner doctor kerberos"


# ------------------------------------------------------------------------------------------------------------ on disk


def read_ticket(path: str) -> Ticket:
    """The times of the ticket-granting ticket in a ccache of format 3 or 4. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        try:
            return _ticket(file)
        except (struct.error, IndexError):
            raise ValueError(f"{path} is no credential cache that runner can read") from None


def keytab_principals(path: str) -> List[str]:
    """The principals of a keytab of format 2, each once. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        if file.read(2) != b"\x05\x02":
            raise ValueError(f"{path} is no keytab")
        out: List[str] = []
        while True:
            head = file.read(4)
            if len(head) < 4:
                return out
            size = struct.unpack(">i", head)[0]
            entry = file.read(abs(size))
            if size > 0:  # a negative one is a hole
                out += [name for name in [_entry_name(entry)] if name not in out]


def _entry_name(entry: bytes) -> str:
    count = struct.unpack_from(">H", entry)[0]
    place, words = 2, []
    for _ in range(count + 1):  # the realm first
        size = struct.unpack_from(">H", entry, place)[0]
        words.append(entry[place + 2 : place + 2 + size].decode("utf-8", "replace"))
        place += 2 + size
    return "/".join(words[1:]) + "@" + words[0]


def _ticket(file: BinaryIO) -> Ticket:
    version = file.read(2)
    if version == b"\x05\x04":
        file.read(_number(file, ">H"))
    elif version != b"\x05\x03":
        raise ValueError("another version")
    _principal(file)
    while True:
        _principal(file)
        server = _principal(file)
        file.read(4 if version == b"\x05\x03" else 2)  # the key's type
        _data(file)
        authenticated, start, end, renew = _TIMES.unpack(file.read(16))
        file.read(5)  # is_skey, flags
        for _ in range(2):  # addresses, authorization data
            for _ in range(_number(file, ">I")):
                file.read(2)
                _data(file)
        _data(file)
        _data(file)
        if server[:1] == ("krbtgt",):
            return Ticket(start or authenticated, end, renew)


def _principal(file: BinaryIO) -> Tuple[str, ...]:
    """Its components, the realm left out."""
    file.read(4)
    count = _number(file, ">I")
    return tuple(_data(file).decode("utf-8", "replace") for _ in range(count + 1))[1:]


def _data(file: BinaryIO) -> bytes:
    return file.read(_number(file, ">I"))


def _number(file: BinaryIO, kind: str) -> int:
    return struct.unpack(kind, file.read(struct.calcsize(kind)))[0]
