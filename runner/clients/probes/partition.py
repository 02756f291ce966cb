"""Partitions of tables in Hive. One start of the server's own client answers for all that wait with the same address, since each starts a JVM.

Each partition is a SHOW PARTITIONS of its own; the number of rows that the client counts says whether it is there.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from runner.clients.probes import Seen
from runner.clients.probes.command import ask, last_words, surroundings

AT_ONCE = 50  # statements of one start
_ENDED = re.compile(r"(\d[\d,]*|No) rows? selected\b|Time taken: [\d.,]+ seconds?(?:, Fetched:? (\d+) row\(s\))?")
_FAILED = re.compile(r"Error: |FAILED: |Error in query")


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    who = " ".join(str(probe[key]) for key in ("url", "client", "user", "password_file") if key in probe)
    return f"partition {who} {surroundings(probe.get('env') or {})}", 1


def statement(partition: str) -> str:
    """SHOW PARTITIONS db.table PARTITION (dt='2026-02-28') for db.table/dt=2026-02-28."""
    table, *keys = partition.split("/")
    pairs = (key.partition("=") for key in keys)
    listed = ", ".join("{}='{}'".format(name, value.replace("\\", "\\\\").replace("'", "\\'")) for name, _, value in pairs)
    return f"SHOW PARTITIONS {table} PARTITION ({listed});"


def look_many(probes: Sequence[Mapping[str, Any]]) -> List[Seen]:
    first = probes[0]
    wanted = list(dict.fromkeys(probe["partition"] for probe in probes))
    found: Dict[str, Seen] = {}
    left = wanted
    while left:
        answers = _asked(first, left[:AT_ONCE])
        found.update(zip(left, answers))
        left = left[len(answers):]
    return [found[probe["partition"]] for probe in probes]


def _asked(probe: Mapping[str, Any], wanted: Sequence[str]) -> List[Seen]:
    """What is known of the first of them, of one at least: hive and spark-sql stop at a table that is not there, beeline goes on."""
    client = probe.get("client") or ("beeline" if "url" in probe else "hive")
    words = [client]
    statements = [statement(each) for each in wanted]
    if client == "beeline":
        for key, option in (("url", "-u"), ("user", "-n"), ("password_file", "-w")):
            words += [option, probe[key]] if key in probe else []
        statements = [word for each in statements for word in ("-e", each)]
    else:
        statements = ["-e", " ".join(statements)]
    code, _, said = ask([*words, *statements], probe["env"], probe["cwd"])
    if code in (124, 127):
        return [Seen(missing=last_words(said))] * len(wanted)
    answers = list(_read(wanted, said))
    if len(answers) < len(wanted) and (not answers or client == "beeline"):  # no connection, or it broke
        trouble = Seen(missing=f"{client}: {last_words(said)}")
        return answers + [trouble] * (len(wanted) - len(answers))
    return answers


def _read(wanted: Sequence[str], said: str) -> List[Seen]:
    """An answer for each statement that came to an end, in their order."""
    answers: List[Seen] = []
    connected = False
    for line in said.splitlines():
        connected = connected or line.startswith("Connected to:")
        ended = _ENDED.match(line)
        if len(answers) == len(wanted):
            break
        partition = wanted[len(answers)]
        if ended:
            there = (ended[1] or ended[2] or "No") not in ("No", "0")
            answers.append(Seen(ready={"partition": partition.partition("/")[2]}) if there else Seen(missing=f"{partition} is not there"))
        elif _FAILED.match(line) and (connected or not line.startswith("Error: Could not open")):
            answers.append(Seen(missing=f"{partition}: {clean(line)}"))
    return answers


def clean(line: str) -> str:
    """What a client says is wrong, without the names of Java's classes."""
    from runner.clients.hive import reason  # here: every prober would import it

    return reason([line])[:300]
