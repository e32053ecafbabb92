"""Anthropic: its API has no fine-tuning, and this says so before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar, NoReturn

from ....agents.providers.exchange import Key
from ....knowledge.errors import ConfigError
from .. import capabilities
from .common import CommonFineTuner
from .tuner import Method, Order, RemoteJob, Sleep

MODEL = "claude-3-haiku-20240307"


class AnthropicFineTuner(CommonFineTuner):
    """Every method raises `ConfigError` with what to use instead; none of them sends anything.

    :param api_key: Taken as the specification names it, never used.
    :param progress: As in `FineTuner`; `sleep` too.
    """

    provider = "anthropic"
    formats: ClassVar = {"sft": "anthropic", "dpo": "anthropic"}
    parameters: ClassVar = {"n_epochs": "n_epochs"}
    states: ClassVar = {}
    default_model = MODEL

    def __init__(
        self,
        api_key: Key = None,
        *,
        progress: Callable[[str], None] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(progress=progress, sleep=sleep)

    def allow(self, method: Method = "sft", model: str = "") -> NoReturn:
        """Never allowed.

        :raises ConfigError: with what to use instead.
        """
        capabilities.check(self.provider, method, model or MODEL, self.today())
        raise ConfigError(
            "Anthropic's API has no fine-tuning.", "Tune a Nova model on Amazon Bedrock, or use a prompt with examples."
        )

    async def begin(self, order: Order) -> RemoteJob:
        """Refuse."""
        self.allow(order.method, order.model)

    async def job(self, job_id: str) -> RemoteJob:
        """Refuse."""
        self.allow()

    async def jobs(self, limit: int) -> list[RemoteJob]:
        """Refuse."""
        self.allow()

    async def find(self, mark: str) -> RemoteJob | None:
        """Refuse."""
        self.allow()

    async def stop(self, job_id: str) -> None:
        """Refuse."""
        self.allow()
