"""What a caller of the gateway sees: fallback, retry, streams that break, parameters that are refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing
from typing import Any

import pytest
from racto.agents.discovery import DiscoveryConfig, ParameterDiscoveryCache, Policy
from racto.agents.gateway import ModelGateway
from racto.agents.providers.simulated import Reply, SimulatedProvider
from racto.agents.requests import STEP_BY_STEP, chat_request
from racto.agents.retry import Retrier, RetryConfig
from racto.agents.routing import Endpoint, TaskRoute, TaskRouter
from racto.agents.streams import buffered
from racto.agents.toolbox import ToolRegistry
from racto.knowledge.errors import (
    CircuitOpenError,
    ConnectionLostError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAPIError,
    RactoGatewayAuthError,
    RactoGatewayError,
    RateLimitedError,
    StreamInterruptedError,
    UnsupportedParameterError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import (
    ChatConfig,
    ChatRequest,
    EmbeddingConfig,
    LLMResponse,
    Message,
    MessageRole,
    StreamChunk,
)

PROMPT = RactoPrompt(role="A tutor.", aim="Explain.", constraints=["Be brief."], tone="Kind", output_format="text")
HELLO = ChatConfig(user_message="hello")


class Model(SimulatedProvider):
    """Answers by a script, keeps what it was asked, and has a name of its own."""

    def __init__(self, name: str = "one", script: Iterable[Any] = (), *, local: bool = False) -> None:
        self.requests: list[ChatRequest] = []
        super().__init__([self._kept(step) for step in script])
        self.name = name
        self.local = local

    def _kept(self, step: Any) -> Callable[[ChatRequest], Any]:
        def keep(request: ChatRequest) -> Any:
            self.requests.append(request)
            return step(request) if callable(step) else step

        return keep


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


def gateway(
    *models: Model, clock: Clock | None = None, config: RetryConfig | None = None, **options: Any
) -> ModelGateway:
    clock = clock or Clock()
    retrier = Retrier(config, clock=clock, sleep=clock.sleep, chance=lambda: 0.0)
    return ModelGateway(chain=[Endpoint(model, f"{model.name}-model") for model in models], retry=retrier, **options)


def chat(made: ModelGateway, config: ChatConfig = HELLO, **about: Any) -> LLMResponse:
    return asyncio.run(made.chat(config, **about))


def read(made: ModelGateway, config: ChatConfig = HELLO, **about: Any) -> list[StreamChunk]:
    async def main() -> list[StreamChunk]:
        return [chunk async for chunk in made.stream(config, **about)]

    return asyncio.run(main())


# -- what is sent


def test_what_was_not_given_is_not_sent() -> None:
    request = chat_request(HELLO)
    assert request.parameters == {}
    assert request.extra == {}
    assert request.system == ""
    assert request.max_tokens == 4096


def test_history_lies_between_the_system_prompt_and_the_question() -> None:
    history = [Message(role=MessageRole.USER, content="one"), Message(role=MessageRole.ASSISTANT, content="two")]
    picture = RactoFile.from_bytes(b"x", "image/png")
    request = chat_request(ChatConfig(user_message="three", history=history, attachments=[picture], prompt=PROMPT))
    assert [message.content for message in request.messages] == ["one", "two", "three"]
    assert request.messages[-1].attachments == [picture]
    assert request.system == PROMPT.compile()


def test_a_known_parameter_among_the_extras_becomes_a_parameter_and_the_field_wins() -> None:
    config = ChatConfig(
        user_message="x", top_p=0.5, extra={"top_p": 0.9, "seed": 7, "stop": "END", "logit_bias": {"5": 1}}
    )
    request = chat_request(config)
    assert request.parameters == {"top_p": 0.5, "seed": 7, "stop": ["END"]}
    assert request.extra == {"logit_bias": {"5": 1}}
    assert config.extra["seed"] == 7, "the caller's own dict is left alone"


def test_chain_of_thought_is_the_last_constraint_of_a_copy() -> None:
    before = PROMPT.model_dump()
    system = chat_request(ChatConfig(user_message="x", chain_of_thought=True), PROMPT).system
    constraints = system.split("[CONSTRAINTS]")[1].split("[TONE]")[0].strip().splitlines()
    assert constraints[-1] == f"- {STEP_BY_STEP}"
    assert "Be brief." in constraints[0]
    assert PROMPT.model_dump() == before
    assert STEP_BY_STEP not in chat_request(ChatConfig(user_message="x"), PROMPT).system
    assert chat_request(ChatConfig(user_message="x", chain_of_thought=True)).system == STEP_BY_STEP


def test_tools_are_told_with_their_schema() -> None:
    registry = ToolRegistry()

    @registry.register
    def add(first: int, second: int) -> int:
        """Add two numbers."""
        return first + second

    [spec] = chat_request(ChatConfig(user_message="x", tools=registry)).tools
    assert spec.name == "add"
    assert set(spec.input_schema["properties"]) == {"first", "second"}


# -- fallback and retry


def test_a_transient_failure_is_tried_again_and_told_in_why() -> None:
    clock = Clock()
    one = Model(script=[OverloadedError("full"), "fine"])
    response = chat(gateway(one, clock=clock))
    assert response.content == "fine"
    assert clock.slept == [0.5]
    assert "one/one-model: overloaded, again after 0.5 s" in response.why
    assert response.why[-1] == "one/one-model answered"


@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (ModelNotAvailableError("none", status_code=404), 1),
        (RactoGatewayAuthError("key", status_code=401), 1),
        (RactoGatewayAPIError("out of credit", status_code=402), 1),
        (RateLimitedError("slow", retry_after=900.0), 1),
        (ConnectionLostError("gone"), 4),
    ],
)
def test_what_cannot_be_retried_or_was_retried_enough_goes_to_the_next_model(
    error: RactoGatewayError, asked: int
) -> None:
    one, two = Model("one", [error] * 9), Model("two", ["fine"])
    response = chat(gateway(one, two))
    assert response.content == "fine"
    assert len(one.requests) == asked
    assert f"one/one-model: {error.code}" in response.why
    assert two.requests[0].model == "two-model"


def test_when_nobody_answers_the_last_error_names_all_who_were_tried() -> None:
    one, two = Model("one", [ModelNotAvailableError("none")]), Model("two", [RactoGatewayAuthError("key")])
    with pytest.raises(RactoGatewayAuthError) as caught:
        chat(gateway(one, two))
    assert "one/one-model (model_not_available), two/two-model (model_auth)" in str(caught.value)


def test_the_deadline_ends_fallback_too() -> None:
    clock = Clock()

    def slow(request: ChatRequest) -> Any:
        clock.now += 40.0
        return ConnectionLostError("gone")

    models = [Model(name, [slow] * 9) for name in ("one", "two", "three", "four")]
    with pytest.raises(ConnectionLostError):
        chat(gateway(*models, clock=clock, config=RetryConfig(max_attempts=2, deadline=100.0)))
    assert sum(len(model.requests) for model in models) == 3


def test_an_attempt_is_told_how_long_it_may_take() -> None:
    one = Model(script=["fine"])
    chat(gateway(one, config=RetryConfig(attempt_timeout=7.0)))
    assert one.requests[0].timeout == 7.0


def test_a_model_that_keeps_failing_is_left_alone_for_a_while() -> None:
    clock = Clock()
    one, two = Model("one", [ConnectionLostError("gone")] * 99), Model("two")
    made = gateway(one, two, clock=clock, config=RetryConfig(max_attempts=1, breaker_threshold=3))
    for _ in range(6):
        chat(made)
    assert len(one.requests) == 3
    assert "one/one-model: circuit_open" in chat(made).why
    clock.now += 31.0
    chat(made)
    assert len(one.requests) == 4


def test_when_every_model_is_left_alone_the_error_says_for_how_long() -> None:
    clock = Clock()
    config = RetryConfig(max_attempts=1, breaker_threshold=1)
    made = gateway(Model(script=[ConnectionLostError("gone")] * 99), clock=clock, config=config)
    with pytest.raises(ConnectionLostError):
        chat(made)
    with pytest.raises(CircuitOpenError, match="30 s"):
        chat(made)


def test_rate_limits_and_refusals_do_not_count_as_being_down() -> None:
    clock = Clock()
    errors = [RateLimitedError("slow", retry_after=900.0), RactoGatewayAuthError("key")] * 30
    made = gateway(Model(script=errors), clock=clock)
    for _ in range(40):
        with pytest.raises((RateLimitedError, RactoGatewayAuthError)):
            chat(made)


def test_a_mistake_of_ours_is_seen_and_not_taken_for_a_failing_provider() -> None:
    class Broken(Model):
        async def chat(self, request: ChatRequest) -> LLMResponse:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        chat(gateway(Broken("one"), Model("two")))


# -- routing inside the gateway


def test_the_options_of_a_task_hold_unless_the_call_says_otherwise() -> None:
    one = Model("one", ["a", "b"])
    route = TaskRoute.model_validate(
        {"provider": "one", "model": "coder", "options": {"temperature": 0.2, "max_tokens": 99}}
    )
    made = gateway(one, tasks=TaskRouter({"code": route}))
    chat(made, task="code")
    chat(made, ChatConfig(user_message="x", temperature=1.0), task="code")
    first, second = one.requests
    assert (first.model, first.parameters, first.max_tokens) == ("coder", {"temperature": 0.2}, 99)
    assert (second.parameters, second.max_tokens) == ({"temperature": 1.0}, 99)


def test_an_attachment_goes_to_the_first_model_that_can_see_it() -> None:
    blind, seeing = Model("blind"), Model("seeing", ["a cat"])
    blind.capabilities = blind.capabilities - {"images"}
    config = ChatConfig(user_message="What is it?", attachments=[RactoFile.from_bytes(b"x", "image/png")])
    assert chat(gateway(blind, seeing), config).content == "a cat"
    assert not blind.requests


def test_without_any_model_the_error_says_what_to_do() -> None:
    with pytest.raises(ModelNotAvailableError, match="key"):
        chat(ModelGateway(chain=[]))
    with pytest.raises(ModelNotAvailableError, match="key"):
        read(ModelGateway(chain=[]))


def test_which_providers_are_there_is_told_with_the_reason_for_those_that_are_not() -> None:
    class Down(Model):
        async def models(self) -> list[dict[str, Any]]:
            raise ConnectionLostError("nobody listens")

    there = asyncio.run(gateway(Model("one"), Down("two")).availability())
    assert there["one"] is None
    assert isinstance(there["two"], ConnectionLostError)


# -- parameters


def refuses(name: str) -> Callable[[ChatRequest], Any]:
    def step(request: ChatRequest) -> Any:
        if name in request.parameters or name in request.extra or getattr(request, name, None) is not None:
            return UnsupportedParameterError(f"{name} is not supported", parameter=name)
        return "fine"

    return step


@pytest.mark.parametrize("policy", ["warn", "ignore"])
def test_a_refused_parameter_is_left_out_and_remembered(policy: Policy) -> None:
    one = Model(script=[refuses("temperature")] * 9)
    made = gateway(one, policy=policy)
    config = ChatConfig(user_message="x", temperature=0.5, top_p=0.9)
    first, second = chat(made, config), chat(made, config)
    assert len(one.requests) == 3, "the second call does not ask for it again"
    assert one.requests[-1].parameters == {"top_p": 0.9}
    told = [warning for warning in second.warnings if "temperature" in warning]
    assert len(told) == (policy == "warn")
    assert first.content == second.content == "fine"
    assert made.discovery is not None
    record = made.discovery.find("one", "one-model", "temperature")
    assert record is not None
    assert "not supported" in record.reason


def test_under_the_strict_policy_a_refused_parameter_refuses_the_call() -> None:
    one = Model(script=[refuses("temperature")] * 9)
    made = gateway(one, policy="error")
    config = ChatConfig(user_message="x", temperature=0.5)
    for _ in range(2):
        with pytest.raises(UnsupportedParameterError, match="temperature"):
            chat(made, config)
    assert len(one.requests) == 1, "the second refusal needs no call"


def test_without_discovery_a_refusal_is_met_again() -> None:
    one = Model(script=[refuses("temperature")] * 9)
    made = gateway(one, discovery=None)
    for _ in range(2):
        chat(made, ChatConfig(user_message="x", temperature=0.5))
    assert len(one.requests) == 4


def test_every_parameter_of_a_picky_model_is_dropped_in_turn() -> None:
    def picky(request: ChatRequest) -> Any:
        for name in ("seed", "logit_bias", "reasoning", "parallel_tool_calls"):
            if (refused := refuses(name)(request)) != "fine":
                return refused
        return "fine"

    one = Model(script=[picky] * 9)
    config = ChatConfig(
        user_message="x", seed=1, extra={"logit_bias": {}}, reasoning={"effort": "low"}, parallel_tool_calls=False
    )
    response = chat(gateway(one), config)
    assert response.content == "fine"
    assert len(response.warnings) == 5, "four are left out, and the answer is simulated"


def test_tools_are_never_left_out_because_the_answer_would_be_another() -> None:
    registry = ToolRegistry()

    @registry.register
    def look(where: str) -> str:
        """Look there."""
        return where

    one = Model(script=[UnsupportedParameterError("no tools", parameter="tools")])
    with pytest.raises(UnsupportedParameterError):
        chat(gateway(one), ChatConfig(user_message="x", tools=registry))
    assert len(one.requests) == 1


def test_memory_of_refusals_ends_by_age_and_by_number() -> None:
    now = [0.0]
    found = ParameterDiscoveryCache(DiscoveryConfig(max_entries=2, ttl_seconds=10.0), clock=lambda: now[0])
    for name in ("a", "b", "c"):
        found.record("p", "m", name)
    assert [found.find("p", "m", name) is not None for name in "abc"] == [False, True, True]
    now[0] = 10.0
    assert found.find("p", "m", "c") is None
    assert DiscoveryConfig() == DiscoveryConfig(1_000, 86_400.0)


# -- streams


def test_a_stream_has_exactly_one_final_chunk_and_says_what_chat_says() -> None:
    chunks = read(gateway(Model(script=["one two three"])))
    plain = chat(gateway(Model(script=["one two three"])))
    assert [chunk.is_final for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert "".join(chunk.delta.text for chunk in chunks) == chunks[-1].accumulated_text == plain.content
    final = chunks[-1].response
    assert final is not None
    assert final.usage == plain.usage == chunks[-1].usage
    assert final.why == plain.why


def test_a_stream_falls_back_unseen_before_its_first_words() -> None:
    one = Model("one", [ConnectionLostError("gone")] * 9)
    chunks = read(gateway(one, Model("two", ["fine words"])))
    assert chunks[-1].accumulated_text == "fine words"
    assert len(one.requests) == 4
    assert chunks[-1].response is not None
    assert "one/one-model: connection_lost" in chunks[-1].response.why


def test_a_stream_that_breaks_after_its_first_words_raises_with_what_there_was() -> None:
    one, two = Model("one", [Reply("half an", error=ConnectionLostError("gone"))]), Model("two", ["never"])
    with pytest.raises(StreamInterruptedError) as caught:
        read(gateway(one, two))
    assert caught.value.partial == "half an"
    assert isinstance(caught.value.__cause__, ConnectionLostError)
    assert not two.requests


def test_a_stream_told_to_restart_begins_anew() -> None:
    one = Model("one", [Reply("half an", error=ConnectionLostError("gone")), "a whole answer"])
    chunks = read(gateway(one), restart=True)
    assert chunks[-1].accumulated_text == "a whole answer"
    texts = [chunk.accumulated_text for chunk in chunks]
    assert texts.index("half an") < texts.index("a")
    assert chunks[-1].response is not None
    assert any("began anew" in warning for warning in chunks[-1].response.warnings)


def test_a_stream_that_always_breaks_ends_even_when_told_to_restart() -> None:
    one = Model("one", [Reply("half", error=ConnectionLostError("gone"))] * 99)
    with pytest.raises(StreamInterruptedError):
        read(gateway(one), restart=True)
    assert len(one.requests) == RetryConfig().max_attempts


def test_an_empty_stream_is_no_answer() -> None:
    class Silent(Model):
        async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
            self.requests.append(request)
            nothing: list[StreamChunk] = []
            for chunk in nothing:
                yield chunk

    one = Silent("one")
    chunks = read(gateway(one, Model("two", ["fine"])))
    assert chunks[-1].accumulated_text == "fine"
    assert len(one.requests) == 4


def test_a_reader_that_leaves_closes_the_line() -> None:
    closed = asyncio.Event()

    class Endless(Model):
        async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
            try:
                while True:
                    await asyncio.sleep(0)
                    yield StreamChunk(accumulated_text="x")
            finally:
                closed.set()

    async def main() -> None:
        async with aclosing(gateway(Endless()).stream(HELLO)) as chunks:
            async for _ in chunks:
                break
        assert closed.is_set()

    asyncio.run(main())


def test_the_source_of_a_buffered_stream_waits_for_a_slow_reader() -> None:
    made = 0

    async def source() -> AsyncIterator[int]:
        nonlocal made
        for number in range(500):
            made += 1
            yield number

    async def main() -> None:
        read_so_far = 0
        async with aclosing(buffered(source(), 64)) as items:
            async for number in items:
                assert number == read_so_far
                read_so_far += 1
                for _ in range(3):
                    await asyncio.sleep(0)  # the source has every chance to run ahead
                assert made <= read_so_far + 65
        assert read_so_far == made == 500

    asyncio.run(main())


def test_an_error_of_a_buffered_source_comes_after_its_items() -> None:
    async def source() -> AsyncIterator[int]:
        yield 1
        yield 2
        raise LookupError("broken")

    async def main() -> list[int]:
        seen = []
        with pytest.raises(LookupError, match="broken"):  # noqa: PT012 - the items before it count
            async for item in buffered(source()):
                seen.append(item)  # noqa: PERF401
        return seen

    assert asyncio.run(main()) == [1, 2]


# -- embeddings


def test_vectors_come_in_the_order_of_the_texts_and_the_call_may_name_its_model() -> None:
    made = gateway(Model())
    response = asyncio.run(made.embed(EmbeddingConfig(texts=["b", "a"], model="one/other", dimensions=8)))
    assert [vector.text for vector in response.vectors] == ["b", "a"]
    assert [vector.index for vector in response.vectors] == [0, 1]
    assert len(response.vectors[0].vector) == 8
    assert response.model == "other"


def test_embeddings_never_fall_back_to_another_model_because_its_vectors_mean_nothing_here() -> None:
    class Gone(Model):
        async def embed(self, config: EmbeddingConfig, model: str) -> Any:
            self.requests.append(ChatRequest(model, []))
            raise ModelNotAvailableError("none")

    one, two = Gone("one"), Model("two")
    with pytest.raises(ModelNotAvailableError):
        asyncio.run(gateway(one, two).embed(EmbeddingConfig(texts=["a"])))
    twin = ModelGateway(chain=[Endpoint(one, "same"), Endpoint(two, "same")])
    assert asyncio.run(twin.embed(EmbeddingConfig(texts=["a"]))).vectors
    assert len(one.requests) == 2
