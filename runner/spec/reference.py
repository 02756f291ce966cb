"""docs/yaml.md out of the schema: `python -m runner.spec.reference > docs/yaml.md`."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping

from runner import steps
from runner.spec import schema

_HEAD = """\
# The YAML of a pipeline

Made from the schema by `python -m runner.spec.reference > docs/yaml.md`; a test holds the two together. `runner check FILE` says
all that is wrong with a file, `runner schema` prints the schema for your editor. The first line of a file tells the editor:
`# yaml-language-server: $schema=../schemas/pipeline.schema.json`

A file is one pipeline, and the pipeline's name is the file's name, with no @ in it. It is UTF-8, at most 1 MiB.

**What is text and what is not.** `true`, `false`, plain numbers such as `3` and `3.5`, and `null` are what they look like. All
else is text: `no`, `on`, `12:30`, `0755`, `2026-01-31` and `00123` stay as they are written. A text that begins with one of
`* & ! @ % | > [ {` or holds `: ` or ` #` needs quotes, or a block: `bash: |` and the text below it, indented.

**Lengths of time** are `90` (seconds), `30s`, `5m`, `1h30m`, `2d`. **Templates** are `<< ds >>`, `<< params.region >>`, with a blank on
both sides. **Anchors** (`&name`, `*name`, `<<: *name`) have their home in keys that begin with `x-`, which nobody reads:

```yaml
x-nightly: &nightly {retries: 3, retry_delay: 10m}
steps:
  - {id: load, <<: *nightly, bash: ./load.sh << ds >>}
```

**Several files** may share what they have in common: `extends:` and `include:`, in [reuse.md](reuse.md).
"""
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "array": "list", "object": "mapping", "null": "nothing"}


def as_markdown() -> str:
    """The whole page."""
    parts = [_HEAD]
    parts += _section("The file", "Only `steps` must be there.", schema.TOP_KEYS)
    parts += _section("`params:`", "`name: value`, or `name:` with these keys. A value is given with `--param name=value` or the variable "
                      "`RUNNER_PARAM_NAME`; templates read `<< params.name >>`.", schema.PARAM_KEYS)
    parts += _section("A step", "`id` must be there, and exactly one key that says what it does: "
                      + ", ".join(f"[`{name}`](#{name})" for name in steps.KINDS) + ".", schema.STEP_KEYS)
    parts.append("## `defaults:`\n\nHolds for every step that does not say otherwise. `env` is added to the step's own, whose values win. Keys:\n"
                 + ", ".join(f"`{name}`" for name in schema.DEFAULT_KEYS) + ".\n")
    parts.append("# What a step does\n\nMore on each, with its exit codes and traps, in [steps.md](steps.md).\n")
    for name, module in steps.KINDS.items():
        parts += _kind(name, module.SCHEMA)
    return "\n".join(parts).rstrip() + "\n"


def _kind(name: str, shape: Mapping[str, Any]) -> Iterator[str]:
    keys = shape.get("properties", {})
    if not keys:
        yield f"## {name}\n\n{shape['description']}\n"
        return
    yield from _section(name, shape["description"], keys)


def _section(title: str, text: str, keys: Mapping[str, Mapping[str, Any]]) -> List[str]:
    rows = "\n".join(f"| `{name}` | {_type(shape)} | {_cell(shape.get('description', ''))} |" for name, shape in keys.items())
    return [f"## {title}\n\n{text}\n\n| key | value | |\n|---|---|---|\n{rows}\n"]


def _type(shape: Mapping[str, Any]) -> str:
    """The kinds of value a key takes, in words."""
    if "$ref" in shape:
        return "mapping"
    if "enum" in shape:
        return _cell(", ".join(f"`{_value(choice)}`" for choice in shape["enum"]))
    wanted = shape.get("type", "any")
    wanted = [wanted] if isinstance(wanted, str) else wanted
    return ", ".join(_TYPES.get(kind, kind) for kind in wanted) + _bounds(shape)


def _bounds(shape: Mapping[str, Any]) -> str:
    low, high = shape.get("minimum"), shape.get("maximum")
    if low is None:
        return ""
    return f", {low} or more" if high is None else f", {low} to {high}"


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(as_markdown(), end="")
