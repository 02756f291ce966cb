"""The kinds of step. One module each; a new kind is a module and a line in KINDS.

A kind's module has these names and no state:

    __doc__               its manual page in Markdown; the table of keys is made from SCHEMA
    KIND                  the key in YAML
    SCHEMA                JSON Schema of the body, read alike by draft-07 and 2020-12
    TEMPLATED             keys of the body whose texts may hold << templates >>
    normalise(body)       the short form (text, null) to the mapping; a mapping comes back as it is
    files(body)           the user's files that the step calls, as CalledFile
    check(body)           what a schema cannot say: [(keys down to the place, message, hint)]
    build(step, body, ctx)  the Command; `body` is rendered; only ctx.read touches the disk

and may have INLINE (key, language) for the linter, SLOTLESS: it needs no slot, since it has no process, EARLY: the key of a body
that reads no file, so that its job may be made before its turn, and SECRETS with SECRET_HINT: the keys whose texts may hold
secrets, where not all may, and what to write instead in the others.

A Command with a `probe` has none: the engine looks until what it names is there (runner/waits/).
A Command with an empty argv means that there is nothing to run: the step succeeds without a process.
"""

from __future__ import annotations

from functools import lru_cache
from types import FunctionType, ModuleType
from typing import Any, Callable, Dict, Mapping, Optional

from runner import errors
from runner.steps import bash, email, hive, http, noop, page, pipeline, python, sftp, spark_submit, sql, ssh, wait
from runner.steps.base import REQUEST, BuildContext, CalledFile, locate

__all__ = ["KINDS", "REQUEST", "BuildContext", "CalledFile", "by_client", "get", "locate", "manual", "may_hold_secrets", "render_body"]

KINDS: Dict[str, ModuleType] = {module.KIND: module for module in (bash, python, spark_submit, hive, sql, ssh, sftp, http, email, wait, pipeline, noop)}


def get(kind: str) -> ModuleType:
    """The module of a kind. A stored definition may name one that this version does not have."""
    try:
        return KINDS[kind]
    except KeyError:
        raise errors.NotFound(f"there is no kind of step called '{kind}'", f"Known kinds: {', '.join(KINDS)}.") from None


@lru_cache(maxsize=None)
def by_client(module: ModuleType) -> bool:
    """Whether a program of runner's own does the work: then the body may hold secrets, since it fills them in at the last moment."""
    names = (value.__code__.co_names for value in vars(module).values() if isinstance(value, FunctionType) and value.__module__ == module.__name__)
    return any("client" in used for used in names)


def may_hold_secrets(module: ModuleType, key: str = "") -> bool:
    """Whether the texts under a key of the body may: who works on them fills them in."""
    return by_client(module) or key in getattr(module, "SECRETS", ())


Render = Callable[[str], str]


def render_body(module: ModuleType, body: Mapping[str, Any], render: Render, with_secrets: Optional[Render] = None) -> Dict[str, Any]:
    """The body with every text under the kind's TEMPLATED keys rendered, however deep; keys stay as they are."""
    out = dict(body)
    for key in module.TEMPLATED & body.keys():
        out[key] = _rendered(body[key], with_secrets if with_secrets and may_hold_secrets(module, key) else render)
    return out


def _rendered(value: Any, render: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return render(value)
    if isinstance(value, Mapping):
        return {key: _rendered(item, render) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rendered(item, render) for item in value]
    return value


def manual() -> str:
    """All kinds as one Markdown page: docs/steps.md."""
    return page.manual(KINDS.values())
