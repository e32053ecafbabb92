"""The one edge between code that blocks and code that waits: every twin of the library is made here, so no method body is written twice."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def off_loop(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """The async twin of a blocking function: the same call in a thread, with the caller's context variables.

    A cancelled caller is freed at once; the thread finishes what it began.
    """

    @wraps(function)
    async def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        return await asyncio.to_thread(function, *args, **kwargs)

    return twin


def blocking(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, R]:
    """The sync twin of an async function: the same coroutine on a loop of its own, so it works inside a running loop too.

    All twins share one background loop, because what an async client keeps open belongs to the loop it was opened in.
    """

    @wraps(function)
    def twin(*args: P.args, **kwargs: P.kwargs) -> R:
        if threading.current_thread() is _background.thread:
            # Waiting here for this very loop would never end.
            return _in_new_thread(function(*args, **kwargs))
        return _background.run(function(*args, **kwargs))

    return twin


def blocking_stream(function: Callable[P, AsyncIterator[R]]) -> Callable[P, Iterator[R]]:
    """The sync twin of an async generator function: the same items, made on the loop of `blocking`; closing it closes the source."""

    @wraps(function)
    def twin(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        own = threading.current_thread() is _background.thread
        background = _Background() if own else _background
        items = function(*args, **kwargs)

        async def step() -> tuple[R] | None:
            try:
                return (await anext(items),)
            except StopAsyncIteration:
                return None

        async def close() -> None:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

        try:
            while (item := background.run(step())) is not None:
                yield item[0]
        finally:
            background.run(close())
            if own:
                background.stop()

    return twin


class _Background:
    """An event loop in a daemon thread, started by the first call that needs it."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self.thread = threading.Thread(target=self._loop.run_forever, name="racto-async", daemon=True)
                self.thread.start()
            return self._loop

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """What the coroutine returns; interrupting the wait cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop())
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop and its thread."""
        loop, thread = self._loop, self.thread
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _in_new_thread(coroutine: Coroutine[Any, Any, R]) -> R:
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(asyncio.run(coroutine))
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that asked
            future.set_exception(error)

    thread = threading.Thread(target=run, name="racto-async-nested")
    thread.start()
    thread.join()
    return future.result()


_background = _Background()


def _forget() -> None:
    """A forked child has the loop but not its thread: it starts its own."""
    global _background
    _background = _Background()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
