"""A partition of a table in Hive, asked of the server's own client."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from runner.clients.probes import Seen
from runner.clients.probes.command import ask, last_words


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    return f"partition {probe.get('url', '')}", 1


def statement(partition: str) -> str:
    """SHOW PARTITIONS db.table PARTITION (dt='2026-02-28') for db.table/dt=2026-02-28."""
    table, *keys = partition.split("/")
    pairs = (key.partition("=") for key in keys)
    listed = ", ".join("{}='{}'".format(name, value.replace("'", "''")) for name, _, value in pairs)
    return f"SHOW PARTITIONS {table} PARTITION ({listed});"


def look(probe: Mapping[str, Any], memory: Dict[str, Any]) -> Seen:
    client = probe.get("client") or ("beeline" if "url" in probe else "hive")
    words: List[str] = [client]
    if client == "beeline":
        words += ["-u", probe["url"]] if "url" in probe else []
        words += ["--silent=true", "--outputformat=csv2", "--showHeader=false"]
    code, out, said = ask([*words, "-e", statement(probe["partition"])], probe["env"], probe["cwd"])
    wanted = probe["partition"].partition("/")[2]
    if code == 0 and any(line.strip().strip("'\"").startswith(wanted) for line in out.splitlines()):
        return Seen(ready={"partition": wanted})
    return Seen(missing=f"{probe['partition']} is not there" if code == 0 else f"{client}: {last_words(said)}")
