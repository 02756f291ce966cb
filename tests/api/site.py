"""A site with accounts, a token for each role, and programs that ask. Each answer is held against the document."""

from __future__ import annotations

from datetime import timedelta

from runner import accounts, passwords
from tests.api.fitting import misfit
from tests.web.stage import MART, Web

PLAIN = "tags: [other]\nparams:\n  n: {type: integer, default: 1}\nsteps:\n  - {id: a, bash: 'true'}\n  - {id: b, needs: a, bash: 'true'}\n"


class Site(Web):
    def __init__(self, folder):
        super().__init__(folder)
        self.client = self.app.test_client(use_cookies=False)
        self.tokens = {}
        for scope in accounts.SCOPES:
            self.token(scope, scope)
        self.write("mart", MART)
        self.write("plain", PLAIN)

    def token(self, name, scope="operate", tags=(), days=30):
        """A token as `runner token add` makes it."""
        word, now = passwords.new_word("runner_"), self.clock.now()
        with self.store.transaction():
            self.store.accounts.add_token(name, passwords.digest(word), "", accounts.SCOPES[scope], tags, now, "root", now + timedelta(days=days))
        self.tokens[name] = word

    def ask(self, method, path, code=200, body=None, token="admin", **headers):
        """The answer, when it has that status and is of the document."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            headers.setdefault("Authorization", f"Bearer {self.tokens.get(token, token)}")
        more = {"json": body} if isinstance(body, (dict, list)) else {"data": body} if body is not None else {}
        if not path.startswith("/"):
            path = "/api/v1/" + path
        answer = self.client.open(path, method=method, headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "1"}, **more)
        assert answer.status_code == code, (answer.status_code, self.said[-1:] if answer.status_code == 500 else answer.text)
        wrong = misfit(method, path, answer.status_code, answer.headers.get("Content-Type", ""), answer.data)
        assert not wrong, wrong
        return answer

    def read(self, path, code=200, **more):
        return self.ask("GET", path, code, **more).get_json()

    def act(self, path, body=None, code=200, **more):
        return self.ask("POST", path, code, {} if body is None else body, **more).get_json()

    def refused(self, method, path, code, kind, body=None, **more):
        """The problem."""
        found = self.ask(method, path, code, body, **more).get_json()
        assert found["type"] == f"urn:runner:problem:{kind}" and found["status"] == code, found
        return found
