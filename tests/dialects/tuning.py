"""Servers of the providers that fine-tune, each in its own dialect: files, jobs, events, cancelling.

A job takes the words of `progress` one poll after another and stays at the last. The base model says otherwise: `fails`, `stays` (it runs
until it is cancelled), `status-NNN` (creating is refused so), `odd` (a word nobody knows).
"""

from __future__ import annotations

import json
from email import message_from_bytes
from email.policy import HTTP
from typing import Any, ClassVar

from tests import dialects
from tests.dialects.server import DialectServer, Line, Received

MODEL = "tuned-model-1"
REASON = "line 3 is no JSON"


def parts(request: Received) -> dict[str, str]:
    """The fields and files of a multipart form."""
    content = b"content-type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.body
    form = message_from_bytes(content, policy=HTTP)
    told = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        told[str(name)] = part.get_payload(decode=True).decode()  # type: ignore[union-attr]  # asked to be decoded, it is bytes
    return told


class TuningServer(DialectServer):
    """What all have: files by name, jobs by id, and words for where a job stands."""

    provider: ClassVar[str]
    progress: ClassVar[tuple[str, ...]]
    failed: ClassVar[str]
    cancelled: ClassVar[str]
    key = dialects.KEY

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.cut_after_creating = False
        """Whether the answer to a creation never comes back."""
        self.mute = 0
        """How many polls are answered with 503."""

    def options(self, base: str) -> dict[str, Any]:
        """How the tuner is made."""
        return {"api_key": self.key, "base_url": f"{base}/v1"}

    def scenario(self, request: Received) -> str:
        """The base model, where a request names one."""
        return self.base_model(request.body) if isinstance(request.body, dict) else ""

    def base_model(self, body: dict[str, Any]) -> str:
        """Where the dialect names it."""
        return str(body.get("model", ""))

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"error": {message, code}}`."""
        return {"error": {"message": f"Told to fail with {status}.", "code": None}}, {}

    @property
    def training_text(self) -> str:
        """The file that came first."""
        return next(iter(self.files.values()))

    def begin(self, job_id: str, model: str, **about: Any) -> dict[str, Any]:
        """A new job, not yet shown."""
        words = {"fails": (*self.progress[:-1], self.failed), "stays": self.progress[:-1], "odd": ("daydreaming",)}
        self.jobs[job_id] = {"words": list(words.get(model, self.progress)), "model": model, **about}
        return self.jobs[job_id]

    def word(self, job: dict[str, Any], *, move: bool = True) -> str:
        """Where it stands now."""
        words: list[str] = job["words"]
        return words.pop(0) if move and len(words) > 1 else words[0]

    async def created(self, line: Line, answer: dict[str, Any], status: int = 200) -> None:
        """The answer to a creation."""
        if self.cut_after_creating:
            await line.cut()
        else:
            await line.json(answer, status=status)

    async def polled(self, line: Line, answer: dict[str, Any]) -> None:
        """The answer to a poll."""
        if self.mute:
            self.mute -= 1
            await line.json({"error": {"message": "Overloaded.", "code": None}}, status=503)
        else:
            await line.json(answer)

    async def missing(self, line: Line) -> None:
        """There is no such thing."""
        await line.json({"error": {"message": "Not found.", "code": None}}, status=404)


class OpenAITuning(TuningServer):
    """`/v1/files` and `/v1/fine_tuning/jobs`."""

    provider = "openai"
    progress = ("validating_files", "queued", "running", "succeeded")
    failed = "failed"
    cancelled = "cancelled"

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path."""
        match request.method, request.path.removeprefix("/v1/").split("/"):
            case "POST", ["files"]:
                form = parts(request)
                assert form["purpose"] == "fine-tune"
                self.files[f"file-{len(self.files)}"] = form["file"]
                await line.json({"id": f"file-{len(self.files) - 1}", "object": "file"})
            case "POST", ["fine_tuning", "jobs"]:
                assert request.body["training_file"] in self.files
                job_id = f"ftjob-{len(self.jobs)}"
                self.begin(job_id, request.body["model"], metadata=request.body.get("metadata"))
                await self.created(line, self.shown(job_id, move=False))
            case "GET", ["fine_tuning", "jobs"]:
                wanted = request.query.get("metadata[racto]")
                found = [
                    self.shown(job_id, move=False)
                    for job_id, job in reversed(self.jobs.items())
                    if wanted is None or (job["metadata"] or {}).get("racto") == wanted
                ]
                await line.json({"object": "list", "data": found, "has_more": False})
            case "GET", ["fine_tuning", "jobs", job_id] if job_id in self.jobs:
                await self.polled(line, self.shown(job_id))
            case "GET", ["fine_tuning", "jobs", job_id, "events"]:
                events = [{"object": "event", "created_at": 2, "level": "info", "message": "Step 2", "type": "message"}]
                events += [
                    {"object": "event", "created_at": 1, "level": "info", "message": "Step 1", "type": "message"}
                ]
                await line.json({"object": "list", "data": events[: int(request.query["limit"])]})
            case "POST", ["fine_tuning", "jobs", job_id, "cancel"]:
                self.jobs[job_id]["words"] = [self.cancelled]
                await line.json(self.shown(job_id))
            case _:
                await self.missing(line)

    def shown(self, job_id: str, *, move: bool = True) -> dict[str, Any]:
        """A job as OpenAI tells it."""
        job = self.jobs[job_id]
        word = self.word(job, move=move)
        return {
            "id": job_id,
            "object": "fine_tuning.job",
            "created_at": 1_790_000_000,
            "model": job["model"],
            "status": word,
            "fine_tuned_model": MODEL if word == "succeeded" else None,
            "error": {"code": "invalid", "message": REASON, "param": None} if word == self.failed else {},
            "metadata": job["metadata"],
        }


class TogetherTuning(TuningServer):
    """`/v1/files/upload` and `/v1/fine-tunes`."""

    provider = "together"
    progress = ("pending", "queued", "running", "compressing", "completed")
    failed = "error"
    cancelled = "cancelled"

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path."""
        match request.method, request.path.removeprefix("/v1/").split("/"):
            case "POST", ["files", "upload"]:
                form = parts(request)
                assert (form["purpose"], form["file_type"]) == ("fine-tune", "jsonl")
                self.files[f"file-{len(self.files)}"] = form["file"]
                await line.json({"id": f"file-{len(self.files) - 1}", "object": "file", "Processed": True})
            case "POST", ["fine-tunes"]:
                assert request.body["training_file"] in self.files
                job_id = f"ft-{len(self.jobs)}"
                self.begin(job_id, request.body["model"], suffix=request.body.get("suffix"))
                await self.created(line, self.shown(job_id, move=False))
            case "GET", ["fine-tunes"]:
                await line.json({"data": [self.shown(job_id, move=False) for job_id in self.jobs]})
            case "GET", ["fine-tunes", job_id] if job_id in self.jobs:
                await self.polled(line, self.shown(job_id))
            case "GET", ["fine-tunes", job_id, "events"]:
                told = [
                    {"object": "fine-tune-event", "created_at": f"2026-11-20T0{at}:00:00Z", "message": f"Step {at}"}
                    for at in (1, 2)
                ]
                await line.json({"data": told})
            case "POST", ["fine-tunes", job_id, "cancel"]:
                self.jobs[job_id]["words"] = ["cancel_requested", self.cancelled]
                await line.json(self.shown(job_id, move=False))
            case _:
                await self.missing(line)

    def shown(self, job_id: str, *, move: bool = True) -> dict[str, Any]:
        """A job as Together tells it: the model has a name from the beginning."""
        job = self.jobs[job_id]
        return {
            "id": job_id,
            "status": self.word(job, move=move),
            "model": job["model"],
            "model_output_name": MODEL if job["suffix"] is None else f"me/{job['suffix']}-abc",
            "created_at": f"2026-11-20T00:00:0{job_id[-1]}Z",
        }


class FireworksTuning(TuningServer):
    """`/v1/accounts/ID/datasets` and both kinds of jobs beside them."""

    provider = "fireworks"
    progress = ("JOB_STATE_CREATING", "JOB_STATE_RUNNING", "JOB_STATE_COMPLETED")
    failed = "JOB_STATE_FAILED"
    cancelled = "JOB_STATE_CANCELLED"

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.ready_after = 1

    def options(self, base: str) -> dict[str, Any]:
        """How the tuner is made."""
        self.base = base
        return super().options(base)

    def base_model(self, body: dict[str, Any]) -> str:
        """Within `trainingConfig` for preferences."""
        return str(body.get("baseModel") or body.get("trainingConfig", {}).get("baseModel", ""))

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path."""
        match request.method, request.path.removeprefix("/v1/").split("/"):
            case "GET", ["accounts"]:
                await line.json({"accounts": [{"name": "accounts/me"}]})
            case "PUT", ["signed", name]:
                assert "authorization" not in request.headers
                self.files[name.removesuffix(".jsonl")] = request.body.decode()
                await line.whole(b"")
            case method, ["accounts", "me", "datasets", *rest]:
                await self.dataset(method, rest, request, line)
            case method, ["accounts", "me", "supervisedFineTuningJobs" | "dpoJobs" as kind, *rest]:
                await self.job(method, kind, rest, request, line)
            case _:
                await self.missing(line)

    async def dataset(self, method: str, rest: list[str], request: Received, line: Line) -> None:
        """Everything about a dataset."""
        name, _, verb = (rest or [""])[0].partition(":")
        if method == "POST" and not rest:
            assert int(request.body["dataset"]["exampleCount"]) > 0
            taken = request.body["datasetId"] in self.files
            self.files.setdefault(request.body["datasetId"], "")
            await line.json({"error": {"message": "It exists."}} if taken else {}, status=409 if taken else 200)
        elif method == "GET":
            ready = bool(self.files[name]) and self.ready_after == 0
            self.ready_after -= bool(self.files[name]) and not ready
            await line.json({"state": "READY" if ready else "UPLOADING"})
        elif verb == "upload":
            self.files[name] = parts(request)["file"]
            await line.json({})
        elif verb == "getUploadEndpoint":
            (file,) = request.body["filenameToSize"]
            await line.json({"filenameToSignedUrls": {file: f"{self.base}/v1/signed/{file}"}})
        else:
            assert verb == "validateUpload"
            await line.json({})

    async def job(self, method: str, kind: str, rest: list[str], request: Received, line: Line) -> None:
        """Everything about a job."""
        name, _, verb = (rest or [""])[0].partition(":")
        full = f"accounts/me/{kind}/{name}"
        if method == "POST" and not rest:
            chosen = request.query.get("supervisedFineTuningJobId") or request.query.get("dpoJobId")
            full += chosen or f"job-{len(self.jobs)}"
            assert request.body["dataset"].removeprefix("accounts/me/datasets/") in self.files
            if full in self.jobs:
                await line.json({"error": {"message": "It exists."}}, status=409)
                return
            self.begin(full, self.base_model(request.body))
            await self.created(line, self.shown(full, move=False))
        elif not rest:
            mine = [self.shown(each, move=False) for each in self.jobs if kind in each]
            await line.json({kind: mine})
        elif full not in self.jobs:
            await self.missing(line)
        elif verb == "cancel":
            self.jobs[full]["words"] = [self.cancelled]
            await line.json({})
        else:
            await self.polled(line, self.shown(full))

    def shown(self, name: str, *, move: bool = True) -> dict[str, Any]:
        """A job as Fireworks tells it: the model has a name from the beginning."""
        job = self.jobs[name]
        word = self.word(job, move=move)
        return {
            "name": name,
            "state": word,
            "status": {"code": "OK", "message": REASON if word == self.failed else ""},
            "baseModel": job["model"],
            "outputModel": MODEL,
            "createTime": f"2026-11-20T00:00:0{len(name) % 10}Z",
        }


def lines(text: str) -> list[Any]:
    """The values of a JSONL file."""
    return [json.loads(line) for line in text.splitlines()]
