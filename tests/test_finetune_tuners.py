"""Every tuner, over the wire against a server that speaks its provider's API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import pytest
from racto.knowledge.errors import (
    ConfigError,
    InputError,
    RactoGatewayAuthError,
    RactoGatewayError,
    UnknownNameError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import ToolCallResult
from racto.tools.finetune import capabilities
from racto.tools.finetune.dataset import RactoDataset
from racto.tools.finetune.messages import RactoTrainingExample, RactoTrainingMessage
from racto.tools.finetune.tuners import TUNERS, tuner_class
from racto.tools.finetune.tuners.anthropic import AnthropicFineTuner
from racto.tools.finetune.tuners.openai import OpenAIFineTuner
from racto.tools.finetune.tuners.tuner import FineTuner, Order, TuningError

from tests.dialects import KEY, PNG
from tests.dialects.tuning import MODEL, REASON, OpenAITuning, TuningServer
from tests.dialects.tuning_clouds import SERVERS

pytestmark = pytest.mark.anyio

BASES = {
    "bedrock": "amazon.nova-lite-v1:0:300k",
    "fireworks": "accounts/fireworks/models/llama-v3p1-8b-instruct",
    "gemini": "gemini-2.5-flash",
    "openai": "gpt-4o-mini-2024-07-18",
    "together": "meta-llama/Meta-Llama-3.1-8B-Instruct-Reference",
}
SEEING = {"openai": "gpt-4o-2024-08-06"}  # the base sees no pictures
DAYS = (date(2026, 11, 21), date(2027, 1, 5), date(2027, 1, 6))
DOT = RactoFile.from_bytes(PNG, "image/png")
TRAINING = RactoDataset.from_pairs([(f"What is {n} + {n}?", f"{2 * n}.") for n in range(40)], system="You add.")
HELD_OUT = RactoDataset.from_pairs([(f"What is {n} + 1?", f"{n + 1}.") for n in range(40, 56)], system="You add.")
PAIRS = RactoDataset(RactoTrainingExample.from_preference(f"{n} + {n}?", f"{2 * n}.", "No idea.") for n in range(40))
IMAGES = RactoDataset(
    RactoTrainingExample.from_pair(f"What is in picture {n}?", "A dot.", user_attachments=[DOT]) for n in range(40)
)
CALLS = RactoDataset(
    RactoTrainingExample(
        [
            RactoTrainingMessage("user", f"What is {n} + {n}?"),
            RactoTrainingMessage(
                "assistant", "", tool_calls=[ToolCallResult(id="1", name="add", arguments={"a": n, "b": n})]
            ),
        ],
        tools=[{"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {}}}],
    )
    for n in range(40)
)
KINDS = {"sft": TRAINING, "dpo": PAIRS, "vision": IMAGES, "tools": CALLS}


class Naps:
    """Waiting that takes no time, and is noted."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


class Side:
    """A server of one provider and the tuner that talks with it."""

    def __init__(self, kind: type[TuningServer]) -> None:
        self.server = kind()
        self.naps = Naps()
        self.provider = kind.provider
        self.base = BASES[kind.provider]

    @asynccontextmanager
    async def tuner(self, **options: Any) -> AsyncIterator[Any]:
        async with self.server.running() as base:
            made: Any = tuner_class(self.provider)
            tuner = made(**self.server.options(base), sleep=self.naps, **options)
            try:
                yield tuner
            finally:
                await tuner.aclose()


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.provider)
def side(request: pytest.FixtureRequest) -> Side:
    return Side(request.param)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def begun(tuner: FineTuner, model: str, mark: str = "") -> str:
    """A job for a model that no provider has; its name is what the server shall do."""
    training = await tuner.aupload_dataset(TRAINING)
    return (await tuner.begin(Order(model, training, mark=mark))).id


async def test_a_pipeline_uploads_trains_waits_and_returns_the_tuned_model(side: Side) -> None:
    async with side.tuner() as tuner:
        tuned = await tuner.arun_pipeline(TRAINING, side.base, validation_dataset=HELD_OUT, poll_interval=7)
    sent = [TRAINING.to_jsonl_string(tuner.formats["sft"]), HELD_OUT.to_jsonl_string(tuner.formats["sft"])]
    assert list(side.server.files.values()) == sent
    assert tuned == MODEL
    # It was polled once for every word, and waited for between two polls, neither more nor less.
    polls = side.naps.seconds[-(len(side.server.progress) - 1) :]
    assert polls == [7] * (len(side.server.progress) - 1)


async def test_the_sync_methods_do_the_same_step_by_step(side: Side) -> None:
    async with side.tuner() as tuner:

        def steps() -> tuple[Any, ...]:
            if side.provider == "gemini":
                job_id = tuner.create_job(TRAINING, side.base, display_name="adds")
            else:
                training = tuner.upload_dataset(TRAINING)
                job_id = tuner.create_job(training, side.base, suffix="adds")
            listed = tuner.list_jobs(limit=5)
            status = tuner.get_status(job_id)
            told = job_id, listed, status, tuner.list_events(job_id, limit=10), tuner.wait_for_completion(job_id)
            tuner.close()
            return told

        job_id, listed, status, events, tuned = await asyncio.to_thread(steps)
    assert [job["id"] for job in listed] == [job_id]
    assert status["state"] in ("queued", "running")
    assert (status["id"], status["model"]) == (job_id, side.base)
    assert status["fine_tuned_model"] is None
    assert all(event["message"] for event in events)
    assert events
    assert "adds" in tuned if side.provider == "together" else tuned == MODEL


async def test_a_job_that_fails_raises_with_the_reason(side: Side) -> None:
    async with side.tuner() as tuner:
        job_id = await begun(tuner, "fails")
        with pytest.raises(TuningError, match=r"failed") as failed:
            await tuner.await_for_completion(job_id)
        status = await tuner.aget_status(job_id)
    assert isinstance(failed.value, RuntimeError)
    assert status["state"] == "failed"
    assert side.provider == "together" or REASON in str(failed.value)


async def test_a_cancelled_job_is_cancelled_and_says_so_to_who_waits(side: Side) -> None:
    async with side.tuner() as tuner:
        job_id = await begun(tuner, "stays")
        asked = await tuner.acancel(job_id)
        assert asked["state"] in ("running", "cancelled")
        with pytest.raises(TuningError, match="cancelled"):
            await tuner.await_for_completion(job_id)
        assert (await tuner.aget_status(job_id))["state"] == "cancelled"


async def test_polls_that_fail_for_a_moment_are_made_up_for(side: Side) -> None:
    async with side.tuner() as tuner:
        job_id = await begun(tuner, side.base)
        side.server.mute = 3
        assert await tuner.await_for_completion(job_id) == MODEL


async def test_a_provider_that_is_gone_is_not_waited_for_without_end(side: Side) -> None:
    async with side.tuner() as tuner:
        job_id = await begun(tuner, side.base)
        side.server.mute = 1_000
        with pytest.raises(RactoGatewayError):
            await tuner.await_for_completion(job_id)


async def test_a_word_nobody_knows_is_an_unknown_state(side: Side) -> None:
    async with side.tuner() as tuner:
        assert (await tuner.aget_status(await begun(tuner, "odd")))["state"] == "unknown"


async def test_a_job_is_found_by_its_mark(side: Side) -> None:
    async with side.tuner() as tuner:
        await begun(tuner, side.base, "racto-0000")
        wanted = await begun(tuner, side.base, "racto-0001")
        found = await tuner.find("racto-0001")
        assert found is not None
        assert found.id == wanted
        assert await tuner.find("racto-0002") is None


async def test_a_refused_key_is_told_without_the_key(side: Side) -> None:
    async with side.tuner() as tuner:
        with pytest.raises(RactoGatewayAuthError) as refused:
            await begun(tuner, "status-403")
    assert KEY not in str(refused.value)


async def test_whatever_the_table_says_is_open_is_trained(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []
    model = SEEING.get(side.provider, side.base)
    async with side.tuner() as tuner:
        monkeypatch.setattr(tuner, "today", lambda: DAYS[0])
        for line in capabilities.TABLE:
            if line.provider != side.provider or (line.closed and DAYS[0] >= line.closed):
                continue
            method = "dpo" if line.method == "dpo" else "sft"
            side.server.files.clear()
            assert await tuner.arun_pipeline(KINDS[line.method], model, method=method) == MODEL
            assert side.server.training_text == KINDS[line.method].to_jsonl_string(tuner.formats[method])
            trained.append(line.method)
    assert trained == (["sft"] if side.provider == "bedrock" else ["sft", "dpo", "vision", "tools"])


async def test_pairs_and_plain_answers_are_not_mixed_up(side: Side) -> None:
    async with side.tuner() as tuner:
        with pytest.raises(InputError, match="40 of 40"):
            await tuner.arun_pipeline(PAIRS, side.base)
        with pytest.raises((InputError, ConfigError), match=r"0 of 40|not available"):
            await tuner.arun_pipeline(TRAINING, side.base, method="dpo")
    assert side.server.received == []


async def test_a_hyperparameter_the_provider_has_not_is_refused_before_anything_is_sent(side: Side) -> None:
    async with side.tuner() as tuner:
        with pytest.raises(InputError, match="patience") as refused:
            await tuner.begun(Order(side.base, "file", settings={"patience": 3}))
    assert "n_epochs" in str(refused.value)
    assert side.server.received == []


async def test_an_invalid_dataset_is_refused_before_anything_is_sent(side: Side) -> None:
    broken = RactoDataset.from_pairs([("What?", "")] * 12)
    async with side.tuner() as tuner:
        with pytest.raises(ValueError, match="would refuse"):
            await tuner.aupload_dataset(broken)
        with pytest.raises(ValueError, match="would refuse"):
            await tuner.arun_pipeline(TRAINING, side.base, validation_dataset=broken)
        with pytest.raises(ValueError, match="no examples"):
            await tuner.arun_pipeline(RactoDataset(), side.base)
    assert side.server.received == []


async def test_progress_goes_to_the_log_and_the_callback_and_never_to_stdout(
    side: Side, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    told: list[str] = []
    async with side.tuner(progress=told.append) as tuner:
        await tuner.arun_pipeline(TRAINING, side.base)
        assert told[-1] == f"[{type(tuner).__name__}] Done. Tuned model: {MODEL}"
        assert set(told) <= set(caplog.messages)
        lines = len(told)
        await tuner.arun_pipeline(TRAINING, side.base, verbose=False)
    assert len(told) == lines
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("day", DAYS)
async def test_whatever_the_table_says_is_closed_is_refused_before_anything_is_sent(
    side: Side, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    async with side.tuner() as tuner:
        monkeypatch.setattr(tuner, "today", lambda: day)
        for line in capabilities.TABLE:
            if line.provider != side.provider or line.closed is None or day < line.closed:
                continue
            closed.append(line.method)
            method = "dpo" if line.method == "dpo" else "sft"
            for call in (
                tuner.arun_pipeline(KINDS[line.method], side.base, method=method),
                tuner.aupload_dataset(KINDS[line.method], method=method),
            ):
                with pytest.raises(ConfigError, match="not available") as refused:
                    await call
                assert refused.value.hint
    assert side.server.received == []
    ended = ["sft", "dpo", "vision", "tools"] if day == DAYS[-1] else []
    assert closed == {"openai": ended, "bedrock": ["dpo", "vision", "tools"]}.get(side.provider, [])


async def test_a_model_the_provider_does_not_train_is_refused_before_anything_is_sent(side: Side) -> None:
    if side.provider in ("together", "fireworks"):
        return  # what they train they alone know
    async with side.tuner() as tuner:
        with pytest.raises(ConfigError, match="does not train"):
            await tuner.arun_pipeline(TRAINING, "claude-3-haiku-20240307")
    assert side.server.received == []


async def test_anthropic_refuses_everything_with_what_to_use_instead() -> None:
    tuner = AnthropicFineTuner("sk-unused")
    calls = [
        tuner.aupload_dataset(TRAINING),
        tuner.acreate_job("file"),
        tuner.arun_pipeline(TRAINING),
        tuner.aget_status("job"),
        tuner.alist_jobs(),
        tuner.alist_events("job"),
        tuner.acancel("job"),
        tuner.await_for_completion("job"),
    ]
    for call in calls:
        with pytest.raises(ConfigError) as refused:
            await call
        assert refused.value.hint
    with pytest.raises(ConfigError):
        AnthropicFineTuner().run_pipeline(TRAINING)


async def test_an_unknown_provider_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="openai"):
        tuner_class("opnai")
    assert sorted(TUNERS) == sorted([*BASES, "anthropic"])
    assert all(tuner_class(name).provider == name for name in TUNERS)


async def test_openai_is_told_hyperparameters_suffix_and_files() -> None:
    side = Side(OpenAITuning)
    async with side.tuner() as tuner:
        training = await tuner.aupload_dataset(TRAINING)
        held_out = await tuner.aupload_dataset(HELD_OUT)
        await tuner.acreate_job(training, validation_file=held_out, n_epochs=3, suffix="adds")
    body = side.server.received[-1].body
    assert body == {
        "model": "gpt-4o-mini-2024-07-18",
        "training_file": "file-0",
        "validation_file": "file-1",
        "suffix": "adds",
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}},
    }
    assert side.server.received[0].headers["authorization"] == f"Bearer {KEY}"


async def test_the_default_parameters_are_those_of_the_specification() -> None:
    import inspect

    parameters = inspect.signature(OpenAIFineTuner.run_pipeline).parameters
    told = {name: each.default for name, each in parameters.items() if each.default is not each.empty}
    assert told == {
        "model": "gpt-4o-mini-2024-07-18",
        "validation_dataset": None,
        "n_epochs": "auto",
        "batch_size": "auto",
        "learning_rate_multiplier": "auto",
        "suffix": None,
        "poll_interval": 30,
        "verbose": True,
        "method": "sft",
    }
