"""JSON Schema as OpenAI's strict mode takes it: every object closed, every property required."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

_UNSUPPORTED = (
    "allOf",
    "not",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "patternProperties",
    "propertyNames",
)
"""Keywords strict mode refuses."""


def strict_schema(schema: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A copy of the schema for strict mode, and whether it can be strict.

    Objects are closed. Where a property is optional, a map is open or a keyword is refused, being strict would change what the schema
    means: the copy is then the schema as it was, and the provider follows it as a hint (we check the answer in any case).
    """
    made = copy.deepcopy(dict(schema))
    if made.get("type") != "object" or "anyOf" in made or not _close(made):
        return copy.deepcopy(dict(schema)), False
    return made, True


def _close(node: Any) -> bool:
    """Close every object under `node` in place; whether that left the meaning as it was."""
    if isinstance(node, list):
        return all(_close(item) for item in node)
    if not isinstance(node, dict):
        return True
    if any(keyword in node for keyword in _UNSUPPORTED):
        return False
    if "oneOf" in node:
        # What `oneOf` adds to `anyOf` strict mode cannot say; the check on our side still does.
        node["anyOf"] = node.pop("oneOf")
        node.pop("discriminator", None)
    node.pop("default", None)
    if node.get("type") == "object" or "properties" in node:
        properties = node.get("properties", {})
        if node.get("additionalProperties") not in (None, False) or not properties:
            return False
        if set(node.get("required", ())) != set(properties):
            return False
        node["additionalProperties"] = False
    return all(
        _close(list(value.values()) if key in ("properties", "$defs", "definitions") else value)
        for key, value in node.items()
        if key in ("properties", "$defs", "definitions", "items", "anyOf", "prefixItems")
    )
