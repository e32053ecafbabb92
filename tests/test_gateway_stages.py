"""What stands around a call of the gateway: caches, truncation, budget, telemetry, in their order."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Unpack

import pytest
from pydantic import BaseModel
from racto.agents.budget import Budget
from racto.agents.caches import ExactMatchCache
from racto.agents.gateway import ModelGateway
from racto.agents.kits import EmbeddingKit, Stages
from racto.agents.limits import BudgetLimit
from racto.agents.models import ModelRegistry
from racto.agents.providers.simulated import Reply, SimulatedProvider
from racto.agents.retry import RetryConfig
from racto.agents.routing import CostAwareRouter, Endpoint, RoutingTier
from racto.agents.semantic_cache import SemanticCache
from racto.agents.telemetry import GatewayMetricsMiddleware, Observation, Telemetry
from racto.agents.truncation import TokenTruncator, TruncationConfig
from racto.knowledge.database import Database
from racto.knowledge.errors import (
    BudgetExceededError,
    ConnectionLostError,
    ContextLengthError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAuthError,
    StorageError,
    StreamInterruptedError,
    UnknownPriceError,
    UnsupportedParameterError,
)
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
    """Counts what it is asked and answers by number, or by a script."""

    def __init__(self, script: Iterable[Any] = (), name: str = "simulated") -> None:
        self.requests: list[ChatRequest] = []
        super().__init__([self._kept(step) for step in script])
        self.name = name

    def _kept(self, step: Any) -> Callable[[ChatRequest], Any]:
        def keep(request: ChatRequest) -> Any:
            self.requests.append(request)
            return step

        return keep


def meaning(text: str) -> list[float]:
    """Two directions: about Python, and about everything else."""
    return [1.0, 0.05 * len(text) / 100] if "python" in text.lower() else [0.0, 1.0]


def chat(gateway: ModelGateway, config: ChatConfig = HELLO, **about: Any) -> LLMResponse:
    return asyncio.run(gateway.chat(config, **about))


def read(gateway: ModelGateway, config: ChatConfig = HELLO) -> list[StreamChunk]:
    async def main() -> list[StreamChunk]:
        return [chunk async for chunk in gateway.stream(config)]

    return asyncio.run(main())


# -- caches


def test_the_same_question_is_answered_without_asking_router_or_model() -> None:
    class Router(CostAwareRouter):
        asked = 0

        def route(self, text: str) -> str:
            self.asked += 1
            return super().route(text)

    model, router = Model(["first", "second"]), Router([RoutingTier(model="m")])
    gateway = ModelGateway(chain=[Endpoint(model, "auto")], router=router, exact_cache=ExactMatchCache())
    first, again = chat(gateway), chat(gateway)
    assert (first.cached, again.cached) == (None, "exact")
    assert first.content == again.content == "first"
    assert len(model.requests) == router.asked == 1
    assert again.why == ["answered from the exact cache"]
    assert again.cost == 0


@pytest.mark.parametrize(
    "other",
    [
        ChatConfig(user_message="hello!"),
        ChatConfig(user_message="hello", temperature=0.5),
        ChatConfig(user_message="hello", prompt=PROMPT),
        ChatConfig(user_message="hello", chain_of_thought=True),
        ChatConfig(user_message="hello", extra={"logit_bias": {"1": 1}}),
    ],
)
def test_a_question_that_differs_in_anything_is_asked(other: ChatConfig) -> None:
    model = Model(["first", "second"])
    gateway = ModelGateway(chain=[Endpoint(model, "m")], exact_cache=ExactMatchCache())
    assert (chat(gateway).content, chat(gateway, other).content) == ("first", "second")


def test_the_same_question_to_another_model_is_asked() -> None:
    model = Model(["first", "second"])
    gateway = ModelGateway(chain=[Endpoint(model, "m")], exact_cache=ExactMatchCache())
    assert (chat(gateway).content, chat(gateway, model="n").content) == ("first", "second")


def test_a_hit_is_a_copy_that_nobody_else_changes() -> None:
    gateway = ModelGateway(chain=[Endpoint(Model(['{"a": [1]}']), "m")], exact_cache=ExactMatchCache())
    chat(gateway)
    spoiled = chat(gateway)
    assert isinstance(spoiled.parsed, dict)
    spoiled.parsed["a"].append(2)
    assert chat(gateway).parsed == {"a": [1]}


def test_identical_questions_at_the_same_time_are_one_call() -> None:
    class Held(Model):
        async def chat(self, request: ChatRequest) -> LLMResponse:
            begun.set()
            await released.wait()
            return await super().chat(request)

    async def main() -> list[LLMResponse]:
        gateway = ModelGateway(chain=[Endpoint(model, "m")], exact_cache=ExactMatchCache())
        calls = [asyncio.create_task(gateway.chat(HELLO)) for _ in range(50)]
        await begun.wait()
        released.set()
        return await asyncio.gather(*calls)

    begun, released = asyncio.Event(), asyncio.Event()
    model = Held(["one", *["more"] * 50])
    answers = asyncio.run(main())
    assert len(model.requests) == 1
    assert {answer.content for answer in answers} == {"one"}


def test_a_stream_and_a_call_share_what_is_kept() -> None:
    model = Model(["one two three", "never"])
    gateway = ModelGateway(chain=[Endpoint(model, "m")], exact_cache=ExactMatchCache())
    streamed = read(gateway)
    assert chat(gateway).cached == "exact"
    replayed = read(gateway)
    assert replayed[-1].accumulated_text == streamed[-1].accumulated_text == "one two three"
    assert "".join(chunk.delta.text for chunk in replayed) == "one two three"
    assert [chunk.is_final for chunk in replayed] == [False, True]
    assert replayed[-1].usage == streamed[-1].usage
    assert len(model.requests) == 1


def test_a_stream_that_was_left_is_not_kept() -> None:
    async def main() -> None:
        async with aclosing(gateway.stream(HELLO)) as chunks:
            async for _ in chunks:
                break

    model = Model(["one two three", "whole"])
    gateway = ModelGateway(chain=[Endpoint(model, "m")], exact_cache=ExactMatchCache())
    asyncio.run(main())
    assert chat(gateway).content == "whole"


def test_what_a_stand_in_said_is_not_kept() -> None:
    one = Model([ModelNotAvailableError("none"), "the real one"], "one")
    two = Model(["the stand-in"], "two")
    gateway = ModelGateway(
        chain=[Endpoint(one, "m"), Endpoint(two, "n")],
        exact_cache=ExactMatchCache(),
        retry=RetryConfig(max_attempts=1),
    )
    assert [chat(gateway).content for _ in range(3)] == ["the stand-in", "the real one", "the real one"]


def test_a_question_that_means_the_same_is_answered_from_the_cache() -> None:
    model = Model(["A language.", "In 1991."])
    gateway = ModelGateway(chain=[Endpoint(model, "m")], semantic_cache=SemanticCache(embedder=meaning))
    first = chat(gateway, ChatConfig(user_message="What is Python?"))
    again = chat(gateway, ChatConfig(user_message="Can you explain what Python is?"))
    assert (first.cached, again.cached) == (None, "semantic")
    assert again.content == "A language."
    other = ChatConfig(user_message="Can you explain what Python is?", prompt=PROMPT)
    assert chat(gateway, other).cached is None


def test_the_example_of_the_readme_counts_as_it_says() -> None:
    class Kit(EmbeddingKit):
        provider = "simulated"

        def __init__(self, **stages: Unpack[Stages]) -> None:
            super().__init__("m", PROMPT, stages, script=["A language."])

    kit = Kit(exact_cache=ExactMatchCache(), semantic_cache=SemanticCache(embedder=meaning))
    for asked in ("What is Python?", "What is Python?", "Can you explain what Python is?"):
        assert kit.chat(ChatConfig(user_message=asked)).content == "A language."
    assert kit.exact_cache is not None
    assert kit.semantic_cache is not None
    assert (kit.exact_cache.stats.hits, kit.exact_cache.stats.size) == (1, 1)
    assert (kit.semantic_cache.stats.hits, kit.semantic_cache.stats.misses) == (1, 1)


# -- truncation


def turns(number: int) -> list[Message]:
    roles = (MessageRole.USER, MessageRole.ASSISTANT)
    return [Message(role=roles[place % 2], content=f"turn {place} " + "word " * 100) for place in range(number)]


def test_a_conversation_that_is_too_long_is_shortened_and_says_so() -> None:
    model = Model(["fine"])
    truncator = TokenTruncator(TruncationConfig(max_context_tokens=1_500, safety_margin=100))
    gateway = ModelGateway(chain=[Endpoint(model, "m")], truncator=truncator, prompt=PROMPT)
    response = chat(gateway, ChatConfig(user_message="the question", history=turns(40)))
    [request] = model.requests
    assert 1 < len(request.messages) < 41
    assert request.messages[-1].content == "the question"
    assert any("earlier turns were left out" in warning for warning in response.warnings)


def test_a_conversation_is_shortened_before_the_caches_look_at_it() -> None:
    model = Model(["first", "second"])
    truncator = TokenTruncator(TruncationConfig(max_context_tokens=300, keep_first_n=0, keep_last_n=0, safety_margin=0))
    gateway = ModelGateway(chain=[Endpoint(model, "m")], truncator=truncator, exact_cache=ExactMatchCache())
    assert chat(gateway, ChatConfig(user_message="x", history=turns(20))).cached is None
    assert chat(gateway, ChatConfig(user_message="x", history=turns(4) + turns(20))).cached == "exact"
    assert len(model.requests[0].messages) < 20


def test_a_stand_in_that_reads_less_is_sent_less() -> None:
    one, two = Model([ModelNotAvailableError("none")], "one"), Model(["fine"], "two")
    gateway = ModelGateway(
        chain=[Endpoint(one, "gpt-4o"), Endpoint(two, "gpt-4")], truncator=TokenTruncator(), prompt=PROMPT
    )
    chat(gateway, ChatConfig(user_message="x", history=turns(120), max_tokens=500))
    assert len(one.requests[0].messages) == 121
    assert 1 < len(two.requests[0].messages) < 121


# -- what is known of models


def test_a_parameter_that_a_model_is_known_not_to_take_is_not_sent() -> None:
    model = Model(["fine"], "openai")
    gateway = ModelGateway(chain=[Endpoint(model, "gpt-4o")], models=ModelRegistry())
    response = chat(gateway, ChatConfig(user_message="x", top_k=5, top_p=0.5))
    assert model.requests[0].parameters == {"top_p": 0.5}
    assert any("top_k" in warning for warning in response.warnings)


def test_a_value_out_of_a_models_range_is_not_sent_and_the_reason_is_told() -> None:
    model = Model(["fine", "fine"], "openai")
    gateway = ModelGateway(chain=[Endpoint(model, "gpt-4o")], models=ModelRegistry())
    response = chat(gateway, ChatConfig(user_message="x", top_p=1.0, extra={"temperature": 3}))
    assert model.requests[0].parameters == {"top_p": 1.0}
    assert "openai/gpt-4o does not take temperature (3 is more than 2): it was left out." in response.warnings

    strict = ModelGateway(chain=[Endpoint(model, "gpt-4o")], models=ModelRegistry(), policy="error")
    with pytest.raises(UnsupportedParameterError, match=r"temperature \(-1 is less than 0\)"):
        chat(strict, ChatConfig(user_message="x", extra={"temperature": -1}))


def test_a_parameter_that_is_fixed_is_sent_only_as_it_is() -> None:
    fixed = {"id": "m", "provider": "openai", "parameters": {"seed": {"kind": "read_only", "value": 7}}}
    model = Model(["fine", "fine"], "openai")
    gateway = ModelGateway(
        chain=[Endpoint(model, "m")], models=ModelRegistry(json.dumps({"version": 1, "models": [fixed]}))
    )
    assert any("seed" in warning for warning in chat(gateway, ChatConfig(user_message="x", seed=8)).warnings)
    chat(gateway, ChatConfig(user_message="x", seed=7))
    assert [request.parameters for request in model.requests] == [{}, {"seed": 7}]


def test_an_answer_longer_than_a_model_writes_is_not_asked_for() -> None:
    model = Model(["fine"], "openai")
    gateway = ModelGateway(chain=[Endpoint(model, "gpt-4")], models=ModelRegistry())
    response = chat(gateway, ChatConfig(user_message="x", max_tokens=1_000_000))
    assert model.requests[0].max_tokens == 8_192
    assert any("max_tokens" in warning for warning in response.warnings)


def test_a_model_named_alone_is_asked_where_it_is_known_to_be() -> None:
    one, two = Model(["one"], "openai"), Model(["two"], "anthropic")
    gateway = ModelGateway(chain=[Endpoint(one, "gpt-4o"), Endpoint(two, "claude-x")], models=ModelRegistry())
    assert chat(gateway, model="claude-sonnet-4-5").content == "two"


# -- budget


def remote(name: str, script: Iterable[Any] = ()) -> Model:
    model = Model(script, name)
    model.local = False
    return model


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "racto.db")
    yield made
    made.close()


def test_every_answer_is_in_the_books_with_its_exact_cost(database: Database) -> None:
    used = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    budget = Budget(database)
    gateway = ModelGateway(chain=[Endpoint(remote("openai", [Reply("fine", usage=used)]), "gpt-4o")], budget=budget)
    response = chat(gateway, user="ann", component="shop", task="chat")
    # $2.50 for a million tokens read, $10 for a million written.
    assert response.cost == Decimal("0.0025") + Decimal("0.001")
    [line] = asyncio.run(budget.report(("user", "component", "task", "provider", "model", "outcome")))
    assert line.of == {
        "user": "ann",
        "component": "shop",
        "task": "chat",
        "provider": "openai",
        "model": "gpt-4o",
        "outcome": "ok",
    }
    assert (line.calls, line.cost, line.tokens["total_tokens"]) == (1, Decimal("0.0035"), 1_100)


def test_streamed_and_buffered_answers_are_in_the_books_to_the_token(database: Database) -> None:
    used = {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100, "cached_tokens": 8}
    budget = Budget(database)
    replies = [Reply("one two", usage=used), Reply("one two", usage=used)]
    gateway = ModelGateway(chain=[Endpoint(remote("openai", replies), "gpt-4o")], budget=budget)
    plain, streamed = chat(gateway), read(gateway)[-1].response
    assert streamed is not None
    assert streamed.cost == plain.cost != 0
    lines = {line.of["streamed"]: line for line in asyncio.run(budget.report(("streamed",)))}
    assert len(lines) == 2
    one, two = lines.values()
    assert (one.tokens, one.cost) == (two.tokens, two.cost)


def test_an_enforced_limit_refuses_before_anything_is_spent(database: Database) -> None:
    budget = Budget(database, policy="enforce", limits=[BudgetLimit("daily", Decimal("0.0001"))])
    model = remote("openai")
    with pytest.raises(BudgetExceededError):
        chat(ModelGateway(chain=[Endpoint(model, "gpt-4o")], budget=budget))
    assert not model.requests


def test_an_unknown_price_is_not_nothing(database: Database) -> None:
    budget = Budget(database, policy="enforce", limits=[BudgetLimit("daily", Decimal(100))])
    with pytest.raises(UnknownPriceError):
        chat(ModelGateway(chain=[Endpoint(remote("openai"), "nobody-knows-me")], budget=budget))
    server = Model(["fine"], "ollama")
    with pytest.raises(UnknownPriceError):
        chat(ModelGateway(chain=[Endpoint(server, "glm-4.6:cloud")], budget=budget))
    assert chat(ModelGateway(chain=[Endpoint(server, "llama3.2")], budget=budget)).cost == 0
    warned = ModelGateway(chain=[Endpoint(remote("openai", ["fine"]), "nobody-knows-me")], budget=Budget(database))
    assert chat(warned).cost is None


def test_when_the_budget_is_used_up_a_local_model_answers(database: Database) -> None:
    budget = Budget(database, policy="enforce", limits=[BudgetLimit("daily", Decimal("0.0001"))])
    own = Model(["for nothing"], "ollama")
    gateway = ModelGateway(chain=[Endpoint(remote("openai"), "gpt-4o"), Endpoint(own, "llama3")], budget=budget)
    response = chat(gateway)
    assert response.content == "for nothing"
    assert response.cost == 0
    assert "openai/gpt-4o: budget_exceeded" in response.why


def test_when_the_budget_is_nearly_used_up_the_cheapest_model_is_asked_first(database: Database) -> None:
    used = {"prompt_tokens": 9_000, "completion_tokens": 0, "total_tokens": 9_000}
    budget = Budget(database, limits=[BudgetLimit("daily", Decimal("0.025"))])
    dear = remote("openai", [Reply("dear", usage=used), Reply("dear", usage=used)])
    gateway = ModelGateway(chain=[Endpoint(dear, "gpt-4o"), Endpoint(dear, "gpt-4o-mini")], budget=budget)
    first, second = chat(gateway), chat(gateway)
    assert (first.model, second.model) == ("gpt-4o", "gpt-4o-mini")
    assert any("nearly used up" in reason for reason in second.why)
    assert second.warnings


def test_every_repair_is_paid_for(database: Database) -> None:
    class Number(BaseModel):
        n: int

    used = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
    budget = Budget(database)
    model = remote("openai", [Reply("no", usage=used), Reply('{"n": 1}', usage=used)])
    gateway = ModelGateway(chain=[Endpoint(model, "gpt-4o")], budget=budget)
    response = chat(gateway, ChatConfig(user_message="x", response_model=Number))
    assert response.cost == Decimal(5)
    [line] = asyncio.run(budget.report(()))
    assert (line.calls, line.cost) == (2, Decimal(5))


def test_what_failed_or_was_left_is_in_the_books_and_frees_what_was_set_aside(database: Database) -> None:
    async def leave() -> None:
        async with aclosing(gateway.stream(HELLO)) as chunks:
            async for _ in chunks:
                break

    budget = Budget(database, policy="enforce", limits=[BudgetLimit("daily", Decimal(1))])
    broken = Reply("half an answer", error=ConnectionLostError("gone"))
    model = remote("openai", [RactoGatewayAuthError("key"), broken, "one two three"])
    gateway = ModelGateway(chain=[Endpoint(model, "gpt-4o")], budget=budget)
    with pytest.raises(RactoGatewayAuthError):
        chat(gateway)
    with pytest.raises(StreamInterruptedError):
        read(gateway)
    asyncio.run(leave())
    lines = {line.of["outcome"]: line for line in asyncio.run(budget.report(("outcome",)))}
    assert set(lines) == {"model_auth", "connection_lost", "cancelled"}
    assert lines["model_auth"].cost == 0
    assert lines["connection_lost"].cost > 0, "what was said before the line broke will be on the bill"
    [standing] = asyncio.run(budget.status())
    assert standing.reserved == 0


def test_an_answer_of_a_cache_costs_nothing_and_is_in_the_books(database: Database) -> None:
    budget = Budget(database)
    gateway = ModelGateway(
        chain=[Endpoint(remote("openai", ["fine"]), "gpt-4o")], budget=budget, exact_cache=ExactMatchCache()
    )
    chat(gateway)
    chat(gateway)
    read(gateway)
    lines = {line.of["cached"]: line for line in asyncio.run(budget.report(("cached",)))}
    assert lines["exact"].calls == 2
    assert lines["exact"].cost == 0


def test_embeddings_are_paid_for_too(database: Database) -> None:
    budget = Budget(database)
    gateway = ModelGateway(chain=[], embedders=[Endpoint(remote("openai"), "text-embedding-3-small")], budget=budget)
    response = asyncio.run(gateway.embed(EmbeddingConfig(texts=["one two"]), user="ann"))
    assert response.cost == Decimal("0.00000002") * response.usage["prompt_tokens"]
    [line] = asyncio.run(budget.report(("user",)))
    assert line.cost == response.cost


# -- telemetry


class Ear:
    """Hears everything."""

    def __init__(self) -> None:
        self.calls: list[Observation] = []
        self.ended = 0
        self.retries: list[str] = []
        self.looks: list[tuple[str, bool]] = []
        self.discoveries: list[tuple[str, str, str]] = []

    def begin(self, call: Observation) -> Callable[[], None]:
        self.calls.append(call)

        def end() -> None:
            self.ended += 1

        return end

    def retried(self, provider: str, model: str, code: str) -> None:
        self.retries.append(code)

    def looked_up(self, cache: str, hit: bool) -> None:
        self.looks.append((cache, hit))

    def discovered(self, provider: str, model: str, parameter: str) -> None:
        self.discoveries.append((provider, model, parameter))


def test_every_call_retry_and_look_into_a_cache_is_told() -> None:
    ear = Ear()
    model = Model([OverloadedError("full"), "one two", "one two"], "one")
    gateway = ModelGateway(
        chain=[Endpoint(model, "m")],
        telemetry=Telemetry(ear),
        exact_cache=ExactMatchCache(),
        retry=RetryConfig(initial_delay=0.0),
    )
    chat(gateway)
    chat(gateway)
    read(gateway, ChatConfig(user_message="another"))
    asyncio.run(gateway.embed(EmbeddingConfig(texts=["a"])))
    assert [call.operation for call in ear.calls] == ["chat", "stream", "embed"]
    assert ear.ended == 3
    assert ear.retries == ["overloaded"]
    assert ear.looks == [("exact", False), ("exact", True), ("exact", False)]
    assert ear.calls[0].outcome is not None
    assert ear.calls[1].first_chunk is not None
    assert all(call.error == "" for call in ear.calls)


def test_a_call_that_fails_is_told_with_its_code() -> None:
    ear = Ear()
    gateway = ModelGateway(chain=[Endpoint(Model([RactoGatewayAuthError("key")]), "m")], telemetry=Telemetry(ear))
    with pytest.raises(RactoGatewayAuthError):
        chat(gateway)
    assert [call.error for call in ear.calls] == ["model_auth"]
    assert ear.ended == 1


def test_a_parameter_that_turned_out_not_to_be_taken_is_told_once() -> None:
    ear, counters = Ear(), GatewayMetricsMiddleware()
    refusal = UnsupportedParameterError("no", parameter="temperature")
    gateway = ModelGateway(chain=[Endpoint(Model([refusal, "one", "two"]), "m")], telemetry=Telemetry(ear, counters))
    warm = ChatConfig(user_message="hello", temperature=1.0)
    assert [chat(gateway, warm).content, chat(gateway, warm).content] == ["one", "two"]
    assert ear.discoveries == [("simulated", "m", "temperature")]
    assert (
        'racto_parameter_discoveries_total{model="m",parameter="temperature",provider="simulated"} 1.0'
        in counters.exposition()
    )


# -- a conversation that is longer than was thought


@pytest.mark.parametrize("ask", ["chat", "stream"])
def test_a_model_that_cannot_read_all_of_it_is_asked_once_more_with_less(ask: str) -> None:
    model = Model([ContextLengthError("too long"), "answer"])
    gateway = ModelGateway(chain=[Endpoint(model, "m")], truncator=TokenTruncator())
    config = ChatConfig(user_message="hello", history=turns(20))
    response = chat(gateway, config) if ask == "chat" else read(gateway, config)[-1].response
    assert response is not None
    assert response.content == "answer"
    first, second = (len(request.messages) for request in model.requests)
    assert first == 21
    assert 2 <= second <= 12
    assert model.requests[1].messages[-1].content == "hello"
    assert any("earlier turns were left out" in warning for warning in response.warnings)
    assert "simulated/m: context_length, again with less" in response.why


def test_it_is_tried_once_and_only_where_truncation_is_on_and_something_can_go() -> None:
    long = ChatConfig(user_message="hello", history=turns(20))
    for truncator, config, asked in ((TokenTruncator(), long, 2), (None, long, 1), (TokenTruncator(), HELLO, 1)):
        model = Model([ContextLengthError("too long")] * 3)
        with pytest.raises(ContextLengthError):
            chat(ModelGateway(chain=[Endpoint(model, "m")], truncator=truncator), config)
        assert len(model.requests) == asked


# -- books that cannot be written


@pytest.mark.parametrize("ask", ["chat", "stream"])
@pytest.mark.parametrize("trouble", ["full", "locked"])
def test_a_paid_answer_is_given_with_a_warning_when_the_books_cannot_be_written(
    trouble: str, ask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racto.knowledge.database.BUSY_TIMEOUT_MS", 50)
    with closing(Database(tmp_path / "b.db")) as database, closing(sqlite3.connect(tmp_path / "b.db")) as other:
        gateway = ModelGateway(chain=[Endpoint(Model(["first"]), "m")], budget=Budget(database))
        usual = chat(gateway).warnings  # that it is simulated
        with database.writing() as connection:
            if trouble == "full":
                connection.execute("CREATE TABLE filler (x)")
                connection.execute("INSERT INTO filler VALUES (zeroblob(4096))")
        if trouble == "full":
            for writing in (database.writing, database.writing_at_once):
                with writing() as connection:
                    pages = connection.execute("PRAGMA page_count").fetchone()[0]
                    connection.execute(f"PRAGMA max_page_count = {pages}")
            # Rows go on fitting until their page is full.
            response = next(found for _ in range(500) if (found := once(gateway, ask)).warnings != usual)
        else:
            other.execute("BEGIN IMMEDIATE")
            response = once(gateway, ask)
        assert response.content
        (warning,) = [each for each in response.warnings if each not in usual]
        assert warning.startswith("This call is missing in the usage report and the budget.")
        assert ("no room" if trouble == "full" else "Another process is writing") in warning


@pytest.mark.parametrize("ask", ["chat", "stream"])
def test_books_that_cannot_be_written_stop_a_call_only_where_a_limit_is_enforced(
    ask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racto.knowledge.database.BUSY_TIMEOUT_MS", 50)
    limits = [BudgetLimit("daily", Decimal(100))]
    with closing(Database(tmp_path / "b.db")) as database, closing(sqlite3.connect(tmp_path / "b.db")) as other:
        model = Model(["first"] * 9, "openai")
        model.local = False
        for policy in ("warn", "enforce"):
            gateway = ModelGateway(chain=[Endpoint(model, "gpt-4o")], budget=Budget(database, policy, limits=limits))
            once(gateway, ask)
            other.execute("BEGIN IMMEDIATE")
            if policy == "warn":
                told = [each for each in once(gateway, ask).warnings if "missing in the usage report" in each]
                assert len(told) == 1
            else:
                before = len(model.requests)
                with pytest.raises(StorageError, match="Another process is writing"):
                    once(gateway, ask)
                assert len(model.requests) == before
            other.execute("ROLLBACK")


def once(gateway: ModelGateway, ask: str) -> LLMResponse:
    response = chat(gateway) if ask == "chat" else read(gateway)[-1].response
    assert response is not None
    return response


def test_an_error_of_the_model_is_told_though_the_books_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racto.knowledge.database.BUSY_TIMEOUT_MS", 50)
    with closing(Database(tmp_path / "b.db")) as database, closing(sqlite3.connect(tmp_path / "b.db")) as other:
        model = Model(["first", RactoGatewayAuthError("key")])
        gateway = ModelGateway(chain=[Endpoint(model, "m")], budget=Budget(database))
        chat(gateway)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RactoGatewayAuthError):
            chat(gateway)


# -- what a text says


def test_the_gateway_infers_and_takes_sides_by_its_chat_model() -> None:
    model = Model(
        ['{"entailment": 0.1, "neutral": 0.1, "contradiction": 0.8}', '{"scores": [0.2, 0.7, 0.1]}'], "scripted"
    )
    gateway = ModelGateway(chain=[Endpoint(model, "m")])

    inferred = asyncio.run(gateway.infer_nli("It rains.", "It is dry."))
    assert (inferred.label, inferred.by) == ("contradiction", "scripted/m")
    stance = asyncio.run(gateway.classify_stance("No more cars!", "cars"))
    assert (stance.label, stance.by) == ("against", "scripted/m")
