"""How a server ends: on a signal, with the process that started it, and in spite of a tool that does not."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

PARENT_CHECK_SECONDS = 1.0
THREAD_PATIENCE_SECONDS = 1.0


@contextmanager
def ending(stop: Callable[[], None]) -> Generator[None]:
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
    """`asyncio.run` that no tool stuck in a thread can hold up: the process must not stay, as an orphan, after its client has left.

    The closing loop and, at exit, Python wait for threads for ever. Here those that were started meanwhile are given
    `THREAD_PATIENCE_SECONDS`; then the process ends. Outside the main thread the process is somebody else's, and nothing is ended.
    """
    if threading.current_thread() is not threading.main_thread():
        asyncio.run(main)
        return
    before = set(threading.enumerate())

    def awaited() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in before and not thread.daemon]

    def end_process() -> None:
        names = ", ".join(thread.name for thread in awaited())
        logger.warning("ending though threads are still at work: %s", names)
        logging.shutdown()
        os._exit(0)

    overdue = threading.Timer(THREAD_PATIENCE_SECONDS, end_process)
    overdue.daemon = True

    async def serve() -> None:
        try:
            await main
        finally:
            overdue.start()

    try:
        asyncio.run(serve())
        for thread in awaited():
            thread.join()
    finally:
        overdue.cancel()
