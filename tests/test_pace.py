"""How fast long work goes, as whoever waits is told."""

from __future__ import annotations

import pytest
from racto.knowledge.pace import Pace


@pytest.mark.parametrize(
    ("passed", "done", "total", "text"),
    [
        (0.5, 5, 10, ""),
        (10, 0, 10, ""),
        (10, 50, 100, "5 a second, 10 s left"),
        (10, 100, 100, "10 a second"),
        (10, 50, None, "5 a second"),
        (60, 6, 60, "6 a minute, 9 min left"),
    ],
)
def test_the_rate_and_the_time_left_are_told_when_they_mean_something(
    passed: float, done: float, total: float | None, text: str
) -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    now[0] += passed
    assert pace.told(done, total) == text
