"""An hour of a small site: minutely pipelines, failures with retries, waits, backfills, edits. What must not grow is watched."""

from __future__ import annotations

import os
import time

from daemon import House, children
from load import _process, _text

MINUTES = int(os.environ.get("BENCH_SOAK", "60"))
KINDS = (
    "steps:\n  - id: a\n    bash: echo << ds >>\n  - {id: b, needs: a, bash: 'echo n=1 >>\"$RUNNER_OUTPUT\"'}\n  - {id: c, needs: b, bash: 'echo << outputs.b.n >>'}\n",
    "defaults: {retries: 1, retry_delay: 5s}\nsteps:\n  - id: a\n    bash: test $RUNNER_TRY_NUMBER = 2\n",
    "steps:\n  - {id: a, foreach: [1, 2, 3], bash: 'echo << item >>'}\n",
    "steps:\n  - id: a\n    wait: {file: HOME/mark, every: 2s}\n  - {id: b, needs: a, bash: 'true'}\n",
    "steps:\n  - id: a\n    bash: exit 1\n  - {id: b, teardown: a, bash: 'true'}\n",
    "steps:\n  - {id: a, pipeline: {name: child, date: '<< ts >>'}}\n",
)


def bench_soak(b, say) -> None:
    house = House(b, "soak")
    house.write("child", "steps:\n  - {id: a, bash: 'true'}\n")
    house.write("days", "max_active_runs: 2\nsteps:\n  - {id: a, bash: 'true'}\n")
    for i in range(60):
        house.write(f"p{i}", "schedule: '* * * * *'\nmax_active_runs: 3\n" + KINDS[i % len(KINDS)].replace("HOME", house.home))
    with house.daemon() as process:
        samples, begin = [], time.monotonic()
        for minute in range(1, MINUTES + 1):
            time.sleep(max(begin + minute * 60 - time.monotonic(), 0))
            with open(f"{house.home}/mark", "w"):
                pass
            house.write(f"p{minute % 60}", f"# edited in minute {minute}\nschedule: '* * * * *'\n" + KINDS[minute % len(KINDS)].replace("HOME", house.home))
            if minute % 10 == 3:
                house.runner("backfill", "days", "--from", "2026-01-01", "--to", "2026-01-31", "--yes", *(["--all"] if minute > 10 else []))
            samples.append(_process(process.pid))
            print(f"  minute {minute}: {_text(samples[-1])}, {len(children(process.pid))} children", flush=True)
    early, late = samples[min(9, len(samples) // 3)], samples[-1]
    runs = house.rows("SELECT count(*), sum(ended_at IS NULL) FROM runs")[0]
    say(f"soak of {MINUTES} minutes", f"{runs[0]} runs, {runs[1] or 0} not ended; database {os.path.getsize(house.home + '/runner.db') / 1e6:.0f} MB")
    say("", f"early {_text(early)}")
    say("", f"late  {_text(late)}", None, "no growth", late[0] < early[0] + 8 and late[1] <= early[1] + 4 and late[2] <= early[2] and late[3] <= early[3])


ALL = {"soak": bench_soak}
