"""Together AI's fine-tunes, over its HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ....agents.providers.exchange import Key
from ....agents.providers.wire import Dialect
from .common import CommonFineTuner
from .line import Line
from .tuner import Order, RemoteJob, Sleep, State

URL = "https://api.together.xyz/v1"
_LONGEST_SUFFIX = 64


class TogetherFineTuner(CommonFineTuner):
    """Fine-tuning at Together.

    :param api_key: `None` reads `TOGETHER_API_KEY`.
    :param base_url: Another endpoint, up to and including `/v1`.
    :param progress: As in `FineTuner`; `sleep` too.
    """

    provider = "together"
    formats: ClassVar = {"sft": "together", "dpo": "together"}
    parameters: ClassVar = {
        "n_epochs": "n_epochs",
        "batch_size": "batch_size",
        "learning_rate": "learning_rate",
        "beta": "dpo_beta",
    }
    states: ClassVar[dict[str, State]] = {
        "pending": "queued",
        "queued": "queued",
        "running": "running",
        "compressing": "running",
        "uploading": "running",
        "cancel_requested": "running",
        "completed": "succeeded",
        "error": "failed",
        "user_error": "failed",
        "cancelled": "cancelled",
    }

    def __init__(
        self,
        api_key: Key = None,
        *,
        base_url: str | None = None,
        progress: Callable[[str], None] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(progress=progress, sleep=sleep)
        self._line = Line(self.provider, Dialect(), base_url or URL, api_key, "TOGETHER_API_KEY")
        self.lines = (self._line,)

    async def store(self, path: Path, name: str, examples: int) -> str:
        """The file's id."""
        form = {"purpose": "fine-tune", "file_name": f"{name}.jsonl", "file_type": "jsonl"}
        with await asyncio.to_thread(path.open, "rb") as file:
            sent = {"file": (form["file_name"], file, "application/jsonl")}
            return str((await self._line.call("POST", "/files/upload", data=form, files=sent))["id"])

    async def begin(self, order: Order) -> RemoteJob:
        """Create a job; its mark stands in the name of its model, the one thing Together keeps of ours."""
        told = self.hyperparameters(order)
        method = {"method": order.method}
        if order.method == "dpo" and "dpo_beta" in told:
            method["dpo_beta"] = told.pop("dpo_beta")
        body: dict[str, Any] = {
            "training_file": order.training,
            "model": order.model,
            "training_method": method,
            **told,
        }
        if order.validation:
            body["validation_file"] = order.validation
        if suffix := _suffix(order):
            body["suffix"] = suffix
        return self._read(await self._line.call("POST", "/fine-tunes", body, model=order.model))

    async def job(self, job_id: str) -> RemoteJob:
        """How far a job is."""
        return self._read(await self._line.call("GET", f"/fine-tunes/{job_id}"))

    async def jobs(self, limit: int) -> list[RemoteJob]:
        """The newest jobs."""
        told = (await self._line.call("GET", "/fine-tunes"))["data"]
        return [self._read(data) for data in sorted(told, key=_created, reverse=True)[:limit]]

    async def find(self, mark: str) -> RemoteJob | None:
        """The job with this mark in the name of its model."""
        for data in (await self._line.call("GET", "/fine-tunes"))["data"]:
            if mark in f"{data.get('suffix')} {_output(data)}":
                return self._read(data)
        return None

    async def events(self, job: RemoteJob, limit: int) -> list[dict[str, Any]]:
        """Together's own events."""
        told = (await self._line.call("GET", f"/fine-tunes/{job.id}/events"))["data"]
        newest = sorted(told, key=_created, reverse=True)[:limit]
        return [
            {
                "created_at": event.get("created_at"),
                "level": (event.get("level") or "info").lower(),
                "message": event.get("message") or event.get("type"),
            }
            for event in newest
        ]

    async def stop(self, job_id: str) -> None:
        """It ends some time later."""
        await self._line.call("POST", f"/fine-tunes/{job_id}/cancel")

    def _read(self, data: dict[str, Any]) -> RemoteJob:
        state = self.states.get(data["status"], "unknown")
        return RemoteJob(
            id=str(data["id"]),
            provider=self.provider,
            state=state,
            status=data["status"],
            model=data.get("model") or "",
            # It is named from the beginning, and there only at the end.
            fine_tuned_model=_output(data) if state == "succeeded" else None,
            error=(data.get("error") or data["status"]) if state == "failed" else None,
            created_at=data.get("created_at"),
            raw=data,
        )


def _output(data: dict[str, Any]) -> str | None:
    return data.get("model_output_name") or data.get("output_name")


def _created(data: dict[str, Any]) -> str:
    return str(data.get("created_at") or "")


def _suffix(order: Order) -> str:
    room = _LONGEST_SUFFIX - len(order.mark) - 1
    return "-".join(filter(None, ((order.suffix or "")[:room], order.mark)))
