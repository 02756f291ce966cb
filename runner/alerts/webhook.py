"""One message to a web address: a POST whose body is a template of the site."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any, Dict, Mapping
from urllib import error, request
from urllib.parse import urlsplit

from runner.alerts import message as wording
from runner.alerts.message import Message
from runner.clients import net
from runner.errors import RunnerError, UsageError

READ = 64 * 1024  # bytes of an answer that are read
SHOWN = 300  # characters of it that are kept
_TOKEN = "look at `headers:` and the secret in it"
_HINTS = {401: _TOKEN, 403: _TOKEN, 404: "look at `url:`", 405: "look at `method:`"}


def post(body: Mapping[str, Any], message: Message, wait: float) -> str:
    """`body`: of the channel, secrets filled in. Returns the status and the beginning of the answer. Raises RunnerError."""
    if not str(body["url"]).startswith(("http://", "https://")):  # a secret of the site may hold anything
        raise UsageError("the address does not begin with http:// or https://", "look at `url:` in alerts.yaml and the secret in it")
    place = _place_of(str(body["url"]))
    try:
        return _post(body, message, wait)
    except error.HTTPError as refused:
        said = _short(refused)
        raise RunnerError(f"{place} answered {refused.code}" + (f": {said}" if said else ""), _HINTS.get(refused.code, "")) from None
    except error.URLError as trouble:
        if isinstance(trouble.reason, OSError):
            raise net.trouble(trouble.reason, place, wait, "look at `url:`: http:// or https://") from None
        raise RunnerError(f"{place} cannot be reached ({type(trouble.reason).__name__})") from None
    except HTTPException as wrong:
        raise RunnerError(f"{place} does not speak HTTP: {type(wrong).__name__}", "look at `url:`") from None
    except OSError as trouble:
        raise net.trouble(trouble, place, wait) from None
    except ValueError as wrong:  # whose text may hold a secret
        message = f"{place}: the address or a header cannot be sent ({type(wrong).__name__})"
        raise UsageError(message, "look at `url:` and `headers:` in alerts.yaml") from None


def _post(body: Mapping[str, Any], message: Message, wait: float) -> str:
    headers = _headers(body, message)
    asked = request.Request(str(body["url"]), _content(body, message, headers), headers, method=str(body.get("method") or "POST").upper())
    opener = request.build_opener(_NoRedirect, request.HTTPSHandler(context=net.trust(body.get("ca"), net.flag(body.get("insecure")))))
    with opener.open(asked, timeout=wait) as answer:
        return f"{answer.status} {_short(answer)}".strip()


class _NoRedirect(request.HTTPRedirectHandler):
    """A POST that is sent on elsewhere would lose its body: the answer is an error."""

    def redirect_request(self, *_args):
        return None


def _headers(body: Mapping[str, Any], message: Message) -> Dict[str, str]:
    said = {str(name): str(value) for name, value in (body.get("headers") or {}).items()}
    ours = {
        "Content-Type": ("text/plain" if "body" in body else "application/json") + "; charset=utf-8", "User-Agent": "runner",
        "X-Runner-Key": message.key.encode("ascii", "backslashreplace").decode()[:500],
    }
    known = {name.lower() for name in said}
    return {**{name: value for name, value in ours.items() if name.lower() not in known}, **said}


def _content(body: Mapping[str, Any], message: Message, headers: Mapping[str, str]) -> bytes:
    """`body:` as it is, each value escaped where it is JSON; `json:` made into JSON; without either, every name and its value."""
    fields = message.as_fields()
    if "body" in body:
        kind = next(value for name, value in headers.items() if name.lower() == "content-type")
        return wording.fill(str(body["body"]), fields, "json" in kind.lower()).encode("utf-8", "replace")
    what = wording.fill(body["json"], fields) if "json" in body else fields
    return json.dumps(what, ensure_ascii=False).encode("utf-8", "replace")


def _place_of(url: str) -> str:
    """Host and port; what else stands in an address may be secret."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    except ValueError:
        return "the address"


def _short(answer: Any) -> str:
    with answer:
        raw = answer.read(READ)
    return " ".join(wording.clean(raw.decode("utf-8", "replace").replace("\n", " ")).split())[:SHOWN]
