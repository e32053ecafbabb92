"""How rows, catalogues and errors cross the pipe between the server and the process that queries: as JSON, which brings nothing to life.

Rows cross in parts, column by column. A column of numbers, text and nulls crosses as it is; one of a single other type crosses as text
under the name of that type; one that is mixed or nested crosses with the type of each value beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ...knowledge.errors import (
    ConfigError,
    InputError,
    LimitError,
    QueryError,
    QueryRefusedError,
    RactoError,
    ReadOnlyViolationError,
    TimeLimitError,
)
from .catalogue import Catalogue, Column, ForeignKey, Index, Table

_PLAIN = frozenset((int, float, str, bool, type(None)))
_MICROSECOND = timedelta(microseconds=1)
_WRITE: dict[type, tuple[str, Callable[[Any], Any]]] = {
    Decimal: ("decimal", str),
    datetime: ("datetime", datetime.isoformat),
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    timedelta: ("timedelta", lambda value: value // _MICROSECOND),
    bytes: ("bytes", lambda value: base64.b64encode(value).decode("ascii")),
    UUID: ("uuid", str),
}
_READ: dict[str, Callable[[Any], Any]] = {
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda value: timedelta(microseconds=value),
    "bytes": base64.b64decode,
    "uuid": UUID,
}
_ERRORS: dict[str, type[RactoError]] = {
    error.code: error for error in (ConfigError, InputError, LimitError, QueryError, TimeLimitError)
}
_REFUSALS = {error.code: error for error in (QueryRefusedError, ReadOnlyViolationError)}


def pack_rows(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows as columns of JSON: `[type, values]` each, in which a value of no type we know is text."""
    return [_pack_column(values) for values in zip(*rows, strict=True)]


def _pack_column(values: tuple[Any, ...]) -> list[Any]:
    types = set(map(type, values))
    if types <= _PLAIN:
        return ["", values]
    types.discard(type(None))
    if len(types) == 1 and (only := types.pop()) in _WRITE:
        name, write = _WRITE[only]
        return [name, [None if value is None else write(value) for value in values]]
    return ["any", [_pack(value) for value in values]]


def _pack(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if type(value) in _WRITE:
        name, write = _WRITE[type(value)]
        return [name, write(value)]
    if isinstance(value, dict):
        return ["dict", [[_pack(key), _pack(one)] for key, one in value.items()]]
    if isinstance(value, list | tuple):
        return ["list", [_pack(one) for one in value]]
    return str(value)


def unpack_rows(columns: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The rows that `pack_rows` packed.

    :raises ValueError: this is nothing it makes.
    """
    try:
        return list(zip(*(_unpack_column(*column) for column in columns), strict=True))
    except (TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise ValueError("These are no rows.") from error


def _unpack_column(kind: str, values: list[Any]) -> list[Any]:
    if not kind:
        return values
    if kind == "any":
        return [_unpack(value) for value in values]
    read = _READ[kind]
    return [None if value is None else read(value) for value in values]


def _unpack(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, inner = value
    if kind == "list":
        return [_unpack(one) for one in inner]
    if kind == "dict":
        return {_key(_unpack(key)): _unpack(one) for key, one in inner}
    return _READ[kind](inner)


def _key(value: Any) -> Any:
    return value if value.__hash__ else str(value)  # a map of DuckDB may have lists as keys


def pack_error(error: RactoError) -> dict[str, Any]:
    """An error as JSON; one that belongs to no query is a `QueryError` on the other side."""
    return {"kind": "error", **error.as_dict()}


def unpack_error(packed: dict[str, Any]) -> RactoError:
    """The error that `pack_error` packed."""
    code, message, hint = str(packed["code"]), str(packed["message"]), str(packed["hint"])
    if code in _REFUSALS:
        return _REFUSALS[code](message, hint, rule=str(packed.get("rule", "")))
    return _ERRORS.get(code, QueryError)(message, hint)


def pack_catalogue(catalogue: Catalogue) -> dict[str, Any]:
    """A catalogue as JSON."""
    from dataclasses import asdict

    return {
        "dialect": catalogue.dialect,
        "default_schema": catalogue.default_schema,
        "fingerprint": catalogue.fingerprint,
        "tables": [asdict(table) for table in catalogue.tables],
    }


def unpack_catalogue(packed: dict[str, Any]) -> Catalogue:
    """The catalogue that `pack_catalogue` packed."""
    return Catalogue(**{**packed, "tables": tuple(map(_table, packed["tables"]))})


def _table(packed: dict[str, Any]) -> Table:
    return Table(
        **{
            **packed,
            "columns": tuple(Column(**{**one, "samples": tuple(one["samples"])}) for one in packed["columns"]),
            "primary_key": tuple(packed["primary_key"]),
            "foreign_keys": tuple(
                ForeignKey(tuple(one["columns"]), one["table"], tuple(one["references"]))
                for one in packed["foreign_keys"]
            ),
            "indexes": tuple(Index(**{**one, "columns": tuple(one["columns"])}) for one in packed["indexes"]),
        }
    )
