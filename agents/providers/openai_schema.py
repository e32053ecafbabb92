"""JSON Schema as OpenAI's strict mode takes it: objects closed, every property required, and a part of the keywords.

Source: the structured outputs guide of OpenAI's API, and `to_strict_json_schema` of its SDK.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

_REFUSED = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
        "patternProperties",
        "propertyNames",
        "prefixItems",
    }
)
"""Keywords without which a schema means something else, and which strict mode refuses."""

_DROPPED = frozenset(
    [
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
        "$id",
        "minLength",
        "maxLength",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "minProperties",
        "maxProperties",
        "unevaluatedProperties",
        "unevaluatedItems",
    ]
)
"""Keywords that only describe, or that only narrow: what they forbid is found when the answer is checked on our side."""

_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"])


def strict_schema(schema: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """A copy of the schema for strict mode, and whether it can be strict.

    It cannot where strictness would have the model invent: a property that may be missing but not null, a map with open keys, a place
    where anything goes. The copy is then the schema as it was, which the provider follows as well as it can.
    """
    made = copy.deepcopy(dict(schema))
    if (name := str(made.get("$ref", "")).removeprefix("#/$defs/")) in made.get("$defs", {}):
        # A model that refers to itself: the root has to be an object, not a reference to one.
        made = copy.deepcopy(made["$defs"][name]) | {"$defs": made["$defs"]}
    if made.get("type") == "object" and _close(made):
        return made, True
    return copy.deepcopy(dict(schema)), False


def _close(node: Any) -> bool:
    """Make a schema strict in place; whether that is possible."""
    if not isinstance(node, dict) or not _REFUSED.isdisjoint(node):
        return False
    for keyword in _DROPPED & node.keys():
        del node[keyword]
    if node.get("format", "date") not in _FORMATS:
        del node["format"]
    if "oneOf" in node:
        # That exactly one matches cannot be said; that one does can.
        node["anyOf"] = node.pop("oneOf")
        node.pop("discriminator", None)
    if "allOf" in node:
        if len(node["allOf"]) != 1 or not isinstance(node["allOf"][0], dict):
            return False
        only = node.pop("allOf")[0]
        node |= {**only, **node}
        return _close(node)
    if "$ref" in node and len(node) > 1:
        # A reference may have no neighbours, such as the description of the field.
        node["anyOf"] = [{"$ref": node.pop("$ref")}]
    kind = node.get("type")
    if "object" in (kind if isinstance(kind, list) else [kind]) and not _close_object(node):
        return False
    if kind == "array" and "items" not in node:
        return False
    if node.keys().isdisjoint({"type", "$ref", "anyOf", "enum", "const"}):
        return False
    return all(_close(part) for part in _parts(node))


def _close_object(node: dict[str, Any]) -> bool:
    properties = node.get("properties")
    if not properties or node.get("additionalProperties") not in (None, False):
        return False
    optional = set(properties) - set(node.get("required", ()))
    if not all(_may_be_null(properties[name]) for name in optional):
        return False
    node["required"] = list(properties)
    node["additionalProperties"] = False
    return True


def _may_be_null(node: Any) -> bool:
    if not isinstance(node, dict):
        return False
    kind = node.get("type")
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or None in node.get("enum", ())
        or any(map(_may_be_null, (*node.get("anyOf", ()), *node.get("oneOf", ()))))
    )


def _parts(node: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas within a schema."""
    for name in ("properties", "$defs", "definitions"):
        yield from node.get(name, {}).values()
    yield from node.get("anyOf", ())
    if "items" in node:
        yield node["items"]
