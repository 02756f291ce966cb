"""Named points at which a test may kill the process or make it fail; each costs one comparison when unused.

`RUNNER_FAULT=engine.committed:kill` ends the process with SIGKILL when it passes that point the first time,
`name:kill@3` the third time, `name:error` raises OSError there. Only tests set it.
"""

from __future__ import annotations

import os
import signal

_SPEC = os.environ.get("RUNNER_FAULT", "")
_passed: dict = {}


def point(name: str) -> None:
    """Mark a place where the machine may die."""
    if _SPEC:
        _act(name)


def _act(name: str) -> None:
    wanted, _, act = _SPEC.partition(":")
    if wanted != name:
        return
    act, _, nth = act.partition("@")
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] != int(nth or 1):
        return
    if act == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise OSError(28, "No space left on device (injected)", name)
