"""What stands before the application: which prefix and scheme a proxy uses, whom the Host header names, and who is asking.

A proxy is believed only when it runs on this server, which is how one stands before a page that listens on 127.0.0.1.
"""

from __future__ import annotations

import re
import socket
import weakref
from typing import Any, Callable, Iterable
from urllib.parse import urlsplit

from runner.web import peers
from runner.web.desk import Desk

JSON = "runner.json"  # key in the environment: the JSON twin is wanted
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_HOST = re.compile(r"([A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_OWN = ("/static/", "/api/")  # addresses whose .json is their own


class Edge:
    """WSGI around WSGI."""

    def __init__(self, app: Callable[..., Iterable[bytes]], desk: Desk):
        self._app, self._desk = app, desk
        self._public = urlsplit(desk.config.page_url)
        self._looked: "weakref.WeakKeyDictionary[Any, bool]" = weakref.WeakKeyDictionary()
        self._name = socket.gethostname().lower()

    def __call__(self, environ, start_response):
        self._by_proxy(environ)
        self._from_prefix(environ)
        path = environ.get("PATH_INFO", "")
        if path.endswith(".json") and not path.startswith(_OWN):
            environ["PATH_INFO"], environ[JSON] = path[: -len(".json")], True
        refusal = self._refusal(environ)
        if refusal:
            return _refuse(start_response, *refusal)
        return self._app(environ, start_response)

    def _by_proxy(self, environ: Any) -> None:
        """Believe what a proxy on this server says of the browser behind it."""
        if not peers.is_loopback(environ.get("REMOTE_ADDR", "")):
            return
        environ["runner.peer"] = (environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or 0))
        prefix, scheme, forwarded = (environ.get("HTTP_X_FORWARDED_" + name, "") for name in ("PREFIX", "PROTO", "FOR"))
        if _PREFIX.fullmatch(prefix.rstrip("/")):
            environ["SCRIPT_NAME"] = prefix.rstrip("/")
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        if forwarded:
            environ["REMOTE_ADDR"] = forwarded.split(",")[-1].strip()[:64]

    def _from_prefix(self, environ: Any) -> None:
        """A proxy that says nothing, but is named in the settings: with its prefix still in the address, or without."""
        if self._public.scheme == "https":
            environ["wsgi.url_scheme"] = "https"
        prefix = self._public.path
        if not prefix:
            return
        environ["SCRIPT_NAME"] = prefix
        path = environ.get("PATH_INFO", "")
        if path == prefix or path.startswith(prefix + "/"):
            environ["PATH_INFO"] = path[len(prefix):] or "/"

    def _refusal(self, environ: Any):
        """(status, words) for who is not answered at all."""
        found = _HOST.fullmatch(environ.get("HTTP_HOST", ""))
        host = found[1].strip("[]").lower() if found else "that"
        if not found or not self._known(host):  # a foreign page whose name was made to lead here must not read this one
            return "421 Misdirected Request", f"this page is not {host}; where people reach it stands in the setting page_url\n"
        if not self._desk.has_accounts() and not self._may_look(environ):
            return "403 Forbidden", "there is no account yet, so only the user of this daemon may look, on this server; see docs/page.md\n"
        return None

    def _may_look(self, environ: Any) -> bool:
        """Asked of the kernel once for each connection, which cannot change hands."""
        peer, channel = environ.get("runner.peer"), getattr(environ.get("waitress.client_disconnected"), "__self__", None)
        if peer is None:
            return False
        if channel is None:
            return peers.may_look(*peer)
        found = self._looked.get(channel)
        if found is None:
            found = self._looked[channel] = peers.may_look(*peer)
        return found

    def _known(self, host: str) -> bool:
        if host in ("", "localhost", self._name, self._public.hostname) or host.startswith(self._name + "."):
            return True
        return bool(re.fullmatch(r"[\d.]+|[0-9a-f:.]+", host))  # an address cannot be made to lead elsewhere


def _refuse(start_response, status: str, words: str) -> Iterable[bytes]:
    body = f"runner: {words}".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("X-Content-Type-Options", "nosniff")])
    return [body]
