"""The mail of the morning: what was done, what failed, what is late, what did not start, what is unusual. It comes also when all
is well, so that its absence says something.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import List, Sequence, Tuple
from zoneinfo import ZoneInfo

from runner import ownership
from runner.alerts.message import Message, Place, clean
from runner.config import Config
from runner.shown import minute

SPAN = timedelta(days=1)
LISTED = 30  # lines of one kind
SAMPLES, FEWEST = 10, 3  # latest good runs that say what is usual, and the fewest that can
LONGER, AT_LEAST = 2.0, 300.0  # running longer than twice the usual, and than five minutes


@dataclass
class Facts:
    """Each list holds finished lines."""

    at: datetime
    since: datetime
    done: int = 0
    failed: List[str] = field(default_factory=list)
    late: List[str] = field(default_factory=list)
    missed: List[str] = field(default_factory=list)  # not started
    killed: List[str] = field(default_factory=list)
    long: List[str] = field(default_factory=list)  # running longer than usual
    waiting: int = 0
    running: int = 0
    interrupted: List[str] = field(default_factory=list)
    paused: List[str] = field(default_factory=list)
    broken: List[str] = field(default_factory=list)
    alerts: List[str] = field(default_factory=list)  # channels that do not deliver
    free: int = 0
    disk: int = 0

    @property
    def trouble(self) -> Sequence[Tuple[str, List[str]]]:
        found = (
            ("failed", self.failed), ("late", self.late), ("not started", self.missed), ("stopped by a person", self.killed),
            ("running longer than usual", self.long), ("interrupted", self.interrupted), ("files and schedules with faults", self.broken),
            ("alerts that were not delivered", self.alerts), ("paused", self.paused),
        )
        return [(name, lines) for name, lines in found if lines]


def is_long(elapsed: float, usual: Sequence[float]) -> bool:
    """Whether a run takes longer than its kind does."""
    return len(usual) >= FEWEST and elapsed >= AT_LEAST and elapsed > LONGER * median(usual)


def gather(store, config: Config, now: datetime) -> Facts:
    """What happened in the day before `now`, and how things stand."""
    zone = ZoneInfo(config.timezone)
    facts = Facts(now.astimezone(zone), (now - SPAN).astimezone(zone))
    for row in store.alerts.runs_ended(facts.since, now):
        line = row["name"] + (f": {clean(row['reason'])}" if row["reason"] else "")
        if row["state"] == "success":
            facts.done += 1
        else:
            {"failed": facts.failed, "missed": facts.missed, "killed": facts.killed}[row["state"]].append(line)
    for name, step, at in store.alerts.late(facts.since):
        facts.late.append(name + (f" step {step}" if step else "") + f": deadline {at.astimezone(zone):%Y-%m-%d %H:%M %Z}")
    _running(store, config, now, facts)
    for row in store.pipelines.all():
        if row.gone_at:
            continue
        if row.paused_by:
            facts.paused.append(f"{row.name}: by {row.paused_by}" + (f" since {row.paused_at:%Y-%m-%d}" if row.paused_at else "")
                                + (f": {row.pause_reason}" if row.pause_reason else ""))
        if row.problem or row.broken:
            facts.broken.append(f"{row.name}: {row.problem or row.broken}")
    facts.alerts = troubles(store, now)
    space = os.statvfs(config.home)
    facts.free, facts.disk = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    return facts


def _running(store, config: Config, now: datetime, facts: Facts) -> None:
    counts = store.open_counts()
    facts.running, facts.waiting = counts.get("running", 0), counts.get("queued", 0)
    for run in store.recent_runs(None, "running", 500):
        if not run.engine or not ownership.is_alive(config.engines_folder, run.engine):
            facts.interrupted.append(f"{run.name}: nobody works on it")
        elapsed = (now - (run.started_at or now)).total_seconds()
        usual = store.alerts.durations(run.pipeline, SAMPLES)
        if is_long(elapsed, usual):
            facts.long.append(f"{run.name}: {_length(elapsed)}, usually {_length(median(usual))}")


def troubles(store, now: datetime) -> List[str]:
    """Channels whose last delivery failed, and alerts that were given up within a day: also for health and doctor."""
    waiting, given_up = store.alerts.waiting(), store.alerts.given_up(now - SPAN)
    out = []
    for name, last in sorted(store.alerts.last_deliveries().items()):
        if name != "bash" and last.outcome != "sent":
            count = waiting.get(name, (0, None))[0]
            more = "".join([f"; {count} wait" if count else "", f"; {given_up[name]} given up" if name in given_up else ""])
            out.append(f"channel {name} fails since {minute(last.at, store.zone)}: {last.detail.partition('; ')[0]}{more}")
        elif name in given_up:
            out.append(f"{'hooks' if name == 'bash' else f'channel {name}'}: {given_up[name]} failed within a day")
    return out


def _length(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def message(key: str, facts: Facts, place: Place) -> Message:
    """In words."""
    said = [f"{facts.done} done"] + [f"{len(lines)} {name}" for name, lines in facts.trouble]
    well = not any(lines for name, lines in facts.trouble if name != "paused")
    subject = f"[runner] SUMMARY {facts.at:%Y-%m-%d} {place.host}: " + ("all well, " if well else "") + ", ".join(said)
    disk = f"{_size(facts.free)} free of {_size(facts.disk)}"
    out = [f"From {facts.since:%Y-%m-%d %H:%M} to {facts.at:%Y-%m-%d %H:%M %Z} on {place.host}, {place.home}", "",
           f"done     {facts.done}", f"running  {facts.running}", f"waiting  {facts.waiting}", f"disk     {disk}"]
    for name, lines in facts.trouble:
        out += ["", f"{name}: {len(lines)}"] + [f"  {line}" for line in lines[:LISTED]]
        if len(lines) > LISTED:
            out.append(f"  ... and {len(lines) - LISTED} more")
    if well:
        out += ["", "All is well."]
    out += ["", f"more: {place.command('health')}", ""]
    fields = {"event": "summary", "host": place.host, "home": place.home, "state": "well" if well else "trouble"}
    return Message(key, subject[:300], "\n".join(out), fields)


def _size(number: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
