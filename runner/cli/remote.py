"""A distant daemon: its interface, asked over HTTP. What it refuses is raised as the command itself would raise it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import stat
import uuid
from datetime import datetime
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Optional
from urllib.parse import quote, urlencode, urlsplit
from zoneinfo import ZoneInfo

from runner import __version__, errors, model

ROOT = "/api/v1"
SECONDS, CONNECT_SECONDS = 60.0, 10.0  # for an answer; to be reached at all
TRIES = 3  # of a request whose answer got lost, or that came too often
LONGEST_WAIT = 10.0
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_RAISED = {
    "wrong-request": errors.UsageError, "not-signed-in": errors.NotSignedIn, "forbidden": errors.Forbidden, "not-found": errors.NotFound, "conflict": errors.Conflict,
    "changed": errors.Conflict, "unavailable": errors.EnvironmentFault, "fault": errors.EnvironmentFault, "too-often": errors.EnvironmentFault,
}
_MOMENTS = ("logical_date", "data_interval_start", "data_interval_end", "next_due")


class Answer(NamedTuple):
    status: int
    data: Any  # moments as moments, in the zone of what they tell of
    etag: str


class Server:
    """One that is asked, by one connection."""

    def __init__(self, url: str, environ: Mapping[str, str], home: str, sleep: Any):
        """`home`: where the file `token` may lie. Raises UsageError for an address that is none."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise errors.UsageError(f"--server {url}: that is no address of a page", "such as --server https://etl1:8080")
        self.url, self._parts, self._sleep = url, parts, sleep
        self._token, self._ca = token_of(environ, home), environ.get("RUNNER_CA", "")
        self._connection: Optional[http.client.HTTPConnection] = None

    @property
    def readable(self) -> bool:
        """Whether a token goes where others can read it."""
        return bool(self._token) and self._parts.scheme == "http" and self._parts.hostname not in LOOPBACK

    # -- asking

    def get(self, path: str, **query: Any) -> Any:
        return self.ask("GET", path, query).data

    def every(self, path: str, **query: Any) -> Iterator[Any]:
        """The rows of a list, however many parts it has."""
        found = self.get(path, **query)
        while True:
            yield from found["items"]
            if not found["next"]:
                return
            cursor = dict(part.split("=", 1) for part in urlsplit(found["next"]).query.split("&"))["cursor"]
            found = self.ask("GET", path, query, raw=f"&cursor={cursor}").data

    def post(self, path: str, body: Dict[str, Any], **query: Any) -> Answer:
        """An act, once: its key makes a second asking harmless when the answer to the first got lost."""
        return self.ask("POST", path, query, body={name: value for name, value in body.items() if value not in (None, "", (), False, {})})

    def ask(self, method: str, path: str, query: Mapping[str, Any], body: Any = None, etag: str = "", raw: str = "") -> Answer:
        words = urlencode({name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items() if value is not None})
        address = f"{self._parts.path.rstrip('/')}{ROOT}/{path}" + (f"?{words}{raw}" if words or raw else "")
        headers = {"Accept": "application/json", "User-Agent": f"runner/{__version__}", **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
        if etag:
            headers["If-None-Match"] = etag
        data = None
        if method == "POST":
            headers.update({"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex})
            data = json.dumps(body, ensure_ascii=False).encode()
        for left in reversed(range(TRIES)):
            try:
                status, found, raw_data = self._send(method, address, data, headers)
            except (http.client.HTTPException, OSError) as error:
                self.close()
                if not left:
                    raise self._unreachable(error) from None
                continue
            if status != 429 or not left:
                break
            self._sleep(min(float(found.get("Retry-After") or 1), LONGEST_WAIT))
        return self._judged(status, found, raw_data)

    def _send(self, method: str, address: str, data: Optional[bytes], headers: Mapping[str, str]):
        if self._connection is None:
            connection = self._open()
            try:
                connection.connect()
            except OSError as error:  # nothing was asked yet
                raise self._unreachable(error) from None
            connection.sock.settimeout(SECONDS)
            self._connection = connection
        self._connection.request(method, address, data, dict(headers))
        answer = self._connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def _open(self) -> http.client.HTTPConnection:
        host, port = str(self._parts.hostname), self._parts.port
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        try:
            context = ssl.create_default_context(cafile=self._ca or None)
        except OSError as error:
            raise errors.EnvironmentFault(f"RUNNER_CA={self._ca}: {error.strerror or error}", "give the path of the site's certificate authority, in PEM") from None
        return http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=context)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    # -- answers

    def _judged(self, status: int, headers: Any, raw: bytes) -> Answer:
        if status == 304:
            return Answer(status, None, headers.get("ETag") or "")
        if 300 <= status < 400:
            raise errors.EnvironmentFault(f"{self.url} leads to {headers.get('Location')}", "give that address: --server URL")
        kind = (headers.get("Content-Type") or "").split(";")[0]
        try:
            found = json.loads(raw) if kind in ("application/json", "application/problem+json") else None
        except ValueError:
            found = None
        if found is None:
            said = raw[:200].decode("utf-8", "replace").strip().split("\n")[0] if kind == "text/plain" else f"an answer of {status} that is not runner's"
            raise errors.EnvironmentFault(f"{self.url}: {said}", "is that the address of a daemon's page?  see: runner daemon --help")
        if status >= 400:
            raise _raised(found)
        return Answer(status, moments(found), headers.get("ETag") or "")

    def _unreachable(self, error: Exception) -> errors.EnvironmentFault:
        if isinstance(error, ssl.SSLCertVerificationError):
            return errors.EnvironmentFault(f"{self.url}: its certificate is not believed: {error.verify_message}", "give the site's certificate authority: export RUNNER_CA=/path/ca.pem")
        if isinstance(error, ssl.SSLError) or isinstance(error, socket.timeout) and self._parts.scheme == "https":
            return errors.EnvironmentFault(f"{self.url}: no TLS there: {getattr(error, 'reason', '') or error}", "is it http:// and not https://?")
        words = getattr(error, "strerror", "") or str(error) or type(error).__name__
        return errors.EnvironmentFault(f"{self.url} cannot be reached: {words}", "is a daemon started there with --listen?")


def _raised(found: Mapping[str, Any]) -> errors.RunnerError:
    kind = str(found.get("type", "")).rpartition(":")[2]
    if found.get("problems"):
        return errors.InvalidPipeline([model.Problem(**problem) for problem in found["problems"]])
    return _RAISED.get(kind, errors.UsageError)(str(found.get("detail", found)), str(found.get("hint", "")))


def moments(found: Any, zone: Optional[ZoneInfo] = None) -> Any:
    """The moments in an answer as moments, in the zone that stands beside them."""
    if isinstance(found, list):
        return [moments(each, zone) for each in found]
    if not isinstance(found, dict):
        return found
    if isinstance(found.get("timezone"), str):
        zone = ZoneInfo(found["timezone"])
    return {name: _moment(value, zone) if (name.endswith("_at") or name in _MOMENTS) and isinstance(value, str) else
            value if name in ("params", "outputs") else moments(value, zone) for name, value in found.items()}


def _moment(text: str, zone: Optional[ZoneInfo]) -> Any:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:  # words that only have such a name
        return text
    return found.astimezone(zone) if zone and found.tzinfo else found


def token_of(environ: Mapping[str, str], home: str) -> str:
    """RUNNER_TOKEN, or the file `token` of the home. Raises EnvironmentFault for a file that others may read."""
    if environ.get("RUNNER_TOKEN"):
        return environ["RUNNER_TOKEN"].strip()
    path = os.path.join(home, "token")
    try:
        with open(path, encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise errors.EnvironmentFault(f"{path}: others may read this token", f"type: chmod 600 {path}   and, if somebody did, add another: runner token add")
            return file.read().strip()
    except FileNotFoundError:
        return ""


def named(run: str) -> str:
    """A name as it stands in an address."""
    return quote(run, safe="@")
