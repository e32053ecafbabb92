"""What a callable takes: read from its type hints, said as JSON Schema, checked strictly.

Strict means JSON Schema's idea of types: `"1"` and `true` are no integers, `1.0` is one, an unknown name is an error. What JSON has no
type for comes as text or arrays: dates in ISO 8601, enums by value, bytes in base 64, sets and tuples as arrays.
"""

from __future__ import annotations

import collections.abc
import datetime
import functools
import inspect
import json
import operator
import re
import sys
import types
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    RootModel,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError, SchemaError, to_json, to_jsonable_python
from typing_extensions import TypedDict

from ..knowledge.errors import InputError
from .calls import ToolContext
from .complaints import MANY, complain, sample, seen, with_integers
from .docstrings import parse_docstring
from .schemas import ExactGenerator, allows_extra, flatten


class Signature:
    """The parameters of a tool, and the one check every call goes through.

    :param adapter: Checks the arguments, all at once.
    :param description: What the docstring says the tool does.
    :param context_name: The parameter that wants the `ToolContext`, if any.
    :param positional: Parameters that cannot be given by name.
    :param notes: What is added to the JSON Schema of each parameter that does not say it itself.
    """

    def __init__(
        self,
        adapter: TypeAdapter[Any],
        description: str,
        *,
        context_name: str | None = None,
        positional: Sequence[inspect.Parameter] = (),
        notes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        raw = adapter.json_schema(schema_generator=ExactGenerator)
        # One model that takes any name makes each model's own rule hold: pydantic has one switch for all of them.
        closed = not allows_extra(raw)
        self.input_schema = flatten(raw, closed=closed)
        self.input_schema.pop("description", None)
        self.description = description
        self.context_name = context_name
        self._adapter = adapter
        self._extra: Any = "forbid" if closed else None
        self._positional = positional
        for name, part in self.input_schema.get("properties", {}).items():
            for key, value in (notes or {}).get(name, {}).items():
                part.setdefault(key, value)

    def validate(self, arguments: Mapping[str, Any] | None) -> Any:
        """The arguments as the tool wants them: a dict for a function, an instance for a model.

        :param arguments: JSON-able data by parameter name; `None` counts as none.
        :raises InputError: something is missing, unknown or of the wrong type; the message names it.
        """
        if not isinstance(arguments, Mapping | None):
            raise InputError(f"The arguments should be an object, not {seen(arguments)}.", "Send each one by its name.")
        given = dict(arguments or {})
        try:
            return self._check(given)
        except ValidationError:
            given = with_integers(given)
        try:
            return self._check(given)
        except ValidationError as error:
            complaint = error
        if complaint.error_count() > MANY:
            given = {name: sample(value) for name, value in given.items()}
            try:
                self._check(given)
            except ValidationError as error:
                complaint = error
            else:
                message = f"The arguments hold {complaint.error_count():,} mistakes."
                raise InputError(message, "Send fewer values at a time to see which.")
        raise complain(given, complaint, self.input_schema.get("properties", {}))

    def split(self, values: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Validated values as a function is called with them: the positional ones, and the named ones."""
        return [values.pop(each.name, each.default) for each in self._positional], values

    def _check(self, arguments: dict[str, Any]) -> Any:
        try:
            data = to_json(arguments, inf_nan_mode="constants")
        except (ValueError, RecursionError):
            raise InputError(
                "The arguments are not JSON.", "Send text, numbers, booleans, null, arrays and objects."
            ) from None
        return self._adapter.validate_json(data, strict=True, extra=self._extra)


def read_model(model: type[BaseModel]) -> Signature:
    """The signature of a pydantic model as a tool: its fields are the parameters.

    :raises InputError: a field has a type JSON cannot carry.
    """
    if issubclass(model, RootModel):
        raise InputError(f"{model.__name__} has no named fields.", "Put what it holds in a field of a model.")
    description, helps = parse_docstring(model.__doc__)
    notes = {name: {"description": text} for name, text in helps.items()}
    hints = {name: info.annotation for name, info in model.model_fields.items()}
    with _explaining(model.__name__, hints):
        return Signature(TypeAdapter(model), description, notes=notes)


def read_function(function: Callable[..., Any]) -> Signature:
    """The signature of a function, bound method, partial or callable object.

    What `functools.partial` fixed by name is no parameter any more, and neither are the `ToolContext` and an unbound `self`.

    :raises InputError: it takes `*args` or `**kwargs`, a hint cannot be resolved, or a type cannot be carried by JSON.
    """
    name = name_of(function)
    parameters = _parameters(function, name)
    target, fixed = _unwrapped(function)
    call = target if inspect.isroutine(target) else type(target).__call__
    description, helps = parse_docstring(call.__doc__ or (type(target).__doc__ if call is not target else None))
    hints = _hints(call, name)
    fields: dict[str, Any] = {}
    notes: dict[str, dict[str, Any]] = {}
    positional: list[inspect.Parameter] = []
    context_name = None
    for parameter in parameters:
        hint = hints.get(parameter.name, Any)
        if _is_context(hint):
            context_name = parameter.name
        elif parameter.name not in fixed:
            public, fields[parameter.name], said = _field(parameter, hint)
            notes[public] = said | ({"description": helps[parameter.name]} if parameter.name in helps else {})
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(parameter)
    # pydantic takes the functional form; type checkers want literal fields.
    arguments = TypedDict("arguments", fields)  # type: ignore[misc]
    arguments.__pydantic_config__ = {"extra": "forbid", "allow_inf_nan": False, **_BASE64}  # type: ignore[attr-defined]
    with _explaining(name, hints):
        return Signature(
            TypeAdapter(arguments), description, context_name=context_name, positional=positional, notes=notes
        )


_BASE64 = {"val_json_bytes": "base64", "ser_json_bytes": "base64"}


def name_of(target: Any) -> str:
    """What a callable or model is called in its own source."""
    while isinstance(target, functools.partial):
        target = target.func
    return str(getattr(target, "__name__", type(target).__name__))


def is_unbound_method(function: Callable[..., Any]) -> bool:
    """Whether this is a method as the class body sees it, waiting for its `self`."""
    code = getattr(function, "__code__", None)
    names = code.co_varnames[: code.co_argcount] if isinstance(code, types.CodeType) else ()
    return (
        inspect.isfunction(function) and names[:1] in (("self",), ("cls",)) and names[0] not in function.__annotations__
    )


def _unwrapped(function: Callable[..., Any]) -> tuple[Any, set[str]]:
    """What partials were put around, and the parameters they fixed by name."""
    fixed: set[str] = set()
    target: Any = function
    while isinstance(target, functools.partial):
        fixed |= target.keywords.keys()
        target = target.func
    return target, fixed


def _parameters(function: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    if isinstance(function, classmethod | staticmethod):
        raise InputError(f"{name}() is not a function yet.", "Put @tool below @classmethod or @staticmethod.")
    if not callable(function) or inspect.isclass(function):
        raise InputError(f"{function!r} cannot be a tool.", "Give a function, a method or a pydantic model.")
    if inspect.isasyncgenfunction(function):
        raise InputError(f"{name}() yields its results, a tool returns one.", "Collect them in a list and return that.")
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise InputError(f"Python cannot tell what {name}() takes.", "Wrap it in a function with type hints.") from None
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            hint = f"Take a list instead: `{parameter.name}: list[str]`."
            raise InputError(f"{name}() takes *{parameter.name}, but arguments of tools have names.", hint)
        if parameter.kind is parameter.VAR_KEYWORD:
            hint = f"Take a dict instead: `{parameter.name}: dict[str, str]`."
            raise InputError(
                f"{name}() takes **{parameter.name}, so nobody could know which arguments there are.", hint
            )
    return parameters[1:] if is_unbound_method(function) else parameters


def _field(parameter: inspect.Parameter, hint: Any) -> tuple[str, Any, dict[str, Any]]:
    """A parameter as a field: its public name, its type, and what its default adds to the schema."""
    default = parameter.default
    said: dict[str, Any] = {}
    made = _exact(hint)
    if isinstance(default, FieldInfo):
        made = Annotated[made, default]
    elif default is not parameter.empty:
        made = NotRequired[made]
        said = _json_default(default)
    infos = [default, *getattr(hint, "__metadata__", ())]
    aliases = [info.validation_alias or info.alias for info in infos if isinstance(info, FieldInfo)]
    return next((alias for alias in aliases if isinstance(alias, str)), parameter.name), made, said


def _json_default(default: Any) -> dict[str, Any]:
    """`{"default": …}` as JSON-able data; a null says no more than that the parameter may be left out."""
    try:
        value = to_jsonable_python(default, bytes_mode="base64", inf_nan_mode="null")
    except ValueError:
        return {}
    return {} if value is None else {"default": value}


def _is_context(hint: Any) -> bool:
    kinds = get_args(hint) if get_origin(hint) in (Annotated, Union, types.UnionType) else (hint,)
    return any(isinstance(kind, type) and issubclass(kind, ToolContext) for kind in kinds)


_ITERABLES = (collections.abc.Iterable, collections.abc.Iterator, collections.abc.Collection)


def _exact(hint: Any) -> Any:
    """The hint with what pydantic would take too easily replaced: `true` is not 1, iterables are checked as lists."""
    origin, parts = get_origin(hint), get_args(hint)
    values = _values(hint)
    if any(isinstance(value, int | float) for value in values):
        return Annotated[hint, BeforeValidator(functools.partial(_one_of, values))]
    if hint in (datetime.date, datetime.datetime):
        return Annotated[hint, BeforeValidator(functools.partial(_moment, TypeAdapter(hint)))]
    if hint in _ITERABLES or origin in _ITERABLES:
        return types.GenericAlias(list, (_exact(parts[0]) if parts else Any,))
    if not parts:
        return hint
    if origin is Annotated:
        return Annotated[(_exact(parts[0]), *parts[1:])]
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, (_exact(part) for part in parts))
    if origin in (list, dict, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Mapping):
        return origin[tuple(_exact(part) for part in parts)]
    return hint


def _values(hint: Any) -> tuple[Any, ...]:
    """What an enum or a `Literal` allows; nothing for other types."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return tuple(member.value for member in hint) if isinstance(hint, type) and issubclass(hint, Enum) else ()


def _moment(reader: TypeAdapter[Any], given: Any) -> Any:
    """Digits alone are no date: pydantic would count them as seconds since 1970."""
    if not isinstance(given, str):
        return given
    refusal = PydanticCustomError("date", "Input should be a date in ISO 8601, as 2026-01-31")
    if re.fullmatch(r"[-+]?[\d.]+", given.strip()):
        raise refusal
    try:
        return reader.validate_python(given)
    except ValueError:
        raise refusal from None


def _one_of(values: Sequence[Any], given: Any) -> Any:
    """Python says `True == 1`, JSON does not."""
    if isinstance(given, int | float) and not any(
        value == given and isinstance(value, bool) == isinstance(given, bool) for value in values
    ):
        raise PydanticCustomError(
            "enum", "Input should be one of {values}", {"values": json.dumps(values, default=str)}
        )
    return given


def _hints(target: Any, name: str) -> dict[str, Any]:
    """The resolved hints of the parameters; names of the functions around the definition count too.

    :raises InputError: a hint names something that is not there (yet).
    """
    function = inspect.unwrap(getattr(target, "__func__", target))
    # Without the return hint: it is no business of ours, and often a name imported for type checkers only.
    holder = functools.update_wrapper(lambda: None, function, assigned=("__type_params__",), updated=())
    holder.__annotations__ = {
        key: hint for key, hint in getattr(function, "__annotations__", {}).items() if key != "return"
    }
    frame: types.FrameType | None = sys._getframe(1)
    scope: dict[str, Any] | None = None
    while True:
        try:
            return get_type_hints(holder, localns=scope, include_extras=True)
        except NameError as error:
            missing = error
        while frame is not None and frame.f_globals is not getattr(function, "__globals__", None):
            frame = frame.f_back
        if frame is None:
            break
        scope, frame = dict(frame.f_locals), frame.f_back
    hint = "Define or import the name before the function becomes a tool."
    raise InputError(f"A type hint of {name}() cannot be resolved: {missing}.", hint)


@contextmanager
def _explaining(name: str, hints: Mapping[str, Any]) -> Generator[None]:
    """Turn what pydantic says about a type it cannot handle into an error that names the parameter.

    :param hints: The types of the parameters, tried one by one only when they failed together.
    """
    try:
        yield
    except (PydanticUserError, PydanticUndefinedAnnotation, SchemaError, TypeError) as error:
        parameter = next((each for each, hint in hints.items() if not _can_be_sent(hint)), None)
        where = f"The parameter {parameter!r} of {name}()" if parameter else f"{name}()"
        reason = str(error).splitlines()[0].partition(". ")[0].rstrip(".")
        hint = "Use text, numbers, booleans, lists, dicts, dates, enums, dataclasses or pydantic models."
        raise InputError(f"{where} has a type JSON cannot carry ({reason}).", hint) from error


def _can_be_sent(hint: Any) -> bool:
    try:
        TypeAdapter(hint).json_schema(schema_generator=ExactGenerator)
    except (PydanticUserError, PydanticUndefinedAnnotation, SchemaError, TypeError):
        return _is_context(hint)
    return True
