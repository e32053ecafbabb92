"""Many texts, a few at a time, their answers in the order of the texts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def in_order(
    items: Sequence[A],
    work: Callable[[A], Awaitable[B]],
    most: int,
    progress: Callable[[int, int], object] | None = None,
) -> list[B]:
    """What `work` gives for each item. The first error ends all of it, and is raised.

    :param most: How many are worked on at the same time.
    :param progress: Told after each item how many are done, and how many there are.
    """
    found: dict[int, B] = {}
    waiting = iter(enumerate(items))

    async def take() -> None:
        for place, item in waiting:
            found[place] = await work(item)
            if progress is not None:
                progress(len(found), len(items))

    workers = [asyncio.ensure_future(take()) for _ in range(min(most, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [found[place] for place in range(len(items))]
