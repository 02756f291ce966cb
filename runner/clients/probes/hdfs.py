"""A path in HDFS. One `hdfs dfs -ls` answers for all that wait with the same environment, since each starts a JVM."""

from __future__ import annotations

import fnmatch
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from runner.clients.probes import Seen
from runner.clients.probes.command import ask, last_words, surroundings

PATHS_AT_ONCE = 200


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    return f"hdfs {surroundings(probe.get('env') or {})}", 1


def look_many(probes: Sequence[Mapping[str, Any]]) -> List[Seen]:
    paths = list(dict.fromkeys(path for probe in probes for path in (probe["hdfs"], probe.get("done")) if path))
    found: Dict[str, int] = {}
    trouble = ""
    for i in range(0, len(paths), PATHS_AT_ONCE):
        part = paths[i : i + PATHS_AT_ONCE]
        code, out, said = ask(["hdfs", "dfs", "-ls", "-d", *part], probes[0]["env"], probes[0]["cwd"])
        found.update(_listed(out))
        if code and "No such file or directory" not in said:
            trouble = last_words(said)
    return [_judge(probe, found, trouble) for probe in probes]


def _listed(out: str) -> Dict[str, int]:
    """Path -> size, from lines such as `-rw-r--r--   3 etl hadoop  1024 2026-02-28 01:00 /data/x`."""
    found = {}
    for line in out.splitlines():
        fields = line.split(None, 7)
        if len(fields) == 8 and fields[0][0] in "-d" and fields[4].isdigit():
            found[fields[7]] = int(fields[4])
    return found


def _judge(probe: Mapping[str, Any], found: Mapping[str, int], trouble: str) -> Seen:
    matches = sorted(path for path in found if _matches(path, probe["hdfs"]))
    wanted = int(probe.get("count", 1))
    if len(matches) < wanted:
        return Seen(missing=trouble or (f"{probe['hdfs']} is not there" if not matches else f"{probe['hdfs']}: {len(matches)} of {wanted}"))
    small = [path for path in matches if found[path] < int(probe.get("min_size", 0))]
    if small:
        return Seen(missing=f"{small[0]} has {found[small[0]]} of {probe['min_size']} bytes")
    if probe.get("done") and not any(_matches(path, probe["done"]) for path in found):
        return Seen(missing=trouble or f"{probe['done']} is not there")
    return Seen(ready={"path": matches[0], "paths": matches, "count": len(matches), "bytes": sum(found[path] for path in matches)})


def _matches(path: str, pattern: str) -> bool:
    """hdfs prints a path as it was asked for, with or without the name node."""
    if path == pattern.rstrip("/"):
        return True
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)
