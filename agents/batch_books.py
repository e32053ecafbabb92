"""What the answers of a batch cost, and their place in the books."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ..knowledge.errors import BatchError, StorageError
from ..knowledge.vocabulary import BatchResult

if TYPE_CHECKING:
    from ..knowledge.keyvalue import KeyValue
    from .budget import Budget

log = logging.getLogger(__name__)

TASK = "batch"
"""The task under which usage reports show batches."""


async def price(provider: str, results: Sequence[BatchResult]) -> None:
    """Put its cost, at the price of batches, into every answer; `None` where that is not known."""
    await asyncio.to_thread(_price, provider, results)  # the first price takes a third of a second


def _price(provider: str, results: Sequence[BatchResult]) -> None:
    from . import prices

    for response in filter(None, (result.response for result in results)):
        response.cost = prices.cost(provider, response.model, response.usage, context={"processing": "batch"})


class Books:
    """Writes the results of a job down once, however often they are collected.

    :param budget: Whose ledger.
    :param store: Where it is noted which jobs are written down; without it only this object knows.
    :param seconds: How long that is noted.
    """

    def __init__(self, budget: Budget, store: KeyValue | None, seconds: float) -> None:
        self._budget = budget
        self._store = store
        self._seconds = seconds
        self._known: set[str] = set()

    async def write(self, provider: str, model: str, job_id: str, results: Sequence[BatchResult]) -> None:
        """Every result as one call. They are paid for, so books that cannot be written do not keep them from who asked."""
        from ..knowledge.ledger import Usage

        key = f"batch-booked:{provider}:{job_id}"
        try:
            if key in self._known or (self._store is not None and await self._store.get(key) is not None):
                return
            lines = []
            for result in results:
                if (answer := result.response) is not None:
                    line = Usage(provider, answer.model or model, task=TASK, tokens=answer.usage, cost=answer.cost)
                else:
                    line = Usage(provider, model, task=TASK, cost=Decimal(0), outcome=BatchError.code)
                lines.append(line)
            await self._budget.record(*lines)
            self._known.add(key)
            if self._store is not None:
                await self._store.put(key, b"1", ttl=self._seconds)
        except StorageError as error:
            log.warning("The job %s is missing in the books: %s", job_id, error)
