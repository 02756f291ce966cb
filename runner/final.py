"""An attempt that no retry mends: a mark in its folder, left by a process of ours that cannot do what it was asked.

An exit code alone cannot say it, since codes belong to the users: their script may end with 78 as well, and is tried again as
its `retries:` say. The mark holds no words: those stand in the log, where the mask is.
"""

from __future__ import annotations

import os

FILE = "final"


def mark(folder: str) -> None:
    """Have this attempt be the last of its step. A mark that cannot be written costs no more than the retries."""
    try:
        os.close(os.open(os.path.join(folder, FILE), os.O_WRONLY | os.O_CREAT, 0o640))
    except OSError:
        pass


def is_marked(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, FILE))
