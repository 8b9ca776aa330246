"""What a JSON Schema says of a value, for the words that our schemas use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TYPES = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}

WORDS = {
    *("type", "enum", "anyOf", "items", "properties", "required", "additionalProperties"),
    *("pattern", "description", "contentEncoding", "minimum", "maximum"),
}


def disobeys(value: Any, schema: dict[str, Any], at: str = "$") -> Iterator[str]:
    """Yield where a value is not what the schema says; what is no word of ours raises."""
    assert schema.keys() <= WORDS, schema.keys() - WORDS
    if "anyOf" in schema and all(any(disobeys(value, each, at)) for each in schema["anyOf"]):
        yield f"{at}: is none of {len(schema['anyOf'])}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    kinds = schema.get("type", list(TYPES))
    if not any(TYPES[kind](value) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        yield f"{at}: {value!r} is no {kinds}"
    if TYPES["number"](value) and not (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
    ):
        yield f"{at}: {value!r} is out of range"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{at}: {value!r} does not match"
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from disobeys(item, schema.get("items", {}), f"{at}[{number}]")
    if isinstance(value, dict):
        yield from (f"{at}: no {key}" for key in schema.get("required", []) if key not in value)
        others = schema.get("additionalProperties", {})
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key, others)
            if inner is False:
                yield f"{at}: {key} is unknown"
            else:
                yield from disobeys(item, inner, f"{at}.{key}")
