"""Fireworks AI's fine-tuning jobs, over its HTTP API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from ....agents.providers.exchange import Key
from ....agents.providers.wire import Dialect
from ....knowledge.errors import ConfigError, ModelNotAvailableError, RactoGatewayAPIError
from .common import CommonFineTuner
from .line import Line, sized
from .tuner import Method, Order, RemoteJob, Sleep, State, TuningError

URL = "https://api.fireworks.ai/v1"
DIRECT_BYTES = 150_000_000
"""A larger file goes to an address that is asked for first."""
_JOBS = {"sft": "supervisedFineTuningJobs", "dpo": "dpoJobs"}
_CONFLICT = 409
_CHECKS = 150
_CHECK_SECONDS = 2.0


class FireworksFineTuner(CommonFineTuner):
    """Fine-tuning at Fireworks.

    :param api_key: `None` reads `FIREWORKS_API_KEY`.
    :param account: `None` reads `FIREWORKS_ACCOUNT_ID`, or asks which one the key is for.
    :param base_url: Another endpoint, up to and including `/v1`.
    :param progress: As in `FineTuner`; `sleep` too.
    """

    provider = "fireworks"
    formats: ClassVar = {"sft": "fireworks", "dpo": "fireworks"}
    parameters: ClassVar = {"n_epochs": "epochs", "batch_size": "batchSizeSamples", "learning_rate": "learningRate"}
    states: ClassVar[dict[str, State]] = {
        "CREATING": "queued",
        "PENDING": "queued",
        "VALIDATING": "queued",
        "RUNNING": "running",
        "WRITING_RESULTS": "running",
        "CANCELLING": "running",
        "COMPLETED": "succeeded",
        "FAILED": "failed",
        "EXPIRED": "failed",
        "CANCELLED": "cancelled",
        "DELETING": "cancelled",
    }

    validating: ClassVar[frozenset[Method]] = frozenset({"sft"})

    def __init__(
        self,
        api_key: Key = None,
        *,
        account: str | None = None,
        base_url: str | None = None,
        progress: Callable[[str], None] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(progress=progress, sleep=sleep)
        self._line = Line(self.provider, Dialect(), base_url or URL, api_key, "FIREWORKS_API_KEY")
        self.lines = (self._line,)
        self._account = account

    async def _home(self) -> str:
        """`/accounts/ID`."""
        if not (self._account or os.environ.get("FIREWORKS_ACCOUNT_ID")):
            told = (await self._line.call("GET", "/accounts")).get("accounts") or []
            if len(told) != 1:
                raise ConfigError(
                    f"The key of fireworks is for {len(told)} accounts.", "Set FIREWORKS_ACCOUNT_ID, or pass account."
                )
            self._account = str(told[0]["name"]).removeprefix("accounts/")
        return f"/accounts/{self._account or os.environ['FIREWORKS_ACCOUNT_ID']}"

    async def store(self, path: Path, name: str, examples: int) -> str:
        """The name of the dataset. The same examples are there only once."""
        home = await self._home()
        body = {"datasetId": name, "dataset": {"userUploaded": {}, "exampleCount": str(examples)}}
        try:
            await self._line.call("POST", f"{home}/datasets", body)
        except RactoGatewayAPIError as error:
            if error.status_code != _CONFLICT:
                raise
        if await self._dataset_state(f"{home}/datasets/{name}") != "READY":
            await self._upload(f"{home}/datasets/{name}", path, f"{name}.jsonl")
            await self._until_ready(f"{home}/datasets/{name}")
        return f"{home.removeprefix('/')}/datasets/{name}"

    async def _upload(self, dataset: str, path: Path, name: str) -> None:
        size = (await asyncio.to_thread(path.stat)).st_size
        if size < DIRECT_BYTES:
            with await asyncio.to_thread(path.open, "rb") as file:
                await self._line.call("POST", f"{dataset}:upload", files={"file": (name, file, "application/jsonl")})
            return
        told = await self._line.call("POST", f"{dataset}:getUploadEndpoint", {"filenameToSize": {name: str(size)}})
        sent = sized(path)
        sent["headers"]["x-goog-content-length-range"] = f"{size},{size}"  # the address is signed for it
        await self._line.call("PUT", told["filenameToSignedUrls"][name], **sent)
        await self._line.call("POST", f"{dataset}:validateUpload", {})

    async def _dataset_state(self, dataset: str) -> str:
        return str((await self._line.call("GET", dataset)).get("state"))

    async def _until_ready(self, dataset: str) -> None:
        for _ in range(_CHECKS):
            if await self._dataset_state(dataset) == "READY":
                return
            await self._sleep(_CHECK_SECONDS)
        raise TuningError(
            f"fireworks has not accepted {dataset} after {_CHECKS * _CHECK_SECONDS:g} s.",
            "Look at the dataset in its console, then try again.",
            provider=self.provider,
        )

    async def begin(self, order: Order) -> RemoteJob:
        """Create a job; its mark is its id, so a second one with the same mark is the first."""
        home = await self._home()
        settings = self.hyperparameters(order)
        common: dict[str, Any] = {"dataset": order.training, "displayName": order.suffix or order.mark or order.model}
        if order.method == "dpo":
            body = common | {"trainingConfig": {"baseModel": order.model, **settings}}
        else:
            body = common | {"baseModel": order.model, **settings}
        if order.validation:
            body["evaluationDataset"] = order.validation
        kind = _JOBS[order.method]
        chosen = "dpoJobId" if order.method == "dpo" else "supervisedFineTuningJobId"
        params = {chosen: order.mark} if order.mark else None
        try:
            return self._read(await self._line.call("POST", f"{home}/{kind}", body, params=params, model=order.model))
        except RactoGatewayAPIError as error:
            if error.status_code != _CONFLICT or not order.mark:
                raise
            return self._read(await self._line.call("GET", f"{home}/{kind}/{order.mark}"))

    async def job(self, job_id: str) -> RemoteJob:
        """How far a job is.

        :param job_id: Its whole name: `accounts/…/supervisedFineTuningJobs/…`.
        """
        return self._read(await self._line.call("GET", f"/{job_id}"))

    async def jobs(self, limit: int) -> list[RemoteJob]:
        """The newest jobs of both kinds."""
        home = await self._home()
        told: list[dict[str, Any]] = []
        for kind in _JOBS.values():
            told += (await self._line.call("GET", f"{home}/{kind}", params={"pageSize": limit})).get(kind) or []
        told.sort(key=lambda data: str(data.get("createTime") or ""), reverse=True)
        return [self._read(data) for data in told[:limit]]

    async def find(self, mark: str) -> RemoteJob | None:
        """The job whose id is the mark."""
        home = await self._home()
        for kind in _JOBS.values():
            try:
                return self._read(await self._line.call("GET", f"{home}/{kind}/{mark}"))
            except ModelNotAvailableError:
                continue
        return None

    async def stop(self, job_id: str) -> None:
        """It ends some time later."""
        await self._line.call("POST", f"/{job_id}:cancel", {})

    def _read(self, data: dict[str, Any]) -> RemoteJob:
        status = str(data.get("state") or "").removeprefix("JOB_STATE_")
        state = self.states.get(status, "unknown")
        message = (data.get("status") or {}).get("message")
        config = data.get("trainingConfig") or {}
        output = data.get("outputModel") or config.get("outputModel")
        return RemoteJob(
            id=str(data["name"]),
            provider=self.provider,
            state=state,
            status=status,
            model=data.get("baseModel") or config.get("baseModel") or "",
            # It is named from the beginning, and there only at the end.
            fine_tuned_model=output if state == "succeeded" else None,
            error=(message or status) if state == "failed" else None,
            created_at=data.get("createTime"),
            raw=data,
        )
