"""What the prober looks at: one file a kind, each with

    look(probe, memory) -> Seen     once; `memory` is kept between the looks of one wait
    lane(probe) -> (name, limit)    how many looks of the same lane may go on at once: one mount that hangs holds up its own lane only
    look_many(probes) -> [Seen]     instead of `look`, where one command can answer for many (`hdfs`)

A look that cannot say is a `missing` with the reason: a server that is down tonight may be up in an hour.
"""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Optional

from runner.clock import Clock

CLOCK = Clock()


class Seen(NamedTuple):
    """`ready`: what the step hands on; `missing`: what is not there yet; `failed`: why it never will be."""

    ready: Optional[Mapping[str, Any]] = None
    missing: str = ""
    failed: str = ""
    again: Optional[float] = None  # seconds until the next look, where that is not the wait's own `every`
