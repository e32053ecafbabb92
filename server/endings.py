"""How a server ends: on a signal, with the process that started it, and in spite of a tool that does not."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

PARENT_CHECK_SECONDS = 1.0
THREAD_PATIENCE_SECONDS = 1.0


@contextmanager
def ending(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` in the running loop on SIGINT, on SIGTERM and when the parent process is gone.

    A second signal ends the process as it would without us. Signals reach the main thread only; elsewhere they are left alone.
    """
    loop = asyncio.get_running_loop()
    handled = _signals() if threading.current_thread() is threading.main_thread() else ()

    def forget() -> None:
        for number in handled:
            loop.remove_signal_handler(number)

    def on_signal() -> None:
        forget()
        stop()

    for number in handled:
        loop.add_signal_handler(number, on_signal)
    watch = loop.create_task(_watch_parent(stop))
    try:
        yield
    finally:
        watch.cancel()
        forget()


def _signals() -> tuple[signal.Signals, ...]:
    return () if sys.platform == "win32" else (signal.SIGINT, signal.SIGTERM)


async def _watch_parent(stop: Callable[[], None]) -> None:
    # A signal on the parent's death (prctl) would be sent when the *thread* that started us ends, which hosts do every day.
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(PARENT_CHECK_SECONDS)
    logger.info("the parent process is gone")
    stop()


def run_to_the_end(main: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run` for a process that only serves: a tool stuck in a thread cannot keep it, as an orphan, after its client has left.

    Both the closing loop and Python itself wait for threads, for ever. Here they are given `THREAD_PATIENCE_SECONDS`; then the process
    ends.
    """
    overdue = threading.Timer(THREAD_PATIENCE_SECONDS, _end_process)
    overdue.daemon = True

    async def serve() -> None:
        try:
            await main
        finally:
            overdue.start()

    asyncio.run(serve())
    for thread in _awaited_threads():
        thread.join()
    overdue.cancel()


def _awaited_threads() -> list[threading.Thread]:
    return [
        thread for thread in threading.enumerate() if thread is not threading.current_thread() and not thread.daemon
    ]


def _end_process() -> None:
    names = ", ".join(thread.name for thread in _awaited_threads() if thread is not threading.main_thread())
    logger.warning("ending though threads are still at work: %s", names)
    logging.shutdown()
    os._exit(0)
