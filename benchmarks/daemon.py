"""Measurements of the daemon: what it costs when idle, how late it is, how fast it comes back. Called by bench.py."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

UTC = timezone.utc
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
IDLE_SECONDS = float(os.environ.get("BENCH_IDLE", "60"))


class House:
    """A home of its own with a daemon."""

    def __init__(self, bench, name: str):
        self.home = os.path.join(bench.folder, name)
        self.pipelines = os.path.join(self.home, "pipelines")
        os.makedirs(self.pipelines)
        self.env = {**bench.env, "RUNNER_HOME": self.home, "RUNNER_TIMEZONE": "UTC"}

    def write(self, name: str, text: str) -> None:
        with open(os.path.join(self.pipelines, name + ".yaml"), "w", encoding="utf-8") as file:
            file.write(text)

    def runner(self, *words: str) -> str:
        return subprocess.run([sys.executable, "-m", "runner", *words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=True, encoding="utf-8").stdout

    def rows(self, text: str) -> list:
        """Read only, from outside, as a bystander."""
        connection = sqlite3.connect(f"file:{self.home}/runner.db?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(text).fetchall()
        except sqlite3.OperationalError as error:  # the daemon is still making its tables
            if "no such table" not in str(error):
                raise
            return [(0,)]
        finally:
            connection.close()

    def wait(self, check, seconds: float = 300.0) -> float:
        """Seconds until `check` is true."""
        begin = time.perf_counter()
        while not check():
            if time.perf_counter() - begin > seconds:
                sys.exit(f"benchmark: waited {seconds:g} s in vain in {self.home}")
            time.sleep(0.01)
        return time.perf_counter() - begin

    @contextmanager
    def daemon(self):
        log = os.path.join(self.home, "daemon.log")
        size = os.path.getsize(log) if os.path.exists(log) else 0
        process = subprocess.Popen([sys.executable, "-m", "runner", "daemon"], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait(lambda: os.path.exists(log) and os.path.getsize(log) > size)
            yield process
        finally:
            process.terminate()
            process.wait()


def memory_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1)) / 1024


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def moment(text: str) -> float:
    return datetime.fromisoformat(text[:26]).replace(tzinfo=UTC).timestamp()


def bench_idle(b, say) -> None:
    house = House(b, "idle")
    for i in range(100):
        house.write(f"p{i}", f"schedule: '{i % 60} 1 * * *'\nsteps:\n" + "".join(f"  - id: s{n}\n    bash: echo << ds >>\n" for n in range(10)))
    with house.daemon() as process:
        house.wait(lambda: house.rows("SELECT count(*) FROM pipelines WHERE next_due IS NOT NULL")[0][0] == 100)
        before, begin = cpu_seconds(process.pid), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        share = (cpu_seconds(process.pid) - before) / (time.perf_counter() - begin) * 100
        rss = memory_mb(process.pid)
    say("daemon, idle, 100 pipelines", f"{rss:.0f} MB resident", None, "< 45 MB", rss < 45)
    say("", f"{share:.2f} % of a core over {IDLE_SECONDS:g} s", None, "< 0.2 %", share < 0.2)


def bench_same(b, say) -> None:
    """1000 pipelines that are due in the same instant."""
    low = b.limit_seconds(1000, 8)
    house = House(b, "same")
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
    for i in range(1000):
        house.write(f"p{i}", f"schedule: '@once'\nstart_date: '{due:%Y-%m-%dT%H:%M:%S}'\nsteps:\n  - id: a\n    bash: ':'\n")
    with house.daemon():
        house.wait(lambda: house.rows("SELECT count(*) FROM runs WHERE state = 'success'")[0][0] == 1000)
    rows = house.rows("SELECT min(started_at), max(ended_at) FROM attempts GROUP BY run_id")
    late = sorted(moment(start) - due.timestamp() for start, _ in rows)
    took = max(moment(end) for _, end in rows) - due.timestamp()
    ratio = low / took
    say("1000 pipelines due at once", f"{1000 / took:.0f} runs/s, limit {1000 / low:.0f}", ratio, ">= 0.4 x limit", ratio >= 0.4)
    say("", f"lateness of starts p50 {statistics.median(late):.2f} s, p99 {late[989]:.2f} s; the first {late[0] * 1000:.0f} ms")


def bench_restart(b, say) -> None:
    """A daemon that finds 10,000 live attempts of 100 runs; their processes are gone, which is looked at for each."""
    house = House(b, "restart")
    steps = "".join(f"  - id: s{n}\n    bash: sleep 1000\n" for n in range(100))
    for i in range(100):
        house.write(f"p{i}", "defaults: {retries: 1, retry_delay: 1d}\nsteps:\n" + steps)
    for i in range(100):
        house.runner("trigger", f"p{i}", "--date", "2026-01-01")
    connection = sqlite3.connect(f"{house.home}/runner.db")
    now = "2026-01-01T00:00:00.000000Z"
    connection.execute("UPDATE runs SET state = 'running', started_at = ?, engine = '1-dead'", (now,))
    connection.execute("UPDATE step_runs SET state = 'running', tries = 1, started_at = ?", (now,))
    connection.execute("INSERT INTO attempts (run_id, step, number, state, folder, started_at) SELECT run_id, step, 1, 'running', ? || '/' || run_id || '/' || step || '.1', ? FROM step_runs", (house.home + "/runs/x", now))
    connection.commit()
    connection.close()
    for run, step in house.rows("SELECT run_id, step FROM step_runs"):
        folder = f"{house.home}/runs/x/{run}/{step}.1"
        os.makedirs(folder)
        with open(folder + "/start", "w") as file:
            file.write("999999 another-boot a-name .\n")
    begin = time.perf_counter()
    with house.daemon():
        house.wait(lambda: house.rows("SELECT count(*) FROM attempts WHERE state = 'lost'")[0][0] == 10000)
        took = time.perf_counter() - begin
    say("restart with 10,000 live rows", f"{took:.2f} s until each was examined and written", None, "< 2 s", took < 2)


def gap(texts) -> float:
    """The median of the seconds between the moments that steps have written, one after another."""
    times = sorted(float(text.replace(",", ".")) for text in texts)
    return statistics.median(y - x for x, y in zip(times, times[1:]))


def gap_of(home: str, run: str) -> float:
    """Of a run of the chain s0 to s99 whose steps write $EPOCHREALTIME."""
    pipeline, _, label = run.partition("@")
    return gap(open(os.path.join(home, "runs", pipeline, label.replace(":", ""), f"s{i}.1", "log")).read() for i in range(100))


def gap_of_limit(b) -> float:
    log = os.path.join(b.folder, "limit.log")
    open(log, "w").close()
    b.limit_seconds(100, 1, "bash", "-c", "echo $EPOCHREALTIME", log=log)
    with open(log) as file:
        return gap(file.read().split())


def bench_inside(b, say) -> None:
    """As `chain` and `gap`, in the daemon."""
    house = House(b, "inside")
    house.write("chain", "steps:\n" + "".join(
        f"  - id: s{i}\n" + (f"    needs: s{i - 1}\n" if i else "") + "    bash: echo $EPOCHREALTIME\n" for i in range(100)))
    steps, gaps, lows, low_gaps = [], [], [], []
    with house.daemon():
        for day in range(1, ROUNDS + 1):
            result = json.loads(house.runner("trigger", "chain", "--date", f"2026-01-{day:02}", "--wait", "--json"))
            steps.append((moment(result["ended_at"].replace("Z", "")) - moment(result["started_at"].replace("Z", ""))) / 100)
            gaps.append(gap_of(house.home, result["name"]))
            lows.append(b.limit_seconds(100, 1) / 100)
            low_gaps.append(gap_of_limit(b))
    for name, mine, low, most in (("chain of 100 in the daemon", steps, lows, 2.5), ("step to next step there, p50", gaps, low_gaps, 1.6)):
        ratio = statistics.median(x / y for x, y in zip(mine, low))
        told = f"{statistics.median(mine) * 1000:.2f} ms a step, limit {statistics.median(low) * 1000:.2f}"
        say(name, told, ratio, f"<= {most} x limit", ratio <= most)


def children(pid: int) -> list:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def bench_waits(b, say) -> None:
    """2000 steps that wait for files which never come; the daemon's own cost and that of the process that looks."""
    house = House(b, "waits")
    house.write("many", f"steps:\n  - id: landed\n    foreach: << range(2000) | list >>\n    wait: {{file: {house.home}/in/<< item >>.csv}}\n")
    house.write("other", "steps:\n  - id: a\n    bash: ':'\n")
    with house.daemon() as process:
        house.runner("trigger", "many", "--date", "2026-01-01")
        house.wait(lambda: house.rows("SELECT count(*) FROM attempts WHERE reason LIKE '%since%'")[0][0] == 2000)
        pids = [process.pid, *children(process.pid)]
        before, begin = sum(map(cpu_seconds, pids)), time.perf_counter()
        time.sleep(IDLE_SECONDS)
        share = (sum(map(cpu_seconds, pids)) - before) / (time.perf_counter() - begin) * 100
        rss = [memory_mb(pid) for pid in pids]
        begin = time.perf_counter()
        house.runner("trigger", "other", "--date", "2026-01-01", "--wait")
        took = time.perf_counter() - begin
    say("2000 waits for files", f"{share:.2f} % of a core over {IDLE_SECONDS:g} s; {' + '.join(f'{each:.0f}' for each in rss)} MB", None, "< 5 %", share < 5)
    say("", f"another run beside them, triggered and over: {took:.2f} s")


ALL = {"waits": bench_waits, "idle": bench_idle, "same": bench_same, "restart": bench_restart, "inside": bench_inside}
