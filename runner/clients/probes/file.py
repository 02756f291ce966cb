"""A file of this server: there, enough of them, large enough, at rest, with its done-mark."""

from __future__ import annotations

import glob
import os
from typing import Any, Dict, List, Mapping, Tuple

from runner.clients.probes import CLOCK, Seen
from runner.mounts import mount_of

AT_ONCE = 4


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    """By file system, so that one that hangs holds up only its own."""
    return f"file {mount_of(_fixed(probe['file']))}", AT_ONCE


def _fixed(pattern: str) -> str:
    """The folder in front of the first part with a wild card."""
    while glob.has_magic(pattern):
        pattern = os.path.dirname(pattern)
    return pattern or "/"


def look(probe: Mapping[str, Any], memory: Dict[str, Any]) -> Seen:
    pattern, wanted = probe["file"], int(probe.get("count", 1))
    paths = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern] if os.path.exists(pattern) else []
    if len(paths) < wanted:
        return Seen(missing=f"{pattern} is not there" if not paths else f"{pattern}: {len(paths)} of {wanted}")
    done = probe.get("done")
    if done and not os.path.exists(done):
        return Seen(missing=f"{done} is not there")
    try:
        found = {path: os.stat(path) for path in paths}
    except FileNotFoundError as error:
        return Seen(missing=f"{error.filename} is not there")
    return _at_rest(probe, memory, paths, found)


def _at_rest(probe: Mapping[str, Any], memory: Dict[str, Any], paths: List[str], found: Mapping[str, os.stat_result]) -> Seen:
    for path in paths:
        if found[path].st_size < int(probe.get("min_size", 0)):
            return Seen(missing=f"{path} has {found[path].st_size} of {probe['min_size']} bytes")
    age, stable = float(probe.get("age", 0)), float(probe.get("stable", 0))
    if age:
        path = max(paths, key=lambda each: found[each].st_mtime)
        left = age - (CLOCK.now().timestamp() - found[path].st_mtime)
        if left > 0:
            return Seen(missing=f"{path} changed a moment ago", again=left)
    if stable:
        now = {path: (found[path].st_size, found[path].st_mtime_ns) for path in paths}
        if memory.get("seen") != now:
            memory["seen"], memory["tick"] = now, CLOCK.monotonic()
        left = stable - (CLOCK.monotonic() - memory["tick"])
        if left > 0:
            return Seen(missing=f"{paths[0]} is not at rest yet", again=min(left + 0.01, stable))
    return Seen(ready={"path": paths[0], "paths": paths, "count": len(paths), "bytes": sum(each.st_size for each in found.values())})
