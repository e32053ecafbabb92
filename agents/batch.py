"""Many requests at half the price, answered within a day: the batches of OpenAI and Anthropic."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeVar

from pydantic_core import to_jsonable_python

from ..knowledge.edge import blocking
from ..knowledge.errors import (
    BatchError,
    InputError,
    ModelNotAvailableError,
    RactoGatewayAPIError,
    RactoGatewayError,
    RactoGatewayTimeoutError,
)
from ..knowledge.keyvalue import KeyValue
from ..knowledge.prompts import RactoPrompt
from ..knowledge.vocabulary import BatchItem, BatchJobInfo, BatchResult, BatchStatus, ChatConfig, ChatRequest
from . import batch_books
from .requests import chat_request
from .retry import Retrier

if TYPE_CHECKING:
    from .budget import Budget

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[object]]

POLL_SECONDS = 60.0
MAX_WAIT_SECONDS = 86_400.0
_REMEMBERED_SECONDS = 29 * 86_400.0  # as long as the providers keep results
_RUNNING = frozenset(
    {BatchStatus.PENDING, BatchStatus.IN_PROGRESS, BatchStatus.FINALIZING, BatchStatus.CANCELLING},
)


class Wire(Protocol):
    """The batches of one provider."""

    async def submit(self, requests: Iterable[tuple[str, ChatRequest]], *, window: str, mark: str) -> BatchJobInfo:
        """Begin a job."""
        ...

    async def status(self, job_id: str) -> BatchJobInfo:
        """How far a job is."""
        ...

    async def find(self, mark: str) -> BatchJobInfo | None:
        """The job that was submitted with this mark, where the provider keeps marks."""
        ...

    def reasons(self, job: BatchJobInfo) -> list[str]:
        """Why a job failed as a whole."""
        ...

    def results(self, job: BatchJobInfo) -> AsyncIterator[BatchResult]:
        """What became of every request of a job that has ended."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class BatchProcessor:
    """What both processors share: submit, poll, collect, and go on after a crash.

    With a `store` every job is noted until its results were collected: `submit_and_wait` with the same requests then goes on with
    the job it finds noted, instead of paying for another. Between Anthropic's answer to a submission and the note lies a moment in
    which a crash is not noticed; an OpenAI job carries a mark and is found even then.

    :param model: Answers every request of a batch.
    :param default_prompt: The system prompt of batches that bring none; without any, requests have none.
    :param store: Where jobs are noted.
    :param budget: Its ledger gets every result, at the price of batches. No limit is asked: a batch is decided on by a person.
    :param clock: Seconds that only go up; tests give their own, and their own `sleep`.
    """

    provider: ClassVar[str]

    def __init__(
        self,
        wire: Wire,
        model: str,
        default_prompt: RactoPrompt | None,
        store: KeyValue | None,
        budget: Budget | None,
        clock: Callable[[], float],
        sleep: Sleep,
    ) -> None:
        self.model = model
        self._wire = wire
        self._prompt = default_prompt
        self._store = store
        self._books = batch_books.Books(budget, store, _REMEMBERED_SECONDS) if budget is not None else None
        self._clock = clock
        self._sleep = sleep
        self._retrier = Retrier(clock=clock, sleep=sleep)

    async def apoll_status(self, job_id: str) -> BatchJobInfo:
        """How far the job is."""
        return await self._wire.status(job_id)

    async def aget_results(self, job_id: str) -> list[BatchResult]:
        """What became of every request of a job that has ended, also of one that was cancelled or expired halfway.

        :raises BatchError: the job runs still, or failed as a whole (it is a `RuntimeError`).
        """
        job = await self._patiently(lambda: self._wire.status(job_id))
        if job.status in _RUNNING:
            raise BatchError(
                f"The job {job_id} has not ended: {job.status.value}.",
                "Poll its status and collect it later.",
                provider=self.provider,
                model=self.model,
            )
        if job.status is BatchStatus.FAILED:
            raise self._ended_badly(job)
        results = await self._patiently(lambda: self._collected(job))
        for key, noted in await self._notes():
            if noted == job_id:
                await self._forget(key)
        return results

    async def apending_jobs(self) -> list[str]:
        """The ids of the jobs noted in the store whose results were not collected."""
        return [job_id for _, job_id in await self._notes() if job_id]

    poll_status = blocking(apoll_status)
    get_results = blocking(aget_results)
    pending_jobs = blocking(apending_jobs)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._wire.aclose()

    async def _submit(self, items: Sequence[BatchItem], prompt: RactoPrompt | None, window: str) -> BatchJobInfo:
        requests = self._requests(items, prompt)
        return await self._begun(requests, _mark(self.provider, requests), window)

    async def _submit_and_wait(
        self, items: Sequence[BatchItem], prompt: RactoPrompt | None, window: str, poll: float, wait: float
    ) -> list[BatchResult]:
        requests = self._requests(items, prompt)
        mark = _mark(self.provider, requests)
        job = await self._noted(mark) or await self._begun(requests, mark, window)
        job = await self._awaited(job, poll, wait)
        if job.status is not BatchStatus.COMPLETED:
            await self._forget(mark)
            raise self._ended_badly(job)
        results = {result.custom_id: result for result in await self.aget_results(job.job_id)}
        missing = "The provider told no result."
        return [results.get(name) or BatchResult(custom_id=name, error=missing) for name, _ in requests]

    async def _begun(self, requests: list[tuple[str, ChatRequest]], mark: str, window: str) -> BatchJobInfo:
        await self._note(mark, "")
        try:
            job = await self._wire.submit(requests, window=window, mark=mark)
        except RactoGatewayAPIError as error:
            if not error.transient:
                await self._forget(mark)  # it was refused, so there is no job
            raise
        await self._note(mark, job.job_id)
        return job

    async def _awaited(self, job: BatchJobInfo, poll: float, wait: float) -> BatchJobInfo:
        """The job when it has ended. A poll that fails for a moment is made up for by the next."""
        until = self._clock() + wait
        while job.status in _RUNNING:
            left = until - self._clock()
            if left <= 0:
                raise RactoGatewayTimeoutError(
                    f"The job {job.job_id} has not ended after {wait:g} s.",
                    f"It goes on: collect it later with get_results({job.job_id!r}).",
                    provider=self.provider,
                    model=self.model,
                )
            await self._sleep(min(poll, left))
            try:
                job = await self._wire.status(job.job_id)
            except RactoGatewayError as error:
                if not error.transient:
                    raise
        return job

    async def _collected(self, job: BatchJobInfo) -> list[BatchResult]:
        results = [result async for result in self._wire.results(job)]
        await batch_books.price(self.provider, results)
        if self._books is not None:
            await self._books.write(self.provider, self.model, job.job_id, results)
        return results

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Reading costs nothing and is tried again; submitting is not, as it may have been heard."""
        return await self._retrier.run(attempt, until=self._retrier.deadline(), failed=lambda error, wait: None)

    def _requests(self, items: Sequence[BatchItem], prompt: RactoPrompt | None) -> list[tuple[str, ChatRequest]]:
        if not items:
            raise InputError("A batch needs at least one item.")
        name, times = Counter(item.custom_id for item in items).most_common(1)[0]
        if times > 1:
            raise InputError(
                f"The custom_id {name!r} is there {times} times.", "Results are told apart by it: make each unique."
            )
        return [
            (item.custom_id, chat_request(self._config(item), prompt or self._prompt, self.model)) for item in items
        ]

    def _config(self, item: BatchItem) -> ChatConfig:
        return ChatConfig(
            user_message=item.user_message,
            temperature=item.temperature,
            max_tokens=item.max_tokens,
            extra=item.extra,
        )

    def _ended_badly(self, job: BatchJobInfo) -> BatchError:
        reasons = "; ".join(self._wire.reasons(job)[:5])
        told = "" if job.status is BatchStatus.FAILED else f"What was answered is in get_results({job.job_id!r})."
        return BatchError(
            f"The job {job.job_id} {job.status.value}{f': {reasons}' if reasons else '.'}",
            told or "Correct the requests and submit them again.",
            provider=self.provider,
            model=self.model,
        )

    # The notes: mark → job id, "" while a submission is on its way.

    def _key(self, mark: str) -> str:
        return f"batch:{self.provider}:{mark}"

    async def _note(self, mark: str, job_id: str) -> None:
        if self._store is not None:
            await self._store.put(self._key(mark), job_id.encode(), ttl=_REMEMBERED_SECONDS)

    async def _forget(self, mark: str) -> None:
        if self._store is not None:
            await self._store.delete(self._key(mark))

    async def _notes(self) -> list[tuple[str, str]]:
        if self._store is None:
            return []
        keys = await self._store.keys(self._key(""))
        return [(key.removeprefix(self._key("")), (await self._store.get(key) or b"").decode()) for key in keys]

    async def _noted(self, mark: str) -> BatchJobInfo | None:
        """The job with this mark that was submitted and not collected."""
        noted = await self._store.get(self._key(mark)) if self._store is not None else None
        if noted is None:
            return None
        if not noted:
            return await self._patiently(lambda: self._wire.find(mark))
        try:
            job = await self._patiently(lambda: self._wire.status(noted.decode()))
        except ModelNotAvailableError:  # a 404: the provider has forgotten the job
            return None
        return None if job.status is BatchStatus.FAILED else job


def _mark(provider: str, requests: list[tuple[str, ChatRequest]]) -> str:
    """The same for the same requests, and for no others."""
    told = [[name, to_jsonable_python(asdict(request))] for name, request in requests]
    return hashlib.sha256(json.dumps([provider, told], sort_keys=True).encode()).hexdigest()[:32]


class OpenAIBatchProcessor(BatchProcessor):
    """Chat completions by the batch, at OpenAI.

    :param model: Answers every request.
    :param api_key: `None` reads `OPENAI_API_KEY`.
    :param base_url: Another endpoint; `None` is OpenAI itself.
    :param default_prompt: The system prompt of batches that bring none.
    :param store: Where jobs are noted until they are collected, `budget` where they are written down; see `BatchProcessor`.
    """

    provider = "openai"

    def __init__(
        self,
        model: str = "gpt-4o-mini",
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        default_prompt: RactoPrompt | None = None,
        store: KeyValue | None = None,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        from .providers.openai_batches import OpenAIBatches

        super().__init__(OpenAIBatches(api_key, base_url), model, default_prompt, store, budget, clock, sleep)

    async def asubmit_batch(
        self, items: Sequence[BatchItem], *, prompt: RactoPrompt | None = None, completion_window: str = "24h"
    ) -> BatchJobInfo:
        """Begin a job.

        :raises InputError: two items have the same `custom_id`, or there is none.
        """
        return await self._submit(items, prompt, completion_window)

    async def asubmit_and_wait(
        self,
        items: Sequence[BatchItem],
        *,
        prompt: RactoPrompt | None = None,
        completion_window: str = "24h",
        poll_interval_s: float = POLL_SECONDS,
        max_wait_s: float = MAX_WAIT_SECONDS,
    ) -> list[BatchResult]:
        """Submit, wait, collect: one result for each item, in their order.

        :raises RactoGatewayTimeoutError: it took longer than `max_wait_s`; the job goes on (it is a `TimeoutError`).
        :raises BatchError: the job failed, expired or was cancelled (it is a `RuntimeError`).
        """
        return await self._submit_and_wait(items, prompt, completion_window, poll_interval_s, max_wait_s)

    submit_batch = blocking(asubmit_batch)
    submit_and_wait = blocking(asubmit_and_wait)


class AnthropicBatchProcessor(BatchProcessor):
    """Messages by the batch, at Anthropic. Its API has no temperature: the default one is not sent, another is refused.

    :param model: Answers every request.
    :param api_key: `None` reads `ANTHROPIC_API_KEY`.
    :param default_prompt: The system prompt of batches that bring none.
    :param base_url: Another endpoint, without `/v1`; `None` is Anthropic itself.
    :param store: Where jobs are noted until they are collected, `budget` where they are written down; see `BatchProcessor`.
    """

    provider = "anthropic"

    def __init__(
        self,
        model: str = "claude-haiku-4-5-20251001",
        *,
        api_key: str | None = None,
        default_prompt: RactoPrompt | None = None,
        base_url: str | None = None,
        store: KeyValue | None = None,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        from .providers.anthropic_batches import AnthropicBatches

        super().__init__(AnthropicBatches(api_key, base_url), model, default_prompt, store, budget, clock, sleep)

    async def asubmit_batch(self, items: Sequence[BatchItem], *, prompt: RactoPrompt | None = None) -> BatchJobInfo:
        """Begin a job.

        :raises InputError: two items have the same `custom_id`, or there is none.
        """
        return await self._submit(items, prompt, "24h")

    async def asubmit_and_wait(
        self,
        items: Sequence[BatchItem],
        *,
        prompt: RactoPrompt | None = None,
        poll_interval_s: float = POLL_SECONDS,
        max_wait_s: float = MAX_WAIT_SECONDS,
    ) -> list[BatchResult]:
        """Submit, wait, collect: one result for each item, in their order.

        :raises RactoGatewayTimeoutError: it took longer than `max_wait_s`; the job goes on (it is a `TimeoutError`).
        :raises BatchError: the job expired or was cancelled (it is a `RuntimeError`).
        """
        return await self._submit_and_wait(items, prompt, "24h", poll_interval_s, max_wait_s)

    submit_batch = blocking(asubmit_batch)
    submit_and_wait = blocking(asubmit_and_wait)

    def _config(self, item: BatchItem) -> ChatConfig:
        unset = {} if "temperature" in item.model_fields_set else {"temperature": None}
        return super()._config(item.model_copy(update=unset))
