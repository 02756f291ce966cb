"""glibc keeps what a large page took. Told otherwise, the daemon stays small beside its page."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of malloc.h


def steady() -> None:
    """glibc would give each thread a heap of its own, which keeps what the largest page of that thread took: 6 MB together. And the
    16 MB that one look at a password takes would become part of the heap, instead of going back at once."""
    try:
        for name, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 2 << 20)):
            ctypes.CDLL(None).mallopt(name, value)
    except (OSError, AttributeError):  # another libc
        pass


def give_back() -> None:
    """Free room in the midst of the heap too; a millisecond."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass
