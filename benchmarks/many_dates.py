"""Run N dates of one file in one engine and print the seconds: what a backfill does, without its command line."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta

from runner import acts
from runner.cli.app import App
from runner.engine import Engine
from runner.executors.local import LocalExecutor
from runner.workorder import Site


def main() -> None:
    path, count = sys.argv[1], int(sys.argv[2])
    app = App(os.environ, None, None)
    spec, store = app.pipeline(path), app.store(create=True)
    executor = LocalExecutor(app.clock)
    engine = Engine(store, executor, app.clock, app.config, Site(os.environ))
    begin = time.perf_counter()
    first = acts.date_for(spec, "2026-01-01", app.clock.now())
    for day in range(count):
        date = acts.date_for(spec, (first.logical + timedelta(days=day)).strftime("%Y-%m-%d"), app.clock.now())
        engine.adopt(acts.create_run(store, spec, date, params={}, at=app.clock.now(), trigger="backfill"), spec)
    engine.run_until_done()
    print(time.perf_counter() - begin)
    engine.close()
    executor.close()


if __name__ == "__main__":
    main()
