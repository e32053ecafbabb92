"""A JSON Schema as a pydantic model, so that an answer by schema is sent, checked and repaired like one by class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, RootModel, model_validator

from ..knowledge.errors import InputError

_SHOWN_PROBLEMS = 12


def model_from(schema: Mapping[str, Any]) -> type[BaseModel]:
    """A model whose values are those that `schema` (JSON Schema 2020-12) allows, and whose own schema it is. It fetches nothing.

    :raises InputError: it is no JSON Schema, or refers to something that is not in it.
    """
    from jsonschema import Draft202012Validator, SchemaError  # 60 ms, and only a schema needs it
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    try:
        Draft202012Validator.check_schema(schema)
        resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
        for reference in _references(schema):
            resolver.lookup(reference)
    except SchemaError as error:
        raise InputError(
            f"This is not a JSON Schema: {error.message} (at {error.json_path}).",
            "Correct it; JSON Schema 2020-12 is expected.",
        ) from None
    except Unresolvable as error:
        raise InputError(
            f"The schema refers to {error.ref!r}, which is not in it.", "Put it into $defs and refer to it by #/$defs/…"
        ) from None
    validator = Draft202012Validator(schema, registry=Registry())

    class Answer(RootModel[Any]):
        @model_validator(mode="after")
        def _allowed(self) -> Answer:
            problems = [f"{each.json_path}: {each.message}" for each in validator.iter_errors(self.root)]
            if problems:
                raise ValueError("; ".join(problems[:_SHOWN_PROBLEMS]))
            return self

        @classmethod
        def model_json_schema(cls, *args: Any, **named: Any) -> dict[str, Any]:
            return dict(schema)

    return Answer


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)
