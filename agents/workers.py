"""Threads for functions that block.

`asyncio.to_thread` has too few of them (CPUs + 4, shared with name look-ups) and waits for each when the loop closes: a tool that hangs
would hang its neighbours and then the exit. These are daemons, and one whose caller has gone is replaced.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any


@dataclass(slots=True, eq=False)
class _Job:
    function: Callable[..., Any]
    args: tuple[Any, ...]
    named: dict[str, Any]
    context: Context
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[tuple[Any, BaseException | None]]
    running: bool = False
    abandoned: bool = False


class Workers:
    """A pool of daemon threads, made when they are needed.

    :param size: How many functions may block at once; more wait their turn. Those whose caller gave up do not count.
    """

    def __init__(self, size: int = 32) -> None:
        self._size = size
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._waiting = 0

    async def run(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call a function in a thread, with the context variables of the caller, and wait for what it returns.

        When the waiting is cancelled the function goes on, unless it has not begun, and nobody hears of it.
        """
        loop = asyncio.get_running_loop()
        job = _Job(function, args, named, copy_context(), loop, loop.create_future())
        with self._lock:
            self._waiting += 1
            grow = self._waiting > self._idle and self._threads < self._size
            self._threads += grow
        self._jobs.put(job)
        if grow:
            self._start_thread()
        try:
            result, error = await job.answer
        except asyncio.CancelledError:
            self._abandon(job)
            raise
        if error is not None:
            raise error
        return result

    def _start_thread(self) -> None:
        threading.Thread(target=self._work, name="racto-worker", daemon=True).start()

    def _abandon(self, job: _Job) -> None:
        with self._lock:
            job.abandoned = True
            self._threads -= job.running
            grow = job.running and self._waiting > self._idle
            self._threads += grow
        if grow:
            self._start_thread()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
                self._waiting -= 1
                if job.abandoned:
                    continue
                job.running = True
            result, error = None, None
            try:
                result = job.context.run(job.function, *job.args, **job.named)
            except BaseException as raised:  # noqa: BLE001  # it belongs to the caller, who is told below
                error = raised
            with self._lock:
                job.running = False
                if job.abandoned:
                    return  # this thread was replaced when its caller gave up
            _deliver(job, result, error)
            del job, result, error


def _deliver(job: _Job, result: Any, error: BaseException | None) -> None:
    def answer() -> None:
        if not job.answer.done():
            job.answer.set_result((result, error))

    try:
        job.loop.call_soon_threadsafe(answer)
    except RuntimeError:
        return  # the loop is closed: nobody is waiting
