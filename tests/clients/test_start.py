"""The launcher of runner's own clients: isolated, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from runner.clients import start


def launch(tmp_path, name, body, **env):
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"body": body, "pipeline_folder": str(tmp_path)}), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-I", start.__file__, name, str(request)], cwd=tmp_path, text=True, encoding="utf-8", stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"], "RUNNER_HOME": str(tmp_path), "RUNNER_OUTPUT": str(tmp_path / "output"), **env})


def test_a_fault_of_ours_is_one_line(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('the module of the folder was taken')")
    (tmp_path / "runner.py").write_text("raise SystemExit('the module of the folder was taken')")
    done = launch(tmp_path, "nonesuch", {}, PYTHONPATH=str(tmp_path))
    assert done.returncode == 70 and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ModuleNotFoundError: No module named 'runner.clients.nonesuch'")


@pytest.mark.parametrize("name, body, final", [
    ("http", {"url": "no address"}, True),
    ("http", {"url": "http://127.0.0.1:9/", "method": "POST", "file": "not-yet.csv"}, False),  # it may come
    ("http", {"url": "http://127.0.0.1:9/"}, False),  # nobody listens there
    ("ssh", {"run": "true", "connection": "nowhere"}, True),
    ("sql", {"script": "q.sql", "connection": "broken", "source": "q.sql"}, True),
    ("email", {"subject": "x", "connection": "relay", "body": "x", "from": "a@b.example", "to": []}, True),
])
def test_only_what_no_retry_mends_is_marked_so(tmp_path, name, body, final):
    site = tmp_path / "connections.yaml"
    site.write_text("relay: {type: smtp, host: 127.0.0.1, port: 9}\nbroken: {type: oracel}\n")
    site.chmod(0o600)
    (tmp_path / "q.sql").write_text("select 1;\n")
    done = launch(tmp_path, name, body, RUNNER_ATTEMPT=str(tmp_path))
    assert done.returncode in (1, 2) and done.stderr.startswith("error: "), done.stderr
    assert (tmp_path / "final").exists() == final, done.stderr
