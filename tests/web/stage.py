"""A home with pipelines, a real store with runs as a night leaves them, and a browser without a window."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from runner import acts, config, passwords
from runner.daemon.catalogue import Catalogue
from runner.definitions import Definitions
from runner.spec.check import Site
from runner.store import Store
from runner.web import gate
from runner.web.app import create_app
from runner.web.desk import Desk
from runner.web.edge import Edge
from tests.conftest import FakeClock

UTC = timezone.utc
HERE = {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "1"}
MART = """\
description: Customer mart, one day at a time
owner: data-team
tags: [mart, night]
timezone: Asia/Seoul
schedule: "0 1 * * *"
start_date: 2026-01-01
params:
  region: {type: string, default: KR}
steps:
  - {id: extract, bash: "echo extract"}
  - {id: clean, needs: extract, bash: "echo clean"}
  - {id: load, needs: clean, bash: "echo load", retries: 1, retry_delay: 5m}
  - {id: tidy, needs: load, trigger_rule: all_done, bash: "echo tidy"}
"""


class Web:
    """What a test of the page stands on. The clock says 2026-02-28 23:50 in Seoul unless told."""

    def __init__(self, folder, accounts=True):
        self.home = folder / "home"
        self.pipelines = self.home / "pipelines"
        self.pipelines.mkdir(parents=True)
        self.environ = {"RUNNER_HOME": str(self.home), "RUNNER_TIMEZONE": "Asia/Seoul", "RUNNER_MIN_FREE": "0"}
        self.config = config.load(self.environ)
        config.ensure_home(self.config)
        self.clock = FakeClock()
        self.store = Store(self.config.database, "normal", timezone=self.config.timezone)
        self.site = Site("Asia/Seoul")
        self.definitions = Definitions(self.store, self.site)
        self.said = []
        self.catalogue = Catalogue(self.store, str(self.pipelines), self.site, self.clock, self.said.append, self.definitions)
        self._age = 0
        self.open(accounts)

    def open(self, accounts=True, **changes):
        """The application anew, with other settings."""
        import dataclasses

        self.desk = Desk(dataclasses.replace(self.config, **changes), self.environ, self.clock, self.said.append)
        self.app = create_app(self.desk)
        self.app.wsgi_app = Edge(self.app.wsgi_app, self.desk)
        self.client, self.word = self.app.test_client(), ""
        if accounts:
            self.sign_in()
        else:
            self.store.db.execute_text("DELETE FROM users", {})
        self.desk.has_accounts()
        self.desk.drop()

    def sign_in(self, role="admin", tags=(), name="kim", client=None):
        """Somebody who has signed in, and stays so whatever the clock is set to; the word of their session."""
        if self.store.accounts.user(name) is None:
            self.store.accounts.add_user(name, role, tags, "", self.clock.now())
        self.store.accounts.set_role(name, role, tags)
        word = passwords.new_word()
        self.store.accounts.add_session(passwords.digest(word), name, "the form of " + name, self.clock.now() + timedelta(days=9999))
        (client or self.client).set_cookie(gate.cookie_name(self.desk), word)
        if client is None:
            self.word = word
        return word

    def sign_out(self):
        self.client.delete_cookie(gate.cookie_name(self.desk))
        self.word = ""

    def close(self):
        self.desk.drop()
        self.store.close()

    # -- files and runs

    def write(self, name, text):
        """A file that looks as if it had been written long ago; the daemon has taken it in."""
        path = self.pipelines / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        self._age += 1
        os.utime(path, (1e9 + self._age, 1e9 + self._age))
        self.desk._files = None
        self.catalogue.scan()
        return path

    def spec(self, name):
        return self.definitions.get(self.store.pipelines.get(name).definition)

    def run(self, name, day, states=None, state=None, reason="", seconds=60, trigger="schedule", steps=None, **changes):
        """A run of that day; `state`: as it stands now. `states`: step -> state, `steps`: step -> reason."""
        spec = self.spec(name)
        run = acts.create_run(
            self.store, spec, acts.date_for(spec, day, self.clock.now()), params={"region": "KR"} if spec.params else {}, at=self.clock.now(),
            trigger=trigger, who="kim", **changes)
        if state in (None, "queued"):
            return run
        begin = self.clock.now() - timedelta(seconds=seconds)
        with self.store.transaction():
            self.store.move("run", run.id, "queued", "running", begin, started_at=begin)
            for position, (step, after) in enumerate((states or {}).items()):
                self._step(run, step, after, begin + timedelta(seconds=position * 10), (steps or {}).get(step, ""))
            if state != "running":
                self.store.move("run", run.id, "running", state, self.clock.now(), reason=reason)
        return self.store.run_by_id(run.id)

    def _step(self, run, step, state, at, reason):
        if state in ("pending",):
            return
        if state in ("skipped", "upstream_failed"):
            self.store.move("step", run.id, "pending", state, at, step=step, reason=reason)
            return
        folder = os.path.join(self.config.runs_folder, run.pipeline, run.name.partition("@")[2], f"{step}.1")
        os.makedirs(folder, exist_ok=True)
        self.store.move("step", run.id, "pending", "running", at, step=step, started_at=at, tries=1)
        self.store.add_attempt(run.id, step, 1, folder, at, None)
        if state == "running":
            return
        code = 0 if state == "success" else 1
        end = at + timedelta(seconds=8)
        self.store.move("attempt", run.id, "running", "failed" if state == "retry_wait" else state, end, step=step, number=1, reason=reason, exit_code=code)
        more = {"retry_at": end + timedelta(minutes=5)} if state == "retry_wait" else {"outputs": {"rows": 42}} if state == "success" else {}
        self.store.move("step", run.id, "running", state, end, step=step, reason=reason, **more)

    def log(self, run, step, data, number=1):
        path = os.path.join(self.config.runs_folder, run.pipeline, run.name.partition("@")[2], f"{step}.{number}", "log")
        with open(path, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return path

    # -- asking

    def get(self, path, code=200, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if "Host" in headers and self.word:  # the cookie is of localhost
            self.client.set_cookie(gate.cookie_name(self.desk), self.word, domain=urlsplit("//" + headers["Host"]).hostname)
        answer = self.client.get(path, headers=headers, environ_base=HERE)
        assert answer.status_code == code, (answer.status_code, self.said[-1:] if answer.status_code == 500 else answer.text)
        return answer

    def post(self, path, code=303, who="kim", client=None, headers=None, **fields):
        """A form as the page of who has signed in sends it."""
        answer = (client or self.client).post(
            path, data={gate.FIELD: "the form of " + who, **fields}, headers={"Origin": "http://localhost", **(headers or {})}, environ_base=HERE)
        assert answer.status_code == code, (answer.status_code, self.said[-1:] if answer.status_code == 500 else answer.text)
        return answer

    def text(self, path, **headers):
        return self.get(path, **headers).text

    def json(self, path, **options):
        return self.get(path, **options).get_json()


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
