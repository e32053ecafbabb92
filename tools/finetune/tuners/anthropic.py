"""Anthropic: its API has no fine-tuning, and this says so before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ....agents.providers.exchange import Key
from ....knowledge.edge import blocking
from ....knowledge.errors import ConfigError
from .. import capabilities
from .tuner import FineTuner, Method, Order, RemoteJob, Sleep

if TYPE_CHECKING:
    from ..dataset import RactoDataset

MODEL = "claude-3-haiku-20240307"


class AnthropicFineTuner(FineTuner):
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

    async def acreate_job(
        self,
        training_file: str,
        model: str = MODEL,
        *,
        validation_file: str | None = None,
        suffix: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        method: Method = "sft",
    ) -> str:
        """Refuse."""
        self.allow(method, model)

    async def arun_pipeline(
        self,
        dataset: RactoDataset,
        model: str = MODEL,
        *,
        validation_dataset: RactoDataset | None = None,
        suffix: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        poll_interval: float = 60,
        verbose: bool = True,
        method: Method = "sft",
    ) -> str:
        """Refuse."""
        self.allow(method, model)

    create_job = blocking(acreate_job)
    run_pipeline = blocking(arun_pipeline)
