"""The retry engine and the circuit breaker, on a clock of the test's own: nothing here waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.retry import CircuitBreaker, Retrier, RetryConfig
from racto.knowledge.errors import (
    ConnectionLostError,
    InputError,
    OverloadedError,
    RactoGatewayAPIError,
    RactoGatewayAuthError,
    RactoGatewayError,
    RateLimitedError,
)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Endpoint:
    """Fails with each error in turn, then answers."""

    def __init__(self, clock: Clock, *errors: Exception, takes: float = 0.0) -> None:
        self.calls = 0
        self._clock = clock
        self._errors = list(errors)
        self._takes = takes

    async def __call__(self) -> str:
        self.calls += 1
        self._clock.now += self._takes
        if self._errors:
            raise self._errors.pop(0)
        return "answer"


def run(config: RetryConfig, clock: Clock, endpoint: Endpoint, chance: Callable[[], float] = lambda: 0.0) -> Any:
    retrier = Retrier(config, clock=clock, sleep=clock.sleep, chance=chance)
    seen: list[tuple[RactoGatewayError, float | None]] = []
    result = asyncio.run(
        retrier.run(endpoint, until=retrier.deadline(), failed=lambda error, wait: seen.append((error, wait)))
    )
    assert [wait for _, wait in seen] == clock.slept
    return result


def lost() -> ConnectionLostError:
    return ConnectionLostError("gone")


def test_a_transient_failure_is_tried_again_with_growing_waits() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, lost(), lost(), lost())
    assert run(RetryConfig(initial_delay=0.5, multiplier=3.0), clock, endpoint) == "answer"
    assert clock.slept == [0.5, 1.5, 4.5]


def test_a_wait_is_never_longer_than_the_longest() -> None:
    clock = Clock()
    run(RetryConfig(max_attempts=6, max_delay=2.0), clock, Endpoint(clock, *(lost() for _ in range(5))))
    assert clock.slept == [0.5, 1.0, 2.0, 2.0, 2.0]


def test_chance_takes_at_most_its_part_of_a_wait() -> None:
    clock = Clock()
    run(RetryConfig(jitter=0.4), clock, Endpoint(clock, lost()), chance=lambda: 1.0)
    assert clock.slept == [pytest.approx(0.3)]


@pytest.mark.parametrize(
    "error", [RactoGatewayAuthError("no", status_code=401), RactoGatewayAPIError("bad", status_code=400)]
)
def test_a_permanent_error_is_never_tried_again(error: RactoGatewayError) -> None:
    clock = Clock()
    endpoint = Endpoint(clock, error)
    with pytest.raises(type(error)):
        asyncio.run(
            Retrier(clock=clock, sleep=clock.sleep).run(endpoint, until=math.inf, failed=lambda error, wait: None)
        )
    assert endpoint.calls == 1


def test_an_error_that_is_not_a_providers_passes_untouched() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        run(RetryConfig(), clock, endpoint)
    assert endpoint.calls == 1


def test_the_last_error_is_raised_when_attempts_are_used_up() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, lost(), lost(), OverloadedError("full"))
    with pytest.raises(OverloadedError):
        asyncio.run(
            Retrier(RetryConfig(max_attempts=3), clock=clock, sleep=clock.sleep).run(
                endpoint, until=math.inf, failed=lambda error, wait: None
            )
        )
    assert endpoint.calls == 3


def test_the_wait_a_provider_asks_for_is_kept() -> None:
    clock = Clock()
    run(RetryConfig(), clock, Endpoint(clock, RateLimitedError("slow", retry_after=7.0)))
    assert clock.slept == [7.0]


def test_a_wait_longer_than_allowed_is_not_waited_for() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, RateLimitedError("slow", retry_after=3600.0))
    with pytest.raises(RateLimitedError) as caught:
        asyncio.run(
            Retrier(clock=clock, sleep=clock.sleep).run(endpoint, until=math.inf, failed=lambda error, wait: None)
        )
    assert caught.value.retry_after == 3600.0
    assert clock.slept == []


def test_nothing_is_tried_after_the_deadline() -> None:
    clock = Clock()
    endpoint = Endpoint(clock, *(lost() for _ in range(50)), takes=30.0)
    retrier = Retrier(RetryConfig(max_attempts=50, deadline=100.0), clock=clock, sleep=clock.sleep, chance=lambda: 0.0)
    with pytest.raises(ConnectionLostError):
        asyncio.run(retrier.run(endpoint, until=retrier.deadline(), failed=lambda error, wait: None))
    assert endpoint.calls == 4
    assert sum(clock.slept) < 100.0


def test_an_attempt_gets_what_is_left_of_the_deadline_and_no_more_than_its_own_limit() -> None:
    clock = Clock()
    retrier = Retrier(RetryConfig(attempt_timeout=20.0, deadline=30.0), clock=clock)
    until = retrier.deadline()
    assert retrier.timeout(until) == 20.0
    clock.now += 25.0
    assert retrier.timeout(until) == 5.0
    assert Retrier(RetryConfig(attempt_timeout=None, deadline=None), clock=clock).timeout(math.inf) is None


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"jitter": 1.5}, {"jitter": -0.1}])
def test_a_config_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        RetryConfig(**wrong)


@given(
    attempts=st.integers(1, 40),
    initial=st.floats(0, 1e6),
    multiplier=st.floats(0, 1e6),
    longest=st.floats(0, 60),
    jitter=st.floats(0, 1),
    chance=st.floats(0, 1),
)
def test_every_wait_is_between_zero_and_the_longest(
    attempts: int, initial: float, multiplier: float, longest: float, jitter: float, chance: float
) -> None:
    clock = Clock()
    endpoint = Endpoint(clock, *(lost() for _ in range(attempts - 1)))
    config = RetryConfig(attempts, initial, multiplier, longest, jitter, deadline=None)
    assert run(config, clock, endpoint, lambda: chance) == "answer"
    assert len(clock.slept) == attempts - 1
    assert all(0 <= wait <= longest for wait in clock.slept)


def test_a_breaker_lets_calls_through_until_too_many_fail_in_a_row() -> None:
    clock = Clock()
    breaker = CircuitBreaker(threshold=3, cooldown=30.0, clock=clock)
    for _ in range(2):
        breaker.failed()
    breaker.succeeded()
    for _ in range(2):
        breaker.failed()
    assert breaker.waits() == 0.0
    breaker.failed()
    assert breaker.waits() == 30.0
    clock.now += 12.0
    assert breaker.waits() == 18.0


def test_after_the_cooldown_one_call_may_look_and_the_others_wait() -> None:
    clock = Clock()
    breaker = CircuitBreaker(threshold=1, cooldown=30.0, clock=clock)
    breaker.failed()
    clock.now += 30.0
    assert breaker.waits() == 0.0
    assert breaker.waits() == 30.0
    breaker.succeeded()
    assert breaker.waits() == 0.0
    assert breaker.waits() == 0.0


def test_a_failed_look_closes_the_way_again() -> None:
    clock = Clock()
    breaker = CircuitBreaker(threshold=2, cooldown=30.0, clock=clock)
    breaker.failed()
    breaker.failed()
    clock.now += 31.0
    assert breaker.waits() == 0.0
    breaker.failed()
    assert breaker.waits() == 30.0
