"""What can be said of a text's tags before any run: unknown names, parameters and outputs, with the near ones."""

from __future__ import annotations

import difflib
from functools import lru_cache
from typing import AbstractSet, FrozenSet, List, Optional, Set, Tuple

import jinja2
import jinja2.meta
import jinja2.nodes

from runner.template.lexer import TemplateFault, fault
from runner.template.names import NAMES
from runner.template.sandbox import env
from runner.template.syntax import names_of, parse, pieces_of, plain_words, references_of, source, tree_of

_BUILT_IN = frozenset({"range", "dict"})  # Jinja's own harmless functions
_FOREIGN = {  # words of other systems -> ours
    "var": "variables come with a later version; today: params.NAME or an environment variable",
    "conn": "connections come with a later version",
    "ti": "write outputs.STEP.KEY instead of ti.xcom_pull",
    "task_instance": "write outputs.STEP.KEY instead of xcom_pull",
    "dag": "write << pipeline >>", "dag_run": "write << run.name >>, << params.x >>",
    "task": "write << step >>", "env": "write $NAME: the environment reaches every step",
    "prev_execution_date": "write << data_interval_start >>", "next_execution_date": "write << data_interval_end >>",
    "session_date": "write << ds >>", "session_time": "write << ts >>",
}  # fmt: skip


def find_faults(text: str, params: FrozenSet[str], upstream: Optional[AbstractSet[str]]) -> List[TemplateFault]:
    pieces, faults = pieces_of(text)
    faults = list(faults)
    declared = _declared(pieces)
    for piece in pieces:
        if piece.kind == "tag":
            for message, hint in _expression_faults(piece.text, params, upstream, declared):
                faults.append(fault(text, piece.offset, f"<< {piece.text} >>: {message}", hint))
    if any(piece.kind == "block" for piece in pieces):
        faults += _block_faults(text, pieces, params, upstream)
    return sorted(faults, key=lambda each: (each.line, each.column))


def expression_faults(expression: str, params: FrozenSet[str], upstream: Optional[AbstractSet[str]]) -> List[TemplateFault]:
    tree, why = parse(expression)
    if tree is None:
        return [TemplateFault(1, 1, f"{expression}: {why}")]
    found = _expression_faults(expression, params, upstream, frozenset())
    return [TemplateFault(1, 1, f"{expression}: {message}", hint) for message, hint in found]


def references(text: str) -> Set[str]:
    pieces, _ = pieces_of(text)
    return {reference for piece in pieces if piece.kind != "text" for reference in references_of(piece.text)}


def _expression_faults(expression: str, params, upstream, declared: FrozenSet[str]) -> List[Tuple[str, str]]:
    names, _ = names_of(expression)
    out = [_unknown(name) for name in sorted((names or frozenset()) - NAMES - _BUILT_IN - declared)]
    if _lacks_else(expression):
        out.append(("`a if b` without else is nothing when b is false", "write: a if b else 'something'"))
    unknown_filter = _filter_fault(expression)
    if unknown_filter:
        out.append(unknown_filter)
    for reference in sorted(references_of(expression)):
        problem = _reference_fault(reference.split("."), params, upstream)
        if problem:
            out.append(problem)
    return out


def _unknown(name: str) -> Tuple[str, str]:
    hint = _FOREIGN.get(name)
    if hint is None:
        near = difflib.get_close_matches(name.lower(), sorted(NAMES), 1, 0.6)
        hint = (f"did you mean {near[0]}? " if near else "") + "To keep << as it is, write <<!"
    return f"unknown name {name!r}", hint


@lru_cache(maxsize=4096)
def _lacks_else(expression: str) -> bool:
    tree = tree_of(expression)
    return tree is not None and any(node.expr2 is None for node in tree.find_all(jinja2.nodes.CondExpr))


@lru_cache(maxsize=4096)
def _filter_fault(expression: str) -> Optional[Tuple[str, str]]:
    tree = tree_of(expression)
    for node in tree.find_all(jinja2.nodes.Filter) if tree is not None else ():
        if node.name not in env().filters:
            near = difflib.get_close_matches(node.name, list(env().filters), 1, 0.6)
            return f"there is no filter {node.name!r}", f"did you mean {near[0]}?" if near else "filters: sh, sql, hql, json, ds, ts, default, upper, lower, replace, int ..."
    return None


def _reference_fault(path: List[str], params: FrozenSet[str], upstream: Optional[AbstractSet[str]]) -> Optional[Tuple[str, str]]:
    if path[0] == "params" and len(path) > 1 and path[1] not in params:
        near = difflib.get_close_matches(path[1], sorted(params), 1, 0.5)
        return f"there is no parameter {path[1]!r}", f"did you mean params.{near[0]}?" if near else "declare it under params:"
    if path[0] == "outputs" and len(path) > 1 and upstream is not None and path[1] not in upstream:
        near = difflib.get_close_matches(path[1], sorted(upstream), 1, 0.5)
        hint = f"did you mean outputs.{near[0]}?" if near else f"add it to needs:, so that it has ended before  (needs: {path[1]})"
        return f"step {path[1]!r} is not upstream of this one, so its outputs are not known here", hint
    return None


# -------------------------------------------------------------------------------------------------------------- blocks


def _declared(pieces) -> FrozenSet[str]:
    """Names that blocks of this text make: `for x in ..`, `set x = ..`."""
    out: Set[str] = {"loop"}
    for piece in pieces:
        if piece.kind == "block" and piece.text.startswith(("for ", "set ")):
            head = piece.text[4:].split(" in ", 1)[0] if piece.text.startswith("for ") else piece.text[4:].split("=", 1)[0]
            out.update(name.strip(" ()") for name in head.split(","))
    return frozenset(out)


def _block_faults(text: str, pieces, params, upstream) -> List[TemplateFault]:
    """Blocks must balance, and their conditions obey the same rules."""
    out: List[TemplateFault] = []
    first = next(piece for piece in pieces if piece.kind == "block")
    try:
        tree = env()._parse(source(pieces), None, None)
    except jinja2.TemplateSyntaxError as error:
        return [fault(text, first.offset, f"<% %> blocks: {plain_words(str(error.message))}", "each if and for needs its endif, endfor")]
    declared = _declared(pieces)
    for piece in pieces:
        if piece.kind != "block" or tree_of(piece.text) is None:
            continue
        names = frozenset(jinja2.meta.find_undeclared_variables(tree_of(piece.text)))
        for name in sorted(names - NAMES - _BUILT_IN - declared):
            message, hint = _unknown(name)
            out.append(fault(text, piece.offset, f"<% {piece.text} %>: {message}", hint))
        for reference in sorted(references_of(piece.text)):
            problem = _reference_fault(reference.split("."), params, upstream)
            if problem:
                out.append(fault(text, piece.offset, f"<% {piece.text} %>: {problem[0]}", problem[1]))
    del tree
    return out
