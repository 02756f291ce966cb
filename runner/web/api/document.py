"""The OpenAPI document, made from the table of operations: what is in it is what is answered."""

from __future__ import annotations

import json
from typing import Any, Dict, List

from runner import __version__
from runner.web.api import problems
from runner.web.api.acting import LONGEST_KEY
from runner.web.api.operation import OPERATIONS, ROOT, SCHEMAS, Operation
from runner.web.api.shapes import Shape, many, one_of, ref, text, thing, whole

JSON = "application/json"
_ALWAYS = ("wrong-request", "not-signed-in", "forbidden", "too-often", "fault", "unavailable")
_ACTS = ("conflict", "too-large", "wrong-content-type", "other-request", "faulty-file")
_PATH = {
    "pipeline": text("The name of a pipeline.", 300, minLength=1), "run": text("The name of a run: mart@2026-02-28; a # in it is written %23.", 400, minLength=1),
    "step": text("The name of a step; of a foreach: load[3].", 400, minLength=1), "number": whole("The number of a backfill.", 0, 2**31 - 1),
}


def document() -> Dict[str, Any]:
    paths: Dict[str, Any] = {}
    for each in OPERATIONS:
        paths.setdefault(ROOT + each.path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0", "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": "runner", "version": __version__, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                 "description": "What the command line can do, for programs. Moments are ISO 8601 with their zone, texts UTF-8. docs/api.md tells it with examples."},
        "servers": [{"url": "/"}], "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {**SCHEMAS, "Problem": _problem()},
            "responses": {kind: _refusal(kind) for kind in problems.KINDS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token, made by: runner token add NAME. Its scope says what it may."}},
        },
    }


def as_text() -> str:
    return json.dumps(document(), ensure_ascii=False, indent=1) + "\n"


def _operation(each: Operation) -> Dict[str, Any]:
    out: Dict[str, Any] = {
        "operationId": each.name, "tags": [each.noun], "summary": each.summary, "description": f"{each.description}\n\nTakes the right to {each.act}.",
        "parameters": _parameters(each), "responses": _responses(each),
    }
    if each.body is not None:
        out["requestBody"] = {"required": bool(each.body.get("required")), "content": {JSON: {"schema": each.body}}}
    return out


def _parameters(each: Operation) -> List[Dict[str, Any]]:
    out = [{"name": name, "in": "path", "required": True, "schema": _PATH[name], "description": _PATH[name]["description"]} for name in each.in_path]
    out += [{"name": name, "in": "query", "required": False, "schema": schema, "description": schema["description"]} for name, schema in each.query.items()]
    if each.method == "GET":
        if each.answer:
            out.append(_header("If-None-Match", text("The ETag of what is known already: 304 when nothing is different.")))
    else:
        out.append(_header("Idempotency-Key", text("Chosen by the caller, new for each request: sent again within two days, it gets the same answer and nothing happens twice.", LONGEST_KEY)))
        if each.guarded:
            out.append(_header("If-Match", text("The ETag that the thing had when it was read: 412 when it is no longer so.")))
    return out


def _header(name: str, schema: Shape) -> Dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": schema["description"]}


def _responses(each: Operation) -> Dict[str, Any]:
    if not each.answer:
        kinds = ("text/plain; charset=utf-8", "application/gzip")
        out: Dict[str, Any] = {"200": {"description": "The bytes.", "content": {kind: {} for kind in kinds}}, "206": {"description": "The part that Range asks for.", "content": {kind: {} for kind in kinds}},
                               "416": {"description": "Range asks for more than there is."}, "304": {"description": "Nothing is different."}}
    elif each.method == "GET":
        out = {"200": {"description": "What was asked for.", "headers": {"ETag": {"schema": text("Of this answer.")}}, "content": {JSON: {"schema": each.answer}}},
               "304": {"description": "Nothing is different."}}
        if "cursor" in each.query:
            out["200"]["headers"]["Link"] = {"schema": text('Where the following ones are: <...>; rel="next".')}
    else:
        shape = {"anyOf": [each.answer, ref("Preview")]} if "dry_run" in each.query else each.answer
        out = {"200": {"description": "It is done, or was before; with dry_run: what would be done.", "content": {JSON: {"schema": shape}}}}
        if each.made:
            out["201"] = {"description": "It was made.", "headers": {"Location": {"schema": text("Its address.")}}, "content": {JSON: {"schema": each.answer}}}
    by_status: Dict[int, List[str]] = {}
    for kind in _problems_of(each):
        by_status.setdefault(problems.KINDS[kind].status, []).append(kind)
    for status, kinds in sorted(by_status.items()):
        out[str(status)] = {"$ref": f"#/components/responses/{kinds[0]}"} if len(kinds) == 1 else _refusal(*kinds)
    return out


def _problems_of(each: Operation) -> List[str]:
    out = [*_ALWAYS]
    if each.in_path or each.method == "POST":
        out += ["not-found"]
    if "pipeline" in each.in_path and each.method == "GET":
        out += ["faulty-file"]
    if each.method != "GET":
        out += _ACTS
    if each.guarded:
        out += ["changed"]
    return out


def _refusal(*kinds: str) -> Dict[str, Any]:
    out: Dict[str, Any] = {"description": "; or: ".join(f"{problems.KINDS[kind].title} (`{problems.URN}{kind}`)" for kind in kinds) + ".",
                           "content": {"application/problem+json": {"schema": ref("Problem")}}}
    if kinds == ("too-often",):
        out["headers"] = {"Retry-After": {"schema": whole("Seconds to wait.", 1)}}
    if kinds == ("not-signed-in",):
        out["headers"] = {"WWW-Authenticate": {"schema": text("Bearer.")}}
    return out


def _problem() -> Shape:
    fault = thing("A fault of a file.", file=text("The file."), line=whole("Its line."), column=whole("Its column."), message=text("What is wrong."), hint=text("What to write instead."),
                  severity=one_of(("error", "warning"), "How bad."))
    out = thing(
        "What went wrong (RFC 9457).", type=one_of([problems.URN + kind for kind in problems.KINDS], "For programs: what kind it is."), title=text("The kind in words."),
        status=whole("The status of the answer.", 400, 599), detail=text("What is wrong."), hint=text("What to do instead; may be empty."),
        run=text("The run that is in the way."), problems=many(fault, "Each fault of a file."),
    )
    return {**out, "required": ["type", "title", "status", "detail", "hint"]}
