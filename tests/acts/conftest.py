from __future__ import annotations

import pytest

from runner import acts
from tests.web.stage import MART, Web

STATES = {"extract": "success", "clean": "failed", "load": "upstream_failed", "tidy": "success"}


@pytest.fixture
def web(tmp_path):
    """A home with one pipeline: 26 February failed, 27 February waits, 20 February was missed."""
    made = Web(tmp_path)
    made.write("mart", MART.replace("start_date: 2026-01-01", "start_date: 2026-01-01\nmax_active_runs: 3"))
    made.run("mart", "2026-02-26", STATES, "failed", "clean failed")
    made.run("mart", "2026-02-27")
    spec = made.spec("mart")
    acts.create_run(made.store, spec, acts.date_for(spec, "2026-02-20", made.clock.now()), params={"region": "KR"}, at=made.clock.now(), state="missed", reason="paused by lee")
    yield made
    made.close()
