"""A model that already runs on this machine, for who has set none up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .routing import Endpoint

if TYPE_CHECKING:
    from .providers.ollama import OllamaProvider

PATIENCE = 0.5
"""Seconds that looking may take: nobody who has no Ollama is kept waiting."""
REMEMBERED = 60.0
"""Seconds that what was found is used before it is looked for again."""
FORGOTTEN = 5.0
"""Seconds that nothing is looked for after nothing was found: who starts Ollama is answered by the next call."""


@dataclass(frozen=True, slots=True)
class Running:
    """A model that was found.

    :param why: In words for the person who gets its answer.
    """

    endpoint: Endpoint
    why: str


class RunningModel:
    """The model of a local Ollama, looked for when a call needs one and not before.

    :param provider: Ollama; one on another net is not asked.
    :param clock: Seconds that only go up.
    """

    def __init__(self, provider: OllamaProvider, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._clock = clock
        self._found: Running | None = None
        self._until = float("-inf")

    async def find(self) -> Running | None:
        """The model, if one is there: what was found lately, or else what is found within `PATIENCE` seconds."""
        if self._clock() >= self._until:
            self._found = await self._look() if self._provider.local else None
            self._until = self._clock() + (REMEMBERED if self._found else FORGOTTEN)
        return self._found

    async def _look(self) -> Running | None:
        usual = await self._provider.usual(PATIENCE)
        if usual is None:
            return None
        name, loaded = usual
        endpoint = Endpoint(self._provider, name)
        state = "is in its memory" if loaded else "is the newest there"
        return Running(
            endpoint,
            f"No model is set up: {endpoint} answers, since Ollama runs on this machine and this model {state}.",
        )
