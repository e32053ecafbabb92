"""Gemini's tuning jobs: on Vertex AI, where they moved, with examples in Cloud Storage."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from ....agents.providers.exchange import Key
from ....agents.providers.wire import Dialect
from ....knowledge.edge import blocking
from ....knowledge.errors import ConfigError, RactoGatewayAuthError
from .line import Line, sized
from .tuner import FineTuner, Method, Order, RemoteJob, Sleep, State

if TYPE_CHECKING:
    from google.auth.credentials import Credentials
    from httpx2 import Request

    from ..dataset import RactoDataset

MODEL = "gemini-2.5-flash"
_STORAGE = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LABEL = "racto"
_SPEC = {"sft": "supervisedTuningSpec", "dpo": "preferenceOptimizationSpec"}
_PAGE = 100


class _GoogleLine(Line):
    """A line whose key is a token of Google's application default credentials, unless one was given."""

    _credentials: Credentials | None = None

    async def authorize(self, request: Request) -> None:
        """Put a token on a request."""
        token = self.key or await asyncio.to_thread(self._token)
        request.headers["authorization"] = f"Bearer {token}"

    def _token(self) -> str:
        import google.auth
        from google.auth.exceptions import GoogleAuthError
        from google.auth.transport.requests import Request as Refresh

        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(Refresh())  # type: ignore[no-untyped-call]  # google-auth has no types here
        except GoogleAuthError as error:
            raise RactoGatewayAuthError(
                f"Google gives no access: {error}",
                "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
                provider=self.provider,
            ) from None
        return str(self._credentials.token)


class GeminiFineTuner(FineTuner):
    """Tuning of Gemini models on Vertex AI.

    :param api_key: An access token of Google Cloud; `None` takes the application default credentials. Keys of the Gemini Developer API,
        which has no tuning any more, are refused.
    :param project: `None` reads `GOOGLE_CLOUD_PROJECT`.
    :param location: `None` reads `GOOGLE_CLOUD_LOCATION`, or is `us-central1`.
    :param bucket: In Cloud Storage, for the examples; `None` reads `GOOGLE_CLOUD_BUCKET`.
    :param base_url: Another endpoint of Vertex AI, up to and including `/v1`; `storage_url` of Cloud Storage.
    :param progress: As in `FineTuner`; `sleep` too.
    """

    provider = "gemini"
    formats: ClassVar = {"sft": "gemini", "dpo": "gemini"}
    parameters: ClassVar = {
        "n_epochs": "epochCount",
        "batch_size": "batchSize",
        "learning_rate": "learningRate",
        "learning_rate_multiplier": "learningRateMultiplier",
        "beta": "beta",
    }
    states: ClassVar[dict[str, State]] = {
        "QUEUED": "queued",
        "PENDING": "queued",
        "RUNNING": "running",
        "UPDATING": "running",
        "PAUSED": "running",
        "CANCELLING": "running",
        "SUCCEEDED": "succeeded",
        "PARTIALLY_SUCCEEDED": "succeeded",
        "FAILED": "failed",
        "EXPIRED": "failed",
        "CANCELLED": "cancelled",
    }
    default_model = MODEL

    def __init__(
        self,
        api_key: Key = None,
        *,
        project: str | None = None,
        location: str | None = None,
        bucket: str | None = None,
        base_url: str | None = None,
        storage_url: str | None = None,
        progress: Callable[[str], None] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(progress=progress, sleep=sleep)
        self._project = project
        self._bucket = bucket
        self._location = location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "us-central1"
        url = base_url or f"https://{self._location}-aiplatform.googleapis.com/v1"
        self._line = _GoogleLine(self.provider, Dialect(), url, api_key, needs_key=False)
        self._storage = _GoogleLine(self.provider, Dialect(), storage_url or _STORAGE, api_key, needs_key=False)
        self.lines = (self._line, self._storage)

    def allow(self, method: Method = "sft", model: str = "") -> None:
        """As `FineTuner.allow`; a key of the Gemini Developer API is no way either."""
        if self._line.key.startswith("AIza"):
            raise ConfigError(
                "The Gemini Developer API has no tuning any more.",
                "Use Vertex AI: pass project and bucket, and no API key but an access token or none.",
            )
        super().allow(method, model)

    async def acreate_job(
        self,
        dataset: RactoDataset,
        base_model: str = MODEL,
        *,
        display_name: str = "",
        epoch_count: int = 5,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_dataset: RactoDataset | None = None,
        method: Method = "sft",
    ) -> str:
        """Upload examples and begin a job.

        :param display_name: Of the tuned model.
        :param batch_size: Only models with open weights take one, and a learning rate.
        :returns: Its resource name, for `wait_for_completion`.
        """
        settings = _settings(epoch_count, batch_size, learning_rate)
        order = Order(base_model, method=method, settings=settings, suffix=display_name)
        await asyncio.to_thread(self.check, order, dataset, validation_dataset)
        training = await self.uploaded(dataset, method)
        validation = None
        if validation_dataset is not None:
            validation = await self.uploaded(validation_dataset, method)
        return (await self.begun(replace(order, training=training, validation=validation))).id

    async def await_for_completion(self, operation: str, *, poll_interval: float = 60, verbose: bool = True) -> str:
        """As `FineTuner.waited`.

        :param operation: What `create_job` returned.
        """
        return await self.waited(operation, poll_interval, verbose)

    async def arun_pipeline(
        self,
        dataset: RactoDataset,
        base_model: str = MODEL,
        *,
        display_name: str = "",
        epoch_count: int = 5,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        validation_dataset: RactoDataset | None = None,
        poll_interval: float = 60,
        verbose: bool = True,
        method: Method = "sft",
    ) -> str:
        """As `FineTuner.piped`; returns the name of the tuned model's endpoint."""
        settings = _settings(epoch_count, batch_size, learning_rate)
        order = Order(base_model, method=method, settings=settings, suffix=display_name)
        return await self.piped(dataset, validation_dataset, order, poll_interval, verbose)

    async def aget_model(self, tuned_model_name: str) -> dict[str, Any]:
        """What Vertex AI says of a tuned model: `projects/…/models/…`, or of its endpoint."""
        return await self._line.call("GET", f"/{tuned_model_name}")

    async def adelete_model(self, tuned_model_name: str) -> None:
        """Delete a tuned model, or its endpoint, for good."""
        await self._line.call("DELETE", f"/{tuned_model_name}")

    create_job = blocking(acreate_job)
    wait_for_completion = blocking(await_for_completion)
    run_pipeline = blocking(arun_pipeline)
    get_model = blocking(aget_model)
    delete_model = blocking(adelete_model)

    @property
    def _home(self) -> str:
        project = self._project or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if not project:
            raise ConfigError("Vertex AI needs a project.", "Set GOOGLE_CLOUD_PROJECT, or pass project.")
        return f"/projects/{project}/locations/{self._location}"

    async def store(self, path: Path, name: str, examples: int) -> str:
        """The `gs://` address."""
        bucket = self._bucket or os.environ.get("GOOGLE_CLOUD_BUCKET")
        if not bucket:
            raise ConfigError(
                "Vertex AI reads examples from Cloud Storage.", "Set GOOGLE_CLOUD_BUCKET, or pass bucket."
            )
        place = f"racto/{name}.jsonl"
        params = {"uploadType": "media", "name": place}
        await self._storage.call("POST", f"/upload/storage/v1/b/{quote(bucket)}/o", params=params, **sized(path))
        return f"gs://{bucket}/{place}"

    async def begin(self, order: Order) -> RemoteJob:
        """Create a job; its mark is a label."""
        spec: dict[str, Any] = {
            "trainingDatasetUri": order.training,
            "hyperParameters": self.hyperparameters(order),
        }
        if order.validation:
            spec["validationDatasetUri"] = order.validation
        body: dict[str, Any] = {"baseModel": order.model, _SPEC[order.method]: spec}
        if order.suffix:
            body["tunedModelDisplayName"] = order.suffix
        if order.mark:
            body["labels"] = {_LABEL: order.mark}
        return self._read(await self._line.call("POST", f"{self._home}/tuningJobs", body, model=order.model))

    async def job(self, job_id: str) -> RemoteJob:
        """How far a job is.

        :param job_id: Its resource name: `projects/…/tuningJobs/…`.
        """
        return self._read(await self._line.call("GET", f"/{job_id}"))

    async def jobs(self, limit: int) -> list[RemoteJob]:
        """The newest jobs."""
        told = await self._line.call("GET", f"{self._home}/tuningJobs", params={"pageSize": limit})
        return [self._read(data) for data in told.get("tuningJobs", ())][:limit]

    async def find(self, mark: str) -> RemoteJob | None:
        """The job with this label."""
        params = {"pageSize": _PAGE, "filter": f'labels.{_LABEL}="{mark}"'}
        told = await self._line.call("GET", f"{self._home}/tuningJobs", params=params)
        marked = [each for each in told.get("tuningJobs", ()) if (each.get("labels") or {}).get(_LABEL) == mark]
        return self._read(marked[0]) if marked else None

    async def stop(self, job_id: str) -> None:
        """It ends some time later."""
        await self._line.call("POST", f"/{job_id}:cancel", {})

    def _read(self, data: dict[str, Any]) -> RemoteJob:
        status = str(data.get("state") or "").removeprefix("JOB_STATE_")
        tuned = data.get("tunedModel") or {}
        return RemoteJob(
            id=str(data["name"]),
            provider=self.provider,
            state=self.states.get(status, "unknown"),
            status=status,
            model=data.get("baseModel") or "",
            fine_tuned_model=tuned.get("endpoint") or tuned.get("model"),
            error=(data.get("error") or {}).get("message"),
            created_at=data.get("createTime"),
            raw=data,
        )


def _settings(epoch_count: int, batch_size: int | None, learning_rate: float | None) -> dict[str, Any]:
    return {"n_epochs": epoch_count, "batch_size": batch_size, "learning_rate": learning_rate}
