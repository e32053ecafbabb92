"""What turns text into vectors, and what reads passages again, as this room sees it; those that ask a model live in `agents/`."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol


class BaseEmbedder(ABC):
    """Turns texts into vectors of one length.

    A subclass writes `embed`; one that waits rather than computes writes `aembed` and takes `embed = blocking(aembed)`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What vectors are labelled with, as `provider/model`: vectors of different names are never compared."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector; -1 until it is known."""
        return -1

    @property
    def ready(self) -> bool:
        """Whether it can answer at once: a model of this process cannot before its first call has loaded it."""
        return True

    @property
    def trust(self) -> float:
        """How much its vectors count beside words, 0 to 1; a half is what language models have earned."""
        return 0.5

    def refresh(self) -> bool:
        """Bring itself up to date before chunks are embedded, when it learns from them. It may block.

        :returns: Whether vectors it made before mean something else now, so that all must be made again.
        """
        return False

    @abstractmethod
    def embed(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text, in their order.

        :raises RactoGatewayError: the model failed.
        """

    async def aembed(self, texts: list[str]) -> list[list[float]]:
        """The same, without blocking the event loop."""
        return await asyncio.to_thread(self.embed, texts)

    async def aembed_query(self, text: str) -> list[float]:
        """The vector of a question. Models that tell questions from documents override it."""
        return (await self.aembed([text]))[0]


class Reranker(Protocol):
    """Says how well passages answer a question, by reading both together."""

    async def arerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score for each text, in their order; higher is better, and only comparable within one call.

        :raises RactoGatewayError: the model failed.
        """
        ...
