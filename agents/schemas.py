"""JSON Schema 2020-12 as clients like it: flat, without titles, and exact.

Several hosts refuse `$ref` and `anyOf` (Gemini, Copilot), and titles are a good part of what a tool list costs; so references are
written out where they are used, and alternatives of different JSON types become one schema with a list of types. What says more than
its flat form could stays as it is: recursive models keep `$defs`, overlapping alternatives keep `anyOf`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

Schema = dict[str, Any]

_NAMED = ("properties", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    "items",
    "additionalProperties",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
)

_KEYWORD_TYPES = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
    **dict.fromkeys(("minLength", "maxLength", "pattern", "format", "contentEncoding", "contentMediaType"), "string"),
    **dict.fromkeys(("items", "prefixItems", "contains", "minItems", "maxItems", "uniqueItems"), "array"),
    **dict.fromkeys(("properties", "patternProperties", "additionalProperties", "propertyNames", "required"), "object"),
    **dict.fromkeys(("minProperties", "maxProperties"), "object"),
}
"""Keyword → the only JSON type it says anything about; on values of other types it is silent, so such schemas can be merged."""

_ANNOTATIONS = frozenset({"description", "default", "examples", "deprecated", "readOnly", "writeOnly"})
_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_KEY_PATTERNS = {"int": r"^[+-]?[0-9]+$", "float": _DECIMAL, "bool": "^(true|false)$"}


@dataclass(frozen=True, slots=True)
class ParamSchema:
    """One parameter of a tool.

    :param name: What the caller calls it.
    :param type: The name of its JSON type (the first one that is not `null`); `any` when every type will do.
    :param description: What it means.
    :param required: Whether it must be given.
    :param default: What stands for it when it is not given, as JSON-able data.
    :param enum: The values it may have, when they are few.
    :param schema: All of its JSON Schema; made from the rest when empty.
    """

    name: str
    type: str = "any"
    description: str = ""
    required: bool = True
    default: Any = None
    enum: list[Any] | None = None
    schema: dict[str, Any] = field(default_factory=dict)

    def to_json_schema(self) -> dict[str, Any]:
        """The JSON Schema of this parameter alone."""
        if self.schema:
            return dict(self.schema)
        said = {"type": self.type if self.type != "any" else None, "description": self.description, "enum": self.enum}
        made = {key: value for key, value in said.items() if value}
        return made if self.required or self.default is None else {**made, "default": self.default}


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as a model is told about it.

    :param name: What it is called by.
    :param description: What it does and when to use it.
    :param parameters: What it takes, in order.
    :param extra: Whether names that are not listed are taken too.
    :param definitions: The `$defs` of models that contain themselves; nothing else needs any.
    """

    name: str
    description: str = ""
    parameters: list[ParamSchema] = field(default_factory=list)
    extra: bool = False
    definitions: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json_schema(cls, name: str, description: str, schema: Mapping[str, Any]) -> ToolSchema:
        """The tool whose arguments `schema`, the JSON Schema of an object, describes."""
        required = schema.get("required", ())
        parameters = [
            ParamSchema(
                name=each,
                type=_first_type(part),
                description=part.get("description", ""),
                required=each in required,
                default=part.get("default"),
                enum=part.get("enum"),
                schema=part,
            )
            for each, part in schema.get("properties", {}).items()
        ]
        extra = schema.get("additionalProperties", True) is not False
        return cls(name, description, parameters, extra, schema.get("$defs", {}))

    def to_json_schema(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of the arguments, as OpenAI-compatible APIs and MCP take it."""
        required = [each.name for each in self.parameters if each.required]
        return {
            "type": "object",
            "properties": {each.name: each.to_json_schema() for each in self.parameters},
            **({"required": required} if required else {}),
            "additionalProperties": self.extra,
            **({"$defs": self.definitions} if self.definitions else {}),
        }


def _first_type(schema: Mapping[str, Any]) -> str:
    named = schema.get("type", "any")
    return named if isinstance(named, str) else next((each for each in named if each != "null"), "null")


class ExactGenerator(GenerateJsonSchema):
    """Pydantic's generator, saying what validation accepts in the few places where it says more or less."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never: a title made from a name repeats the name."""
        return False

    def get_decimal_pattern(self, schema: Any) -> str | None:
        """Text stands for a decimal only when it is one."""
        return _DECIMAL

    def bytes_schema(self, schema: Any) -> Schema:
        """Bytes are base-64 text in a function's own arguments, UTF-8 text in a model that does not say otherwise."""
        made = super().bytes_schema(schema)
        if made.pop("format") == "base64url":
            made["contentEncoding"] = "base64"
        return made

    def set_schema(self, schema: Any) -> Schema:
        """A set is sent as an array, and sending an item twice does no harm."""
        made = super().set_schema(schema)
        made.pop("uniqueItems", None)
        return made

    def frozenset_schema(self, schema: Any) -> Schema:
        """As `set_schema`."""
        made = super().frozenset_schema(schema)
        made.pop("uniqueItems", None)
        return made

    def dict_schema(self, schema: Any) -> Schema:
        """JSON has only text for keys; a key that must be a number has to look like one."""
        made = super().dict_schema(schema)
        pattern = _KEY_PATTERNS.get(schema.get("keys_schema", {}).get("type"))
        return {**made, "propertyNames": {"pattern": pattern}} if pattern else made


def flatten(schema: Schema, *, closed: bool) -> Schema:
    """`schema` with references written out, titles removed and alternatives merged.

    :param schema: A JSON Schema 2020-12 as pydantic makes it, with its `$defs`.
    :param closed: Objects that do not say whether they take unknown names refuse them.
    :returns: A new schema; it has `$defs` only for models that contain themselves.
    """
    definitions: dict[str, Schema] = schema.get("$defs", {})
    recursive = {name for name in definitions if name in _reachable(definitions[name], definitions)}
    flat = _Flattener(definitions, recursive, closed)
    root = {key: value for key, value in schema.items() if key != "$defs"}
    if (name := _reference(root)) is not None:  # a model that contains itself, as the whole schema
        root = definitions[name]
    made: Schema = flat.walk(root)
    kept = {name: flat.walk(definitions[name]) for name in sorted(recursive & _reachable(made, definitions))}
    return {**made, "$defs": kept} if kept else made


def allows_extra(schema: Schema) -> bool:
    """Whether some model in a schema of pydantic takes names it does not declare (`extra="allow"`)."""
    named = "properties" in schema and schema.get("additionalProperties", False) is not False
    return named or any(allows_extra(part) for part in [*_parts(schema), *schema.get("$defs", {}).values()])


def _parts(schema: Schema) -> list[Schema]:
    """The schemas right inside a schema, in the places where JSON Schema has schemas (not in defaults, not in enums)."""
    found: list[Any] = [part for key in _NAMED for part in schema.get(key, {}).values()]
    found += [part for key in _LISTED for part in schema.get(key, ())]
    found += [schema[key] for key in _SINGLE if key in schema]
    return [part for part in found if isinstance(part, dict)]


def _reference(schema: Schema) -> str | None:
    """The name of the definition a schema refers to."""
    target = schema.get("$ref")
    return target.removeprefix("#/$defs/") if isinstance(target, str) else None


def _reachable(schema: Schema, definitions: dict[str, Schema]) -> set[str]:
    """The definitions a schema needs, directly or through others."""
    found: set[str] = set()
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        name = _reference(part)
        if name is not None and name in definitions and name not in found:
            found.add(name)
            waiting.append(definitions[name])
        waiting.extend(_parts(part))
    return found


class _Flattener:
    def __init__(self, definitions: dict[str, Schema], recursive: set[str], closed: bool) -> None:
        self._definitions = definitions
        self._recursive = recursive
        self._closed = closed

    def walk(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema
        name = _reference(schema)
        if name in self._definitions and name not in self._recursive:
            siblings = {key: value for key, value in schema.items() if key != "$ref"}
            return self.walk({**self._definitions[name], **siblings})
        made: Schema = {}
        for key, value in schema.items():
            if key in _NAMED:
                made[key] = {field: self.walk(part) for field, part in value.items()}
            elif key in _LISTED:
                made[key] = [self.walk(part) for part in value]
            elif key in _SINGLE:
                made[key] = self.walk(value)
            elif key == "const":
                made["enum"] = [value]
            elif key not in ("title", "discriminator") and (key, value) != ("default", None):
                made[key] = value
        if "enum" in made and "type" not in made:
            names = {_type_of(value) for value in made["enum"]}
            made["type"] = names.pop() if len(names) == 1 else sorted(names, key=_ORDER.index)
        if "oneOf" in made and "discriminator" in schema:
            made["anyOf"] = made.pop("oneOf")
        if self._closed and "properties" in made:
            made.setdefault("additionalProperties", False)
        if "anyOf" in made:
            made = _merged(made)
        return made


def _merged(schema: Schema) -> Schema:
    """A schema whose `anyOf` is one flat schema, when there is one that accepts exactly the same values."""
    branches: list[Schema] = []
    for branch in schema["anyOf"]:
        branches += branch["anyOf"] if branch.keys() == {"anyOf"} else [branch]
    branches = _without_covered(branches)
    outer = {key: value for key, value in schema.items() if key != "anyOf"}
    merged: Schema | None = branches[0]
    for branch in branches[1:]:
        merged = merged and _either(merged, branch)
    if merged is None or (outer.keys() - _ANNOTATIONS) & merged.keys():
        return {**outer, "anyOf": branches}
    return {**merged, **outer}


def _without_covered(branches: list[Schema]) -> list[Schema]:
    """The branches less those another one accepts entirely: `date | str` accepts any text."""
    kept: list[Schema] = []
    for position, branch in enumerate(branches):
        others = branches[:position] + branches[position + 1 :]
        if branch in branches[:position] or any(_covers(other, branch) for other in others if other != branch):
            continue
        kept.append(branch)
    return kept


def _covers(wide: Schema, narrow: Schema) -> bool:
    """Whether `wide` says nothing but a type (or nothing at all) and `narrow` is of that type."""
    says = wide.keys() - _ANNOTATIONS
    if not says:
        return True
    types = _types(narrow)
    if says != {"type"} or not types:
        return False
    wide_types = _types(wide)
    return types <= (wide_types | {"integer"} if "number" in wide_types else wide_types)


def _either(one: Schema, other: Schema) -> Schema | None:
    """One schema that accepts what either does, or `None` when their types overlap and they cannot be merged."""
    types, more = _types(one), _types(other)
    says = [part.keys() - _ANNOTATIONS for part in (one, other)]
    chosen = [part.get("enum", [None] if _types(part) == {"null"} else None) for part in (one, other)]
    few = None not in chosen and all(part <= {"type", "enum"} for part in says)
    if not types or not more or (_overlap(types, more) and not few):
        return None
    if any(one[key] != other[key] for key in one.keys() & other.keys() - {"type", "enum"}):
        return None
    if ("enum" in one or "enum" in other) and not few:
        return None
    for part, own in zip(says, (types, more), strict=True):
        if any(not _overlap({_KEYWORD_TYPES.get(key, "")}, own) for key in part - {"type", "enum"}):
            return None
    merged = {**one, **other, "type": sorted(types | more, key=_ORDER.index)}
    if "enum" in merged:
        merged["enum"] = list({json.dumps(value): value for values in chosen for value in values or ()}.values())
    return merged


def _overlap(one: set[str], other: set[str]) -> bool:
    numbers = {"integer", "number"}
    return bool(one & other) or bool(one & numbers and other & numbers)


def _types(schema: Schema) -> set[str]:
    """The JSON types a schema names; empty when it names none."""
    named = schema.get("type", [])
    return {named} if isinstance(named, str) else set(named)


_ORDER = ("string", "integer", "number", "boolean", "array", "object", "null")
_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}


def _type_of(value: Any) -> str:
    return _JSON_TYPES.get(type(value), "null")
