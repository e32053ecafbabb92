"""Tools: how functions become them, and what a caller sees."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import logging
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, assert_type

import pytest
from pydantic import BaseModel, Field
from racto.agents.calls import Caller, Link, Text, ToolContext, ToolOutput
from racto.agents.toolbox import Tool, ToolRegistry, ToolSchema, tool
from racto.knowledge.errors import ConflictError, InputError, ReadError, UnknownNameError
from racto.knowledge.vocabulary import ToolCallResult

pytestmark = pytest.mark.anyio


class SearchQuery(BaseModel):
    """Search the knowledge base."""

    query: str = Field(description="What to look for")
    max_results: int = Field(default=5, description="How many to return")


def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> str:
    """The weather of a city.

    :param city: Its name
    :param unit: Of the temperature
    """
    return f"{city}: 22 {unit}"


@pytest.fixture
def registry() -> ToolRegistry:
    return ToolRegistry()


# --- Becoming a tool ---------------------------------------------------------------------------------------------------


def test_a_function_is_registered_bare_with_arguments_and_by_a_call(registry: ToolRegistry) -> None:
    @registry.register
    def first(a: int) -> int:
        return a + 1

    @registry.register(name="second", description="The second.", read_only=True)
    def other(a: int) -> int:
        return a + 2

    registry.register(weather, name="third")
    assert [each.name for each in registry] == ["first", "second", "third"]
    assert (first(1), other(1)) == (2, 3)
    assert assert_type(first(1), int) == 2
    second = registry.get("second")
    assert (second.description, second.read_only, second.fn) == ("The second.", True, other)


def test_the_tool_decorator_leaves_the_function_as_it_is_and_adds_its_schema(registry: ToolRegistry) -> None:
    @tool
    def plain(a: int) -> str:
        """Does it."""
        return str(a)

    @tool(name="named", description="Other.", idempotent=True)
    def other(a: int) -> str:
        return str(a)

    assert assert_type(plain(3), str) == "3"
    schema = plain._tool_schema  # type: ignore[attr-defined]  # specified, and invisible to type checkers
    assert isinstance(schema, ToolSchema)
    assert (schema.name, schema.description, [each.name for each in schema.parameters]) == ("plain", "Does it.", ["a"])
    registry.register(plain)
    registry.register(other)
    registry.register(other, name="again", idempotent=False)
    assert registry.tools.keys() == {"plain", "named", "again"}
    assert registry.get("named").idempotent
    assert not registry.get("again").idempotent
    assert registry.get("again").schema.name == "again"


def test_the_tool_decorator_registers_at_once_when_it_is_given_a_registry(registry: ToolRegistry) -> None:
    @tool(registry)
    def one() -> None: ...

    @tool(registry=registry, scope="admin")
    def two() -> None: ...

    assert [(each.name, each.scope) for each in registry] == [("one", ""), ("two", "admin")]


def test_the_registry_answers_what_it_holds(registry: ToolRegistry) -> None:
    registry.register(weather)
    assert len(registry) == 1
    assert "weather" in registry
    assert "wether" not in registry
    schema = registry.get_schema("weather")
    assert schema is registry.schemas[0]
    assert registry.tools == {"weather": schema}
    assert registry.get_callable("weather") is weather
    assert registry.get_schema("nothing") is None
    assert registry.get_callable("nothing") is None
    with pytest.raises(UnknownNameError, match="Did you mean 'weather'"):
        registry.get("wether")


def test_a_schema_lists_parameters_and_makes_json_schema(registry: ToolRegistry) -> None:
    registry.register(weather)
    (schema,) = registry.schemas
    city, unit = schema.parameters
    assert (city.name, city.type, city.description, city.required) == ("city", "string", "Its name", True)
    assert (unit.required, unit.default, unit.enum) == (False, "celsius", ["celsius", "fahrenheit"])
    made = schema.to_json_schema()
    assert made == registry.get("weather").input_schema
    assert made["required"] == ["city"]
    assert made["additionalProperties"] is False
    json.dumps(made)


def test_a_call_a_model_asked_for_runs_by_hand(registry: ToolRegistry) -> None:
    registry.register(weather)
    call = ToolCallResult("call_1", "weather", {"city": "Tokyo"})
    function = registry.get_callable(call.name)
    assert function is not None
    assert function(**call.arguments) == "Tokyo: 22 celsius"


async def test_a_pydantic_model_is_a_tool_that_checks_its_arguments(registry: ToolRegistry) -> None:
    registry.register(SearchQuery)
    assert registry.get("SearchQuery").description == "Search the knowledge base."
    assert registry.get_callable("SearchQuery") is None
    output = await registry.call("SearchQuery", {"query": "cats"})
    assert output.structured == {"query": "cats", "max_results": 5}
    assert (await registry.call("SearchQuery", {"query": 3})).is_error


def test_a_name_is_registered_once(registry: ToolRegistry) -> None:
    registry.register(weather)
    with pytest.raises(ConflictError, match="'weather' already"):
        registry.register(SearchQuery, name="weather")
    assert registry.get_callable("weather") is weather
    registry.unregister("weather")
    registry.register(SearchQuery, name="weather")
    with pytest.raises(UnknownNameError, match="no tool named 'wether'"):
        registry.unregister("wether")


@pytest.mark.parametrize("name", ["", "a b", "ä", "a" * 65, "a\n", "<lambda>"])
def test_a_name_clients_would_refuse_is_refused_here(registry: ToolRegistry, name: str) -> None:
    with pytest.raises(InputError, match="cannot be the name of a tool"):
        registry.register(weather, name=name)
    with pytest.raises(InputError, match="cannot be the name of a tool"):
        registry.register(tool(weather_again()), name=name)
    assert len(registry) == 0


def weather_again() -> Any:
    return functools.wraps(weather)(lambda city, unit="celsius": weather(city, unit))


async def test_methods_are_registered_from_their_object(registry: ToolRegistry) -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        @tool(idempotent=False, read_only=False, destructive=True, description="Adds up.")
        def add(self, n: int) -> int:
            self.count += n
            return self.count

        @classmethod
        @tool
        def kind(cls) -> str:
            return cls.__name__

        @staticmethod
        @tool
        def double(n: int) -> int:
            return 2 * n

    counter = Counter()
    registry.register(counter.add)
    registry.register(Counter.kind)
    registry.register(Counter.double)
    assert registry.get("add").destructive
    assert registry.get("add").description == "Adds up."
    assert (await registry.call("add", {"n": 3})).structured == {"result": 3}
    assert counter.count == 3
    assert (await registry.call("kind")).text == "Counter"
    assert (await registry.call("double", {"n": 4})).text == "8"
    with pytest.raises(InputError, match="Register it from an instance"):
        registry.register(Counter.add)
    with pytest.raises(InputError, match=r"registry\.register"):
        tool(counter.add)


async def test_a_ready_tool_is_registered_under_its_own_or_another_name(registry: ToolRegistry) -> None:
    ready = Tool.of(weather, timeout=3, title="Weather")
    registry.register(ready)
    registry.register(ready, name="other", timeout=None)
    assert registry.get("weather").timeout == 3
    assert registry.get("other").timeout is None
    assert registry.get("other").title == "Weather"
    assert (await registry.call("other", {"city": "Oslo"})).text == "Oslo: 22 celsius"


def test_every_change_is_told_to_subscribers_until_they_leave(registry: ToolRegistry) -> None:
    seen: list[int] = []
    leave = registry.subscribe(lambda: seen.append(len(registry)))
    registry.register(weather)
    registry.register(SearchQuery)
    registry.unregister("weather")
    leave()
    leave()
    registry.register(weather)
    assert seen == [1, 2, 1]


def test_threads_may_register_at_the_same_time(registry: ToolRegistry) -> None:
    def register(n: int) -> bool:
        try:
            registry.register(weather, name=f"tool_{n % 50}")
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(register, range(200)))
    assert results.count(True) == 50
    assert len(registry) == 50


# --- Being called ------------------------------------------------------------------------------------------------------


async def test_arguments_are_checked_before_the_function_runs(registry: ToolRegistry) -> None:
    calls: list[int] = []

    @registry.register
    def count(n: int) -> None:
        calls.append(n)

    for wrong in ({"n": "1"}, {"n": True}, {}, {"n": 1, "m": 2}, {"n": 1.5}):
        output = await registry.call("count", wrong)
        assert output.is_error
        assert output.structured["code"] == "invalid_input"
        assert output.text == f"{output.structured['message']} {output.structured['hint']}".strip()
    assert calls == []
    assert not (await registry.call("count", {"n": 2.0})).is_error
    assert calls == [2]


async def test_an_unknown_tool_is_an_answer_with_the_nearest_name(registry: ToolRegistry) -> None:
    registry.register(weather)
    output = await registry.call("wether")
    assert output.is_error
    assert output.text == "There is no tool named 'wether'. Did you mean 'weather'?"


async def test_a_blocking_tool_runs_beside_the_event_loop_with_the_variables_of_its_caller(
    registry: ToolRegistry,
) -> None:
    user = contextvars.ContextVar("user", default="nobody")

    @registry.register
    def who() -> dict[str, Any]:
        return {"user": user.get(), "thread": threading.get_ident()}

    @registry.register
    async def here() -> dict[str, Any]:
        return {"user": user.get(), "thread": threading.get_ident()}

    user.set("ann")
    beside, same = (await registry.call("who")).structured, (await registry.call("here")).structured
    assert beside["user"] == same["user"] == "ann"
    assert same["thread"] == threading.get_ident()
    assert beside["thread"] != threading.get_ident()


async def test_a_blocking_tool_does_not_keep_others_from_answering(registry: ToolRegistry) -> None:
    go = threading.Event()

    @registry.register
    def wait() -> str:
        assert go.wait(60)
        return "waited"

    @registry.register
    async def release() -> str:
        go.set()
        return "released"

    waiting = asyncio.create_task(registry.call("wait"))
    assert (await registry.call("release")).text == "released"
    assert (await waiting).text == "waited"


async def test_a_function_that_returns_an_awaitable_is_awaited(registry: ToolRegistry) -> None:
    async def inner() -> str:
        return "inner"

    registry.register(lambda: inner(), name="outer")
    assert (await registry.call("outer")).text == "inner"


async def test_the_context_reaches_the_tool_that_asks_for_it(registry: ToolRegistry) -> None:
    @registry.register
    def who(greeting: str, context: ToolContext) -> str:
        return f"{greeting} {context.caller.name}"

    assert (await registry.call("who", {"greeting": "hi"}, ToolContext(Caller("ann")))).text == "hi ann"
    assert (await registry.call("who", {"greeting": "hi"})).text == "hi local"
    assert (await registry.call("who", {"greeting": "hi", "context": {}})).is_error


async def test_an_error_on_purpose_is_told_to_the_caller(registry: ToolRegistry) -> None:
    @registry.register
    def read() -> None:
        raise ReadError("The file cannot be read.", "Try another.")

    output = await registry.call("read")
    assert output.is_error
    assert output.text == "The file cannot be read. Try another."
    assert output.structured == {"code": "unreadable", "message": "The file cannot be read.", "hint": "Try another."}


@pytest.mark.parametrize(
    "error",
    [
        KeyError("secret-token"),
        SystemExit("secret-token"),
        StopIteration("secret-token"),
        ExceptionGroup("secret-token", [ValueError()]),
    ],
)
@pytest.mark.parametrize("blocking", [True, False])
async def test_any_other_error_is_logged_in_full_and_told_by_its_number(
    registry: ToolRegistry, caplog: pytest.LogCaptureFixture, error: BaseException, blocking: bool
) -> None:
    def broken() -> None:
        raise error

    async def broken_too() -> None:
        raise error

    registry.register(broken if blocking else broken_too, name="broken")
    with caplog.at_level(logging.ERROR):
        output = await registry.call("broken")
    assert output.is_error
    assert "secret-token" not in f"{output.text} {output.structured}"
    found = re.search(r"internal error ([0-9a-f]{8})", output.text)
    assert found is not None
    assert found[1] in caplog.text
    assert "secret-token" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_result_that_cannot_be_said_in_json_is_an_answer_too(registry: ToolRegistry) -> None:
    @registry.register
    def circle() -> list[Any]:
        made: list[Any] = []
        made.append(made)
        return made

    assert "internal error" in (await registry.call("circle")).text


@pytest.mark.parametrize("blocking", [True, False])
async def test_a_tool_over_its_time_limit_is_answered_for(registry: ToolRegistry, blocking: bool) -> None:
    never = threading.Event()

    def slow() -> None:
        never.wait()

    async def slow_too() -> None:
        await asyncio.get_running_loop().create_future()

    registry.register(slow if blocking else slow_too, name="slow", timeout=0.05)
    output = await registry.call("slow")
    never.set()
    assert output.is_error
    assert output.structured["code"] == "time_limit"
    assert "0.05 s" in output.text


async def test_a_timeout_of_the_tools_own_is_not_the_time_limit(registry: ToolRegistry) -> None:
    @registry.register
    async def fetch() -> None:
        raise TimeoutError

    assert (await registry.call("fetch")).structured["code"] == "internal"


async def test_cancelling_a_call_ends_it_at_once_and_the_thread_goes_on(registry: ToolRegistry) -> None:
    started, go, ended = threading.Event(), threading.Event(), threading.Event()

    @registry.register
    def work() -> None:
        started.set()
        go.wait(60)
        ended.set()

    task = asyncio.create_task(registry.call("work"))
    assert await asyncio.to_thread(started.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ended.is_set()
    go.set()
    assert await asyncio.to_thread(ended.wait, 60)


async def test_a_tool_with_a_scope_is_for_callers_who_hold_it(registry: ToolRegistry) -> None:
    registry.register(weather, scope="weather")
    allowed = ToolContext(Caller("ann", frozenset({"weather"})))
    refused = ToolContext(Caller("bob", frozenset({"other"})))
    assert not (await registry.call("weather", {"city": "Oslo"}, allowed)).is_error
    output = await registry.call("weather", {"city": 3}, refused)
    assert output.structured["code"] == "access_denied"


async def test_long_output_is_cut_and_says_how_to_get_the_rest(registry: ToolRegistry) -> None:
    @registry.register(max_output=100)
    def lines(offset: int = 0) -> str:
        return "x" * 5000

    @registry.register(max_output=100)
    def everything() -> ToolOutput:
        return ToolOutput([Text("x" * 5000), Link("racto://all", "all")], structured={"all": "x" * 5000})

    output = await registry.call("lines")
    assert (
        output.text
        == "x" * 100
        + "\n[Cut: 100 of 5,000 characters are shown. Call again with other values for offset to see the rest.]"
    )
    assert not output.is_error
    linked = await registry.call("everything")
    assert "Read the linked resource" in linked.text
    assert linked.structured is None


async def test_a_thousand_calls_at_once_are_all_answered(registry: ToolRegistry) -> None:
    @registry.register
    async def double(n: int) -> int:
        await asyncio.sleep(0)
        return 2 * n

    @registry.register
    def triple(n: int) -> int:
        return 3 * n

    for name, factor in (("double", 2), ("triple", 3)):
        outputs = await asyncio.gather(*(registry.call(name, {"n": n}) for n in range(1000)))
        assert [output.structured["result"] for output in outputs] == [factor * n for n in range(1000)]


async def test_tools_that_hang_do_not_use_up_the_threads_of_the_others(registry: ToolRegistry) -> None:
    never = threading.Event()

    @registry.register(timeout=0.1)
    def hang() -> None:
        never.wait()

    @registry.register
    def quick() -> str:
        return "quick"

    hanging = await asyncio.gather(*(registry.call("hang") for _ in range(100)))
    assert all(output.structured["code"] == "time_limit" for output in hanging)
    assert (await registry.call("quick")).text == "quick"
    never.set()


def test_a_tool_that_hangs_does_not_keep_the_process_from_ending() -> None:
    program = """
import asyncio, threading
from racto.agents.toolbox import ToolRegistry
registry = ToolRegistry()
registry.register(lambda: threading.Event().wait(), name="hang", timeout=0.05)
print(asyncio.run(registry.call("hang")).structured["code"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "time_limit\n", "")
