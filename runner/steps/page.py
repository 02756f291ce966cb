"""The kinds' manual in Markdown: each docstring, then a table of keys made from the schema, so that none is left out."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Iterable, Mapping

HEAD = """# Kinds of step

<!-- Made from runner/steps/*.py by runner.steps.manual(); a test compares. -->

The kind of a step is the key that holds its body; a step has exactly one. Keys that every step may have (`needs`, `retries`, `timeout`,
`env`, `cwd` ...) stand beside it. Each value in a column "templates: yes" may hold `<< expression >>`.

"""

_TYPES = {"string": "text", "object": "mapping", "array": "list", "integer": "whole number", "number": "number", "boolean": "true, false"}


def manual(kinds: Iterable[ModuleType]) -> str:
    return HEAD + "\n".join(page(module) for module in kinds)


def page(module: ModuleType) -> str:
    """One kind's page."""
    return f"## {module.KIND}: {module.TITLE}\n\n{(module.__doc__ or '').strip()}\n{_keys(module)}"


def _keys(module: ModuleType) -> str:
    properties = module.SCHEMA["properties"]
    if not properties:
        return ""
    rows = "".join(_row(key, schema, key in module.TEMPLATED) for key, schema in properties.items())
    return f"\n**Keys**\n\n| key | value | templates | meaning |\n|---|---|---|---|\n{rows}"


def _row(key: str, schema: Mapping[str, Any], templated: bool) -> str:
    meaning = schema["description"].replace("|", "\\|")
    return f"| `{key}` | {_type(schema)} | {'yes' if templated else 'no'} | {meaning} |\n"


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    types = schema.get("type", [])
    return " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))
