"""Amazon Bedrock's customization jobs, with examples in S3.

Requests are signed here and carried by httpx2. botocore would bring more ways to find credentials, 15 MB, and blocking calls.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote
from uuid import uuid4

from ....agents.providers.wire import Dialect
from ....knowledge.errors import ConfigError
from .common import CommonFineTuner
from .line import Line, sized
from .sigv4 import AWSCredentials, signed
from .tuner import Order, RemoteJob, Sleep, State

if TYPE_CHECKING:
    from httpx2 import Request


class _AWSLine(Line):
    """A line whose requests are signed.

    :param service: The name it is signed for.
    """

    def __init__(self, service: str, region: str, url: str, credentials: AWSCredentials | None) -> None:
        super().__init__("bedrock", Dialect(), url, None, needs_key=False)
        self._service = service
        self._region = region
        self._credentials = credentials

    async def authorize(self, request: Request) -> None:
        """Sign a request. The hash of a streamed body stands in its header already."""
        told = request.headers.get("x-amz-content-sha256")
        content = told or hashlib.sha256(request.content).hexdigest()
        added = signed(
            request.method,
            str(request.url),
            {},
            content,
            credentials=self._credentials or AWSCredentials.of_environment(),
            region=self._region,
            service=self._service,
            at=datetime.now(UTC),
        )
        request.headers.update(added)


class BedrockFineTuner(CommonFineTuner):
    """Fine-tuning of models on Amazon Bedrock.

    :param credentials: `None` reads `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN` at every call.
    :param region: `None` reads `AWS_REGION` or `AWS_DEFAULT_REGION`, or is `us-east-1`.
    :param role_arn: The role Bedrock reads and writes S3 with; `None` reads `BEDROCK_ROLE_ARN`.
    :param bucket: In S3, for examples and results; `None` reads `BEDROCK_BUCKET`.
    :param base_url: Another endpoint of Bedrock; `storage_url` of S3.
    :param progress: As in `FineTuner`; `sleep` too.
    """

    provider = "bedrock"
    formats: ClassVar = {"sft": "bedrock", "dpo": "bedrock"}
    parameters: ClassVar = {"n_epochs": "epochCount", "batch_size": "batchSize", "learning_rate": "learningRate"}
    states: ClassVar[dict[str, State]] = {
        "InProgress": "running",
        "Stopping": "running",
        "Completed": "succeeded",
        "Failed": "failed",
        "Stopped": "cancelled",
    }

    def __init__(
        self,
        credentials: AWSCredentials | None = None,
        *,
        region: str | None = None,
        role_arn: str | None = None,
        bucket: str | None = None,
        base_url: str | None = None,
        storage_url: str | None = None,
        progress: Callable[[str], None] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        super().__init__(progress=progress, sleep=sleep)
        region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._role_arn = role_arn
        self._bucket = bucket
        url = base_url or f"https://bedrock.{region}.amazonaws.com"
        self._line = _AWSLine("bedrock", region, url, credentials)
        self._storage = _AWSLine("s3", region, storage_url or f"https://s3.{region}.amazonaws.com", credentials)
        self.lines = (self._line, self._storage)

    @property
    def _place(self) -> str:
        return _needed(self._bucket, "BEDROCK_BUCKET", "Bedrock reads examples from S3.", "bucket")

    async def store(self, path: Path, name: str, examples: int) -> str:
        """The `s3://` address."""
        sent = sized(path)
        sent["headers"]["x-amz-content-sha256"] = await asyncio.to_thread(_sha256, path)
        await self._storage.call("PUT", f"/{self._place}/racto/{name}.jsonl", **sent)
        return f"s3://{self._place}/racto/{name}.jsonl"

    async def begin(self, order: Order) -> RemoteJob:
        """Create a job; its mark is its token, so a second one with the same mark is the first."""
        role = _needed(self._role_arn, "BEDROCK_ROLE_ARN", "Bedrock needs a role that may read the bucket.", "role_arn")
        name = order.mark or f"racto-{uuid4().hex[:16]}"
        body: dict[str, Any] = {
            "jobName": name,
            "customModelName": "-".join(filter(None, (order.suffix, name))),
            "roleArn": role,
            "clientRequestToken": name,
            "baseModelIdentifier": order.model,
            "customizationType": "FINE_TUNING",
            "trainingDataConfig": {"s3Uri": order.training},
            "outputDataConfig": {"s3Uri": f"s3://{self._place}/racto/{name}/"},
            "hyperParameters": {name: str(value) for name, value in self.hyperparameters(order).items()},
        }
        if order.validation:
            body["validationDataConfig"] = {"validators": [{"s3Uri": order.validation}]}
        told = await self._line.call("POST", "/model-customization-jobs", body, model=order.model)
        return self._read({**told, "status": "InProgress", "baseModelArn": order.model})

    async def job(self, job_id: str) -> RemoteJob:
        """How far a job is.

        :param job_id: Its ARN or its name.
        """
        return self._read(await self._line.call("GET", f"/model-customization-jobs/{quote(job_id, safe='')}"))

    async def jobs(self, limit: int) -> list[RemoteJob]:
        """The newest jobs."""
        return await self._listed({"maxResults": limit, "sortBy": "CreationTime", "sortOrder": "Descending"})

    async def find(self, mark: str) -> RemoteJob | None:
        """The job whose name is the mark."""
        found = await self._listed({"nameContains": mark})
        return next((job for job in found if job.raw.get("jobName") == mark), None)

    async def _listed(self, params: dict[str, Any]) -> list[RemoteJob]:
        told = await self._line.call("GET", "/model-customization-jobs", params=params)
        return [self._read(data) for data in told.get("modelCustomizationJobSummaries", ())]

    async def stop(self, job_id: str) -> None:
        """It ends some time later."""
        await self._line.call("POST", f"/model-customization-jobs/{quote(job_id, safe='')}/stop")

    def _read(self, data: dict[str, Any]) -> RemoteJob:
        return RemoteJob(
            id=str(data["jobArn"]),
            provider=self.provider,
            state=self.states.get(data["status"], "unknown"),
            status=data["status"],
            model=data.get("baseModelArn") or "",
            fine_tuned_model=data.get("outputModelArn") or data.get("customModelArn"),
            error=data.get("failureMessage"),
            created_at=data.get("creationTime"),
            raw=data,
        )


def _needed(given: str | None, variable: str, why: str, parameter: str) -> str:
    """
    :raises ConfigError: it is neither given nor in the environment.
    """
    if value := given or os.environ.get(variable):
        return value
    raise ConfigError(why, f"Set {variable}, or pass {parameter}.")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
