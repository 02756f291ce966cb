"""http steps in a run: values handed on, the engine's retries, its timeout."""

from __future__ import annotations

import pytest

from tests.webserver import Quiet, WebServer


class Handler(Quiet):
    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == "/hangs":
            self.server.release.wait(120)
            return
        busy = self.path == "/busy" and self.server.asked.count("/busy") < 3
        self.answer(503 if busy else 200, b'{"id": "k-7"}')


@pytest.fixture
def server():
    made = WebServer(Handler, asked=[])
    yield made
    made.close()


def test_the_answer_reaches_the_next_step_and_a_busy_server_is_asked_again(runner, server):
    runner.write("mart.yaml", f"""
        steps:
          - id: ask
            retries: 3
            retry_delay: 0
            http: {{url: {server.url}/busy, to: "answers/<< ds >>.json", extract: {{key: id}}}}
          - {{id: tell, needs: ask, bash: "echo << outputs.ask.key >> << outputs.ask.status >>; cat answers/2026-02-28.json"}}
    """)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert server.asked == ["/busy"] * 3
    assert runner("logs", "mart@2026-02-28", "tell").stdout.endswith('k-7 200\n{"id": "k-7"}\n')


def test_a_server_that_hangs_meets_the_timeout_of_the_step(runner, server):
    runner.write("mart.yaml", f"""
        steps:
          - {{id: ask, timeout: 1s, http: {{url: {server.url}/hangs, to: answer}}}}
    """)
    runner("run", "mart.yaml", "--date", "2026-02-28", code=1)
    step = runner.json("status", "mart@2026-02-28")["steps"][0]
    assert step["state"] == "failed" and "timeout" in str(step) and not (runner.folder / "answer").exists()
    assert [name.name for name in runner.folder.iterdir() if name.name.endswith(".part")] == []


def test_the_preview_shows_the_request(runner):
    runner.write("mart.yaml", "steps: [{id: ask, http: 'http://127.0.0.1/<< ds >>'}]")
    assert '"url": "http://127.0.0.1/2026-02-28"' in runner("plan", "mart.yaml", "--date", "2026-02-28").stdout


def test_a_secret_reaches_the_server_and_nothing_else(runner, server):
    runner.home.mkdir()
    site = runner.home / "secrets.yaml"
    site.write_text("api: hunter2hunter2\n")
    site.chmod(0o600)
    runner.write("mart.yaml", f"""
        steps:
          - {{id: ask, http: {{url: "{server.url}/x?key=<< secret.api >>"}}}}
    """)
    runner("run", "mart.yaml", "--date", "2026-02-28")
    assert server.asked == ["/x?key=hunter2hunter2"]
    found = [path for path in runner.home.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert found == [site]
