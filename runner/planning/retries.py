"""What an ended attempt makes of its step, and when it runs again (semantics D34). Pure: no clock, the moment is an argument."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Optional

from runner.model import Retry, Step

NEVER_RETRY_EXITS = (126, 127)  # not executable, not found: the same again helps nobody


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. `how`: exited | timeout | lost | stopped (by a person) | refused (could not be started) | expired (a wait)."""

    how: str
    exit_code: Optional[int] = None
    reason: str = ""
    final: bool = False  # exited by a process of ours that knows: no retry mends it


@dataclass(frozen=True)
class Verdict:
    """What an ended attempt makes of its step: attempt state, step state, and when it runs again."""

    attempt: str
    step: str
    reason: str
    retry_at: Optional[datetime] = None


def retry_delay(retry: Retry, tries: int, key: str) -> float:
    """Seconds before the next attempt after `tries` of them. The jitter comes from `key`, so that it is repeatable."""
    delay = retry.delay
    if retry.backoff != 1:  # max_delay bounds the growth, never a plain delay that somebody chose to be long
        delay = min(max(retry.max_delay, retry.delay), retry.delay * retry.backoff ** (tries - 1))
    if retry.jitter:
        share = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 0xFFFFFFFF
        delay *= 1 + retry.jitter * (2 * share - 1)
    return delay


def judge(step: Step, ended: Ended, tries: int, now: datetime, key: str) -> Verdict:
    """The step's next state after an attempt (semantics D34). `tries` counts this attempt."""
    if ended.how == "stopped":
        return Verdict("killed", "killed", ended.reason or "stopped")
    if ended.how == "exited" and ended.exit_code == 0:
        return Verdict("success", "success", ended.reason)
    if ended.how == "exited" and step.skip_exit is not None and ended.exit_code == step.skip_exit and not ended.final:
        return Verdict("skipped", "skipped", f"exit {ended.exit_code}")
    if ended.how == "expired" and step.body.get("soft"):
        return Verdict("skipped", "skipped", ended.reason)
    attempt = "lost" if ended.how == "lost" else "failed"
    reason = ended.reason or (f"exit {ended.exit_code}" if ended.how == "exited" else ended.how)
    if tries > step.retry.limit:
        return Verdict(attempt, "failed", reason)
    if not _may_retry(step, ended):
        return Verdict(attempt, "failed", f"{reason}: no retry mends it, see its log" if ended.final else reason)
    return Verdict(attempt, "retry_wait", reason, now + timedelta(seconds=retry_delay(step.retry, tries, key)))


def _may_retry(step: Step, ended: Ended) -> bool:
    if ended.how in ("refused", "expired"):  # a wait had all its time
        return False
    if ended.how == "lost":
        return step.on_lost == "retry"
    if ended.how == "timeout":
        return True
    if ended.final:  # unless somebody asked for just this code
        return ended.exit_code in (step.retry.on_exit or ())
    if ended.exit_code in NEVER_RETRY_EXITS or ended.exit_code in step.retry.not_on_exit:
        return False
    return step.retry.on_exit is None or ended.exit_code in step.retry.on_exit
