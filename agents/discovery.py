"""What providers turned out not to take: learned from their refusals, so that the same one is not asked for twice."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Policy = Literal["warn", "error", "ignore"]
"""What to do with a parameter a model does not take: `warn` drops it and says so, `ignore` drops it, `error` refuses the call."""


@dataclass(frozen=True, slots=True)
class DiscoveryConfig:
    """How much is remembered.

    :param max_entries: Refusals; the one not met for longest goes first.
    :param ttl_seconds: How long one is believed: models learn new parameters.
    """

    max_entries: int = 1_000
    ttl_seconds: float = 24 * 60 * 60.0


DISCOVERY = DiscoveryConfig()


@dataclass(frozen=True, slots=True)
class DiscoveryRecord:
    """One refusal.

    :param timestamp: When it was last met, in seconds since 1970.
    :param reason: The provider's words.
    """

    provider: str
    model: str
    parameter: str
    timestamp: float
    reason: str = ""


class ParameterDiscoveryCache:
    """Refusals by provider, model and parameter. Safe from any thread."""

    def __init__(self, config: DiscoveryConfig | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._config = config or DiscoveryConfig()
        self._clock = clock
        self._records: OrderedDict[tuple[str, str, str], DiscoveryRecord] = OrderedDict()
        self._lock = threading.Lock()

    def record(self, provider: str, model: str, parameter: str, reason: str = "") -> None:
        """Remember a refusal."""
        key = (provider, model, parameter)
        with self._lock:
            self._records[key] = DiscoveryRecord(*key, self._clock(), reason)
            self._records.move_to_end(key)
            while len(self._records) > self._config.max_entries:
                self._records.popitem(last=False)

    def find(self, provider: str, model: str, parameter: str) -> DiscoveryRecord | None:
        """The refusal, if there was one lately."""
        key = (provider, model, parameter)
        with self._lock:
            record = self._records.get(key)
            if record is not None and self._clock() - record.timestamp >= self._config.ttl_seconds:
                del self._records[key]
                return None
            return record

    def __len__(self) -> int:
        return len(self._records)
