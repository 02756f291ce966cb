"""The daemon under load: 1000 pipelines that are due every minute, each with a real step, for BENCH_MINUTES. Called by bench.py."""

from __future__ import annotations

import collections
import os
import sqlite3
import statistics
import time
from datetime import datetime, timedelta, timezone

from daemon import House, memory_mb, moment

UTC = timezone.utc
MINUTES = int(os.environ.get("BENCH_MINUTES", "10"))
PIPELINES = 1000
BEAT_SECONDS = 10  # so often the daemon reaps what ended of its house-keeping


def _process(pid: int) -> tuple:
    """(resident MB, descriptors, threads, zombies among its children: those that stay)."""
    found = memory_mb(pid), len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))
    dead = _zombies(pid)
    if dead:
        time.sleep(BEAT_SECONDS + 1)
    return (*found, len(dead & _zombies(pid)))


def _zombies(pid: int) -> set:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return set(filter(_is_zombie, file.read().split()))


def _is_zombie(pid: str) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def _text(found: tuple) -> str:
    return f"{found[0]:.0f} MB, {found[1]} descriptors, {found[2]} threads, {found[3]} zombies"


def _known(house) -> int:
    """How many pipelines the daemon has read."""
    try:
        return house.rows("SELECT count(*) FROM pipelines WHERE next_due IS NOT NULL")[0][0]
    except sqlite3.OperationalError:  # it has not made its tables yet
        return 0


def _until(when: datetime) -> None:
    time.sleep(max((when - datetime.now(UTC)).total_seconds(), 0))


def bench_load(b, say) -> None:
    low = b.limit_seconds(PIPELINES, 8)
    house = House(b, "load")
    effects = os.path.join(b.folder, "effects")
    for i in range(PIPELINES):
        house.write(f"p{i}", f"schedule: '* * * * *'\ncatchup: all\nsteps:\n  - id: a\n    bash: echo $RUNNER_RUN_ID >>{effects}\n")
    with house.daemon() as process:
        house.wait(lambda: _known(house) == PIPELINES)
        first = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        last = first + timedelta(minutes=MINUTES - 1)
        span = f"due_at BETWEEN '{first:%Y-%m-%dT%H:%M}' AND '{last:%Y-%m-%dT%H:%M:59}'"
        _until(first + timedelta(seconds=55))
        before = _process(process.pid)
        _until(last)
        house.wait(lambda: house.rows(f"SELECT count(*) FROM runs WHERE {span} AND ended_at IS NOT NULL")[0][0] >= PIPELINES * MINUTES, 120)
        _until(last + timedelta(seconds=55))
        after = _process(process.pid)
    low = (low + b.limit_seconds(PIPELINES, 8)) / 2  # others may use this machine too: before and after
    states = dict(house.rows(f"SELECT state, count(*) FROM runs WHERE {span} GROUP BY state"))
    wanted, found = PIPELINES * MINUTES, states.get("success", 0)
    with open(effects) as file:
        times = collections.Counter(line.strip() for line in file)
    names = [name for name, in house.rows(f"SELECT name FROM runs WHERE {span}")]
    once = sum(times[name] == 1 for name in names)
    rows = house.rows(f"SELECT min(a.started_at), r.due_at FROM attempts a JOIN runs r ON r.id = a.run_id WHERE {span} GROUP BY r.id")
    late = sorted(moment(start) - moment(due) for start, due in rows)
    p99 = late[int(len(late) * 0.99)]
    say(f"{PIPELINES} every minute, {MINUTES} minutes", f"{wanted} runs wanted, {found} succeeded, {wanted - found} lost, {once} effects once",
        None, "none lost", found == wanted == once)
    say("", f"lateness of starts p50 {statistics.median(late):.2f} s, p99 {p99:.2f} s, max {late[-1]:.2f} s; limit p99 {low * 0.99:.2f} s",
        low * 0.99 / p99, ">= 0.4 x limit", low * 0.99 / p99 >= 0.4)
    say("", f"after the first minute {_text(before)}")
    say("", f"at the end             {_text(after)}", None, "no growth", after[0] < before[0] + 10 and after[1:] <= before[1:])


ALL = {"load": bench_load}
