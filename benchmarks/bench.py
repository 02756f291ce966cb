"""All measurements of the core, as ratios against this machine's own limit in the same run.

    benchmarks/run [NAME ...]     names: chain fan gap days file start memory check; of the daemon: idle waits same restart inside
    benchmarks/run load           1000 pipelines every minute for BENCH_MINUTES (10); only when it is named

`limit` is a C loop (limit.c) that starts the same `bash -c ':'` processes and keeps nothing. Ours keeps a durable record,
a log file and an exit status for each step. Every pair is measured in turn, several times; the median counts.

Where it writes: BENCH_DIR, else the folder for temporary files. ext4 looks past each inode deleted within the last five minutes
whenever it makes a new one: behind a test run, or a benchmark just before, a file costs ten times as much, and so does a step.
The first line tells.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import daemon
import load
import soak

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS = daemon.ROUNDS
RUNNER = [sys.executable, "-m", "runner"]


class Bench:
    """A scratch home, the limit program, and the table of results."""

    def __init__(self, folder: str):
        self.folder = folder
        self.home = os.path.join(folder, "home")
        self.env = {**os.environ, "RUNNER_HOME": self.home, "RUNNER_TIMEZONE": "Asia/Seoul", "NO_COLOR": "1",
                    "PYTHONPATH": os.path.dirname(HERE)}
        self.limit = os.path.join(folder, "limit")
        subprocess.run(["cc", "-O2", "-o", self.limit, os.path.join(HERE, "limit.c")], check=True)
        self.runs = 0

    def limit_seconds(self, count: int, slots: int, *command: str, log: str = "") -> float:
        env = {**self.env, **({"LIMIT_LOG": log} if log else {})}
        command = command or ("bash", "-c", ":")
        return float(subprocess.run([self.limit, str(count), str(slots), *command], env=env, stdout=subprocess.PIPE, check=True).stdout)

    def write(self, name: str, text: str) -> str:
        path = os.path.join(self.folder, name + ".yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def runner(self, *words: str) -> str:
        done = subprocess.run([*RUNNER, *words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit(f"runner {' '.join(words)}: exit {done.returncode}\n{done.stderr.decode()}")
        return done.stdout.decode()

    def run(self, path: str):
        """One run of a file: (seconds from the run's start to its end by its row, seconds of the whole command, result)."""
        self.runs += 1
        begin = time.perf_counter()
        result = json.loads(self.runner("run", path, "--json", "--date", f"2026-01-01T00:{self.runs // 60:02d}:{self.runs % 60:02d}", "--slots", "8"))
        whole = time.perf_counter() - begin
        return _seconds(result["started_at"], result["ended_at"]), whole, result


def disk_milliseconds(folder: str) -> tuple:
    """(a new folder with a file in it, a write that survives a power cut)."""
    made, synced = [], []
    with open(os.path.join(folder, "disk"), "wb") as log:
        for i in range(100):
            begin = time.perf_counter()
            place = os.path.join(folder, f"disk.{i}")
            os.mkdir(place)
            open(os.path.join(place, "file"), "w").close()
            made.append(time.perf_counter() - begin)
            begin = time.perf_counter()
            log.write(bytes(4096))
            log.flush()
            os.fdatasync(log.fileno())
            synced.append(time.perf_counter() - begin)
    return statistics.median(made) * 1000, statistics.median(synced) * 1000


def _seconds(start: str, end: str) -> float:
    from datetime import datetime

    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def say(name: str, text: str, ratio: float = None, bound: str = "", good: bool = True) -> None:
    mark = "" if not bound else ("   ok" if good else "   NOT MET")
    print(f"{name:<34} {text:<58} {'' if ratio is None else f'{ratio:6.2f}'}  {bound}{mark}", flush=True)


def steps_chain(count: int, body: str = "':'") -> str:
    return "steps:\n" + "".join(
        f"  - id: s{i}\n" + (f"    needs: s{i - 1}\n" if i else "") + f"    bash: {body}\n" for i in range(count)
    )


def steps_fan(count: int) -> str:
    return "steps:\n" + "".join(f"  - id: s{i}\n    bash: ':'\n" for i in range(count))


def paired(ours, limit):
    """Both in turn; medians of each and of the ratio."""
    pairs = []
    for _ in range(ROUNDS):
        low = limit()
        mine = ours()
        pairs.append((mine, low, mine / low))
    return [statistics.median(column) for column in zip(*pairs)]


def bench_chain(b: Bench) -> None:
    path = b.write("chain", steps_chain(100))
    wholes = []

    def ours():
        engine, whole, _ = b.run(path)
        wholes.append(whole)
        return engine

    mine, low, ratio = paired(ours, lambda: b.limit_seconds(100, 1))
    say("chain of 100", f"{mine * 10:.2f} ms a step, limit {low * 10:.2f}; whole command {statistics.median(wholes):.2f} s", ratio, "<= 2.5 x limit", ratio <= 2.5)


def bench_fan(b: Bench) -> None:
    path = b.write("fan", steps_fan(1000))
    mine, low, ratio = paired(lambda: b.run(path)[0], lambda: b.limit_seconds(1000, 8))
    say("fan of 1000, 8 at a time", f"{1000 / mine:.0f} steps/s, limit {1000 / low:.0f}", 1 / ratio, ">= 0.45 x limit", 1 / ratio >= 0.45)


def bench_gap(b: Bench) -> None:
    """From the end of a step to the start of the next, by the clock of the steps themselves."""
    path = b.write("gap", steps_chain(100, "echo $EPOCHREALTIME"))
    mine, low, ratio = paired(lambda: daemon.gap_of(b.home, b.run(path)[2]["name"]), lambda: daemon.gap_of_limit(b))
    say("step to next step, p50", f"{mine * 1000:.2f} ms, limit {low * 1000:.2f}", ratio, "<= 1.6 x limit", ratio <= 1.6)


def bench_days(b: Bench) -> None:
    """365 dates of a three-step chain in one engine, as a backfill will run them."""
    path = b.write("days", "max_active_runs: 8\nschedule: '@daily'\n" + steps_chain(3))
    rates = []
    for _ in range(max(1, ROUNDS // 2)):
        env = {**b.env, "RUNNER_HOME": tempfile.mkdtemp(dir=b.folder)}
        out = subprocess.run([sys.executable, os.path.join(HERE, "many_dates.py"), path, "365"], env=env, stdout=subprocess.PIPE, check=True).stdout
        rates.append(365 / float(out))
    low = 365 / b.limit_seconds(365 * 3, 8)
    rate = statistics.median(rates)
    say("365 dates of a 3-step chain", f"{rate:.0f} runs/s, limit {low:.0f}", rate / low, ">= 100 runs/s", rate >= 100)


def bench_file(b: Bench) -> None:
    """Files of 1,000 and 10,000 steps: ten times the steps may cost ten times the seconds, and some."""
    for command, words in (("check", []), ("plan", ["--date", "2026-02-28"]), ("run", [])):
        seconds = []
        for count in (1000, 10000):
            path = b.write(f"wide{count}", steps_fan(count))
            shutil.rmtree(os.path.join(b.home, "cache"), ignore_errors=True)
            begin = time.perf_counter()
            if command == "run":
                seconds.append(b.run(path)[0])
            else:
                b.runner(command, path, *words)
                seconds.append(time.perf_counter() - begin)
        ratio = seconds[1] / seconds[0]
        say(f"{command}: 10,000 steps against 1,000", f"{seconds[1]:.2f} s against {seconds[0]:.2f} s", ratio, "<= 13 (linear)", ratio <= 13)


def bench_start(b: Bench) -> None:
    folder = os.path.join(b.folder, "many")
    os.makedirs(folder)
    for i in range(500):
        with open(os.path.join(folder, f"p{i}.yaml"), "w") as file:
            file.write(f"schedule: '{i % 60} 1 * * *'\n" + steps_chain(3))
    b.runner("--pipelines", folder, "list")

    def timed(*words):
        begin = time.perf_counter()
        subprocess.run(words, env=b.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        return time.perf_counter() - begin

    for name, words in (("runner --version", ["--version"]), ("runner list, 500 pipelines", ["--pipelines", folder, "list"])):
        mine, low, ratio = paired(lambda: timed(*RUNNER, *words), lambda: timed(sys.executable, "-c", "pass"))
        say(name, f"{mine * 1000:.0f} ms, python -c pass {low * 1000:.0f}", ratio, "<= 10 x", ratio <= 10)


def bench_memory(b: Bench) -> None:
    path = b.write("fan", steps_fan(1000))
    b.runs += 1
    words = [*RUNNER, "run", path, "-q", "--date", f"2026-01-02T00:00:{b.runs % 60:02d}"]
    done = subprocess.run(["/usr/bin/env", "time", "-f", "%M", *words], env=b.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = int(re.findall(rb"^(\d+)$", done.stderr, re.M)[-1]) / 1024
    say("peak memory, run of 1000 steps", f"{peak:.0f} MB", None, "<= 60 MB", peak <= 60)


def bench_check(b: Bench) -> None:
    folder = os.path.join(b.folder, "thousand")
    os.makedirs(folder)
    for i in range(1000):
        with open(os.path.join(folder, f"c{i}.yaml"), "w") as file:
            file.write(f"description: number {i}\nschedule: '{i % 60} {i % 24} * * *'\n" + "steps:\n" + "".join(
                f"  - id: s{n}\n" + (f"    needs: s{n - 1}\n" if n else "") + f"    retries: 2\n    bash: ./work.sh --n {i} --date << ds >> --out /data/<< ds_nodash >>/{n}.csv\n" for n in range(10)))
    with open(os.path.join(folder, "work.sh"), "w") as file:
        file.write("true\n")
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        b.runner("check", folder)
        times.append(time.perf_counter() - begin)
    say("check 1000 files of 10 steps, cold", f"{times[0]:.2f} s", None, "< 4 s", times[0] < 4)
    say("check 1000 files, unchanged", f"{times[1]:.2f} s", None, "< 0.5 s", times[1] < 0.5)


ALL = {name[6:]: function for name, function in list(globals().items()) if name.startswith("bench_")}
ALL.update({name: lambda b, function=function: function(b, say) for name, function in daemon.ALL.items()})


def main() -> None:
    chosen = sys.argv[1:] or list(ALL)
    ALL.update({name: lambda b, function=function: function(b, say) for name, function in {**load.ALL, **soak.ALL}.items()})  # too long to be one of all
    unknown = [name for name in chosen if name not in ALL]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are: {', '.join(ALL)}")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as folder:
        file, sync = disk_milliseconds(folder)
        print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}, {ROUNDS} rounds, medians; "
              f"disk: {file:.2f} ms for a folder with a file, {sync:.2f} ms for a commit", flush=True)
        bench = Bench(folder)
        for name in chosen:
            ALL[name](bench)


if __name__ == "__main__":
    main()
