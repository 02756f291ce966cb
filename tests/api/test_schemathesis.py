"""schemathesis asks a living daemon whatever the document allows, and much that it does not: no 500, and no answer outside the document.

Needs tests/api/fetch.sh. RUNNER_TEST_FULL=1 asks for minutes.
"""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.api.living import Living
from tests.api.site import PLAIN

CACHE = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
TOOL = os.path.join(CACHE, "runner-tests", "schemathesis", "bin", "schemathesis")
NO_LIMITS = "import runner.web.api.limits as l; l.Limits.__init__.__defaults__ = (l.Rate(1e9, 1e9), l.Rate(1e9, 1e9))"


def test_nothing_that_is_sent_brings_an_answer_outside_the_document(tmp_path):
    if not os.path.exists(TOOL):
        pytest.skip("no schemathesis: tests/api/fetch.sh")
    living = Living(tmp_path)
    try:
        living.house.pipeline("0", PLAIN)  # a name that it likes to send
        living.start(patch=NO_LIMITS)
        living.ask("POST", "pipelines/0/runs", {"date": "2026-01-05"})
        living.house.wait_all_ended()
        done = subprocess.run(
            [TOOL, "run", f"{living.url}/api/v1/openapi.json", "-H", f"Authorization: Bearer {living.tokens['operate']}", "--max-examples", "200" if os.environ.get("RUNNER_TEST_FULL") else "8",
             "--exclude-checks", "positive_data_acceptance", "--generation-deterministic", "--continue-on-failure", "--suppress-health-check", "all", "--no-color"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=280)
        assert done.returncode == 0, "\n".join(line[:500] for line in done.stdout.splitlines())[-8000:]
        assert "Tested: 31" in done.stdout, done.stdout[-1500:]
        assert "a fault of" not in living.house.log()
    finally:
        living.close()
