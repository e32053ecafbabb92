"""Waiting for a database without keeping anybody else waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ...agents.workers import Workers

T = TypeVar("T")

_THREADS = Workers(128)


async def aside(work: Callable[[], T]) -> T:
    """What blocking work gives, in a thread. Those of `asyncio.to_thread` are few: a handful of slow queries would keep every other tool waiting."""
    given: T = await _THREADS.run(work)
    return given


async def cancellable(work: Callable[[], T], cancel: Callable[[], None]) -> T:
    """As `aside`; when whoever waits is cancelled, `cancel` is called until the work is done."""
    thread = asyncio.ensure_future(aside(work))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        while not thread.done():
            cancel()  # more than once: it may not have begun yet
            await asyncio.wait([thread], timeout=0.05)
        thread.exception()
        raise
