"""What stands around a call of the gateway: caches, truncation, budget, telemetry, in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, Unpack

import pytest
from racto.agents.caches import ExactMatchCache
from racto.agents.gateway import ModelGateway
from racto.agents.kits import EmbeddingKit, Stages
from racto.agents.providers.simulated import SimulatedProvider
from racto.agents.retry import RetryConfig
from racto.agents.routing import CostAwareRouter, Endpoint, RoutingTier
from racto.agents.semantic_cache import SemanticCache
from racto.knowledge.errors import ModelNotAvailableError
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import ChatConfig, ChatRequest, LLMResponse, StreamChunk

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
