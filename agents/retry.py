"""Trying again: one engine for everything that fails for a moment, and the breaker that leaves a failing endpoint alone."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ..knowledge.errors import InputError, RactoGatewayAPIError, RactoGatewayError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How often and how long to try again; times are in seconds.

    Before attempt n+1 the engine waits `initial_delay * multiplier ** (n - 1)`, at most `max_delay`, less a random part of it.

    :param max_attempts: Calls at one endpoint, the first included.
    :param jitter: The largest part of a wait that chance takes away, 0 to 1, so that many callers do not come back at once.
    :param max_retry_after: The longest wait a provider may ask for; when it asks for more the next endpoint is tried instead.
    :param attempt_timeout: For one attempt, and between two events of a stream; `None` leaves it to the provider.
    :param deadline: For the whole call, waits and fallbacks included; `None` for no end.
    :param breaker_threshold: Failures in a row after which an endpoint is left alone, for `breaker_cooldown`.
    """

    max_attempts: int = 4
    initial_delay: float = 0.5
    multiplier: float = 2.0
    max_delay: float = 20.0
    jitter: float = 0.5
    max_retry_after: float = 30.0
    attempt_timeout: float | None = 300.0  # a local model writes a long answer slowly
    deadline: float | None = 600.0
    breaker_threshold: int = 10
    breaker_cooldown: float = 30.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise InputError(f"max_attempts is {self.max_attempts}.", "Give 1 for a single attempt, or more.")
        if not 0 <= self.jitter <= 1:
            raise InputError(f"jitter is {self.jitter}.", "Give the part of a wait that may vary, from 0 to 1.")


class Failed(Protocol):
    """What the engine calls after every attempt that failed."""

    def __call__(self, error: RactoGatewayError, wait: float | None) -> None:
        """:param wait: Seconds until the next attempt; `None` when there is none."""
        ...


class Retrier:
    """The engine. Only transient errors are tried again.

    :param clock: Seconds that only go up; tests give their own, and their own `sleep`.
    :param chance: A number from 0 to 1.
    """

    def __init__(
        self,
        config: RetryConfig | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.config = config or RetryConfig()
        self.clock = clock
        self._sleep = sleep
        self._chance = chance

    def deadline(self) -> float:
        """When a call that begins now must have ended, on the engine's clock."""
        return math.inf if self.config.deadline is None else self.clock() + self.config.deadline

    def breaker(self) -> CircuitBreaker:
        """A new circuit breaker, for one endpoint."""
        return CircuitBreaker(self.config.breaker_threshold, self.config.breaker_cooldown, clock=self.clock)

    def timeout(self, until: float) -> float | None:
        """Seconds an attempt that begins now may take, so that `until` is kept; `None` for no limit."""
        left = max(0.001, until - self.clock())
        limit = left if self.config.attempt_timeout is None else min(left, self.config.attempt_timeout)
        return None if limit == math.inf else limit

    async def run(self, attempt: Callable[[], Awaitable[T]], *, until: float, failed: Failed) -> T:
        """The result of the first attempt that does not fail.

        :param attempt: Makes one attempt; called again for each.
        :param until: When to stop, from `deadline()`.
        :raises RactoGatewayError: the error of the last attempt.
        """
        for number in range(1, self.config.max_attempts + 1):
            try:
                return await attempt()
            except RactoGatewayError as error:
                wait = self._wait(number, error, until)
                failed(error, wait)
                if wait is None:
                    raise
            await self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, number: int, error: RactoGatewayError, until: float) -> float | None:
        config = self.config
        if not error.transient or number >= config.max_attempts:
            return None
        # The exponent is bounded, or the power overflows long before `max_delay` is compared with it.
        delay = min(config.max_delay, config.initial_delay * config.multiplier ** min(number - 1, 64))
        delay *= 1 - config.jitter * self._chance()
        asked = error.retry_after if isinstance(error, RactoGatewayAPIError) else None
        if asked is not None:
            if asked > config.max_retry_after:
                return None
            delay = max(delay, asked)
        return delay if self.clock() + delay < until else None


class CircuitBreaker:
    """Leaves an endpoint alone after too many failures in a row; after a while one call may see whether it is back.

    :param threshold: Failures in a row that open the circuit.
    :param cooldown: Seconds until a call is let through again.
    """

    def __init__(self, threshold: int, cooldown: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold = threshold
        self._cooldown = cooldown
        self._clock = clock
        self._failures = 0
        self._closed_at = -math.inf

    def waits(self) -> float:
        """Seconds until a call is let through; 0.0 lets this one through, and while the circuit is open only this one."""
        if self._failures < self._threshold:
            return 0.0
        now = self._clock()
        if now < self._closed_at:
            return self._closed_at - now
        # The probe: others wait another while, so a probe that is cancelled leaves nothing stuck.
        self._closed_at = now + self._cooldown
        return 0.0

    def succeeded(self) -> None:
        """It answered."""
        self._failures = 0

    def failed(self) -> None:
        """It did not answer, or could not."""
        self._failures += 1
        if self._failures >= self._threshold:
            self._closed_at = self._clock() + self._cooldown
