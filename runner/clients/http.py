"""One request to a web server and what becomes of its answer. The page of it is in steps/http.py."""

from __future__ import annotations

import base64
import codecs
import hashlib
import http.client
import json
import os
import re
import signal
import ssl
import sys
import urllib.request
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple
from urllib.parse import SplitResult, quote, urlencode, urljoin, urlsplit

from runner.clients import BAD_REQUEST, Client, ClientError, net
from runner.clock import Clock
from runner.errors import RunnerError

TIMEOUT, REDIRECTS, MAX_BODY = 60.0, 10, 16384
OTHER_STATUS = 22  # as `curl --fail` has it
_BLOCK = 1 << 16
_JSON_LIMIT = 64 << 20  # bytes of an answer that `extract` reads
_SHOWN = 2000  # characters of an unexpected answer in the log
_DEFAULT_PORTS = {"http": 80, "https": 443}


def main(client: Client) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is half written is taken away
    request = Request(client)
    clock = Clock()
    began = clock.monotonic()
    print(f"{request.method} {request.shown}")
    with exchange(request) as answer:
        if not any(low <= answer.status <= high for low, high in client.body["status"]):
            print(_text(answer, answer.some(_SHOWN * 4))[:_SHOWN])
            allowed = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in client.body["status"])
            raise ClientError(f"{answer.place} answered {answer.status} {answer.reason}, expected {allowed}", _advice(answer.status), OTHER_STATUS)
        target = client.body.get("to")
        try:
            size, data = _to_file(answer, client.path(target)) if target else _to_memory(answer, "extract" in client.body, request.max_body)
        except OSError as error:
            raise ClientError(f"{target}: cannot be written: {error.strerror}", f"type: ls -ld {os.path.dirname(client.path(target))}") from None
    print(f"{answer.status} {answer.reason}, {size} bytes in {clock.monotonic() - began:.2f} s" + (f", to {client.path(target)}" if target else ""))
    _hand_on(client, answer, size, data)
    return 0


class Request:
    """The step's body and its connection, understood. Raises ClientError."""

    def __init__(self, client: Client):
        body = client.body
        site = client.connection(body["connection"]) if "connection" in body else {}
        self.client = client
        self.url = _address(str(site.get("url") or ""), str(body.get("url") or ""), body.get("params") or {})
        self.shown = str(client.request["body"].get("url") or _without_query(self.url))  # as written: a secret in it stays a mark
        self.headers = {"User-Agent": "runner", "Accept": "*/*", **{name: _word(value) for name, value in (body.get("headers") or {}).items()}}
        self.basic = ""
        if site.get("user") or site.get("password"):
            pair = f"{site.get('user', '')}:{site.get('password', '')}".encode("utf-8")
            self.basic = "Basic " + base64.b64encode(pair).decode("ascii")
        self.sent, kind = self._payload(body)
        self.method = body.get("method") or ("GET" if self.sent is None else "POST")
        if kind and not any(name.lower() == "content-type" for name in self.headers):
            self.headers["Content-Type"] = kind
        self.timeout = net.seconds(body.get("timeout", site.get("timeout")), TIMEOUT)
        self.redirects = int(body.get("redirects", REDIRECTS))
        self.max_body = int(body.get("max_body", MAX_BODY))
        self.proxy = str(body.get("proxy") or site.get("proxy") or "")
        self._ca = client.path(body["ca"]) if "ca" in body else site.get("ca")
        self._insecure = bool(body.get("insecure", net.flag(site.get("insecure"))))

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """Whom it believes; made when a server with TLS is asked, since reading all authorities takes its time."""
        return net.trust(self._ca, self._insecure)

    def say(self, text: str) -> None:
        """What a person should read on the way."""
        print(text)

    def _payload(self, body: Mapping[str, Any]) -> Tuple[Any, str]:
        """What is sent, bytes or the path of a file, and its content type."""
        if "json" in body:
            return json.dumps(body["json"], ensure_ascii=False).encode("utf-8"), "application/json"
        if "form" in body:
            fields = [(name, _word(value)) for name, value in body["form"].items()]
            return urlencode(fields).encode("ascii"), "application/x-www-form-urlencoded"
        if "body" in body:
            return body["body"].encode("utf-8", "surrogateescape"), "text/plain; charset=utf-8"
        if "file" in body:
            path = self.client.path(body["file"])
            if not os.path.isfile(path):
                raise ClientError(f"file: {path} is no file", f"type: ls -l {path}", BAD_REQUEST, final=False)  # it may come yet
            return path, "application/octet-stream"
        return None, ""


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _address(root: str, url: str, params: Mapping[str, Any]) -> str:
    """The whole address, quoted as it must be; what is quoted already stays."""
    whole = url if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", url) or not root else (root.rstrip("/") + "/" + url.lstrip("/") if url else root)
    parts = urlsplit(whole.strip())
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ClientError(f"'{_without_query(whole)}' is no web address", "write `url: https://host/path`", BAD_REQUEST)
    pairs = [(name, _word(one)) for name, value in params.items() for one in (value if isinstance(value, list) else [value])]
    query = "&".join(filter(None, [quote(parts.query, safe="/?:@!$&'()*+,;=%-._~[]"), urlencode(pairs)]))
    return parts._replace(path=quote(parts.path or "/", safe="/:@!$&'()*+,;=%-._~"), query=query, fragment="").geturl()


def _without_query(url: str) -> str:
    return url.partition("?")[0]


# ------------------------------------------------------------------------------------------------------------- the wire


class Answer:
    """A response, read in blocks; it knows whether it is whole."""

    def __init__(self, response: http.client.HTTPResponse, place: str, timeout: float):
        self._response, self.place, self._timeout = response, place, timeout
        self.status, self.reason = response.status, response.reason
        self.length: Optional[int] = response.length  # as announced; None when the server does not say
        self.charset = response.headers.get_content_charset() or "utf-8"
        self.packed = response.headers.get("Content-Encoding", "identity").lower() not in ("identity", "")

    def header(self, name: str) -> str:
        value = self._response.headers.get(name) or ""
        return value.encode("latin-1", "replace").decode("utf-8", "replace")  # http.client reads bytes as latin-1

    def blocks(self) -> Iterator[bytes]:
        """All of it; raises ClientError when it breaks off."""
        seen = 0
        while True:
            try:
                block = self._response.read(_BLOCK)
            except (http.client.HTTPException, OSError) as error:
                if isinstance(error, OSError) and not isinstance(error, ConnectionError):
                    raise _clear(net.trouble(error, self.place, self._timeout)) from None
                raise self._broken(seen + len(getattr(error, "partial", b""))) from None
            if not block:
                break
            seen += len(block)
            yield block
        if self.length is not None and seen < self.length:
            raise self._broken(seen)

    def some(self, limit: int) -> bytes:
        """The beginning, as far as it can be had."""
        out = b""
        try:
            for block in self.blocks():
                out += block
                if len(out) >= limit:
                    break
        except ClientError:
            pass
        return out[:limit]

    def _broken(self, seen: int) -> ClientError:
        of = f" of {self.length}" if self.length is not None else ""
        return ClientError(f"{self.place} broke the answer off after {seen}{of} bytes")


@contextmanager
def exchange(request: Request) -> Iterator[Answer]:
    """Send the request, follow redirects, give the last answer. Raises ClientError."""
    url, method, sent, headers = urlsplit(request.url), request.method, request.sent, dict(request.headers)
    first, trail = _origin(url), 0
    if request.basic and not any(name.lower() == "authorization" for name in headers):
        headers["Authorization"] = request.basic
    while True:
        connection = None
        place = f"{url.hostname}:{url.port or _DEFAULT_PORTS[url.scheme]}"
        try:
            connection, target, login = _connect(request, url)
            answer = Answer(_ask(connection, method, target, {**headers, **login}, sent), place, request.timeout)
            where = answer.header("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not where or not request.redirects:
                yield answer
                return
        except OSError as error:
            raise _clear(net.trouble(error, place, request.timeout, "look at http:// or https:// and the port")) from None
        except http.client.HTTPException as error:
            raise ClientError(f"{place} gave no answer that is HTTP: {type(error).__name__} {error}".rstrip()) from None
        finally:
            if connection:
                connection.close()
        trail += 1
        if trail > request.redirects:
            raise ClientError(f"{place} redirects without end: {request.redirects} redirects followed, the next goes to {_without_query(where)}",
                              "look at the address, or raise `redirects:`")
        url = _followed(url, where)
        request.say(f"{answer.status}, on to {_without_query(url.geturl())}")
        if answer.status == 303 and method != "HEAD" or answer.status in (301, 302) and method == "POST":
            method, sent = "GET", None
            headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        if _origin(url) != first:
            headers = {name: value for name, value in headers.items() if name.lower() not in ("authorization", "cookie")}


def _origin(url: SplitResult) -> Tuple[str, Optional[str], int]:
    return url.scheme, url.hostname, url.port or _DEFAULT_PORTS[url.scheme]


def _followed(url: SplitResult, where: str) -> SplitResult:
    """The address a redirect leads to. Raises ClientError."""
    found = urlsplit(_address("", urljoin(url.geturl(), where), {}))
    if url.scheme == "https" and found.scheme == "http":
        raise ClientError(f"{url.hostname} redirects from https to http, which everybody can read: {_without_query(found.geturl())}",
                          "write that address in `url:` when it is wanted")
    return found


def _connect(request: Request, url: SplitResult) -> Tuple[http.client.HTTPConnection, str, Dict[str, str]]:
    """A connection, by the proxy where there is one, the address in the request line, and headers for the proxy."""
    host = url.hostname if url.hostname.isascii() else url.hostname.encode("idna").decode("ascii")
    port = url.port or _DEFAULT_PORTS[url.scheme]
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    proxy = _proxy(request.proxy, url)
    secure = url.scheme == "https"
    make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    options: Dict[str, Any] = {"timeout": request.timeout, **({"context": request.trust} if secure else {})}
    if not proxy:
        return make(host, port, **options), path, {}
    connection = make(proxy.hostname, proxy.port or 3128, **options)  # TLS is spoken inside the tunnel
    if secure:
        connection.set_tunnel(host, port, _proxy_login(proxy))
        return connection, path, {}
    return connection, url.geturl(), _proxy_login(proxy)


def _proxy(wanted: str, url: SplitResult) -> Optional[SplitResult]:
    if wanted == "environment":
        wanted = "" if urllib.request.proxy_bypass_environment(url.hostname) else urllib.request.getproxies_environment().get(url.scheme, "")
    if not wanted:
        return None
    found = urlsplit(wanted if "://" in wanted else "http://" + wanted)
    if found.scheme != "http" or not found.hostname:
        raise ClientError("the proxy has no address that can be used", "write `proxy: http://host:port`", BAD_REQUEST)
    return found


def _proxy_login(proxy: SplitResult) -> Dict[str, str]:
    if not proxy.username:
        return {}
    return {"Proxy-Authorization": "Basic " + base64.b64encode(f"{proxy.username}:{proxy.password or ''}".encode("utf-8")).decode("ascii")}


def _ask(connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str], sent: Any) -> http.client.HTTPResponse:
    words = {name: value.encode("utf-8") for name, value in headers.items()}
    try:
        if isinstance(sent, str):
            with open(sent, "rb") as file:
                connection.request(method, target, file, {**words, "Content-Length": str(os.fstat(file.fileno()).st_size)})
                return connection.getresponse()
        connection.request(method, target, sent, words)
        return connection.getresponse()
    except OSError:  # also a ValueError, when it is about a certificate
        raise
    except (ValueError, http.client.InvalidURL) as error:  # a line break in a header and the like: http.client looks
        raise ClientError(f"the request cannot be sent: {error}", "look at `url:` and `headers:`", BAD_REQUEST) from None


def _clear(error: RunnerError) -> ClientError:
    return ClientError(error.message, error.hint)


def _advice(status: int) -> str:
    if status in (401, 403):
        return "look at user and password of the connection, or at the Authorization header"
    return "`status:` says which answers are good" if status < 500 else ""


# ----------------------------------------------------------------------------------------------------------- the answer


def _to_file(answer: Answer, path: str) -> Tuple[int, Any]:
    """The answer under its name when all of it is there. Returns its size and a reader of it."""
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(path):
        raise ClientError(f"to: {path} is a folder", "write the name of a file", BAD_REQUEST)
    part = os.path.join(folder, f".{hashlib.sha1(name.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.part")
    size = 0
    try:
        with open(part, "wb") as file:
            for block in answer.blocks():
                file.write(block)
                size += len(block)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    return size, path


def _to_memory(answer: Answer, wants_json: bool, max_body: int) -> Tuple[int, bytes]:
    """The size, and the bytes as far as somebody needs them."""
    limit = _JSON_LIMIT if wants_json else max_body
    kept, size = bytearray(), 0
    for block in answer.blocks():
        size += len(block)
        if len(kept) <= limit:
            kept += block
    return size, bytes(kept)


def _hand_on(client: Client, answer: Answer, size: int, data: Any) -> None:
    found: Dict[str, Any] = {"status": answer.status, "bytes": size}
    if client.body.get("extract"):
        found.update(_extracted(client.body["extract"], answer, size, data))
    limit = int(client.body.get("max_body", MAX_BODY))
    if isinstance(data, bytes) and limit:
        if size <= limit:
            found["body"] = _text(answer, data)
        else:
            print(f"the answer is not handed on as `body`: it has more than {limit} bytes; `to:` writes it to a file")
    client.hand_on(**found)


def _text(answer: Answer, data: bytes) -> str:
    try:
        codecs.lookup(answer.charset)
    except LookupError:
        return data.decode("utf-8", "replace")
    return data.decode(answer.charset, "replace")


def _extracted(wanted: Mapping[str, str], answer: Answer, size: int, data: Any) -> Dict[str, Any]:
    if size > _JSON_LIMIT:
        raise ClientError(f"extract: the answer has {size} bytes, more than the {_JSON_LIMIT} that are read")
    if isinstance(data, str):
        with open(data, "rb") as file:
            data = file.read()
    try:
        whole = json.loads(_text(answer, data))
    except ValueError:
        packed = f", it is packed ({answer.header('Content-Encoding')})" if answer.packed else ""
        raise ClientError(f"extract: the answer is no JSON{packed}: {_text(answer, data[:200])!r}") from None
    return {name: _walk(whole, path) for name, path in wanted.items()}


def _walk(value: Any, path: str) -> Any:
    """What a path such as `data.0.id` leads to. Raises ClientError."""
    done: List[str] = []
    for key in path.split("."):
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.lstrip("-").isdigit() and -len(value) <= int(key) < len(value):
            value = value[int(key)]
        else:
            where = f"in `{'.'.join(done)}`" if done else "in the answer"
            raise ClientError(f"extract: {path}: there is no `{key}` {where}", _what_is_there(value))
        done.append(key)
    return value


def _what_is_there(value: Any) -> str:
    if isinstance(value, dict):
        return "there are: " + (", ".join(list(value)[:20]) or "no keys")
    return f"it is a list of {len(value)}" if isinstance(value, list) else f"it is {json.dumps(value, ensure_ascii=False)[:80]}"
