"""Anthropic's Message Batches."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, cast

from ...knowledge.errors import RactoGatewayError
from ...knowledge.vocabulary import BatchJobInfo, BatchResult, BatchStatus, ChatRequest
from .anthropic import AnthropicProvider
from .anthropic_messages import AnthropicTurn, as_events, body
from .exchange import Response
from .http_exchange import lines_of

_PATH = "/v1/messages/batches"
_WORDS = {"canceled": "It was cancelled before it was answered.", "expired": "It was not answered within 24 hours."}


class AnthropicBatches(AnthropicProvider):
    """Claude's batches, over the provider's own line."""

    async def submit(self, requests: Iterable[tuple[str, ChatRequest]], *, window: str, mark: str) -> BatchJobInfo:
        """Begin a job.

        :param requests: Each with the caller's name of it.
        :param window: Unused: always 24 hours.
        :param mark: Unused: a job can carry none.
        """
        made = [{"custom_id": name, "params": body(request)} for name, request in requests]
        content = json.dumps({"requests": made}).encode()
        with self._exchange.guarded():
            return _info(await self._fetched("post", _PATH, content=content))

    async def status(self, job_id: str) -> BatchJobInfo:
        """How far a job is."""
        with self._exchange.guarded():
            return _info(await self._fetched("get", f"{_PATH}/{job_id}"))

    async def find(self, mark: str) -> BatchJobInfo | None:
        """Nothing: a job carries no mark."""
        return None

    def reasons(self, job: BatchJobInfo) -> list[str]:
        """Why a job failed as a whole; it never does."""
        return []

    async def results(self, job: BatchJobInfo) -> AsyncIterator[BatchResult]:
        """What became of every request of a job that has ended, in the provider's order."""
        with self._exchange.guarded():
            # The job also tells a URL; the key is not sent wherever an answer says.
            response = await self._opened("get", f"{_PATH}/{job.job_id}/results")
            try:
                async with aclosing(lines_of(response)) as lines:
                    async for line in lines:
                        yield self._result(json.loads(line))
            finally:
                await response.aclose()

    def _result(self, line: dict[str, Any]) -> BatchResult:
        name, result = str(line["custom_id"]), line["result"]
        try:
            with self._exchange.guarded():
                if result["type"] == "succeeded":
                    message = result["message"]
                    request = ChatRequest(model=str(message.get("model") or ""), messages=[])
                    answer = self._exchange.whole(request, message, {}, AnthropicTurn(), *as_events(message))
                    return BatchResult(custom_id=name, response=answer, raw=line)
                if result["type"] == "errored":
                    told = result["error"]
                    raise self._exchange.refuse(None, told, {"request-id": told.get("request_id") or ""})
        except RactoGatewayError as error:
            return BatchResult(custom_id=name, error=error.message, raw=line)
        return BatchResult(custom_id=name, error=_WORDS.get(result["type"], f"It was {result['type']}."), raw=line)

    async def _fetched(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        data, _ = await self._exchange.fetch(self._opened(method, path, **arguments))
        return data

    async def _opened(self, method: str, path: str, **arguments: Any) -> Response:
        """The response, its body not read; within `guarded`."""
        client = await self._clients.get()
        import httpx2

        call = getattr(client, method)
        return await cast("Awaitable[Response]", call(path, cast_to=httpx2.Response, stream=True, **arguments))


def _info(data: dict[str, Any]) -> BatchJobInfo:
    counts = data["request_counts"]
    total = sum(counts.values())
    status = BatchStatus.IN_PROGRESS
    if data["processing_status"] == "canceling":
        status = BatchStatus.CANCELLING
    elif data["processing_status"] == "ended":
        status = BatchStatus.COMPLETED
        if counts.get("canceled"):
            status = BatchStatus.CANCELLED
        elif total and counts.get("expired") == total:
            status = BatchStatus.EXPIRED
    return BatchJobInfo(
        job_id=data["id"],
        provider="anthropic",
        status=status,
        created_at=datetime.fromisoformat(data["created_at"]).timestamp(),
        request_count=total,
        raw=data,
    )
