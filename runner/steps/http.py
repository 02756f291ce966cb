"""Asks a web server: GET, POST and the like, with the answer checked, kept in a file or handed on.

```yaml
steps:
  - id: rates
    http:
      url: https://rates.example/v1/daily
      params: {date: "<< ds >>", region: KR}
      headers: {Authorization: "Bearer << secret.rates >>"}
      to: /data/rates/<< ds_nodash >>.json
  - id: announce
    needs: rates
    retries: 2
    http:
      connection: portal              # its address, user and password stand with the site
      method: POST
      url: /api/batches
      json: {date: "<< ds >>", state: loaded}
      status: [200, 201, 409]
      extract: {batch: data.id}       # << outputs.announce.batch >>
```

Runner does this itself: no curl is needed. With `to:` the answer is written as it comes to a file beside the wanted one, which gets its
name when the last byte is there; a file that was there before stays until then. Without, the text is handed on as
`<< outputs.rates.body >>` when it has at most `max_body` bytes. Handed on in any case: `status`, `bytes`, and each name under `extract:`, whose
path leads through the JSON of the answer: keys and positions, joined by dots.

A connection of type `http` may have `url` (to which the step's `url` is added), `user` and `password` (sent as Basic authorization), `ca`, `insecure`,
`proxy` and `timeout`.

**Exit codes.** 0: an expected status, and the answer is whole. 1: no whole answer: not reachable, not trusted, nothing heard for `timeout`, broken off, or
`extract:` found nothing. 2: the request cannot be made: the address, a file, a connection or a secret. 22: another status than
expected; the beginning of the answer stands in the log.

**Traps**

- A POST that broke off may have been carried out. With `retries:` it is sent again: let the server tell doubles by a key, such as `<< run_id >>`.
- `http_proxy` and its kin are not used: they lead calls inside the network astray. `proxy: http://proxy.example:3128` says which,
  `proxy: environment` takes the variables.
- `timeout:` here is the longest silence of the server; that of the step, beside `http:`, ends the whole.
- A redirect to another server does not get the `Authorization` header, nor the connection's password; a redirected POST becomes a GET unless the
  server says 307 or 308.
- `json: {n: "<< params.n >>"}` sends a text. For a number write it in `body:`, with `headers: {Content-Type: application/json}`.
- What is handed on is kept in the history. An answer that is a secret does not belong there: `max_body: 0`.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Tuple
from urllib.parse import urlsplit

from runner import model
from runner.steps import base
from runner.steps.base import BuildContext, CalledFile, Fault, called, has_tag

KIND = "http"
TITLE = "a request to a web server"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PAYLOADS = ("body", "json", "form", "file")
_ONE = {"type": ["string", "number", "boolean"]}
_STATUS = re.compile(r"([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?")
_STATUS_HINT = "Write `status: 200`, `status: [200, 404]` or `status: 200-299`."

SCHEMA: Dict[str, Any] = {
    "type": ["string", "object"],
    "description": "The address, or a mapping with `url`.",
    "additionalProperties": False,
    "properties": {
        "url": {"type": "string", "minLength": 1, "description": "The address; with a connection that has a `url`, what is added to it."},
        "connection": {"type": "string", "minLength": 1, "description": "A connection of the site, of type http."},
        "method": {"type": "string", "enum": list(METHODS), "description": "Default: GET, or POST when something is sent."},
        "headers": {"type": "object", "additionalProperties": _ONE, "description": "Headers, `Name: value`."},
        "params": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean", "array"], "items": _ONE},
            "description": "What is added to the address as `?name=value`, quoted as it must be; a list gives the name several times.",
        },
        "body": {"type": "string", "description": "The text to send."},
        "json": {"type": ["object", "array", "string", "number", "boolean"], "description": "Data to send as JSON."},
        "form": {"type": "object", "additionalProperties": _ONE, "description": "Fields to send as a web form does."},
        "file": {"type": "string", "minLength": 1, "description": "A file to send; a relative path starts at the pipeline's folder."},
        "status": {
            "type": ["integer", "string", "array"],
            "items": {"type": ["integer", "string"]},
            "description": "Expected statuses: a number, a range such as 200-299, or a list of both. Default: 200-299.",
        },
        "to": {"type": "string", "minLength": 1, "description": "The file that gets the answer; its folder is made when it is not there."},
        "extract": {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "What to hand on of a JSON answer, `name: path`, such as `batch: data.0.id`.",
        },
        "max_body": {"type": "integer", "minimum": 0, "maximum": 200000, "description": "Bytes of an answer that are handed on as `body`. Default: 16384."},
        "timeout": {"type": ["integer", "number", "string"], "description": "The longest silence of the server. Default: 60s."},
        "redirects": {"type": "integer", "minimum": 0, "maximum": 50, "description": "How many redirects are followed. Default: 10."},
        "ca": {"type": "string", "minLength": 1, "description": "A PEM file of the authorities to trust. Default: those of the system."},
        "insecure": {"type": "boolean", "description": "Whether to talk to a server whose certificate is not trusted. Default: false."},
        "proxy": {"type": "string", "minLength": 1, "description": "The proxy's address, or `environment` for http_proxy, https_proxy and no_proxy."},
    },
}
TEMPLATED = frozenset({"connection", "url", "headers", "params", "body", "json", "form", "file", "to", "ca", "proxy"})


def normalise(body: Any) -> Dict[str, Any]:
    return {"url": body} if isinstance(body, str) else dict(body)


def files(body: Mapping[str, Any]) -> List[CalledFile]:
    return called(body, "file", "") + called(body, "ca", "")


def check(body: Mapping[str, Any]) -> List[Fault]:
    body = normalise(body)
    faults: List[Fault] = []
    if "url" not in body and "connection" not in body:
        faults.append(((), "nothing to ask: `url:` is missing", "Write `url: https://host/path`."))
    faults += check_url(body)
    sent = [key for key in PAYLOADS if key in body]
    if len(sent) > 1:
        faults.append(((sent[1],), f"`{sent[0]}:` and `{sent[1]}:` exclude each other", "Write one of body, json, form and file."))
    if sent and body.get("method") == "HEAD":
        faults.append(((sent[0],), "a HEAD request sends nothing", "Leave `method:` out, or write `method: POST`."))
    if body.get("insecure") and "ca" in body:
        faults.append((("insecure",), "`insecure: true` trusts anybody, so `ca:` would not be asked", "Leave `insecure:` out."))
    try:
        statuses(body.get("status"))
    except ValueError as error:
        faults.append((("status",), str(error), _STATUS_HINT))
    return faults


def check_url(body: Mapping[str, Any]) -> List[Fault]:
    """Faults of an address that is known before the run."""
    url = str(body.get("url") or "")
    plain = url.split("<<")[0] if has_tag(url) else url
    if re.match(r"https?://[^/\s]*:[^/\s]*@", plain):
        return [(("url",), "a password in the address can be read in the file, the plan and the log",
                 "Write a connection with `user:` and `password:`, and its name in `connection:`.")]
    if "connection" in body or plain != url and not plain:
        return []
    if not plain.lower().startswith(("http://", "https://")) or plain == url and not urlsplit(url).hostname:
        return [(("url",), f"'{url}' is no web address", "Write `url: https://host/path`.")] if url else []
    return []


def statuses(wanted: Any) -> List[Tuple[int, int]]:
    """`200`, `200-299` or a list of them as pairs of first and last. Raises ValueError."""
    if wanted is None:
        return [(200, 299)]
    pairs = []
    for one in wanted if isinstance(wanted, (list, tuple)) else [wanted]:
        found = _STATUS.fullmatch(str(one).strip())
        if isinstance(one, bool) or not found or int(found[2] or found[1]) < int(found[1]):
            raise ValueError(f"'{one}' is no status and no range of them")
        pairs.append((int(found[1]), int(found[2] or found[1])))
    if not pairs:
        raise ValueError("`status:` expects nothing")
    return pairs


def build(step: model.Step, body: Mapping[str, Any], ctx: BuildContext) -> model.Command:
    return base.client("http", {**body, "status": statuses(body.get("status"))}, ctx)
