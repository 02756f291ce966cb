"""`/metrics`: the figures of the site in the text format of Prometheus. What they mean, with rules for alerts: docs/metrics.md.

All counters come from the database, so that a restart of the daemon does not set them back. Only pipelines, pools and channels are
labels; of more than MOST_PIPELINES pipelines the later ones are counted together.
"""

from __future__ import annotations

import os
import platform
import shutil
from datetime import datetime
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Tuple

import flask

from runner import __version__, daemonlock, mounts
from runner.clock import from_text, to_text
from runner.facts import slots
from runner.web.asked import desk
from runner.web.viewer import need

KIND = "text/plain; version=0.0.4; charset=utf-8"
MOST_PIPELINES = 1000
OTHERS = "_other"  # no file may be named so
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_STATES = ("success", "failed", "killed", "missed")
_FIGURES = (*_STATES, "ended", "ended_seconds", "begun", "late_seconds", "deadlines")
Sample = Tuple[Mapping[str, str], float]


def answer() -> flask.Response:
    need("look")
    own = desk()
    store = own.store()
    with store.db.snapshot():
        body = text(own, store, flask.g.now)
    return flask.Response(body.encode("utf-8", "replace"), content_type=KIND)


def text(own: Any, store: Any, now: datetime) -> str:
    """The whole of it. `own`: config, clock and definitions()."""
    lines: List[str] = []
    for name, kind, words, samples in _families(own, store, now):
        found = list(samples)
        if found:
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *(_line(name, kind, labels, value) for labels, value in found)]
    return "\n".join(lines) + "\n"


def _line(name: str, kind: str, labels: Mapping[str, str], value: float) -> str:
    suffix = labels.get("__suffix__", "")
    said = ",".join(f'{key}="{str(each).translate(_ESCAPES)}"' for key, each in labels.items() if key != "__suffix__")
    return f"{name}{suffix}{'{' + said + '}' if said else ''} {int(value) if float(value).is_integer() else repr(float(value))}"


def _families(own: Any, store: Any, now: datetime) -> Iterator[Tuple[str, str, str, Iterable[Sample]]]:
    yield "runner_build_info", "gauge", "Versions, as labels; always 1.", _one(1, version=__version__, python=platform.python_version())
    yield from _daemon(own, now)
    yield from _work(own, store, now)
    yield from _pipelines(store)
    yield from _runs(store)
    yield from _alerts(store, now)
    yield from _server(own)


def _one(value: float, **labels: str) -> List[Sample]:
    return [(labels, value)]


def _daemon(own: Any, now: datetime):
    found = daemonlock.look(own.config.home)
    healthy = found is not None and now.timestamp() - found.beat <= daemonlock.HUNG_SECONDS
    yield "runner_daemon_up", "gauge", "1 when the daemon lives and its loop turns.", _one(healthy)
    reason = "" if found is None else found.blocked or mounts.disk_reason(own.config.home, own.config.min_free)
    kind = "clock" if "clock" in reason else "disk" if reason else ""
    yield "runner_daemon_blocked", "gauge", "1 when it lets no run begin, by the reason.", [({"reason": each}, float(kind == each)) for each in ("clock", "disk")]
    if found is not None:
        yield "runner_daemon_last_beat_timestamp_seconds", "gauge", "When its loop turned last.", _one(found.beat)
        yield "runner_daemon_start_timestamp_seconds", "gauge", "Since when it lives.", _one(datetime.fromisoformat(found.since.replace("Z", "+00:00")).timestamp())
    yield "runner_clock_timestamp_seconds", "gauge", "What the clock of the server says.", _one(now.timestamp())


def _work(own: Any, store: Any, now: datetime):
    counts = store.open_counts()
    yield "runner_runs_running", "gauge", "Runs that have begun and not ended.", _one(counts.get("running", 0))
    yield "runner_runs_queued", "gauge", "Runs that have not begun.", _one(counts.get("queued", 0))
    oldest = store.db.one("oldest_waiting", now=to_text(now))["due_at"]
    yield "runner_queue_oldest_age_seconds", "gauge", "For how long the first of the waiting runs has been due.", _one((now - from_text(oldest)).total_seconds() if oldest else 0)
    late = [(now - row.next_due).total_seconds() for row in store.pipelines.all() if row.next_due and row.next_due < now and not row.gone_at]
    yield "runner_schedule_lateness_seconds", "gauge", "How far the daemon is behind the earliest due time that it has not dealt with.", _one(max(late, default=0))
    running = slots.running(store, own.definitions())
    yield "runner_slots", "gauge", "Steps that may run at once.", _one(own.config.slots)
    yield "runner_slots_used", "gauge", "Steps that take a slot now.", _one(sum(each["slot"] for each in running))
    yield "runner_waits", "gauge", "Steps that wait for something outside and take no slot.", _one(sum(not each["slot"] for each in running))
    used = slots.used(running, own.config.pools)
    yield "runner_pool_slots", "gauge", "What each pool has.", [({"pool": name}, size) for name, size in sorted(own.config.pools.items())]
    yield "runner_pool_slots_used", "gauge", "What is taken of it.", [({"pool": name}, used[name]) for name in sorted(used)]


def _pipelines(store: Any):
    rows = [row for row in store.pipelines.all() if not row.gone_at]
    yield "runner_pipelines", "gauge", "Pipelines whose file is there.", _one(len(rows))
    yield "runner_pipelines_faulty", "gauge", "Those whose file has faults; the last good text stays in force.", _one(sum(bool(row.problem) for row in rows))
    yield "runner_pipelines_broken", "gauge", "Those whose schedule cannot be worked out.", _one(sum(bool(row.broken) for row in rows))
    yield "runner_pipelines_paused", "gauge", "Those whose schedule somebody stopped.", _one(sum(bool(row.paused_by) for row in rows))
    yield "runner_pipelines_held", "gauge", "Those of which something is held.", _one(len(store.pipelines.holds()))
    due = [({"pipeline": row.name}, row.next_due.timestamp()) for row in rows if row.next_due]
    yield "runner_pipeline_next_due_timestamp_seconds", "gauge", "When it is due next.", due[:MOST_PIPELINES]


def _runs(store: Any):
    found = _counted(store)
    by = [({"pipeline": name}, figures) for name, figures in found.items()]
    yield "runner_runs_total", "counter", "Runs that ended, by how.", [({**labels, "state": state}, figures[state]) for labels, figures in by for state in _STATES]
    yield "runner_run_duration_seconds", "summary", "How long runs took.", _summary(by, "ended_seconds", "ended")
    yield "runner_run_start_delay_seconds", "summary", "How long after their due time runs of the schedule began.", _summary(by, "late_seconds", "begun")
    yield "runner_deadlines_missed_total", "counter", "Deadlines of runs and steps that were missed.", [(labels, figures["deadlines"]) for labels, figures in by]
    last = [({"pipeline": row["pipeline"]}, from_text(row["success_at"]).timestamp()) for row in store.db.all("counted")[:MOST_PIPELINES] if row["success_at"]]
    yield "runner_pipeline_last_success_timestamp_seconds", "gauge", "When a run of it went well last.", last


def _counted(store: Any) -> Dict[str, Dict[str, float]]:
    """Pipeline -> its figures: the first ones by name, which stay the same however many come, the rest together."""
    out: Dict[str, Dict[str, float]] = {}
    for position, row in enumerate(store.db.all("counted")):
        figures = out.setdefault(row["pipeline"] if position < MOST_PIPELINES else OTHERS, dict.fromkeys(_FIGURES, 0))
        for name in _FIGURES:
            figures[name] += row[name]
    return out


def _summary(by: Iterable[Tuple[Mapping[str, str], Mapping[str, float]]], seconds: str, count: str) -> Iterator[Sample]:
    for labels, figures in by:
        yield {**labels, "__suffix__": "_sum"}, figures[seconds]
        yield {**labels, "__suffix__": "_count"}, figures[count]


def _alerts(store: Any, now: datetime):
    waiting = store.alerts.waiting()
    yield "runner_alerts_waiting", "gauge", "Alerts that have not been delivered.", [({"channel": name}, count) for name, (count, _) in sorted(waiting.items())]
    yield "runner_alerts_oldest_age_seconds", "gauge", "For how long the first of them waits.", [({"channel": name}, (now - since).total_seconds()) for name, (_, since) in sorted(waiting.items())]


def _server(own: Any):
    config = own.config
    yield "runner_disk_free_bytes", "gauge", "What is free on the disk of the home.", _one(mounts.free_bytes(config.home))
    yield "runner_disk_size_bytes", "gauge", "What that disk has.", _one(shutil.disk_usage(config.home).total)
    size = sum(os.path.getsize(config.database + suffix) for suffix in ("", "-wal") if os.path.exists(config.database + suffix))
    yield "runner_database_size_bytes", "gauge", "What the database takes.", _one(size)
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        words = file.read().rpartition(")")[2].split()
    yield "process_cpu_seconds_total", "counter", "Processor time of the daemon.", _one((int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"))
    yield "process_resident_memory_bytes", "gauge", "Memory of the daemon.", _one(int(words[21]) * os.sysconf("SC_PAGE_SIZE"))
    yield "process_open_fds", "gauge", "Files that the daemon has open.", _one(len(os.listdir("/proc/self/fd")))
