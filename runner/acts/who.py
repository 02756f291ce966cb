"""Who acts, from where and why; and the words of the command line that does the same."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any, List, Mapping, Optional, Sequence

from runner.store import Store


@dataclass(frozen=True)
class Who:
    name: str
    source: str  # cli, page, api, token NAME
    reason: str = ""

    @property
    def told(self) -> str:
        """Their name, and why, for a row that people read: `kim`, `kim: the disk is broken`."""
        return because(self.name, self.reason)


def because(what: str, reason: str) -> str:
    return f"{what}: {reason}" if reason else what


def record(
    store: Store, who: Who, act: str, at: datetime, *, pipeline: str = "", run: str = "",
    before: Optional[Mapping[str, Any]] = None, after: Optional[Mapping[str, Any]] = None,
) -> None:
    """A row of the audit trail, in the transaction of the act itself."""
    store.audit.add(at, who.name, who.source, act, pipeline=pipeline, run=run, reason=who.reason, before=before, after=after)


# --------------------------------------------------------------------------------------------- words of a command line


def command(words: Sequence[str], reason: str = "") -> str:
    """As it is typed: `runner rerun mart@2026-02-28 --from load --reason 'disk full'`."""
    return shlex.join(["runner", *words, *option("--reason", reason)])


def option(name: str, value: Any) -> List[str]:
    """`--name value`; nothing where there is none."""
    return [] if value in (None, "") else [name, str(value)]


def each(name: str, values: Sequence[str]) -> List[str]:
    return [word for value in values for word in (name, value)]


def flag(name: str, value: bool) -> List[str]:
    return [name] if value else []
