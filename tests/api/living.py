"""A real daemon with its page, a user and a token for each role, asked by real HTTP."""

from __future__ import annotations

import http.client
import json
from datetime import datetime, timedelta, timezone

from runner import accounts, passwords
from runner.store import Store
from tests.e2e.daemons import House
from tests.web.test_server import ask, free_port


class Living:
    def __init__(self, folder):
        self.house = House(folder)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.tokens = {}
        self.child = None

    def start(self, answers=True, **options):
        """`answers`: by http, which is waited for."""
        if not self.tokens:
            self._accounts()
        self.child = self.house.daemon(env={"RUNNER_LISTEN": f"127.0.0.1:{self.port}"}, **options)
        if answers:
            self.house.wait_for(lambda: ask(self.port, "/healthz"))
        return self

    def _accounts(self):
        store = Store(str(self.house.home / "runner.db"), "normal")
        now = datetime.now(timezone.utc)
        with store.transaction():
            store.accounts.add_user("boss", "admin", (), "no password has this hash", now)
            for scope, role in accounts.SCOPES.items():
                self.tokens[scope] = passwords.new_word("runner_")
                store.accounts.add_token(scope, passwords.digest(self.tokens[scope]), "", role, (), now, "root", now + timedelta(days=30))
        store.close()

    def ask(self, method, path, body=None, token="operate", **headers):
        """(status, headers, parsed body) over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            data = json.dumps(body).encode() if body is not None else None
            sent = {"Authorization": f"Bearer {self.tokens.get(token, token)}", **({"Content-Type": "application/json"} if data else {}),
                    **{name.replace("_", "-"): value for name, value in headers.items()}}
            connection.request(method, path if path.startswith("/") else "/api/v1/" + path, data, sent)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, answer.headers, json.loads(raw) if "json" in answer.headers.get("Content-Type", "") else raw
        finally:
            connection.close()

    def close(self):
        self.house.close()
