"""OpenAI's Batch API: a file of requests goes up, a file of answers and one of refusals come down."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from typing import Any, cast

from ...knowledge.errors import RactoGatewayError
from ...knowledge.vocabulary import BatchJobInfo, BatchResult, BatchStatus, ChatRequest
from . import openai_chat
from .exchange import Response
from .http_exchange import lines_of
from .openai import OpenAIProvider

_MARK = "racto"
_PAGE = 100
_MOST_PAGES = 10
_STATUS = {"validating": BatchStatus.IN_PROGRESS}


class OpenAIBatches(OpenAIProvider):
    """OpenAI's batches, over the provider's own line."""

    async def submit(self, requests: Iterable[tuple[str, ChatRequest]], *, window: str, mark: str) -> BatchJobInfo:
        """Begin a job.

        :param requests: Each with the caller's name of it.
        :param window: By when it must be done: `24h`.
        :param mark: What `find` finds it by.
        """
        # Escaped, a text can hold no line end of any kind, so nobody on the way cuts a line in two.
        lines = [json.dumps(_line(name, request)) for name, request in requests]
        file = ("requests.jsonl", "".join(f"{line}\n" for line in lines).encode(), "application/jsonl")
        with self._exchange.guarded():
            uploaded, _ = await self._exchange.fetch(self._upload(file))
            body = {
                "input_file_id": uploaded["id"],
                "endpoint": f"/v1{openai_chat.PATH}",
                "completion_window": window,
                "metadata": {_MARK: mark},
            }
            data, _ = await self._exchange.fetch(self._post("/batches", body))
            info = _info(data)
        return info.model_copy(update={"request_count": len(lines)})

    async def status(self, job_id: str) -> BatchJobInfo:
        """How far a job is."""
        with self._exchange.guarded():
            data, _ = await self._exchange.fetch(self._get(f"/batches/{job_id}"))
            return _info(data)

    async def find(self, mark: str) -> BatchJobInfo | None:
        """The newest job submitted with this mark, among the last thousand."""
        path = f"/batches?limit={_PAGE}"
        with self._exchange.guarded():
            for _ in range(_MOST_PAGES):
                page, _ = await self._exchange.fetch(self._get(path))
                for data in page["data"]:
                    if (data.get("metadata") or {}).get(_MARK) == mark:
                        return _info(data)
                if not page.get("has_more"):
                    break
                path = f"/batches?limit={_PAGE}&after={page['data'][-1]['id']}"
        return None

    def reasons(self, job: BatchJobInfo) -> list[str]:
        """Why a job failed as a whole, each with its line of the file."""
        told = (job.raw.get("errors") or {}).get("data") or []
        return [
            f"line {each['line']}: {each.get('message')}" if each.get("line") else str(each.get("message"))
            for each in told
        ]

    async def results(self, job: BatchJobInfo) -> AsyncIterator[BatchResult]:
        """What became of every request of a job that has ended, in the provider's order; what has no result last."""
        seen: set[str] = set()
        for file in filter(None, (job.raw.get("output_file_id"), job.raw.get("error_file_id"))):
            async with aclosing(self._file(file)) as lines:
                async for line in lines:
                    seen.add(line["custom_id"])
                    yield self._result(line)
        if len(seen) >= job.request_count or not job.raw.get("input_file_id"):
            return
        async with aclosing(self._file(job.raw["input_file_id"])) as lines:
            async for line in lines:
                if line["custom_id"] not in seen:
                    yield BatchResult(
                        custom_id=line["custom_id"], error=f"The job {job.status.value} without a result."
                    )

    def _result(self, line: dict[str, Any]) -> BatchResult:
        response = line.get("response") or {}
        status, body, model = response.get("status_code"), response.get("body") or {}, ""
        name = str(line["custom_id"])
        try:
            with self._exchange.guarded():
                if line.get("error") or status != 200:
                    raise self._exchange.refuse(status, {"error": line.get("error") or body.get("error") or body}, {})
                model = str(body.get("model") or "")
                answer = openai_chat.read(body, self.name, model, response.get("request_id"))
                return BatchResult(custom_id=name, response=answer, raw=line)
        except RactoGatewayError as error:
            return BatchResult(custom_id=name, error=error.message, raw=line)

    async def _file(self, file_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """The JSON objects of a file, line by line."""
        with self._exchange.guarded():
            response = await self._open_file(file_id)
            try:
                async with aclosing(lines_of(response)) as lines:
                    async for line in lines:
                        yield json.loads(line)
            finally:
                await response.aclose()

    async def _open_file(self, file_id: str) -> Response:
        client = await self._clients.get()
        import httpx2

        # Asked for as a stream the SDK reads nothing, and a file may be hundreds of megabytes.
        opened: Any = client.get(f"/files/{file_id}/content", cast_to=httpx2.Response, stream=True)
        return cast("Response", await opened)

    async def _upload(self, file: tuple[str, bytes, str]) -> Response:
        client = await self._clients.get()
        import httpx2

        return await client.post(
            "/files",
            cast_to=httpx2.Response,
            body={"purpose": "batch"},
            files=[("file", file)],
            options={"headers": {"Content-Type": "multipart/form-data"}},
        )


def _line(name: str, request: ChatRequest) -> dict[str, Any]:
    body = openai_chat.body(openai_chat.Quirks(), request, False)
    return {"custom_id": name, "method": "POST", "url": f"/v1{openai_chat.PATH}", "body": body}


def _info(data: dict[str, Any]) -> BatchJobInfo:
    status = data["status"]
    return BatchJobInfo(
        job_id=data["id"],
        provider="openai",
        status=_STATUS.get(status) or BatchStatus(status),
        created_at=data["created_at"],
        request_count=(data.get("request_counts") or {}).get("total") or 0,
        raw=data,
    )
