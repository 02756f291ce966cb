"""A home with alerts.yaml, a web server and a mail server that keep what they get."""

from __future__ import annotations

import json
import os
import socket
import textwrap

import pytest

from runner import config as config_module
from runner.alerts.sender import Sender
from runner.definitions import Definitions
from runner.spec.check import Site, load_text
from runner.store import Store
from tests.conftest import FakeClock
from tests.webserver import Quiet, WebServer


@pytest.fixture
def store(tmp_path):
    """Of a site in Seoul."""
    opened = Store(str(tmp_path / "runner.db"), timezone="Asia/Seoul")
    yield opened
    opened.close()


class _Hook(Quiet):
    def do_POST(self):
        web = self.server
        web.got.append((self.path, dict(self.headers), self.sent()))
        status, text = web.answers.pop(0) if web.answers else (200, "ok")
        self.answer(status, text.encode(), **({"Location": "/elsewhere"} if status in (301, 302) else {}))

    do_PUT = do_GET = do_POST


class Web(WebServer):
    """`answers` are used up one by one, then 200."""

    def __init__(self):
        self.got, self.answers = [], []
        super().__init__(_Hook)
        self.url += "/hook"

    def texts(self):
        return [json.loads(raw) for _, _, raw in self.got]


class Mute:
    """A server that takes connections and never answers."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(50)
        self.port = self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


@pytest.fixture
def web():
    server = Web()
    yield server
    server.close()


@pytest.fixture
def mute():
    server = Mute()
    yield server
    server.close()


class Home:
    """A RUNNER_HOME under a clock that stands still."""

    def __init__(self, folder, store, clock):
        self.folder, self.store, self.clock = folder, store, clock
        self.config = config_module.load({"HOME": str(folder), "TZ": "Asia/Seoul"}, home=str(folder))
        self.site = Site("Asia/Seoul")
        self.definitions = Definitions(store, self.site)
        self.said = []

    def write(self, name, text, mode=0o600):
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        os.chmod(path, mode)
        return path

    def alerts(self, text, mode=0o600):
        return self.write("alerts.yaml", text, mode)

    def pipeline(self, text, name="mart"):
        return load_text(textwrap.dedent(text), f"{self.folder}/{name}.yaml", name, self.site)

    def add(self, key="k1", channel="ops", event="failure", body=None, at=None, **about):
        with self.store.transaction():
            return self.store.alerts.add(key, channel, event, at or self.clock.now(), body or {"ds": "2026-02-28", "zone": "Asia/Seoul"},
                                         **{"pipeline": "mart", **about})

    def send(self, may_hold=True):
        sender = Sender(self.store, self.definitions, self.config, {"PATH": os.environ["PATH"]}, self.clock, self.said.append, may_hold)
        sender.work()
        return sender.failed

    def log(self):
        """(channel, outcome, alerts), oldest first."""
        return [(each.channel, each.outcome, each.alerts) for each in self.store.alerts.deliveries(1000)][::-1]


@pytest.fixture
def home(tmp_path, store, clock):
    return Home(tmp_path, store, clock)


@pytest.fixture
def clock():
    return FakeClock()
