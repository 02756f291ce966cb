"""Passwords, hashed by scrypt with what it takes written beside the hash, and words that nobody can guess."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import threading
import unicodedata

from runner.errors import UsageError

COST, BLOCK, PARALLEL = 2**14, 8, 1  # 16 MB and some 50 ms for each look at a password
SHORTEST, LONGEST = 10, 1000
_one = threading.Lock()  # two at once would take the memory of two


def good(name: str, password: str) -> str:
    """The password, when it may be one. Raises UsageError."""
    said = f"take {SHORTEST} characters or more; some words in a row are good and easy to keep in mind"
    if len(password) < SHORTEST:
        raise UsageError(f"a password of {len(password)} characters is too short", said)
    if len(password) > LONGEST:
        raise UsageError(f"a password of {len(password)} characters is too long", f"{LONGEST} are enough")
    if len(set(password)) < 4 or (name.lower() in password.lower() and len(password) - len(name) < 4):
        raise UsageError("that password would be guessed at once", said)
    return password


def hashed(password: str) -> str:
    """As it is kept: `scrypt$16384$8$1$SALT$HASH`."""
    salt = secrets.token_bytes(16)
    return "$".join(("scrypt", str(COST), str(BLOCK), str(PARALLEL), _text(salt), _text(_scrypt(password, salt, COST, BLOCK, PARALLEL))))


def matches(password: str, kept: str) -> bool:
    """Whether it is the one that was hashed. Takes as long when `kept` is "", which nothing matches."""
    words = kept.split("$")
    if len(words) != 6 or words[0] != "scrypt":
        _scrypt(password, b"0" * 16, COST, BLOCK, PARALLEL)
        return False
    cost, block, parallel = map(int, words[1:4])
    return hmac.compare_digest(_scrypt(password, _bytes(words[4]), cost, block, parallel), _bytes(words[5]))


def is_old(kept: str) -> bool:
    """Whether it was hashed with less than what is asked today."""
    return not kept.startswith(f"scrypt${COST}${BLOCK}${PARALLEL}$")


def _scrypt(password: str, salt: bytes, cost: int, block: int, parallel: int) -> bytes:
    data = unicodedata.normalize("NFC", password[:LONGEST]).encode("utf-8", "replace")
    with _one:
        return hashlib.scrypt(data, salt=salt, n=cost, r=block, p=parallel, maxmem=256 * cost * block, dklen=32)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def new_word(prefix: str = "") -> str:
    """256 bits of chance, for a session or a token."""
    return prefix + secrets.token_urlsafe(32)


def digest(word: str) -> str:
    """What is kept of such a word: nobody can guess it, so one plain hash is enough."""
    return hashlib.sha256(word.encode("utf-8", "replace")).hexdigest()
