"""What a tool takes: exact schemas, strict checks, and errors that say what to do."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import functools
import inspect
import json
import typing
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Union

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model
from racto.agents.calls import ToolContext
from racto.agents.schemas import ParamSchema, ToolSchema
from racto.agents.signatures import Signature, read_function, read_model
from racto.knowledge.errors import InputError
from typing_extensions import TypedDict


class Color(enum.Enum):
    RED = "red"
    ONE = 1


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Mode(enum.StrEnum):
    FAST = "fast"
    SLOW = "slow"


class Filter(BaseModel):
    """What to keep."""

    title: str
    format: Literal["pdf", "md"] = "pdf"
    default: int | None = None


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    known: int


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Twin:
    x: int
    y: int = 0


class Options(TypedDict):
    size: int
    note: NotRequired[str]


class Pair(NamedTuple):
    left: int
    right: str


def signature(hint: Any, default: Any = inspect.Parameter.empty) -> Signature:
    """The signature of a function with one parameter `x`."""

    def function(x: Any) -> None: ...

    parameter = inspect.Parameter("x", inspect.Parameter.KEYWORD_ONLY, default=default)
    function.__annotations__ = {"x": hint}
    function.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]  # what inspect looks for
    return read_function(function)


def schema_of(hint: Any) -> Any:
    return signature(hint).input_schema["properties"]["x"]


def received(hint: Any, value: Any) -> Any:
    return signature(hint).validate({"x": value})["x"]


def refusal(hint: Any, value: Any) -> str:
    with pytest.raises(InputError) as caught:
        signature(hint).validate({"x": value})
    return str(caught.value)


# --- What people write -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (int, {"type": "integer"}),
        (str | None, {"type": ["string", "null"]}),
        (int | str | None, {"type": ["string", "integer", "null"]}),
        (int | float, {"type": "number"}),
        (datetime.date | str, {"type": "string"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a"] | None, {"type": ["string", "null"], "enum": ["a", None]}),
        (Literal["a", 1, True], {"type": ["string", "integer", "boolean"], "enum": ["a", 1, True]}),
        (Color, {"type": ["string", "integer"], "enum": ["red", 1]}),
        (Level | None, {"type": ["integer", "null"], "enum": [1, 2, None]}),
        (list[Mode], {"type": "array", "items": {"type": "string", "enum": ["fast", "slow"]}}),
        (
            Annotated[int, Field(ge=1, le=9, description="How many")],
            {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many"},
        ),
        (Annotated[int, Field(ge=1)] | None, {"type": ["integer", "null"], "minimum": 1}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}}),
        (Iterable[int], {"type": "array", "items": {"type": "integer"}}),
        (tuple[()], {"type": "array", "minItems": 0, "maxItems": 0}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (datetime.datetime, {"type": "string", "format": "date-time"}),
        (bytes, {"type": "string", "contentEncoding": "base64"}),
        (Path, {"type": "string", "format": "path"}),
        (Any, {}),
    ],
)
def test_a_type_has_one_flat_schema(hint: Any, expected: Any) -> None:
    assert schema_of(hint) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("List", list),
        ("Iterable", Iterable[Any]),
        ("Dict", dict),
        ("Tuple", tuple),
        ("Set", set),
        ("Sequence", Sequence),
    ],
)
def test_the_old_names_of_types_mean_the_same(old: str, new: Any) -> None:
    name = getattr(typing, old)
    assert schema_of(name) == schema_of(new)
    assert schema_of(typing.Union[name, None]) == schema_of(new | None)  # noqa: UP007  # as people wrote it


def test_nested_models_are_written_out_and_keep_fields_named_like_keywords() -> None:
    flat = schema_of(Filter)
    assert flat == {
        "type": "object",
        "description": "What to keep.",
        "properties": {
            "title": {"type": "string"},
            "format": {"type": "string", "enum": ["pdf", "md"], "default": "pdf"},
            "default": {"type": ["integer", "null"]},
        },
        "required": ["title"],
        "additionalProperties": False,
    }
    assert schema_of(Filter | None) == flat | {"type": ["object", "null"]}
    assert schema_of(list[Filter])["items"] == flat


def test_dataclasses_and_typed_dicts_are_objects() -> None:
    assert schema_of(Point)["properties"] == {"x": {"type": "integer"}, "y": {"type": "integer", "default": 0}}
    assert schema_of(Options)["required"] == ["size"]
    assert received(Point, {"x": 1}) == Point(1, 0)
    assert received(Options, {"size": 1}) == {"size": 1}


def test_only_models_that_contain_themselves_keep_references() -> None:
    made = signature(Node).input_schema
    assert set(made["$defs"]) == {"Node"}
    assert made["properties"]["x"] == {"$ref": "#/$defs/Node"}
    assert read_model(Node).input_schema["properties"]["name"] == {"type": "string"}
    node = received(Node, {"name": "a", "children": [{"name": "b"}]})
    assert node.children[0].name == "b"


def test_alternatives_that_cannot_be_told_apart_by_type_stay_alternatives() -> None:
    assert schema_of(Literal["auto"] | int) == {"anyOf": [{"type": "string", "enum": ["auto"]}, {"type": "integer"}]}
    assert len(schema_of(Filter | Point)["anyOf"]) == 2


Small = Annotated[int, Field(le=3)]
Large = Annotated[float, Field(ge=5)]
Short = Annotated[str, Field(max_length=2)]
OnlyA = Annotated[str, Field(pattern="^a+$")]


@pytest.mark.parametrize(
    ("hint", "branches", "right", "wrong"),
    [
        (Small | Large, 2, [2, 5.5, 7], [4, 4.5, "2"]),
        (Short | OnlyA, 2, ["xx", "aaaa"], ["xxx", 1]),
        (list[int] | list[str], 2, [[], [1], ["a"]], [[1, "a"], "a"]),
        (set[int] | list[int], 0, [[], [1, 1]], [["a"]]),
        (Literal["a", 1] | Literal["b", None], 0, ["a", 1, "b", None], ["c", True]),
        (Literal["a", "b"] | Literal["b", "c"], 0, ["a", "b", "c"], ["d"]),
        (Point | Twin, 0, [{"x": 1}], [{"z": 1}]),
        (Annotated[str, Field(json_schema_extra={"minimum": 3})] | int, 2, ["a", 1], [1.5]),
        (
            Annotated[Annotated[str, Field(min_length=1)] | None, Field(json_schema_extra={"minLength": 2})],
            2,
            ["ab", ""],
            [1],
        ),
        (Annotated[Short | None, Field(description="outer")], 0, ["ab", None], ["abc", 1]),
        (
            Annotated[list[int], Field(description="numbers")] | Annotated[str, Field(description="text")],
            2,
            [[1], "a"],
            [1],
        ),
    ],
)
def test_alternatives_are_merged_only_when_that_changes_nothing(
    hint: Any, branches: int, right: list[Any], wrong: list[Any]
) -> None:
    made = signature(hint)
    assert len(made.input_schema["properties"]["x"].get("anyOf", [])) == branches
    values = made.input_schema["properties"]["x"].get("enum", [])
    assert all(value not in values[:position] for position, value in enumerate(values))
    judge = Draft202012Validator(made.input_schema)
    for value in right:
        if value != "":  # what `json_schema_extra` says is its author's business
            assert judge.is_valid({"x": value})
            made.validate({"x": value})
    for value in wrong:
        assert not judge.is_valid({"x": value})
        assert not accepts(made, {"x": value})


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (dict[int, str], {"-3": "a"}, {"a": "a"}),
        (dict[bool, str], {"true": "a"}, {"maybe": "a"}),
        (dict[float, str], {"1.5": "a"}, {"a": "a"}),
        (dict[Literal["a"], str], {"a": "a"}, {"b": "a"}),
    ],
)
def test_the_keys_of_a_dict_are_checked_and_said(hint: Any, right: Any, wrong: Any) -> None:
    made = signature(hint)
    judge = Draft202012Validator(made.input_schema)
    assert judge.is_valid({"x": right})
    assert accepts(made, {"x": right})
    assert not judge.is_valid({"x": wrong})
    assert not accepts(made, {"x": wrong})


def test_what_json_has_no_type_for_comes_as_text_or_arrays() -> None:
    assert received(datetime.date, "2026-11-20") == datetime.date(2026, 11, 20)
    assert received(decimal.Decimal, "0.10") == decimal.Decimal("0.10")
    assert received(bytes, base64.b64encode(b"\xff\x00").decode()) == b"\xff\x00"
    assert received(Path, "a/b") == Path("a/b")
    assert received(set[int], [1, 1, 2]) == {1, 2}
    assert received(tuple[int, str], [1, "a"]) == (1, "a")
    assert received(Pair, [1, "a"]) == Pair(1, "a")
    assert received(Color, "red") is Color.RED
    assert received(Level, 2) is Level.HIGH
    assert received(dict[int, str], {"3": "c"}) == {3: "c"}
    assert received(uuid.UUID, str(uuid.UUID(int=7))) == uuid.UUID(int=7)


# --- Strict ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, "1"),
        (int, True),
        (int, 1.5),
        (int, None),
        (float, "1.5"),
        (float, False),
        (bool, 1),
        (bool, "true"),
        (str, 1),
        (list[int], "12"),
        (list[int], [1, "2"]),
        (Level, True),
        (Level, 3),
        (Literal[1], True),
        (dict[str, int], [["a", 1]]),
        (dict[int, str], {"a": "b"}),
        (datetime.date, 20261120),
        (datetime.date, "0"),
        (list[list[datetime.date] | str], ["", ["0"]]),
        (Iterable[int], "12"),
        (float, float("nan")),
        (float, float("inf")),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(hint: Any, value: Any) -> None:
    assert "'x" in refusal(hint, value)


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    assert received(int, 2.0) == 2
    assert type(received(int, 2.0)) is int
    assert received(list[Point], [{"x": 1.0}, {"x": 2}]) == [Point(1), Point(2)]
    assert received(dict[str, int | None], {"a": 3.0, "b": None}) == {"a": 3, "b": None}
    assert received(float, 2) == 2.0
    assert type(received(float, 2)) is float


def test_an_error_names_the_argument_what_was_expected_and_what_came() -> None:
    assert refusal(int, "10") == "Argument 'x' should be a valid integer, not the text '10'."
    assert "'x' should be 'a' or 'b', not the text 'c'" in refusal(Literal["a", "b"], "c")
    assert "'x[1].x' should be a valid integer, not null" in refusal(list[Point], [{"x": 1}, {"x": None}])
    assert "should be a valid integer or a valid boolean, not an object with 2 names" in refusal(
        int | bool, {"a": 1, "b": 2}
    )
    assert "'x': List should have at least 2 items" in refusal(Annotated[list[int], Field(min_length=2)], [1])
    assert "'x' should be less than or equal to 9, not the number 10" in refusal(Annotated[int, Field(le=9)], 10)


def test_an_unknown_argument_is_refused_with_the_nearest_name() -> None:
    def search(query: str, limit: int = 5) -> None: ...

    with pytest.raises(InputError) as caught:
        read_function(search).validate({"query": "a", "limt": 3})
    assert str(caught.value) == "There is no argument 'limt'. Did you mean 'limit'?"
    with pytest.raises(InputError) as caught:
        read_function(search).validate({"query": "a", "zzz": 3})
    assert str(caught.value) == "There is no argument 'zzz'. Known: query, limit."


def test_an_unknown_name_inside_a_model_is_refused_too() -> None:
    assert "There is no argument 'x.titel'." in refusal(Filter, {"title": "a", "titel": "b"})


def test_a_model_that_takes_any_name_goes_on_doing_so() -> None:
    assert received(Open, {"known": 1, "other": 2}).model_extra == {"other": 2}
    assert schema_of(Open)["additionalProperties"] is True


def test_a_missing_argument_is_named_with_what_it_means() -> None:
    def search(query: str) -> None:
        """Search.

        :param query: what to look for
        """

    with pytest.raises(InputError) as caught:
        read_function(search).validate({})
    assert str(caught.value) == "The argument 'query' is missing. 'query' is: what to look for."


def test_an_error_never_repeats_a_huge_value() -> None:
    assert len(refusal(int, "x" * 1_000_000)) < 200
    assert len(refusal(str, list(range(100_000)))) < 200
    assert len(refusal(list[int], ["x"] * 1000)) < 600
    assert "'x[0]' should be a valid array or a valid integer" in refusal(list[list[int]] | list[int], ["x"] * 100_000)
    assert len(refusal(list[int], ["x"] * 100_000)) < 600
    assert len(refusal(str, 10**5000)) < 200
    assert len(refusal(int, {"k" * 10_000: 1})) < 200


@pytest.mark.parametrize("value", ["\ud800", {"a": {1, 2}}, object(), float("nan")])
def test_what_is_not_json_is_an_error_and_not_a_crash(value: Any) -> None:
    with pytest.raises(InputError):
        signature(int).validate({"x": value})


def test_arguments_that_are_no_object_are_refused() -> None:
    with pytest.raises(InputError, match="should be an object, not a list of 1"):
        signature(int).validate([1])  # type: ignore[arg-type]  # what a client may send
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError):
        signature(list[Any]).validate({"x": deep})


# --- Functions -------------------------------------------------------------------------------------------------------


def test_defaults_and_help_are_in_the_schema() -> None:
    def function(
        a: str, b: int = 3, c: str | None = None, d: Level = Level.LOW, e: Annotated[str, Field(description="own")] = ""
    ) -> None:
        """Do it.

        :param a: The a.
        :param e: Not this.
        """

    made = read_function(function)
    assert made.description == "Do it."
    assert made.input_schema["required"] == ["a"]
    assert made.input_schema["properties"] == {
        "a": {"type": "string", "description": "The a."},
        "b": {"type": "integer", "default": 3},
        "c": {"type": ["string", "null"]},
        "d": {"type": "integer", "enum": [1, 2], "default": 1},
        "e": {"type": "string", "description": "own", "default": ""},
    }


def test_a_pydantic_field_as_default_gives_its_default() -> None:
    def function(
        a: int = Field(3, ge=1, description="A"),
        b: list[int] = Field(default_factory=list),  # noqa: B008  # what is tried here
        c: str = Field(alias="from"),
    ) -> Any:
        return a, b, c

    made = read_function(function)
    assert made.input_schema["required"] == ["from"]
    assert made.input_schema["properties"]["a"] == {"type": "integer", "minimum": 1, "default": 3, "description": "A"}
    assert made.validate({"from": "x"}) == {"a": 3, "b": [], "c": "x"}


def test_a_default_json_cannot_say_is_left_out() -> None:
    assert "default" not in signature(Any, default=object()).input_schema["properties"]["x"]
    assert signature(Any, default=object()).validate({}) == {}


def test_the_context_is_not_a_parameter() -> None:
    def function(x: int, context: ToolContext | None = None) -> None: ...

    made = read_function(function)
    assert list(made.input_schema["properties"]) == ["x"]
    assert made.context_name == "context"


def test_methods_partials_and_callable_objects_are_read() -> None:
    class Thing:
        def method(self, x: int) -> None:
            """A method."""

        @classmethod
        def make(cls, x: int) -> None:
            """A class method."""

        def __call__(self, x: int, y: str = "") -> None:
            """Call it."""

    assert list(read_function(Thing().method).input_schema["properties"]) == ["x"]
    assert list(read_function(Thing.make).input_schema["properties"]) == ["x"]
    called = read_function(Thing())
    assert called.description == "Call it."
    assert list(called.input_schema["properties"]) == ["x", "y"]
    fixed = read_function(functools.partial(Thing(), y="fixed"))
    assert list(fixed.input_schema["properties"]) == ["x"]
    assert list(read_function(functools.partial(Thing(), 1)).input_schema["properties"]) == ["y"]


def test_a_decorated_function_is_read_through_its_wrapper() -> None:
    def function(x: Level) -> None:
        """Inner."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        return function(*args, **kwargs)

    assert read_function(wrapper).input_schema["properties"]["x"] == {"type": "integer", "enum": [1, 2]}


def test_hints_may_name_local_classes() -> None:
    class Local(BaseModel):
        a: int

    def function(x: Local, y: list[Local] | None = None) -> NotThere:  # type: ignore[name-defined]  # noqa: F821  # the return hint does not matter
        return x

    assert read_function(function).validate({"x": {"a": 1}})["x"] == Local(a=1)


def test_a_hint_that_leads_nowhere_is_a_clear_error() -> None:
    def function(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821  # what is tried here

    with pytest.raises(InputError, match=r"function\(\) cannot be resolved: name 'Nowhere'"):
        read_function(function)


def test_positional_only_parameters_are_given_by_name() -> None:
    def function(a: int, b: int = 7, /, c: int = 0) -> tuple[int, int, int]:
        return a, b, c

    made = read_function(function)
    args, named = made.split(made.validate({"a": 1, "c": 3}))
    assert function(*args, **named) == (1, 7, 3)


def star(*items: str) -> None: ...
def double_star(**options: str) -> None: ...
async def generator() -> Any:
    yield 1


class Holder:
    @classmethod
    def make(cls, x: int) -> None: ...


def takes_a_function(f: Callable[[int], int]) -> None: ...
def bad_pattern(x: Annotated[str, Field(pattern="(")]) -> None: ...


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (star, r"takes \*items.*Take a list instead: `items: list\[str\]`"),
        (double_star, r"takes \*\*options.*Take a dict instead"),
        (generator, "yields its results"),
        (takes_a_function, r"The parameter 'f' of takes_a_function\(\) has a type JSON cannot carry"),
        (bad_pattern, r"The parameter 'x' of bad_pattern\(\)"),
        (Point, "cannot be a tool"),
        (3, "cannot be a tool"),
        (vars(Holder)["make"], "Put @tool below @classmethod"),
    ],
)
def test_what_cannot_be_a_tool_says_why_and_what_to_do(function: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_function(function)


def test_untyped_parameters_take_anything() -> None:
    def function(x, y=2):  # type: ignore[no-untyped-def]  # what is tried here
        return x, y

    made = read_function(function)
    assert made.input_schema["properties"] == {"x": {}, "y": {"default": 2}}
    assert made.validate({"x": [1, {"a": None}]}) == {"x": [1, {"a": None}]}


def test_a_model_is_read_by_its_fields_and_docstring() -> None:
    class Query(BaseModel):
        """Search the shelves.

        :param text: What to look for.
        """

        text: str
        limit: int = Field(5, description="How many")

    made = read_model(Query)
    assert made.description == "Search the shelves."
    assert made.input_schema["properties"] == {
        "text": {"type": "string", "description": "What to look for."},
        "limit": {"type": "integer", "default": 5, "description": "How many"},
    }
    assert made.validate({"text": "a"}) == Query(text="a")


def test_a_model_without_named_fields_cannot_be_a_tool() -> None:
    with pytest.raises(InputError, match="no named fields"):
        read_model(RootModel[list[int]])


def test_a_schema_written_by_hand_says_the_same_as_one_that_was_read() -> None:
    by_hand = ToolSchema(
        "f",
        "d",
        [ParamSchema("a", "string", "The a.", enum=["x"]), ParamSchema("b", "integer", required=False, default=3)],
    )
    made = by_hand.to_json_schema()
    assert made == {
        "type": "object",
        "properties": {
            "a": {"type": "string", "description": "The a.", "enum": ["x"]},
            "b": {"type": "integer", "default": 3},
        },
        "required": ["a"],
        "additionalProperties": False,
    }
    again = ToolSchema.from_json_schema("f", "d", made)
    assert again.to_json_schema() == made
    assert [(each.name, each.type, each.required, each.default, each.enum) for each in again.parameters] == [
        ("a", "string", True, None, ["x"]),
        ("b", "integer", False, 3, None),
    ]


# --- Any signature: valid, flat and exact -----------------------------------------------------------------------------

TEXT = st.text(alphabet="abcxyz019.-é ", max_size=4)
NUMBERS = (
    st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.integers(-3, 3).map(float)
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)


@dataclass
class Sample:
    """A type hint, and values that it should mostly accept."""

    hint: Any
    values: st.SearchStrategy[Any]


BASES = [
    Sample(int, st.integers(-9, 9) | st.integers(-9, 9).map(float)),
    Sample(float, NUMBERS),
    Sample(bool, st.booleans() | st.integers(0, 1)),
    Sample(str, TEXT),
    Sample(None, st.none()),
    Sample(Any, JSON),
    Sample(Annotated[int, Field(ge=-2, lt=3)], st.integers(-4, 4)),
    Sample(Annotated[float, Field(gt=-2, le=3)], st.integers(-4, 4) | st.floats(-4, 4)),
    Sample(Annotated[str, Field(min_length=1, max_length=3)], TEXT),
    Sample(Annotated[str, Field(pattern="^[a-c]+$")], TEXT),
    Sample(Annotated[list[int], Field(min_length=1, max_length=2)], st.lists(st.integers(-3, 3), max_size=3)),
    Sample(Literal["a", "b"], st.sampled_from(["a", "b", "c", ""])),
    Sample(Mode, st.sampled_from(["fast", "slow", "", "FAST"])),
    Sample(
        decimal.Decimal, st.sampled_from(["1", "-1.50", ".5", "1e3", "x", ""]) | st.integers(-5, 5) | st.floats(-5, 5)
    ),
    Sample(datetime.date, st.dates().map(str) | TEXT),
    Sample(uuid.UUID, st.uuids().map(str) | TEXT),
    Sample(set[int], st.lists(st.integers(-2, 2), max_size=3)),
    Sample(frozenset[str], st.lists(TEXT, max_size=3)),
    Sample(dict[int, bool], st.dictionaries(st.integers(-9, 9).map(str) | TEXT, st.booleans(), max_size=2)),
    Sample(dict[Literal["a", "b"], int], st.dictionaries(st.sampled_from("abc"), st.integers(-9, 9), max_size=2)),
    Sample(
        Node,
        st.fixed_dictionaries(
            {"name": TEXT},
            optional={"children": st.lists(st.fixed_dictionaries({"name": TEXT | st.none()}), max_size=2)},
        ),
    ),
]
CHOICES_OF_NUMBERS = [
    Sample(Literal["a", 1, None], st.sampled_from(["a", 1, 1.0, True, None, 2])),
    Sample(Literal[0, True], st.sampled_from([0, 1, True, False, 0.0, 1.0])),
    Sample(Color, st.sampled_from(["red", 1, 1.0, True, "1"])),
    Sample(Level, st.sampled_from([1, 2, 2.0, 3, True, "1"])),
]
"""Not for fields of models, whose validation is pydantic's own: there `true` passes for `Literal[1]`."""

FIELDS = ["title", "default", "format", "type", "x"]


def listed(inner: Sample) -> Sample:
    return Sample(list[inner.hint], st.lists(inner.values, max_size=3))  # type: ignore[name-defined]  # made at run time


def optional(inner: Sample) -> Sample:
    return Sample(Union[inner.hint, None], inner.values | st.none())  # noqa: UP007  # None | None is no type


def mapped(inner: Sample) -> Sample:
    return Sample(Mapping[str, inner.hint], st.dictionaries(TEXT, inner.values, max_size=3))  # type: ignore[name-defined]


def repeated(inner: Sample) -> Sample:
    return Sample(tuple[inner.hint, ...], st.lists(inner.values, max_size=3))  # type: ignore[name-defined]


def either(one: Sample, other: Sample) -> Sample:
    return Sample(Union[one.hint, other.hint], one.values | other.values)  # noqa: UP007  # made at run time


def paired(one: Sample, other: Sample) -> Sample:
    values = st.tuples(one.values, other.values).map(list)
    return Sample(tuple[one.hint, other.hint], values | st.lists(JSON, max_size=3))  # type: ignore[name-defined]


def modelled(names: list[str], inner: list[Sample]) -> Sample:
    required, *rest = zip(names, inner, strict=False)
    fields: dict[str, Any] = {required[0]: (required[1].hint, ...)} | {name: (part.hint, None) for name, part in rest}
    values = st.fixed_dictionaries(
        {required[0]: required[1].values}, optional={name: part.values for name, part in rest}
    )
    return Sample(create_model("Made", **fields), values)


def typed_dict(names: list[str], inner: list[Sample]) -> Sample:
    (first, *rest) = zip(names, inner, strict=False)
    fields = {first[0]: first[1].hint} | {name: NotRequired[part.hint] for name, part in rest}
    made = TypedDict("Made", fields)  # type: ignore[misc]  # made at run time
    return Sample(
        made, st.fixed_dictionaries({}, optional={name: part.values for name, part in zip(names, inner, strict=False)})
    )


def composed(inner: st.SearchStrategy[Sample]) -> st.SearchStrategy[Sample]:
    return st.one_of(
        st.builds(listed, inner),
        st.builds(optional, inner),
        st.builds(mapped, inner),
        st.builds(repeated, inner),
        st.builds(either, inner, inner),
        st.builds(paired, inner, inner),
    )


def structured(inner: st.SearchStrategy[Sample]) -> st.SearchStrategy[Sample]:
    names = st.permutations(FIELDS).map(lambda order: order[:3])
    several = st.lists(inner, min_size=1, max_size=3)
    return composed(inner) | st.builds(modelled, names, several) | st.builds(typed_dict, names, several)


SAMPLES = st.recursive(st.sampled_from(BASES), structured, max_leaves=4) | st.recursive(
    st.sampled_from(CHOICES_OF_NUMBERS + BASES[:4]), composed, max_leaves=4
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A function with random parameters, and arguments somebody may send it: right ones, near misses and nonsense."""
    names = draw(
        st.lists(st.sampled_from(["query", "limit", "title", "default", "schema", "items"]), max_size=3, unique=True)
    )
    parameters: list[inspect.Parameter] = []
    hints: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for name in names:
        sample = draw(SAMPLES)
        default = draw(st.sampled_from([inspect.Parameter.empty, None, "text", 3]))
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
        hints[name] = sample.hint
        if draw(st.integers(0, 9)):
            arguments[name] = draw(sample.values | JSON if draw(st.integers(0, 4)) == 0 else sample.values)
    if draw(st.integers(0, 9)) == 0:
        arguments[draw(TEXT)] = draw(JSON)

    def function(**named: Any) -> Any:
        return named

    function.__annotations__ = hints
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect looks for
    return function, arguments


def keywords(schema: Any) -> Iterator[str]:
    """Every keyword of a schema, wherever a schema may stand."""
    if isinstance(schema, dict):
        yield from schema
        for key, part in schema.items():
            if key in ("properties", "$defs"):
                for inner in part.values():
                    yield from keywords(inner)
            elif key in ("anyOf", "prefixItems"):
                for inner in part:
                    yield from keywords(inner)
            elif key in ("items", "additionalProperties", "propertyNames"):
                yield from keywords(part)


def mentions(hint: Any, model: type) -> bool:
    fields = getattr(hint, "model_fields", {})
    inner = (
        [field.annotation for field in fields.values()]
        if fields and hint is not model
        else getattr(hint, "__args__", ())
    )
    inner = [*inner, *(getattr(hint, "__annotations__", {}).values() if not fields and isinstance(hint, type) else ())]
    return hint is model or any(mentions(part, model) for part in inner)


def accepts(made: Signature, arguments: dict[str, Any]) -> bool:
    try:
        made.validate(arguments)
    except InputError:
        return False
    return True


def test_any_schema_is_valid_flat_and_accepts_exactly_what_the_function_accepts() -> None:
    verdicts: Counter[bool] = Counter()

    @settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(calls())
    def check(call: tuple[Callable[..., Any], dict[str, Any]]) -> None:
        function, arguments = call
        made = read_function(function)
        Draft202012Validator.check_schema(made.input_schema)
        assert json.loads(json.dumps(made.input_schema)) == made.input_schema
        says = set(keywords(made.input_schema))
        assert not says & {"title", "const", "oneOf", "allOf", "discriminator"}
        if not any(mentions(hint, Node) for hint in function.__annotations__.values()):
            assert not says & {"$ref", "$defs"}
        judge = Draft202012Validator(made.input_schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        verdict = judge.is_valid(arguments)
        assert accepts(made, arguments) == verdict
        verdicts[verdict] += 1

    check()
    assert min(verdicts[True], verdicts[False]) >= 50, "one of the two verdicts was hardly tried"


@settings(max_examples=100, deadline=None)
@given(calls())
def test_what_is_accepted_reaches_the_function_under_the_names_of_its_parameters(
    call: tuple[Callable[..., Any], dict[str, Any]],
) -> None:
    function, arguments = call
    made = read_function(function)
    if accepts(made, arguments):
        args, named = made.split(made.validate(arguments))
        assert args == []
        assert function(**named).keys() == arguments.keys()
    else:
        with pytest.raises(InputError) as caught:
            made.validate(arguments)
        assert 10 < len(str(caught.value)) < 2000
