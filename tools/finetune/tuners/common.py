"""The methods of a tuner whose provider takes files and hyperparameters, under the names they have in `AnthropicFineTuner`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....knowledge.edge import blocking
from .tuner import FineTuner, Method, Order

if TYPE_CHECKING:
    from ..dataset import RactoDataset


class CommonFineTuner(FineTuner):
    """Create a job of files, wait for one, or do all at once."""

    async def acreate_job(
        self,
        training_file: str,
        model: str = "",
        *,
        validation_file: str | None = None,
        suffix: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        method: Method = "sft",
    ) -> str:
        """Begin a job.

        :param training_file: What `upload_dataset` returned; `validation_file` too.
        :param suffix: A label in the name of the tuned model.
        :param hyperparameters: Under the names of `parameters`.
        :returns: Its id.
        :raises ConfigError: the provider takes no such job.
        """
        settings = hyperparameters or {}
        order = Order(model or self.default_model, training_file, validation_file, method, settings, suffix)
        return (await self.begun(order)).id

    async def await_for_completion(self, job_id: str, *, poll_interval: float = 60, verbose: bool = True) -> str:
        """As `FineTuner.waited`."""
        return await self.waited(job_id, poll_interval, verbose)

    async def arun_pipeline(
        self,
        dataset: RactoDataset,
        model: str = "",
        *,
        validation_dataset: RactoDataset | None = None,
        suffix: str | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
        poll_interval: float = 60,
        verbose: bool = True,
        method: Method = "sft",
    ) -> str:
        """As `FineTuner.piped`."""
        settings = hyperparameters or {}
        order = Order(model or self.default_model, method=method, settings=settings, suffix=suffix)
        return await self.piped(dataset, validation_dataset, order, poll_interval, verbose)

    create_job = blocking(acreate_job)
    wait_for_completion = blocking(await_for_completion)
    run_pipeline = blocking(arun_pipeline)
