"""An address that answers as it should, asked as an http step asks."""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping, Tuple
from urllib.parse import urlsplit

from runner.clients import Client, ClientError
from runner.clients.probes import Seen
from runner.errors import EnvironmentFault, RunnerError
from runner.site import connections

TIMEOUT, MOST_BYTES = "20s", 1 << 20


def lane(probe: Mapping[str, Any]) -> Tuple[str, int]:
    return f"http {probe.get('connection') or urlsplit(probe['http']).netloc}", 2


def look(probe: Mapping[str, Any], memory: Dict[str, Any]) -> Seen:
    from runner.clients import http  # here: most probers never ask a web server
    from runner.site.masking import masked

    body = {"url": probe["http"], "timeout": TIMEOUT, **{key: probe[key] for key in ("connection", "headers") if key in probe}}
    client = Client({"body": body, "pipeline_folder": probe.get("cwd", "/")}, probe.get("env") or {})
    try:
        request = http.Request(client)
        request.say = lambda text: None  # what is printed here is for the engine
        with http.exchange(request) as answer:
            return _judge(probe, answer.status, answer.some(MOST_BYTES), client)
    except ClientError as error:
        said = masked(f"{probe['http']}: {error.message}", _hidden(client))  # it goes into the database
        return Seen(failed=said) if error.final else Seen(missing=said)
    except RunnerError as error:
        return Seen(missing=error.message) if isinstance(error, EnvironmentFault) else Seen(failed=error.message)


def _judge(probe: Mapping[str, Any], status: int, data: bytes, client: Client) -> Seen:
    wanted = int(probe.get("status", 200))
    if status != wanted:
        return Seen(missing=f"{probe['http']} answers {status}, not {wanted}")
    if probe.get("contains") and probe["contains"] not in data.decode("utf-8", "replace"):
        return Seen(missing=f"{probe['http']} answers without {probe['contains']!r}")
    return Seen(ready={"status": status})


def _hidden(client: Client) -> Iterator[str]:
    body = client.request["body"]
    try:
        yield from connections.hidden_in(body, client.home, client.environ)
        if "connection" in body:
            yield from connections.hidden_values(body["connection"], client.home, client.environ)
    except RunnerError:
        pass  # then nothing of them was sent
