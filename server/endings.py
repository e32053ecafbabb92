"""How a server ends: on a signal, with the process that started it, and in spite of a tool that does not."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

PARENT_CHECK_SECONDS = 1.0


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


def end_stuck_process(patience: float = 1.0) -> None:
    """End the process when threads that Python would wait for are still running: a tool that does not return must leave no orphan.

    :param patience: How long they are waited for, in seconds.
    """
    deadline = time.monotonic() + patience
    stuck = [thread for thread in threading.enumerate() if thread is not threading.main_thread() and not thread.daemon]
    for thread in stuck:
        thread.join(max(0.0, deadline - time.monotonic()))
    stuck = [thread for thread in stuck if thread.is_alive()]
    if not stuck:
        return
    logger.warning("ending with %d thread(s) still at work: %s", len(stuck), ", ".join(thread.name for thread in stuck))
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)
