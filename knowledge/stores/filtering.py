"""The one language of filters: what the metadata of a chunk must be like, the same in every store.

* `{"author": "Bob"}`: is equal; several fields must all hold.
* `{"year": {"gte": 2020, "lt": 2024}}`: `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `in` and `nin` (a list); several must all hold.
* `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`, to any depth up to 16. Every one of these words may begin with a `$`.

Fields are `source`, `page`, `doc_id`, `chunk_index` and the keys of `extra`, in that order where a key has one of these names.

Every comparison is true or false, never unknown:

* Strings compare with strings, character by character in the order of Unicode; numbers with numbers, `1` being `1.0`; booleans with
  booleans, for equality only. Values of different kinds are not equal, and none is smaller. Lists and objects equal nothing.
* A field that is missing, or null, has no value: `eq`, `gt`, `gte`, `lt`, `lte` and `in` are false for it. `{"author": None}` is true for it
  and for nothing else, and so is `None` in the list of an `in`.
* `ne` is the opposite of `eq`, `nin` that of `in`, `not` that of what it holds: each is true for a field that is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from ..chunks import ChunkMetadata
from ..errors import InputError, unknown_name

Scalar = str | int | float | bool | None
Operator = Literal["eq", "gt", "gte", "lt", "lte", "in"]

FIELDS = ("source", "page", "doc_id", "chunk_index")
"""What a chunk always has; every other field is a key of `extra`."""
MAX_DEPTH = 16
MAX_NODES = 500
MAX_VALUES = 2_000

_COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_JOINTS = ("and", "or", "not")
_ORDERED: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "gt": (">", lambda value, bound: bool(value > bound)),
    "gte": (">=", lambda value, bound: bool(value >= bound)),
    "lt": ("<", lambda value, bound: bool(value < bound)),
    "lte": ("<=", lambda value, bound: bool(value <= bound)),
}


_NOT_NULL = "m.type != 'null'"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field against a value.

    :param value: One of a tuple, for `in`; for `eq` a scalar, `None` meaning that there is none; else a string or a number.
    """

    field: str
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class And:
    """All of them hold; with nothing in it it is always true."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of them holds; with nothing in it it is never true."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """It does not hold. `ne` and `nin` are written so."""

    node: Node


Node = Comparison | And | Or | Not

EVERYTHING = And(())
"""The filter that asks nothing."""


def parse(filters: Mapping[str, Any] | None) -> Node:
    """What a filter says.

    :param filters: As the module describes; `None` and `{}` ask nothing.
    :raises InputError: it is none; the message names what is wrong and the nearest that would be right.
    """
    if filters is None:
        return EVERYTHING
    return _Parser().everything(filters, 1)


def matches(node: Node, metadata: ChunkMetadata) -> bool:
    """Whether a chunk with this metadata passes."""
    match node:
        case And(parts):
            return all(matches(part, metadata) for part in parts)
        case Or(parts):
            return any(matches(part, metadata) for part in parts)
        case Not(part):
            return not matches(part, metadata)
        case Comparison(field, operator, value):
            found = getattr(metadata, field) if field in FIELDS else metadata.extra.get(field)
            if operator in _ORDERED:
                kind = kind_of(found)
                return kind in ("text", "number") and kind == kind_of(value) and _ORDERED[operator][1](found, value)
            return any(_equal(found, one) for one in (value if isinstance(value, tuple) else (value,)))


def fields_of(metadata: ChunkMetadata) -> dict[str, Any]:
    """Everything a filter can ask for, by its name."""
    return metadata.extra | {field: getattr(metadata, field) for field in FIELDS}


def kind_of(value: Any) -> Literal["text", "number", "boolean", "nothing", "other"]:
    """What a value compares with: only its own kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    return "number" if isinstance(value, int | float) else "other"


def clause(node: Node, columns: Mapping[str, str], metadata: str) -> tuple[str, list[Any]]:
    """A filter as an SQL condition, and its parameters; it means exactly what `matches` does.

    :param columns: Field → the column that has it, for those of `FIELDS` that the table has.
    :param metadata: The column with the keys of `extra`, a JSON object.
    :raises InputError: it asks for one of `FIELDS` that the table does not have.
    """
    match node:
        case And(parts) | Or(parts):
            conditions: list[str] = []
            values: list[Any] = []
            for part in parts:
                condition, given = clause(part, columns, metadata)
                conditions.append(condition)
                values += given
            if not parts:
                return ("1" if isinstance(node, And) else "0"), []
            return f"({(' AND ' if isinstance(node, And) else ' OR ').join(conditions)})", values
        case Not(part):
            condition, values = clause(part, columns, metadata)
            return f"(NOT {condition})", values
        case Comparison(field):
            if field not in FIELDS:
                return _key_clause(node, metadata)
            if field not in columns:
                raise InputError(
                    f"{field!r} tells chunks apart, and whole documents are chosen here.",
                    f"Filter by {', '.join(columns)} or a key of the metadata.",
                )
            return _column_clause(node, columns[field])


def _equal(found: Any, value: Any) -> bool:
    kind = kind_of(found)
    return kind != "other" and kind == kind_of(value) and bool(found == value)


def _key_clause(node: Comparison, metadata: str) -> tuple[str, list[Any]]:
    """A comparison with a key of the JSON column."""
    there = f"EXISTS (SELECT 1 FROM json_each({metadata}) AS m WHERE m.key = ? AND {{}})"  # noqa: S608 - a column of ours
    kinds = {"text": "m.type = 'text'", "number": "m.type IN ('integer', 'real')"}
    if node.operator in _ORDERED:
        condition = f"{kinds[kind_of(node.value)]} AND m.atom {_ORDERED[node.operator][0]} ?"
        return there.format(condition), [node.field, node.value]
    conditions: list[str] = []
    values: list[Any] = []
    for kind, some in _by_kind(node.value).items():
        if kind == "nothing":
            conditions.append(f"NOT {there.format(_NOT_NULL)}")
            values.append(node.field)
        elif kind == "boolean":
            names = ", ".join(repr(str(one).lower()) for one in some)
            conditions.append(there.format(f"m.type IN ({names})"))
            values.append(node.field)
        else:
            conditions.append(there.format(f"{kinds[kind]} AND m.atom IN ({', '.join('?' * len(some))})"))
            values += [node.field, *some]
    return f"({' OR '.join(conditions) or '0'})", values


def _column_clause(node: Comparison, column: str) -> tuple[str, list[Any]]:
    """A comparison with a column of strings or numbers, which may be null."""
    kinds = {"text": f"typeof({column}) = 'text'", "number": f"typeof({column}) IN ('integer', 'real')"}
    if node.operator in _ORDERED:
        return f"({kinds[kind_of(node.value)]} AND {column} {_ORDERED[node.operator][0]} ?)", [node.value]
    conditions: list[str] = []
    values: list[Any] = []
    for kind, some in _by_kind(node.value).items():
        if kind == "nothing":
            conditions.append(f"{column} IS NULL")
        elif kind in kinds:
            conditions.append(f"({kinds[kind]} AND {column} IN ({', '.join('?' * len(some))}))")
            values += some
    return f"({' OR '.join(conditions) or '0'})", values


def _by_kind(value: Scalar | tuple[Scalar, ...]) -> dict[str, list[Scalar]]:
    kinds: dict[str, list[Scalar]] = {}
    for one in value if isinstance(value, tuple) else (value,):
        kinds.setdefault(kind_of(one), []).append(one)
    return kinds


class _Parser:
    """Reads one filter and counts what is in it."""

    def __init__(self) -> None:
        self._nodes = 0
        self._values = 0

    def everything(self, given: Any, depth: int) -> Node:
        """All entries of a mapping."""
        if not isinstance(given, Mapping):
            raise InputError(
                f"A filter is a mapping of fields to values, not {_named(given)}.", 'Write {"field": value}.'
            )
        if depth > MAX_DEPTH:
            raise InputError(f"The filter is nested more than {MAX_DEPTH} deep.", "Say the same with fewer levels.")
        return self._joined([part for key, value in given.items() for part in self._entry(key, value, depth)])

    def _entry(self, key: Any, value: Any, depth: int) -> list[Node]:
        if not isinstance(key, str) or not key:
            raise InputError(f"A field of a filter is named by a string, not {_named(key)}.", 'Write {"field": value}.')
        word = key.removeprefix("$")
        if word in ("and", "or"):
            if not isinstance(value, Sequence) or isinstance(value, str):
                raise InputError(f"{key!r} takes a list of filters, not {_named(value)}.", 'Write {"or": [{…}, {…}]}.')
            self._count(nodes=1)
            parts = tuple(self.everything(one, depth + 1) for one in value)
            return [And(parts) if word == "and" else Or(parts)]
        if word == "not":
            self._count(nodes=1)
            return [Not(self.everything(value, depth + 1))]
        if key.startswith("$"):
            raise unknown_name("filter operator", word, (*_COMPARISONS, *_JOINTS))
        if not isinstance(value, Mapping):
            return [self._comparison(_text(key), "eq", value)]
        if not value:
            raise InputError(f"Nothing is asked of {key!r}.", 'Write {"field": value} or {"field": {"gt": value}}.')
        return [self._comparison(_text(key), operator, operand) for operator, operand in value.items()]

    def _comparison(self, field: str, given: Any, value: Any) -> Node:
        operator = given.removeprefix("$") if isinstance(given, str) else given
        if operator not in _COMPARISONS:
            raise unknown_name("filter operator", str(given), _COMPARISONS)
        self._count(nodes=1)
        if operator in ("in", "nin"):
            if not isinstance(value, list | tuple | set | frozenset):
                raise InputError(f"{given!r} takes a list, not {_named(value)}.", 'Write {"field": {"in": [1, 2]}}.')
            some = tuple(self._scalar(field, one) for one in value)
            one_of = Comparison(field, "in", some)
            return one_of if operator == "in" else Not(one_of)
        scalar = self._scalar(field, value)
        if operator in ("eq", "ne"):
            equal = Comparison(field, "eq", scalar)
            return equal if operator == "eq" else Not(equal)
        if kind_of(scalar) not in ("text", "number"):
            raise InputError(f"{given!r} compares strings or numbers, not {_named(value)}.", "Use eq or ne.")
        return Comparison(field, cast(Operator, operator), scalar)

    def _scalar(self, field: str, value: Any) -> Scalar:
        self._count(values=1)
        kind = kind_of(value)
        if kind == "other":
            raise InputError(
                f"{field!r} cannot be compared with {_named(value)}.",
                'Compare with a string, a number, a boolean or null; use {"in": […]} for several.',
            )
        if kind == "number" and not (math.isfinite(value) and -(2**63) <= value < 2**63):
            raise InputError(f"{value} is no number that is kept here.", "Give a finite one below 2**63.")
        scalar: Scalar = _text(value) if kind == "text" else value
        return scalar

    def _count(self, nodes: int = 0, values: int = 0) -> None:
        self._nodes += nodes
        self._values += values
        if self._nodes > MAX_NODES or self._values > MAX_VALUES:
            raise InputError(
                f"The filter has more than {MAX_NODES} conditions or {MAX_VALUES:,} values.",
                "Search several times, or filter by something broader.",
            )

    @staticmethod
    def _joined(parts: list[Node]) -> Node:
        return parts[0] if len(parts) == 1 else And(tuple(parts))


def _text(value: str) -> str:
    """
    :raises InputError: no database can hold it.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError("A filter holds half a character (a lone surrogate).", "Send whole Unicode text.") from None
    return value


def _named(value: Any) -> str:
    kind = type(value).__name__
    short = kind_of(value) != "other" and len(str(value)) <= 40
    return f"{value!r} (a {kind})" if short else f"a {kind}"
