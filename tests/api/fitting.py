"""Whether an answer is one that the document promises."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

from runner.web.api import addresses  # noqa: F401 - it fills the table
from runner.web.api.document import document

formats = FormatChecker(formats=())


@formats.checks("date-time", ValueError)
def _is_moment(value):
    from datetime import datetime

    if isinstance(value, str):
        assert datetime.fromisoformat(value).tzinfo, value
    return True


@lru_cache(maxsize=None)
def the_document():
    return document()


def operation_of(method, path):
    """(template, operation) of an address; None when the document has none."""
    path = urlsplit(path).path
    for template, operations in the_document()["paths"].items():
        pattern = re.sub(r"\\{(\w+)\\}", lambda found: r"\d+" if found[1] == "number" else "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and method.lower() in operations:
            return template, operations[method.lower()]
    return None


def resolve(found):
    """What a $ref of the document leads to."""
    while "$ref" in found:
        place = the_document()
        for part in found["$ref"][2:].split("/"):
            place = place[part]
        found = place
    return found


def validator(schema):
    return Draft202012Validator({"components": the_document()["components"], **schema}, format_checker=formats)


def misfit(method, path, status, content_type, body):
    """What is wrong with an answer, in words; "" when the document promises it."""
    found = operation_of(method, path)
    if found is None:
        if status in (404, 405):
            return _not_of(resolve({"$ref": "#/components/responses/not-found"}), content_type, body)
        return f"{method} {unquote(path)} is not in the document, and was answered {status}"
    responses = found[1]["responses"]
    if str(status) not in responses:
        return f"{method} {found[0]}: {status} is not in the document: {body[:300]!r}"
    return _not_of(resolve(responses[str(status)]), content_type, body)


def _not_of(response, content_type, body):
    kinds = response.get("content", {})
    if not kinds:
        return f"a body where none is promised: {body[:100]!r}" if body else ""
    schema = kinds.get(content_type)
    if schema is None:
        return f"content type {content_type}, promised: {', '.join(kinds)}"
    if "schema" not in schema:
        return ""
    faults = sorted(validator(schema["schema"]).iter_errors(json.loads(body)), key=str)
    return "; ".join(f"{'/'.join(map(str, each.absolute_path))}: {each.message}"[:400] for each in faults[:5])
