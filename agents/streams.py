"""A stream with a bounded buffer between who makes it and who reads it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")

STREAM_BUFFER = 64
"""Chunks that may wait to be read; then the provider waits."""


async def buffered(source: AsyncIterator[T], size: int = STREAM_BUFFER) -> AsyncGenerator[T, None]:
    """The items of `source`, read ahead by one task: at most `size` wait, then the source waits too.

    The source runs in that one task from its first item to its end, wherever the reader is, and is closed when this is closed. An error
    of it comes after the items before it.
    """
    items: deque[T] = deque()
    wake_reader, wake_source = asyncio.Event(), asyncio.Event()
    ended = False

    async def fill() -> None:
        nonlocal ended
        try:
            async for item in source:
                items.append(item)
                wake_reader.set()
                while len(items) >= size:
                    wake_source.clear()
                    await wake_source.wait()
        finally:
            if isinstance(source, AsyncGenerator):
                await source.aclose()
            ended = True
            wake_reader.set()

    task = asyncio.create_task(fill())
    try:
        while True:
            while items:
                item = items.popleft()
                wake_source.set()
                yield item
            if ended:
                await task
                return
            wake_reader.clear()
            await wake_reader.wait()
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # it was raised above, or the reader left before it
