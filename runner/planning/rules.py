"""Trigger rules: whether a step may start, by how the steps that it needs have ended so far (semantics D33). Pure."""

from __future__ import annotations

from dataclasses import dataclass

WAIT, GO = "wait", "go"


@dataclass
class Upstream:
    """How the steps that a step needs have ended so far. An allowed failure counts as success."""

    total: int = 0
    success: int = 0
    failed: int = 0  # failed and killed
    skipped: int = 0
    upstream_failed: int = 0

    @property
    def bad(self) -> int:
        return self.failed + self.upstream_failed

    @property
    def done(self) -> bool:
        return self.success + self.bad + self.skipped == self.total

    def count(self, state: str, allowed: bool) -> None:
        """Take in the end of one upstream step."""
        if state == "success" or (allowed and state == "failed"):
            self.success += 1
        elif state in ("failed", "killed"):
            self.failed += 1
        elif state == "skipped":
            self.skipped += 1
        else:
            self.upstream_failed += 1


def verdict(rule: str, up: Upstream) -> str:
    """go, wait, skipped or upstream_failed (semantics D33).

    one_* fire as soon as they are true; a failure that settles the answer settles it at once; a skip waits for all,
    so that the answer does not depend on who ended first.
    """
    if up.total == 0:
        return GO
    return _RULES[rule](up)


def _all_success(up: Upstream) -> str:
    if up.bad:
        return "upstream_failed"
    if not up.done:
        return WAIT
    return "skipped" if up.skipped else GO


def _all_done(up: Upstream) -> str:
    return GO if up.done else WAIT


def _all_failed(up: Upstream) -> str:
    if up.success or up.skipped:
        return "skipped"
    return GO if up.done else WAIT


def _one_success(up: Upstream) -> str:
    if up.success:
        return GO
    if not up.done:
        return WAIT
    return "upstream_failed" if up.bad else "skipped"


def _one_failed(up: Upstream) -> str:
    if up.bad:
        return GO
    return "skipped" if up.done else WAIT


def _none_failed(up: Upstream) -> str:
    if up.bad:
        return "upstream_failed"
    return GO if up.done else WAIT


def _none_failed_min_one_success(up: Upstream) -> str:
    if up.bad:
        return "upstream_failed"
    if not up.done:
        return WAIT
    return GO if up.success else "skipped"


def _none_skipped(up: Upstream) -> str:
    if up.skipped:
        return "skipped"
    return GO if up.done else WAIT


_RULES = {
    "all_success": _all_success,
    "all_done": _all_done,
    "always": _all_done,
    "all_failed": _all_failed,
    "one_success": _one_success,
    "one_failed": _one_failed,
    "none_failed": _none_failed,
    "none_failed_min_one_success": _none_failed_min_one_success,
    "none_skipped": _none_skipped,
}
