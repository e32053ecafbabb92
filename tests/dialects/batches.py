"""Servers that take batches as OpenAI and Anthropic do, as the types of their SDKs say them."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, ClassVar

from tests.dialects.server import DialectServer, Line, Received

SEPARATED = "first\u2028second\u2029third\u0085fourth"
"""What many readers of lines take for several."""


class BatchServer(DialectServer):
    """Takes jobs and does them as the words of each request say.

    `fail` is refused, `expire` and `cancel` are never answered, `lost` gets no result at all, `odd` one that nobody can read; anything
    else is answered with itself, and its result comes before those of earlier requests.
    """

    def __init__(self, *statuses: str) -> None:
        super().__init__()
        self.statuses = list(statuses)
        """What the next polls are told, before the job has ended."""
        self.failures: list[int] = []
        """HTTP statuses with which the next polls fail."""
        self.jobs: dict[str, dict[str, Any]] = {}
        self.polled = asyncio.Event()
        self.taken = asyncio.Event()
        self.silent = False
        """Whether a job is taken without an answer."""

    def scenario(self, request: Received) -> str:
        return ""

    async def create(self, job: dict[str, Any], line: Line) -> None:
        """Take a job."""
        self.jobs[job["id"]] = job
        self.taken.set()
        if self.silent:
            await line.stall()
        else:
            await line.json(job)

    async def unknown(self, line: Line) -> None:
        """Whatever it is, it is not here."""
        body, _ = self.error(404)
        await line.json(body, status=404)

    async def poll(self, job: dict[str, Any], line: Line) -> None:
        """Tell of a job."""
        self.polled.set()
        if self.failures:
            status = self.failures.pop(0)
            body, headers = self.error(status)
            await line.json(body, status=status, headers=headers)
            return
        if self.statuses:
            self.become(job, self.statuses.pop(0))
        await line.json(job)

    def become(self, job: dict[str, Any], status: str) -> None:
        """Give a job another status, and its results with the last one."""
        raise NotImplementedError


class OpenAIBatchServer(BatchServer):
    """`/v1/files` and `/v1/batches`."""

    wanted: ClassVar[dict[str, Any]] = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}

    def __init__(self, *statuses: str) -> None:
        super().__init__(*statuses)
        self.files: dict[str, bytes] = {}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        return {"error": {"message": f"Told to fail with {status}.", "type": "server_error", "code": None}}, {}

    def requests_in(self, file_id: str) -> list[dict[str, Any]]:
        """The requests of a file, cut at line feeds alone."""
        return [json.loads(line) for line in self.files[file_id].decode().split("\n") if line]

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        path = request.path.removeprefix("/v1")
        if path == "/files" and request.method == "POST":
            fields = _multipart(request)
            assert fields["purpose"] == b"batch"
            file_id = f"file-{len(self.files) + 1}"
            self.files[file_id] = fields["file"]
            await line.json({"id": file_id, "object": "file", "purpose": "batch", "bytes": len(fields["file"])})
        elif path == "/batches" and request.method == "POST":
            assert self.wanted.items() <= request.body.items()
            job = {
                "id": f"batch_{len(self.jobs) + 1}",
                "object": "batch",
                "status": "validating",
                "created_at": 1_740_000_000,
                "input_file_id": request.body["input_file_id"],
                "metadata": request.body.get("metadata"),
                "request_counts": {"total": 0, "completed": 0, "failed": 0},
                **self.wanted,
            }
            await self.create(job, line)
        elif path == "/batches":
            newest = [*reversed(self.jobs.values())]
            after = [job["id"] for job in newest].index(request.query["after"]) + 1 if "after" in request.query else 0
            page = newest[after : after + 2]
            await line.json({"object": "list", "data": page, "has_more": len(newest) > after + 2})
        elif path.startswith("/batches/") and (job := self.jobs.get(path.removeprefix("/batches/"), {})):
            await self.poll(job, line)
        elif path.startswith("/files/") and (file := self.files.get(path.split("/")[2])) is not None:
            await line.whole(file, content_type="application/octet-stream")
        else:
            await self.unknown(line)

    def become(self, job: dict[str, Any], status: str) -> None:
        requests = self.requests_in(job["input_file_id"])
        job["status"] = status
        job["request_counts"] = {"total": len(requests), "completed": 0, "failed": 0}
        if status == "failed":
            wrong = {"code": "invalid_json_line", "line": 2, "message": "This line is not JSON.", "param": None}
            job["errors"] = {"object": "list", "data": [wrong]}
        if status in ("completed", "expired", "cancelled"):
            good: list[dict[str, Any]] = []
            bad: list[dict[str, Any]] = []
            for request in reversed(requests):
                result = _openai_result(request)
                (good if (result.get("response") or {}).get("status_code") == 200 else bad).append(result)
            told = {"output_file_id": good, "error_file_id": [each for each in bad if each]}
            for name, results in told.items():
                job[name] = f"{job['id']}-{name}" if results else None
                if results:
                    # Not escaped, as OpenAI writes it.
                    text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in results)
                    self.files[job[name]] = text.encode()


def _openai_result(request: dict[str, Any]) -> dict[str, Any]:
    words = request["body"]["messages"][-1]["content"]
    result: dict[str, Any] = {"id": f"r-{request['custom_id']}", "custom_id": request["custom_id"], "error": None}
    if words == "lost":
        return {}
    if words in ("expire", "cancel"):
        reason = "This request could not be executed before the completion window expired."
        return result | {"response": None, "error": {"code": "batch_expired", "message": reason}}
    if words == "fail":
        body: Any = {"error": {"message": "Unsupported value.", "type": "invalid_request_error", "code": None}}
        return result | {"response": {"status_code": 400, "request_id": "req-1", "body": body}}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": request["body"]["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
    }
    return result | {
        "response": {"status_code": 200, "request_id": "req-1", "body": {} if words == "odd" else body},
    }


def _multipart(request: Received) -> dict[str, bytes]:
    """Name → content of a form."""
    boundary = request.headers["content-type"].partition("boundary=")[2].encode()
    fields = {}
    for part in request.body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        found = re.search(rb'name="(\w+)"', head)
        assert found
        fields[found[1].decode()] = content.removesuffix(b"\r\n")
    return fields


class AnthropicBatchServer(BatchServer):
    """`/v1/messages/batches`."""

    def __init__(self, *statuses: str) -> None:
        super().__init__(*statuses)
        self.requests: dict[str, list[dict[str, Any]]] = {}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        kind = {404: "not_found_error"}.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": f"Told to fail with {status}."}}, {}

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        assert request.headers["anthropic-version"]
        path = request.path.removeprefix("/v1/messages/batches").strip("/")
        if request.method == "POST":
            job_id = f"msgbatch_{len(self.jobs) + 1}"
            self.requests[job_id] = request.body["requests"]
            job = {
                "id": job_id,
                "type": "message_batch",
                "processing_status": "in_progress",
                "created_at": "2026-11-20T18:37:24.100435Z",
                "expires_at": "2026-11-21T18:37:24.100435Z",
                "ended_at": None,
                "results_url": None,
                "request_counts": _counts(processing=len(request.body["requests"])),
            }
            await self.create(job, line)
        elif path.endswith("/results"):
            results = [_anthropic_result(each) for each in reversed(self.requests[path.removesuffix("/results")])]
            text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in results if each)
            await line.whole(text.encode(), content_type="application/x-jsonl")
        elif path in self.jobs:
            await self.poll(self.jobs[path], line)
        else:
            await self.unknown(line)

    def become(self, job: dict[str, Any], status: str) -> None:
        job["processing_status"] = status
        if status == "ended":
            kinds = [(_anthropic_result(each).get("result") or {}).get("type") for each in self.requests[job["id"]]]
            job["request_counts"] = _counts(**{kind: kinds.count(kind) for kind in kinds if kind})
            job["results_url"] = f"https://elsewhere.invalid/{job['id']}/results"


def _counts(**counts: int) -> dict[str, int]:
    return {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0} | counts


def _anthropic_result(request: dict[str, Any]) -> dict[str, Any]:
    words = request["params"]["messages"][-1]["content"]
    result: dict[str, Any] = {"type": {"expire": "expired", "cancel": "canceled"}.get(words, "succeeded")}
    if words == "lost":
        return {}
    if words == "fail":
        error = {"type": "invalid_request_error", "message": "Unsupported value."}
        result = {"type": "errored", "error": {"type": "error", "error": error, "request_id": "req-1"}}
    elif result["type"] == "succeeded":
        result["message"] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": request["params"]["model"],
            "content": [{"type": "text", "text": words}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 5, "output_tokens": 3},
        }
        if words == "odd":
            del result["message"]["content"]
    return {"custom_id": request["custom_id"], "result": result}
