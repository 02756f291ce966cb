"""One screen as an answer: HTML, its live part, or the JSON twin, from one view; with an ETag, and made once for all who watch."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from collections import OrderedDict
from typing import Any, Callable, Dict, Tuple

import flask

from runner.web import heap
from runner.web.asked import desk, wants_json

MOST_KEPT = 500 * 1000  # bytes of packed pages that others may ask for again
LARGE = 64 * 1024  # bytes of a page; what it took to make one goes back to the system
ONLY_PAGE = ("pictures", "place", "every")  # what of a view is not for programs

_kept: "OrderedDict[Tuple[Any, ...], Tuple[Any, str, bytes]]" = OrderedDict()
_lock = threading.Lock()
_making = threading.Lock()  # one page is made at a time: more would take the memory of all, and no less time


def screen(template: str, view: Callable[..., Dict[str, Any]], keep: bool = True, **values: Any) -> flask.Response:
    """Answer with that view. `view(desk, store, now, args, **values)` gives plain data, all read in one snapshot.

    `keep`: the answer hangs on the database and the minute alone, so that fifty who watch one run cost one.
    """
    request = flask.request
    part = "json" if wants_json() else request.headers.get("X-Part", "")
    own = desk()
    viewer = flask.g.viewer
    key = (id(own), request.full_path, part, request.script_root, flask.g.words.language, viewer.role, viewer.tags)
    alone = (*key, viewer)  # of a page that says who looks, or holds a form of theirs: see app.Person
    if keep:
        with _making:
            stamp = own.stamp()
            found = next((one for one in (_kept.get(key), _kept.get(alone)) if one is not None and one[0] == stamp), None)
            if found is None:
                flask.g.personal = False
                found = (stamp, *_packed(_made(template, view, part, values)))
                _remember(alone if flask.g.personal else key, found)
    else:
        found = (None, *_packed(_made(template, view, part, values)))
    return _answer(found[1], found[2], "application/json" if part == "json" else "text/html; charset=utf-8")


def _packed(body: bytes) -> Tuple[str, bytes]:
    """Its ETag, and itself as nearly every browser takes it."""
    if len(body) > LARGE:
        heap.give_back()
    return hashlib.sha256(body).hexdigest()[:20], gzip.compress(body, 5, mtime=0)


def _made(template: str, view: Callable[..., Dict[str, Any]], part: str, values: Dict[str, Any]) -> bytes:
    store = desk().store()
    with store.db.snapshot():
        model = view(desk(), store, flask.g.now, flask.request.args, **values)
    if part == "json":
        model = {name: value for name, value in model.items() if name not in ONLY_PAGE}
        return json.dumps(model, ensure_ascii=False, default=_plain, indent=1).encode("utf-8", "replace")
    if part == "live":
        return _live_part(template, model).encode("utf-8", "replace")
    return flask.render_template(template, **model).encode("utf-8", "replace")


def _live_part(template: str, model: Dict[str, Any]) -> str:
    """Only what a page that is open puts in place of what it shows."""
    app = flask.current_app
    context: Dict[str, Any] = dict(model)
    app.update_template_context(context)
    page = app.jinja_env.get_template(template)
    return "".join(page.blocks["live"](page.new_context(context)))


def _remember(key: Tuple[Any, ...], found: Tuple[Any, str, bytes]) -> None:
    with _lock:
        _kept[key] = found
        _kept.move_to_end(key)
        while sum(len(body) for _, _, body in _kept.values()) > MOST_KEPT:
            _kept.popitem(last=False)


def _answer(etag: str, body: bytes, kind: str) -> flask.Response:
    response = flask.Response(content_type=kind)
    response.set_etag(etag, weak=True)
    if etag in flask.request.if_none_match or flask.request.if_none_match.contains_weak(etag):
        response.status_code = 304
        return response
    if "gzip" in flask.request.headers.get("Accept-Encoding", ""):
        response.headers["Content-Encoding"] = "gzip"
        response.set_data(body)
    else:
        response.set_data(gzip.decompress(body))
    return response


def _plain(value: Any) -> Any:
    """Moments as ISO 8601, the rest as it is written."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
