"""Handles of fine-tuning jobs: what a crash leaves, what is found again, how often a provider is asked."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from racto.knowledge.database import Database
from racto.knowledge.errors import (
    ConfigError,
    ConnectionLostError,
    RactoGatewayAuthError,
    RactoGatewayError,
    UnknownNameError,
)
from racto.tools.finetune.dataset import RactoDataset
from racto.tools.finetune.jobs import FIRST_SECONDS, LONGEST_SECONDS, TuningJob, TuningJobs
from racto.tools.finetune.tuners import tuner_class
from racto.tools.finetune.tuners.anthropic import AnthropicFineTuner
from racto.tools.finetune.tuners.tuner import FineTuner

from tests.dialects import KEY
from tests.dialects.tuning import MODEL, OpenAITuning, TuningServer
from tests.dialects.tuning_clouds import SERVERS
from tests.test_finetune_tuners import BASES, HELD_OUT, TRAINING


class Clock:
    """Time that passes only by waiting; after `most` waits who waits is cancelled."""

    def __init__(self, most: int = 1_000) -> None:
        self.now = 1_790_000_000.0
        self.left = most
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)
        self.left -= 1
        if not self.left:
            raise asyncio.CancelledError


class Side:
    """A server, a database file, and as many processes as a test starts."""

    def __init__(self, kind: type[TuningServer], folder: Path) -> None:
        self.server = kind()
        self.provider = kind.provider
        self.base = BASES[kind.provider]
        self.path = folder / "racto.db"
        self.clock = Clock()

    @asynccontextmanager
    async def jobs(self) -> AsyncIterator[TuningJobs]:
        """The jobs of one process."""
        async with self.server.running() as base, self.at(base) as jobs:
            yield jobs

    @asynccontextmanager
    async def at(self, base: str) -> AsyncIterator[TuningJobs]:
        """The same, at a server that runs."""
        made: Any = tuner_class(self.provider)
        tuner: FineTuner = made(**self.server.options(base), sleep=self.clock.sleep)
        database = Database(self.path)
        try:
            yield TuningJobs(database, lambda provider: tuner, clock=self.clock, sleep=self.clock.sleep)
        finally:
            await tuner.aclose()
            database.close()

    async def until_ended(self, jobs: TuningJobs, handle: str) -> TuningJob:
        """Poll until the job has ended."""
        for _ in range(20):
            self.clock.now += LONGEST_SECONDS
            await jobs.poll()
            if (job := jobs.get(handle)).state in ("succeeded", "failed", "cancelled"):
                return job
        raise AssertionError(f"It has not ended: {job}")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.provider)
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Side:
    return Side(request.param, tmp_path)


@pytest.fixture
def openai(tmp_path: Path) -> Side:
    return Side(OpenAITuning, tmp_path)


@pytest.mark.anyio
async def test_a_job_is_begun_and_polled_until_its_model_is_there(side: Side) -> None:
    async with side.jobs() as jobs:
        started = await jobs.start(
            side.provider, TRAINING, side.base, validation=HELD_OUT, settings={"n_epochs": 2}, suffix="adds"
        )
        assert started.state in ("queued", "running")
        assert started.step == "created"
        ended = await side.until_ended(jobs, started.handle)
        assert ended.state == "succeeded"
        assert started.handle in ended.tuned_model if side.provider == "together" else ended.tuned_model == MODEL
        assert jobs.events(started.handle)
        assert [job.handle for job in jobs.listed()] == [started.handle]
    assert len(side.server.files) == 2


@pytest.mark.anyio
async def test_a_job_whose_creation_was_never_answered_is_found_again_by_the_next_process(side: Side) -> None:
    async with side.server.running() as base:
        side.server.cut_after_creating = True
        async with side.at(base) as jobs:
            with pytest.raises(RactoGatewayError):
                await jobs.start(side.provider, TRAINING, side.base)
            (left,) = jobs.listed()
            assert (left.state, left.step, left.remote_id) == ("unknown", "creating", "")
            assert left.note
        side.server.cut_after_creating = False
        async with side.at(base) as jobs:
            again = await jobs.start(side.provider, TRAINING, side.base)
            assert again.handle == left.handle
            assert again.remote_id
            assert (await side.until_ended(jobs, left.handle)).state == "succeeded"
    assert len(side.server.jobs) == 1


@pytest.mark.anyio
async def test_a_job_that_runs_is_not_begun_again(side: Side) -> None:
    async with side.jobs() as jobs:
        first = await jobs.start(side.provider, TRAINING, side.base)
        second = await jobs.start(side.provider, TRAINING, side.base)
        assert first.handle == second.handle
        other = await jobs.start(side.provider, HELD_OUT, side.base)
        assert other.handle != first.handle
    assert len(side.server.jobs) == 2


@pytest.mark.anyio
async def test_two_starts_at_once_begin_one_job(side: Side) -> None:
    async with side.jobs() as jobs:
        both = await asyncio.gather(*(jobs.start(side.provider, TRAINING, side.base) for _ in range(2)))
    assert both[0].handle == both[1].handle
    assert len(side.server.jobs) == 1


@pytest.mark.anyio
async def test_a_cancelled_job_says_so_also_in_the_next_process(side: Side) -> None:
    async with side.server.running() as base:
        async with side.at(base) as jobs:
            handle = (await jobs.start(side.provider, TRAINING, side.base)).handle
            for job in side.server.jobs.values():
                job["words"] = [side.server.progress[-2]]  # it does not end by itself
            await jobs.cancel(handle)
        async with side.at(base) as jobs:
            ended = await side.until_ended(jobs, handle)
            assert (ended.state, ended.tuned_model) == ("cancelled", "")
            asked = len(side.server.received)
            assert await jobs.cancel(handle) == ended
            assert await jobs.poll() == []
    assert len(side.server.received) == asked


@pytest.mark.anyio
async def test_a_creation_that_is_refused_ends_the_job_with_the_reason(openai: Side) -> None:
    async with openai.jobs() as jobs:
        openai.server.scenario = lambda request: "status-401" if request.path.endswith("/jobs") else ""  # type: ignore[method-assign]  # this one refuses
        with pytest.raises(RactoGatewayAuthError):
            await jobs.start("openai", TRAINING)
        (job,) = jobs.listed()
    assert job.state == "failed"
    assert "401" in job.note
    assert KEY not in job.note


@pytest.mark.anyio
async def test_what_is_unavailable_leaves_no_handle(openai: Side) -> None:
    async with openai.jobs() as jobs:
        jobs._tuner = lambda provider: AnthropicFineTuner()
        with pytest.raises(ConfigError):
            await jobs.start("anthropic", TRAINING)
        with pytest.raises(ConfigError):
            await jobs.start("anthropic", RactoDataset.from_pairs([("", "")]))
        assert jobs.listed() == []
    assert openai.server.received == []


@pytest.mark.anyio
async def test_a_creation_nobody_heard_of_fails_after_a_while_and_can_be_started_again(openai: Side) -> None:
    async with openai.server.running() as base, openai.at(base) as jobs:
        openai.server.cut_after_creating = True
        with pytest.raises(RactoGatewayError):
            await jobs.start("openai", TRAINING)
        openai.server.jobs.clear()
        openai.server.cut_after_creating = False
        early = await jobs.start("openai", TRAINING)
        assert early.state == "unknown"  # it may be on its way still
        openai.clock.now += 700
        late = await jobs.start("openai", TRAINING)
        assert late.handle != early.handle
        assert late.state == "queued"
        assert jobs.get(early.handle).state == "failed"
    assert len(openai.server.jobs) == 1


@pytest.mark.anyio
async def test_an_upload_that_was_interrupted_goes_on(openai: Side) -> None:
    async with openai.at("http://127.0.0.1:1") as jobs:
        with pytest.raises(ConnectionLostError):
            await jobs.start("openai", TRAINING)
        (left,) = jobs.listed()
        assert (left.state, left.step) == ("unknown", "uploading")
    async with openai.jobs() as jobs:
        assert (await jobs.start("openai", TRAINING)).handle == left.handle
        assert jobs.get(left.handle).state == "queued"


@pytest.mark.anyio
async def test_a_job_can_be_cancelled_while_its_examples_go_up(openai: Side) -> None:
    async with openai.at("http://127.0.0.1:1") as jobs:
        with pytest.raises(ConnectionLostError):
            await jobs.start("openai", TRAINING)
        (left,) = jobs.listed()
        assert (await jobs.cancel(left.handle)).state == "cancelled"
        assert (await jobs.refresh(left.handle)).state == "cancelled"


@pytest.mark.anyio
async def test_a_job_that_does_not_move_is_asked_for_less_and_less_often(openai: Side) -> None:
    async with openai.jobs() as jobs:
        handle = (await jobs.start("openai", TRAINING)).handle
        openai.server.jobs["ftjob-0"]["words"] = ["running"]
        openai.clock.left = 20
        with pytest.raises(asyncio.CancelledError):
            await jobs.run()
        waits = [min(jobs.get(handle).poll_seconds, LONGEST_SECONDS)]
        polls = sum(each.path == "/v1/fine_tuning/jobs/ftjob-0" for each in openai.server.received)
    assert waits == [LONGEST_SECONDS]
    assert polls < 15
    assert openai.clock.waits[0] == FIRST_SECONDS
    assert max(openai.clock.waits) <= 60  # it looks around for jobs of others


@pytest.mark.anyio
async def test_a_provider_that_does_not_answer_changes_nothing_but_the_next_time(openai: Side) -> None:
    async with openai.jobs() as jobs:
        handle = (await jobs.start("openai", TRAINING)).handle
        openai.server.mute = 1
        openai.clock.now += FIRST_SECONDS
        (polled,) = await jobs.poll()
        assert polled.state == "queued"
        assert "503" in polled.note
        assert polled.poll_at > openai.clock.now
        assert await jobs.poll() == []
        assert (await openai.until_ended(jobs, handle)).state == "succeeded"


@pytest.mark.anyio
async def test_a_job_is_not_polled_for_ever(openai: Side) -> None:
    async with openai.jobs() as jobs:
        await jobs.start("openai", TRAINING)
        openai.clock.now += 31 * 86_400
        assert await jobs.poll() == []


@pytest.mark.anyio
async def test_an_unknown_handle_is_told(openai: Side) -> None:
    async with openai.jobs() as jobs:
        with pytest.raises(UnknownNameError):
            await jobs.refresh("racto-0")


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.provider)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["start", "unanswered", "offline", "restart", "poll", "wait"]), max_size=7))
def test_whatever_breaks_on_the_way_one_job_is_paid_for(
    kind: type[TuningServer], steps: list[str], tmp_path: Path
) -> None:
    async def walk(side: Side) -> None:
        side.server.progress = (side.server.progress[-2],)  # type: ignore[misc]  # it runs until the end of the walk
        async with side.server.running() as base:
            jobs_of = side.at(base)
            jobs = await jobs_of.__aenter__()
            for step in [*steps, "restart", "start"]:
                side.server.cut_after_creating = step == "unanswered"
                if step == "restart":
                    await jobs_of.__aexit__(None, None, None)
                    jobs_of = side.at(base)
                    jobs = await jobs_of.__aenter__()
                elif step == "poll":
                    await jobs.poll()
                elif step == "wait":
                    side.clock.now += 400
                elif step == "offline":
                    async with side.at("http://127.0.0.1:1") as away:
                        with suppress(RactoGatewayError):
                            await away.start(side.provider, TRAINING, side.base)
                else:
                    with suppress(RactoGatewayError):
                        await jobs.start(side.provider, TRAINING, side.base)
            assert len(side.server.jobs) == 1
            for job in side.server.jobs.values():
                job["words"] = [kind.progress[-1]]
            (handle,) = {job.handle for job in jobs.listed() if job.remote_id}
            assert (await side.until_ended(jobs, handle)).state == "succeeded"
            await jobs_of.__aexit__(None, None, None)

    asyncio.run(walk(Side(kind, Path(tempfile.mkdtemp(dir=tmp_path)))))


CHILD = """
import asyncio, sys
from pathlib import Path
from racto.knowledge.database import Database
from racto.tools.finetune.jobs import TuningJobs
from racto.tools.finetune.tuners.openai import OpenAIFineTuner
from tests.dialects import KEY
from tests.test_finetune_tuners import TRAINING

tuner = OpenAIFineTuner(KEY, base_url=sys.argv[1])
asyncio.run(TuningJobs(Database(Path(sys.argv[2])), lambda provider: tuner).start("openai", TRAINING))
"""


@pytest.mark.anyio
async def test_a_process_killed_while_it_creates_a_job_leaves_a_handle_that_finds_it(openai: Side) -> None:
    created, killed = asyncio.Event(), asyncio.Event()

    async def unanswered(line: Any, answer: Any, status: int = 200) -> None:
        created.set()
        await killed.wait()

    openai.server.created = unanswered  # type: ignore[method-assign]  # this one waits for the kill
    async with openai.server.running() as base:
        root = Path(__file__).parents[1]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, f"{base}/v1", str(openai.path), cwd=root
        )
        try:
            await asyncio.wait_for(created.wait(), 30)
        finally:
            child.kill()
            await child.wait()
        killed.set()
        async with openai.at(base) as jobs:
            (left,) = jobs.listed()
            assert (left.state, left.step) == ("unknown", "creating")
            openai.clock.now = left.poll_at
            (found,) = await jobs.poll()
            assert (found.handle, found.state, found.remote_id) == (left.handle, "queued", "ftjob-0")
    assert len(openai.server.jobs) == 1
