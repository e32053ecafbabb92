"""Batches, over the wire against servers that take files and message batches."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from racto.agents.batch import AnthropicBatchProcessor, BatchProcessor, OpenAIBatchProcessor
from racto.agents.budget import Budget
from racto.batch import BatchItem, BatchResult, BatchStatus
from racto.knowledge.database import Database
from racto.knowledge.edge import blocking
from racto.knowledge.errors import (
    BatchError,
    InputError,
    ModelNotAvailableError,
    RactoGatewayAuthError,
    RactoGatewayTimeoutError,
    UnsupportedParameterError,
)
from racto.knowledge.keyvalue.memory import MemoryKeyValue
from racto.knowledge.keyvalue.sqlite import SQLiteKeyValue
from racto.knowledge.ledger import UsageLine
from racto.knowledge.prompts import RactoPrompt

from tests.dialects import KEY
from tests.dialects.batches import SEPARATED, AnthropicBatchServer, BatchServer, OpenAIBatchServer

PROMPT = RactoPrompt(role="A clerk", aim="Answer", constraints=["Be brief"], tone="Calm", output_format="text")
Maker = Callable[..., BatchProcessor]


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Side:
    """One provider: its server, its processor, and its word for "done"."""

    def __init__(self, name: str, *statuses: str) -> None:
        openai = name == "openai"
        self.server: BatchServer = OpenAIBatchServer(*statuses) if openai else AnthropicBatchServer(*statuses)
        self.running, self.done = ("in_progress", "completed") if openai else ("in_progress", "ended")
        self.clock = Clock()
        self._openai = openai

    @asynccontextmanager
    async def processor(self, **options: Any) -> AsyncIterator[Any]:
        """A processor at the running server."""
        async with self.server.running() as base:
            made = self.make(base, **options)
            try:
                yield made
            finally:
                await made.aclose()

    def make(self, base: str, **options: Any) -> BatchProcessor:
        about: dict[str, Any] = {"api_key": KEY, "clock": self.clock, "sleep": self.clock.sleep, **options}
        if self._openai:
            return OpenAIBatchProcessor(base_url=f"{base}/v1", **about)
        return AnthropicBatchProcessor(base_url=base, **about)


@pytest.fixture(params=["openai", "anthropic"])
def side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)


def items(*words: str) -> list[BatchItem]:
    return [BatchItem(custom_id=f"id-{number}", user_message=each) for number, each in enumerate(words)]


def told(results: list[BatchResult]) -> dict[str, str | None]:
    return {result.custom_id: result.response.content if result.response else result.error for result in results}


def test_every_item_gets_its_own_answer_in_the_order_of_the_items(side: Side) -> None:
    async def run() -> list[BatchResult]:
        side.server.statuses = [side.running, side.running, side.done]
        async with side.processor(default_prompt=PROMPT) as processor:
            results: list[BatchResult] = await processor.asubmit_and_wait(items("one", "two", SEPARATED))
            return results

    results = asyncio.run(run())
    assert told(results) == {"id-0": "one", "id-1": "two", "id-2": SEPARATED}
    assert [result.custom_id for result in results] == ["id-0", "id-1", "id-2"]
    assert all(result.ok and result.raw["custom_id"] == result.custom_id for result in results)
    response = results[0].response
    assert response is not None
    assert response.usage == {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    # Half of 0.15 and 0.60, or 1 and 5, dollars a million, for 5 tokens read and 3 written.
    half = {"gpt-4o-mini": Decimal("0.000001275"), "claude-haiku-4-5-20251001": Decimal("0.00001")}
    assert response.cost == half[response.model]
    assert side.clock.slept == [60.0] * 3


def test_what_failed_is_reported_with_the_providers_reason_beside_what_did_not(side: Side) -> None:
    async def run() -> dict[str, str | None]:
        side.server.statuses = [side.done]
        async with side.processor() as processor:
            return told(await processor.asubmit_and_wait(items("one", "fail", "expire", "lost", "odd")))

    results = asyncio.run(run())
    assert results["id-0"] == "one"
    assert "Unsupported value." in (results["id-1"] or "")
    assert "expired" in (results["id-2"] or "") or "24 hours" in (results["id-2"] or "")
    assert "result" in (results["id-3"] or "")
    assert "cannot be read" in (results["id-4"] or "")


def test_results_can_be_fetched_by_id_alone_and_none_is_missing() -> None:
    side = Side("openai", "completed", "completed")

    async def run() -> dict[str, str | None]:
        async with side.processor() as processor:
            job = await processor.asubmit_batch(items("one", "lost", "fail"))
            return told(await processor.aget_results(job.job_id))

    assert asyncio.run(run()).keys() == {"id-0", "id-1", "id-2"}


def test_a_job_tells_its_progress(side: Side) -> None:
    async def run() -> list[Any]:
        side.server.statuses = [side.running, side.done]
        async with side.processor() as processor:
            job = await processor.asubmit_batch(items("one", "two"))
            return [job, await processor.apoll_status(job.job_id), await processor.apoll_status(job.job_id)]

    jobs = asyncio.run(run())
    assert [job.status for job in jobs] == [BatchStatus.IN_PROGRESS, BatchStatus.IN_PROGRESS, BatchStatus.COMPLETED]
    assert {job.provider for job in jobs} <= {"openai", "anthropic"}
    assert {job.request_count for job in jobs} == {2}
    assert all(job.created_at > 1_700_000_000 and job.raw["id"] == job.job_id for job in jobs)


def test_what_is_sent_is_a_chat_request_of_each_item(side: Side) -> None:
    async def run() -> None:
        async with side.processor(default_prompt=PROMPT) as processor:
            sent = [BatchItem(custom_id="a", user_message=SEPARATED, max_tokens=9, extra={"service_tier": "flex"})]
            await processor.asubmit_batch(sent)
            await processor.asubmit_batch(sent, prompt=PROMPT.model_copy(update={"role": "A poet"}))

    asyncio.run(run())
    if isinstance(side.server, OpenAIBatchServer):
        lines = [line for file in side.server.files.values() for line in file.splitlines()]
        assert len(lines) == 2  # no text ends a line, whoever reads it
        first, second = map(json.loads, lines)
        assert (first["custom_id"], first["method"], first["url"]) == ("a", "POST", "/v1/chat/completions")
        bodies = [first["body"], second["body"]]
        assert [body["messages"][0]["content"] for body in bodies] == [
            PROMPT.compile(),
            PROMPT.compile().replace("A clerk", "A poet"),
        ]
        assert bodies[0]["temperature"] == 0.0
        assert bodies[0]["max_completion_tokens"] == 9
    else:
        assert isinstance(side.server, AnthropicBatchServer)
        bodies = [requests[0]["params"] for requests in side.server.requests.values()]
        assert bodies[0]["system"] == PROMPT.compile()
        assert "A poet" in bodies[1]["system"]
        assert "temperature" not in bodies[0]
        assert bodies[0]["max_tokens"] == 9
    assert bodies[0]["messages"][-1]["content"] == SEPARATED
    assert bodies[0]["service_tier"] == "flex"


def test_a_temperature_claude_does_not_know_is_refused_before_anything_is_paid() -> None:
    side = Side("anthropic")

    async def run() -> None:
        async with side.processor() as processor:
            await processor.asubmit_batch([BatchItem(custom_id="a", user_message="b", temperature=0.5)])

    with pytest.raises(UnsupportedParameterError, match="temperature"):
        asyncio.run(run())
    assert not side.server.received


def test_the_same_custom_id_twice_is_refused_before_anything_is_sent(side: Side) -> None:
    async def run(batch: list[BatchItem]) -> None:
        async with side.processor() as processor:
            await processor.asubmit_and_wait(batch)

    with pytest.raises(InputError, match="'id-0' is there 2 times"):
        asyncio.run(run([*items("one", "two"), *items("three")]))
    with pytest.raises(InputError, match="at least one"):
        asyncio.run(run([]))
    assert not side.server.received
    for wrong in ({"custom_id": ""}, {"user_message": ""}, {"max_tokens": 0}, {"temperature": 2.1}):
        with pytest.raises(ValidationError):
            BatchItem.model_validate({"custom_id": "a", "user_message": "b", **wrong})


def test_results_of_a_job_that_runs_are_a_runtime_error(side: Side) -> None:
    async def run() -> None:
        async with side.processor() as processor:
            job = await processor.asubmit_batch(items("one"))
            await processor.aget_results(job.job_id)

    with pytest.raises(RuntimeError, match="has not ended"):
        asyncio.run(run())


def test_a_job_that_takes_too_long_is_a_timeout_that_names_it(side: Side) -> None:
    async def run() -> None:
        async with side.processor() as processor:
            await processor.asubmit_and_wait(items("one"), poll_interval_s=60, max_wait_s=150)

    with pytest.raises(TimeoutError, match="get_results") as late:
        asyncio.run(run())
    assert isinstance(late.value, RactoGatewayTimeoutError)
    assert side.clock.slept == [60, 60, 30]


@pytest.mark.parametrize("status", ["failed", "expired", "cancelled"])
def test_a_job_that_ends_badly_is_a_runtime_error_with_the_reasons(status: str) -> None:
    side = Side("openai", "in_progress", status, status)

    async def run() -> list[BatchResult]:
        async with side.processor() as processor:
            with pytest.raises(RuntimeError, match=f"batch_1 {status}") as ended:
                await processor.asubmit_and_wait(items("one", "expire"))
            assert isinstance(ended.value, BatchError)
            if status == "failed":
                assert "line 2: This line is not JSON." in str(ended.value)
                with pytest.raises(BatchError, match="not JSON"):
                    await processor.aget_results("batch_1")
                return []
            results: list[BatchResult] = await processor.aget_results("batch_1")
            return results

    # What was done before the end is there.
    assert {result.custom_id: result.ok for result in asyncio.run(run())} in ({}, {"id-0": True, "id-1": False})


@pytest.mark.parametrize(("word", "status"), [("expire", BatchStatus.EXPIRED), ("cancel", BatchStatus.CANCELLED)])
def test_a_claude_job_of_which_nothing_was_answered_says_why(word: str, status: BatchStatus) -> None:
    side = Side("anthropic", "canceling", "ended")

    async def run() -> None:
        async with side.processor() as processor:
            with pytest.raises(BatchError, match=status.value):
                await processor.asubmit_and_wait(items(word, word))

    asyncio.run(run())


def test_polling_outlasts_a_provider_that_fails_for_a_while(side: Side) -> None:
    async def run() -> dict[str, str | None]:
        side.server.statuses = [side.running, side.done]
        side.server.failures = [503, 500, 429, 500, 503]
        async with side.processor() as processor:
            return told(await processor.asubmit_and_wait(items("one")))

    assert asyncio.run(run()) == {"id-0": "one"}


def test_a_job_nobody_knows_and_a_missing_key_are_told_as_such(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    async def run(**options: Any) -> None:
        async with side.processor(**options) as processor:
            await processor.apoll_status("nobody")

    with pytest.raises(ModelNotAvailableError, match=r"404|nobody"):
        asyncio.run(run())
    with pytest.raises(RactoGatewayAuthError, match="no API key"):
        asyncio.run(run(api_key=None))


@contextmanager
def served(side: Side) -> Iterator[str]:
    """The server in a thread, for callers that block."""
    ready, address, done = threading.Event(), [], asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with side.server.running() as base:
            address.append(base)
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join()
        loop.close()


def test_the_blocking_twins_do_the_same(side: Side) -> None:
    side.server.statuses = [side.running, side.done, side.done]
    with served(side) as base:
        processor: Any = side.make(base)
        assert told(processor.submit_and_wait(items("one"))) == {"id-0": "one"}
        job = processor.submit_batch(items("two"))
        side.server.statuses = [side.done]
        assert processor.poll_status(job.job_id).status is BatchStatus.COMPLETED
        assert told(processor.get_results(job.job_id)) == {"id-0": "two"}
        assert processor.pending_jobs() == []
        blocking(processor.aclose)()


def test_a_noted_job_is_gone_on_with_and_forgotten_once_collected(side: Side) -> None:
    store = MemoryKeyValue()

    async def run() -> None:
        side.server.statuses = []
        async with side.processor(store=store) as processor:
            with pytest.raises(TimeoutError):
                await processor.asubmit_and_wait(items("one"), max_wait_s=60)
            (job_id,) = await processor.apending_jobs()
            side.server.statuses = [side.done]
            assert told(await processor.asubmit_and_wait(items("one"))) == {"id-0": "one"}
            assert list(side.server.jobs) == [job_id]
            assert await processor.apending_jobs() == []
            side.server.statuses = [side.running, side.done]
            await processor.asubmit_and_wait(items("one"))
            assert len(side.server.jobs) == 2  # asked for again, it is another job
            await processor.asubmit_batch(items("two"))
            side.server.statuses = [side.done]
            await processor.asubmit_and_wait(items("three"))
            assert len(side.server.jobs) == 4
            assert len(await processor.apending_jobs()) == 1

    asyncio.run(run())


def test_a_job_the_provider_has_forgotten_is_submitted_anew(side: Side) -> None:
    async def run() -> None:
        async with side.processor(store=MemoryKeyValue()) as processor:
            await processor.asubmit_batch(items("one"))
            side.server.jobs.clear()
            side.server.statuses = [side.done]
            assert told(await processor.asubmit_and_wait(items("one"))) == {"id-0": "one"}

    asyncio.run(run())


CHILD = """
import sys
from pathlib import Path
from racto.agents import batch
from racto.knowledge.database import Database
from racto.knowledge.edge import blocking
from racto.knowledge.keyvalue.sqlite import SQLiteKeyValue
kind, base, path = sys.argv[1:]
store = SQLiteKeyValue(Database(Path(path)), namespace="batches")
processor = getattr(batch, kind)(api_key="k", base_url=base, store=store)
item = batch.BatchItem(custom_id="id-0", user_message="one")
processor.submit_and_wait([item], poll_interval_s=0.01)
"""


async def _killed(kind: str, base: str, path: Path, moment: asyncio.Event) -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, kind, base, str(path))
    await asyncio.wait_for(moment.wait(), 30)
    child.kill()
    assert await child.wait() == -9


@pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL")
@pytest.mark.parametrize(
    ("name", "when"), [("openai", "polled"), ("anthropic", "polled"), ("openai", "taken")], ids=lambda each: str(each)
)
def test_a_killed_process_does_not_pay_twice(name: str, when: str, tmp_path: Path) -> None:
    """Killed while it polls; and, at OpenAI, after the job was taken and before the answer came."""
    side = Side(name)
    side.server.silent = when == "taken"
    database = Database(tmp_path / "racto.db")

    async def run() -> None:
        store = SQLiteKeyValue(database, namespace="batches")
        async with side.processor(store=store) as processor, asyncio.timeout(60):
            base = processor._wire._base_url  # the child needs the same address
            await _killed(type(processor).__name__, base, database.path, getattr(side.server, when))
            side.server.silent = False
            side.server.statuses = [side.done]
            assert told(await processor.asubmit_and_wait(items("one"))) == {"id-0": "one"}
            assert len(side.server.jobs) == 1

    asyncio.run(run())
    database.close()


def test_a_job_without_an_answer_is_found_among_many_by_its_mark() -> None:
    side = Side("openai")

    async def run() -> None:
        store = MemoryKeyValue()
        async with side.processor(store=store) as processor:
            await processor.asubmit_batch(items("one"))
            for number in range(5):
                await processor.asubmit_batch(items(f"other {number}"))
            for key in await store.keys():
                await store.put(key, b"")  # as after a crash before the answer
            side.server.statuses = [side.done]
            await processor.asubmit_and_wait(items("one"))
            assert len(side.server.jobs) == 6
            assert (
                len([each for each in side.server.received if each.path == "/v1/batches" and each.method == "GET"]) == 3
            )

    asyncio.run(run())


def test_a_batch_is_in_the_usage_report_once_at_its_price_however_often_it_is_collected(
    side: Side, tmp_path: Path
) -> None:
    async def run() -> list[UsageLine]:
        database = Database(tmp_path / "batch.db")
        try:
            budget, store = Budget(database), SQLiteKeyValue(database)
            side.server.statuses = [side.done] * 4
            async with side.server.running() as base:
                for _ in range(2):  # the second is another process, as far as it knows
                    processor = side.make(base, budget=budget, store=store)
                    if not await processor.apending_jobs() and not await budget.report():
                        job = await processor.asubmit_batch(items("one", "fail"))  # type: ignore[attr-defined]  # both have it
                    await processor.aget_results(job.job_id)
                    await processor.aget_results(job.job_id)
                    await processor.aclose()
            return await budget.report(["task", "outcome"])
        finally:
            database.close()

    lines = {line.of["outcome"]: line for line in asyncio.run(run())}
    assert {line.of["task"] for line in lines.values()} == {"batch"}
    assert {outcome: line.calls for outcome, line in lines.items()} == {"ok": 1, "batch": 1}
    assert lines["ok"].cost in (Decimal("0.000001275"), Decimal("0.00001"))  # half of what a call costs
    assert lines["ok"].tokens["total_tokens"] == 8
    assert lines["batch"].unpriced == 0
