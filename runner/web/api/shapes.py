"""Short words for JSON Schema, as the operations use them."""

from __future__ import annotations

from typing import Any, Dict, Optional, Sequence

Shape = Dict[str, Any]
MOST_NUMBER = 2**31 - 1


def text(description: str, longest: Optional[int] = None, **more: Any) -> Shape:
    return {"type": "string", "description": description, **({"maxLength": longest} if longest is not None else {}), **more}


def whole(description: str, least: int = 0, most: Optional[int] = None, **more: Any) -> Shape:
    return {"type": "integer", "description": description, "minimum": least, **({"maximum": most} if most is not None else {}), **more}


def number(description: str, **more: Any) -> Shape:
    return {"type": "number", "description": description, **more}


def truth(description: str, **more: Any) -> Shape:
    return {"type": "boolean", "description": description, **more}


def moment(description: str) -> Shape:
    """With its zone: 2026-02-28T01:00:00+09:00."""
    return {"type": "string", "format": "date-time", "description": description}


def anything(description: str) -> Shape:
    return {"description": description}


def one_of(values: Sequence[str], description: str, **more: Any) -> Shape:
    return {"type": "string", "enum": list(values), "description": description, **more}


def names(description: str) -> Shape:
    return {"type": "array", "items": {"type": "string"}, "description": description}


def chosen(description: str) -> Shape:
    """Names that are sent."""
    return {"type": "array", "items": {"type": "string", "maxLength": 300}, "maxItems": 200, "description": description}


def many(of: Shape, description: str) -> Shape:
    return {"type": "array", "items": of, "description": description}


def table(of: Shape, description: str) -> Shape:
    """Names that are not known beforehand, each with the same kind of value."""
    return {"type": "object", "additionalProperties": of, "description": description}


def maybe(shape: Shape) -> Shape:
    """Or null."""
    if "$ref" in shape:
        return {"anyOf": [shape, {"type": "null"}]}
    out = {**shape, "type": [shape["type"], "null"]}
    if "enum" in out:
        out["enum"] = [*out["enum"], None]
    return out


def thing(description: str, /, **properties: Shape) -> Shape:
    """An object of an answer: all of it is there, and nothing else."""
    return {"type": "object", "description": description, "required": list(properties), "additionalProperties": False, "properties": properties}


def wanted(description: str, /, need: Sequence[str] = (), **properties: Shape) -> Shape:
    """An object that is sent: only what is needed must be there."""
    return {"type": "object", "description": description, **({"required": list(need)} if need else {}), "additionalProperties": False, "properties": properties}


def ref(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


def page_of(name: str) -> Shape:
    """A part of a long list."""
    return thing(
        "Some of them; `next` leads to the following ones.", items=many(ref(name), "In order."),
        next=maybe(text("Address of the following ones, as in the header Link; null: these are the last.")),
    )
