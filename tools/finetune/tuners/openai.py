"""OpenAI's fine-tuning jobs, by its SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ....agents.providers.exchange import Key, Response
from ....agents.providers.openai import OpenAIProvider
from ....knowledge.edge import blocking
from .line import told
from .tuner import FineTuner, Method, Order, RemoteJob, Sleep, State

if TYPE_CHECKING:
    from ..dataset import RactoDataset

MODEL = "gpt-4o-mini-2024-07-18"
_MARK = "racto"
_KIND = {"sft": "supervised", "dpo": "dpo"}
_PAGE = 100


class _Line(OpenAIProvider):
    """The provider's own line, for files and jobs."""

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON object there."""
        return await self._told(self._get(path))

    async def post(self, path: str, body: dict[str, Any], model: str = "") -> dict[str, Any]:
        """The answer to a JSON body."""
        return await self._told(self._post(path, body), model)

    async def upload(self, path: Path, name: str) -> dict[str, Any]:
        """A file to train with."""
        with await asyncio.to_thread(path.open, "rb") as file:
            return await self._told(self._sent(name, file))

    async def _told(self, sent: Awaitable[Response], model: str = "") -> dict[str, Any]:
        with self._exchange.guarded(model):
            response = await sent
            try:
                return told(await response.aread(), self.name)
            finally:
                await response.aclose()

    async def _sent(self, name: str, file: Any) -> Response:
        client = await self._clients.get()
        import httpx2

        return await client.post(
            "/files",
            cast_to=httpx2.Response,
            body={"purpose": "fine-tune"},
            files=[("file", (name, file, "application/jsonl"))],
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )


class OpenAIFineTuner(FineTuner):
    """Fine-tuning at OpenAI.

    :param api_key: `None` reads `OPENAI_API_KEY`.
    :param base_url: Another endpoint; `None` reads `OPENAI_BASE_URL`, or is OpenAI itself.
    :param progress: As in `FineTuner`; `sleep` too.
    """

    provider = "openai"
    formats: ClassVar = {"sft": "openai", "dpo": "openai_dpo"}
    parameters: ClassVar = {name: name for name in ("n_epochs", "batch_size", "learning_rate_multiplier", "beta")}
    states: ClassVar[dict[str, State]] = {
        "validating_files": "queued",
        "queued": "queued",
        "paused": "running",
        "running": "running",
        "succeeded": "succeeded",
        "failed": "failed",
        "cancelled": "cancelled",
    }
    default_model = MODEL

    def __init__(
        self,
        api_key: Key = None,
        *,
        base_url: str | None = None,
        progress: Callable[[str], None] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(progress=progress, sleep=sleep)
        self._line = _Line(api_key, base_url)
        self.lines = (self._line,)

    async def acreate_job(
        self,
        training_file: str,
        model: str = MODEL,
        *,
        validation_file: str | None = None,
        n_epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate_multiplier: float | str = "auto",
        suffix: str | None = None,
        method: Method = "sft",
    ) -> str:
        """Begin a job.

        :param training_file: What `upload_dataset` returned; `validation_file` too.
        :param suffix: A label in the name of the tuned model.
        :returns: Its id.
        """
        settings = _settings(n_epochs, batch_size, learning_rate_multiplier)
        order = Order(model, training_file, validation_file, method, settings, suffix)
        return (await self.begun(order)).id

    async def await_for_completion(self, job_id: str, *, poll_interval: float = 30, verbose: bool = True) -> str:
        """As `FineTuner.waited`."""
        return await self.waited(job_id, poll_interval, verbose)

    async def arun_pipeline(
        self,
        dataset: RactoDataset,
        model: str = MODEL,
        *,
        validation_dataset: RactoDataset | None = None,
        n_epochs: int | str = "auto",
        batch_size: int | str = "auto",
        learning_rate_multiplier: float | str = "auto",
        suffix: str | None = None,
        poll_interval: float = 30,
        verbose: bool = True,
        method: Method = "sft",
    ) -> str:
        """As `FineTuner.piped`."""
        settings = _settings(n_epochs, batch_size, learning_rate_multiplier)
        order = Order(model, method=method, settings=settings, suffix=suffix)
        return await self.piped(dataset, validation_dataset, order, poll_interval, verbose)

    create_job = blocking(acreate_job)
    wait_for_completion = blocking(await_for_completion)
    run_pipeline = blocking(arun_pipeline)

    async def store(self, path: Path, name: str, examples: int) -> str:
        """The file's id."""
        return str((await self._line.upload(path, f"{name}.jsonl"))["id"])

    async def begin(self, order: Order) -> RemoteJob:
        """Create a job; its mark stands in its metadata."""
        kind = _KIND[order.method]
        body: dict[str, Any] = {
            "model": order.model,
            "training_file": order.training,
            "method": {"type": kind, kind: {"hyperparameters": self.hyperparameters(order)}},
        }
        if order.validation:
            body["validation_file"] = order.validation
        if order.suffix:
            body["suffix"] = order.suffix
        if order.mark:
            body["metadata"] = {_MARK: order.mark}
        return self._read(await self._line.post("/fine_tuning/jobs", body, order.model))

    async def job(self, job_id: str) -> RemoteJob:
        """How far a job is."""
        return self._read(await self._line.get(f"/fine_tuning/jobs/{job_id}"))

    async def jobs(self, limit: int) -> list[RemoteJob]:
        """The newest jobs."""
        page = await self._line.get(f"/fine_tuning/jobs?limit={limit}")
        return [self._read(data) for data in page["data"]][:limit]

    async def find(self, mark: str) -> RemoteJob | None:
        """The job with this mark in its metadata."""
        page = await self._line.get(f"/fine_tuning/jobs?limit={_PAGE}&metadata[{_MARK}]={mark}")
        marked = [data for data in page["data"] if (data.get("metadata") or {}).get(_MARK) == mark]
        return self._read(marked[0]) if marked else None

    async def events(self, job: RemoteJob, limit: int) -> list[dict[str, Any]]:
        """OpenAI's own events."""
        page = await self._line.get(f"/fine_tuning/jobs/{job.id}/events?limit={limit}")
        return [{name: event.get(name) for name in ("created_at", "level", "message")} for event in page["data"]]

    async def stop(self, job_id: str) -> None:
        """Cancelled at once."""
        await self._line.post(f"/fine_tuning/jobs/{job_id}/cancel", {})

    def _read(self, data: dict[str, Any]) -> RemoteJob:
        return RemoteJob(
            id=str(data["id"]),
            provider=self.provider,
            state=self.states.get(data["status"], "unknown"),
            status=data["status"],
            model=data.get("model") or "",
            fine_tuned_model=data.get("fine_tuned_model"),
            error=(data.get("error") or {}).get("message"),
            created_at=data.get("created_at"),
            raw=data,
        )


def _settings(n_epochs: int | str, batch_size: int | str, learning_rate_multiplier: float | str) -> dict[str, Any]:
    return {"n_epochs": n_epochs, "batch_size": batch_size, "learning_rate_multiplier": learning_rate_multiplier}
