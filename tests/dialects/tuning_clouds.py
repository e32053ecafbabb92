"""Servers of the two clouds that fine-tune; their examples lie in buckets."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from racto.tools.finetune.tuners.sigv4 import AWSCredentials, signed

from tests.dialects.server import Line, Received
from tests.dialects.tuning import MODEL, REASON, FireworksTuning, OpenAITuning, TogetherTuning, TuningServer


class GeminiTuning(TuningServer):
    """Vertex AI's tuning jobs, and Cloud Storage."""

    provider = "gemini"
    progress = ("JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED")
    failed = "JOB_STATE_FAILED"
    cancelled = "JOB_STATE_CANCELLED"
    home = "projects/my-project/locations/europe-west4"

    def options(self, base: str) -> dict[str, Any]:
        """How the tuner is made."""
        place = {"project": "my-project", "location": "europe-west4", "bucket": "my-bucket"}
        return {"api_key": self.key, "base_url": f"{base}/v1", "storage_url": base, **place}

    def base_model(self, body: dict[str, Any]) -> str:
        """It has another name here."""
        return str(body.get("baseModel", ""))

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path."""
        path = request.path.removeprefix("/v1/")
        jobs = f"{self.home}/tuningJobs"
        name = path.removesuffix(":cancel")
        if path == "token":
            await line.json({"access_token": "ya29.token", "expires_in": 3600, "token_type": "Bearer"})
        elif path == "/upload/storage/v1/b/my-bucket/o":
            assert request.query["uploadType"] == "media"
            self.files[f"gs://my-bucket/{request.query['name']}"] = request.body.decode()
            await line.json({"kind": "storage#object"})
        elif (request.method, path) == ("POST", jobs):
            spec = request.body.get("supervisedTuningSpec") or request.body["preferenceOptimizationSpec"]
            assert spec["trainingDatasetUri"] in self.files
            name = f"{jobs}/{len(self.jobs)}"
            self.begin(name, request.body["baseModel"], labels=request.body.get("labels"))
            await self.created(line, self.shown(name, move=False))
        elif path == jobs:
            wanted = request.query.get("filter", "").removeprefix('labels.racto="').removesuffix('"')
            found = [
                self.shown(each, move=False)
                for each, job in reversed(self.jobs.items())
                if not wanted or (job["labels"] or {}).get("racto") == wanted
            ]
            await line.json({"tuningJobs": found} if found else {})
        elif name not in self.jobs:
            await self.missing(line)
        elif path.endswith(":cancel"):
            self.jobs[name]["words"] = ["JOB_STATE_CANCELLING", self.cancelled]
            await line.json({})
        else:
            await self.polled(line, self.shown(name))

    def shown(self, name: str, *, move: bool = True) -> dict[str, Any]:
        """A job as Vertex AI tells it."""
        job = self.jobs[name]
        word = self.word(job, move=move)
        told = {
            "name": name,
            "state": word,
            "baseModel": job["model"],
            "createTime": "2026-11-20T00:00:00Z",
            "labels": job["labels"] or {},
        }
        if word == "JOB_STATE_SUCCEEDED":
            told["tunedModel"] = {"model": "projects/1/locations/europe-west4/models/2", "endpoint": MODEL}
        if word == self.failed:
            told["error"] = {"code": 3, "message": REASON}
        return told


class BedrockTuning(TuningServer):
    """Bedrock's customization jobs, and S3."""

    provider = "bedrock"
    progress = ("InProgress", "Completed")
    failed = "Failed"
    cancelled = "Stopped"

    def options(self, base: str) -> dict[str, Any]:
        """How the tuner is made."""
        place = {"region": "eu-central-1", "bucket": "my-bucket", "role_arn": "arn:aws:iam::1:role/tuner"}
        return {"credentials": AWSCredentials("AKIDEXAMPLE", self.key), "base_url": base, "storage_url": base, **place}

    def base_model(self, body: dict[str, Any]) -> str:
        """It has another name here."""
        return str(body.get("baseModelIdentifier", ""))

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"message": …}`."""
        return {"message": f"Told to fail with {status}."}, {}

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path."""
        assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
        jobs = "/model-customization-jobs"
        name = request.path.removeprefix(f"{jobs}/").removesuffix("/stop").rpartition("/")[2]
        if request.method == "PUT":
            self.check_signature(request)
            self.files[f"s3:/{request.path}"] = request.body.decode()
            await line.whole(b"")
        elif (request.method, request.path) == ("POST", jobs):
            assert request.body["trainingDataConfig"]["s3Uri"] in self.files
            assert all(isinstance(value, str) for value in request.body["hyperParameters"].values())
            name = request.body["jobName"]
            self.begin(name, request.body["baseModelIdentifier"])
            await self.created(line, {"jobArn": self.shown(name, move=False)["jobArn"]}, status=201)
        elif request.path == jobs:
            wanted = request.query.get("nameContains", "")
            found = [self.shown(each, move=False) for each in self.jobs if wanted in each]
            await line.json({"modelCustomizationJobSummaries": found})
        elif name not in self.jobs:
            await self.missing(line)
        elif request.path.endswith("/stop"):
            self.jobs[name]["words"] = ["Stopping", self.cancelled]
            await line.json({})
        else:
            await self.polled(line, self.shown(name))

    def check_signature(self, request: Received) -> None:
        """What S3 does: hash what came, and sign it again."""
        content = hashlib.sha256(request.body).hexdigest()
        at = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        session = request.headers.get("x-amz-security-token")
        again = signed(
            request.method,
            f"http://{request.headers['host']}{request.path}",
            {},
            content,
            credentials=AWSCredentials("AKIDEXAMPLE", self.key, session),
            region="eu-central-1",
            service="s3",
            at=at,
        )
        assert {name: request.headers[name] for name in again} == again

    def shown(self, name: str, *, move: bool = True) -> dict[str, Any]:
        """A job as Bedrock tells it."""
        job = self.jobs[name]
        word = self.word(job, move=move)
        told = {
            "jobArn": f"arn:aws:bedrock:eu-central-1:1:model-customization-job/{name}",
            "jobName": name,
            "status": word,
            "baseModelArn": job["model"],
            "creationTime": "2026-11-20T00:00:00Z",
        }
        if word == "Completed":
            told["outputModelArn"] = MODEL
        if word == self.failed:
            told["failureMessage"] = REASON
        return told


SERVERS: tuple[type[TuningServer], ...] = (BedrockTuning, FireworksTuning, GeminiTuning, OpenAITuning, TogetherTuning)
