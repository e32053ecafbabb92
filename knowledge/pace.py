"""How fast long work goes, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable

ENOUGH = 1.0
"""Seconds after which a rate means something."""


class Pace:
    """Watches one piece of work from its beginning.

    :param clock: Seconds, growing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()

    def told(self, done: float, total: float | None = None) -> str:
        """`12 a second, 40 s left`; empty as long as it is too early to say."""
        passed = self._clock() - self._begun
        if passed < ENOUGH or done <= 0:
            return ""
        rate = done / passed
        text = f"{rate:.0f} a second" if rate >= 1 else f"{rate * 60:.0f} a minute"
        if not total or done >= total:
            return text
        left = (total - done) / rate
        return f"{text}, {f'{left:.0f} s' if left < 90 else f'{left / 60:.0f} min'} left"
