"""sftp steps in a run: there and back, with the date of the run."""

from __future__ import annotations

import json
import os

from tests.clients.sshserver import sshd  # noqa: F401


def test_a_file_goes_there_and_comes_back(runner, sshd):  # noqa: F811
    site = runner.home / "connections.yaml"
    runner.home.mkdir()
    site.write_text("partner: " + json.dumps({"type": "ssh", **sshd.body}) + "\n")
    site.chmod(0o600)
    there = runner.folder / "there"
    runner.write("mart.yaml", f"""
        steps:
          - {{id: make, bash: "echo 고객 > out-$RUNNER_DS.csv"}}
          - id: send
            needs: make
            sftp: {{connection: partner, put: "out-<< ds >>.csv", to: {there}/<< ds_nodash >>/, mkdir: true, done: "{there}/<< ds_nodash >>/_SUCCESS"}}
          - id: fetch
            needs: send
            sftp: {{connection: partner, get: "{there}/<< ds_nodash >>/*.csv", to: back/, mkdir: true, done: "{there}/<< ds_nodash >>/_SUCCESS"}}
          - {{id: tell, needs: fetch, bash: "echo << outputs.fetch.files[0] >> << outputs.send.bytes >>"}}
    """)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert sorted(os.listdir(there / "20260228")) == ["_SUCCESS", "out-2026-02-28.csv"]
    assert (runner.folder / "back/out-2026-02-28.csv").read_text(encoding="utf-8") == "고객\n"
    assert runner("logs", "mart@2026-02-28", "tell").stdout == f"{runner.folder}/back/out-2026-02-28.csv 7\n"
