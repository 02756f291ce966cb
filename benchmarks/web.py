#!/usr/bin/env python3
"""What the page costs: its memory on top of the daemon, each screen at the server, fifty who watch one run, a program that asks.

    PYTHON benchmarks/web.py [PIPELINES DAYS]     500 90 unless told; PYTHON: the one of the environment that tests/run makes

Times are of the daemon's processor, so that a busy machine counts little; memory is what belongs to the process alone.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from statistics import median

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

ROUNDS, WATCHERS, WATCHED_SECONDS, ASKED = 20, 50, 20, 1000
WATCHED = "steps:\n  - {id: a, bash: 'sleep 300'}\n  - {id: b, bash: 'while true; do echo line; sleep 1; done'}\n"


def memory(pid: int) -> float:
    """MB that no other process has."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("Private_Clean", "Private_Dirty"))) / 1000


def processor(pid: int) -> float:
    """Seconds that it has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Home:
    """A home with its daemon."""

    def __init__(self, folder: str, pipelines: int, days: int):
        from tests.web.night import fill

        fill(folder, pipelines, days, datetime.now(timezone.utc)).close()
        self.folder = folder
        self.environ = {**{key: value for key, value in os.environ.items() if not key.startswith("RUNNER_")}, "RUNNER_HOME": folder, "RUNNER_TIMEZONE": "Asia/Seoul",
                        "RUNNER_MIN_FREE": "0", "PYTHONPATH": ROOT}
        with open(os.path.join(folder, "pipelines", "watched.yaml"), "w", encoding="utf-8") as file:
            file.write(WATCHED)
        with open(os.path.join(folder, "pipelines", "one.yaml"), "w", encoding="utf-8") as file:
            file.write("steps: [{id: a, bash: 'true'}]\n")

    def daemon(self, port: int = 0) -> subprocess.Popen:
        environ = {**self.environ, **({"RUNNER_LISTEN": f"127.0.0.1:{port}"} if port else {})}
        child = subprocess.Popen([sys.executable, "-m", "runner", "daemon"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(8)
        self.runner("trigger", "one", "--date", "2026-01-05", "--new")  # as it is after its first run: what runs need is loaded
        time.sleep(4)
        return child

    def runner(self, *words: str) -> None:
        subprocess.run([sys.executable, "-m", "runner", *words], env=self.environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def get(connection: http.client.HTTPConnection, path: str, **headers: str):
    """(answer, its body)."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
    answer = connection.getresponse()
    return answer, answer.read()


def screens(pid: int, port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    name = "orders_000"
    run = get(connection, f"/pipelines/{name}.json")[1]
    import gzip
    import json

    latest = json.loads(gzip.decompress(run))["runs"][0]["name"]
    paths = ["/pipelines", "/", f"/pipelines/{name}", f"/runs/{latest}", "/operations"]
    get(connection, "/pipelines")
    for path in paths:
        before, walls, sent = processor(pid), [], 0
        for number in range(ROUNDS):
            begin = time.perf_counter()
            answer, body = get(connection, f"{path}?round={number}")  # each address is made anew
            walls.append(time.perf_counter() - begin)
            assert answer.status == 200, (path, answer.status)
            sent = len(body)
        print(f"{path:<34} {(processor(pid) - before) / ROUNDS * 1000:6.0f} ms of processor  {median(walls) * 1000:6.0f} ms to the last byte  {sent / 1000:6.1f} kB")


def watch(pid: int, port: int, path: str) -> None:
    counts = {200: 0, 304: 0}

    def one(number: int) -> None:
        connection, tag = http.client.HTTPConnection("127.0.0.1", port, timeout=60), ""
        time.sleep(number * 2 / WATCHERS)
        while time.monotonic() < over:
            answer, _ = get(connection, path, **{"X-Part": "live", "If-None-Match": tag})
            tag = answer.headers["ETag"]
            counts[answer.status] += 1
            time.sleep(2)

    before = processor(pid)
    time.sleep(WATCHED_SECONDS)
    alone = processor(pid) - before  # what it takes with nobody watching
    over = time.monotonic() + WATCHED_SECONDS
    before, threads = processor(pid), [threading.Thread(target=one, args=(number,)) for number in range(WATCHERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{WATCHERS} watchers of {path}: {(processor(pid) - before - alone) / WATCHED_SECONDS * 100:.1f} % of a core ({counts[200]} new, {counts[304]} unchanged)")


def interface(pid: int, port: int, home: Home) -> None:
    """A program that asks for the state of runs, with a token: one connection, then four."""
    from runner import passwords
    from runner.store import Store

    store, now, word = Store(os.path.join(home.folder, "runner.db")), datetime.now(timezone.utc), passwords.new_word("runner_")
    with store.transaction():
        store.accounts.add_user("bench", "viewer", (), "no password has this hash", now)
        store.accounts.add_token("bench", passwords.digest(word), "", "viewer", (), now, "bench", now + timedelta(days=1))
    names = [run.name for run in store.recent_runs(None, "success", 200)]
    store.close()

    def one(count: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for number in range(count):
            answer, _ = get(connection, f"/api/v1/runs/{names[number % len(names)]}", Authorization=f"Bearer {word}")
            assert answer.status == 200, answer.status

    one(50)
    for connections in (1, 4):
        before, begin = processor(pid), time.perf_counter()
        threads = [threading.Thread(target=one, args=(ASKED // connections,)) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.perf_counter() - begin
        print(f"/api/v1/runs/RUN, {connections} connection{'s' * (connections > 1)}: {ASKED / took:.0f} a second, {(processor(pid) - before) / ASKED * 1000:.2f} ms of processor each (wanted: 300 a second)")


def main() -> None:
    pipelines, days = (int(sys.argv[1]), int(sys.argv[2])) if len(sys.argv) > 2 else (500, 90)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(os.path.join(folder, "home"), pipelines, days)
        first = home.daemon()  # takes all files in, so that neither of the two measured ones does
        first.terminate()
        first.wait()
        child = home.daemon()
        alone = memory(child.pid)
        child.terminate()
        child.wait()
        child = home.daemon(port)
        fresh = memory(child.pid)
        try:
            home.runner("trigger", "watched", "--date", "2026-01-05")
            screens(child.pid, port)
            watch(child.pid, port, "/runs/watched@2026-01-05")
            interface(child.pid, port, home)  # last: from then on the page asks everybody to sign in
            print(f"memory: the daemon alone {alone:.1f} MB, with the page {fresh:.1f} MB, after all of the above {memory(child.pid):.1f} MB")
        finally:
            home.runner("daemon", "stop", "--kill")
            child.wait()


if __name__ == "__main__":
    main()
