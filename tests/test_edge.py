"""The twins of the library: async ones of what blocks, blocking ones of what waits."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator

import pytest
from racto.knowledge.edge import blocking, blocking_stream, off_loop

_colour: contextvars.ContextVar[str] = contextvars.ContextVar("colour", default="none")


async def _add(first: int, second: int = 1) -> int:
    await asyncio.sleep(0)
    return first + second


@blocking
async def _colour_there() -> str:
    return _colour.get()


def test_the_blocking_twin_returns_what_the_coroutine_returns() -> None:
    assert blocking(_add)(2, second=5) == 7


def test_the_blocking_twin_works_inside_a_running_loop() -> None:
    async def main() -> int:
        return blocking(_add)(2)

    assert asyncio.run(main()) == 3


def test_a_blocking_twin_called_by_another_one_does_not_wait_for_itself() -> None:
    async def outer() -> int:
        return blocking(_add)(40, 2)

    assert blocking(outer)() == 42


def test_an_error_reaches_the_caller_of_the_blocking_twin_as_it_is() -> None:
    async def fails() -> None:
        raise LookupError("gone")

    async def nested() -> None:
        blocking(fails)()

    for function in (fails, nested):
        with pytest.raises(LookupError, match="gone"):
            blocking(function)()


def test_all_blocking_twins_share_one_loop_so_that_a_client_stays_usable() -> None:
    async def here() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    assert blocking(here)() is blocking(here)()


def test_context_variables_of_the_caller_are_seen_on_the_other_side() -> None:
    _colour.set("green")
    assert _colour_there() == "green"
    assert asyncio.run(off_loop(_colour.get)()) == "green"


def test_the_async_twin_leaves_the_loop_free() -> None:
    async def main() -> bool:
        begun, go_on = threading.Event(), threading.Event()

        def waits() -> bool:
            begun.set()
            return go_on.wait(timeout=10)

        task = asyncio.create_task(off_loop(waits)())
        assert await asyncio.to_thread(begun.wait, 10)
        go_on.set()  # the loop would never get here if the call held it
        return await task

    assert asyncio.run(main())


def test_a_method_made_with_a_twin_is_bound_like_any_other() -> None:
    class Counter:
        def __init__(self, start: int) -> None:
            self.start = start

        def count(self, by: int) -> int:
            return self.start + by

        async def adouble(self) -> int:
            return self.start * 2

        acount = off_loop(count)
        double = blocking(adouble)

    counter = Counter(20)
    assert asyncio.run(counter.acount(by=3)) == 23
    assert counter.double() == 40
    assert Counter.acount.__doc__ == Counter.count.__doc__


async def _count(to: int, closed: list[str] | None = None) -> AsyncIterator[int]:
    try:
        for number in range(to):
            await asyncio.sleep(0)
            yield number
        if to > 3:
            raise LookupError("too many")
    finally:
        if closed is not None:
            closed.append(threading.current_thread().name)


def test_the_blocking_twin_of_a_stream_gives_the_same_items_and_the_same_error() -> None:
    counted = blocking_stream(_count)
    assert list(counted(3)) == [0, 1, 2]
    items = counted(4)
    assert [next(items) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(LookupError, match="too many"):
        next(items)


def test_the_blocking_twin_of_a_stream_works_inside_a_running_loop_and_inside_another_twin() -> None:
    async def here() -> list[int]:
        return list(blocking_stream(_count)(3))

    assert asyncio.run(here()) == [0, 1, 2]
    assert blocking(here)() == [0, 1, 2]


def test_closing_the_blocking_twin_of_a_stream_closes_its_source_at_once() -> None:
    closed: list[str] = []
    items = blocking_stream(_count)(3, closed)
    assert next(items) == 0
    assert not closed
    items.close()  # type: ignore[attr-defined]  # it is a generator, typed as the iterator people use
    assert closed == ["racto-async"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_and_the_end_of_the_program_are_both_quiet() -> None:
    program = (
        "import asyncio, os\n"
        "from racto.knowledge.edge import blocking\n"
        "async def value(): return 7\n"
        "assert blocking(value)() == 7\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(blocking(value)())\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout == "7\n"
    assert done.stderr == ""
