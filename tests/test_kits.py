"""The developer kits: the same methods with the specified parameters on all, blocking and not."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Unpack

import pytest
import racto
from pydantic import BaseModel
from racto.agents.kits import (
    AnthropicDeveloperKit,
    AnthropicLLMKit,
    BaseLLMAdapter,
    ChatKit,
    EmbeddingKit,
    Gateway,
    GoogleDeveloperKit,
    GoogleLLMKit,
    HuggingFaceDeveloperKit,
    OllamaDeveloperKit,
    OpenAIDeveloperKit,
    OpenAILLMKit,
    Stages,
)
from racto.agents.providers.simulated import SimulatedProvider
from racto.agents.routing import CostAwareRouter, RoutingTier
from racto.agents.toolbox import ToolRegistry
from racto.knowledge.edge import blocking
from racto.knowledge.errors import ConfigError, InputError
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import ChatConfig, ChatRequest, EmbeddingConfig, LLMResponse

from tests import dialects

PROMPT = RactoPrompt(role="A tutor.", aim="Explain.", constraints=["Be brief."], tone="Kind", output_format="text")
HELLO = ChatConfig(user_message="hello")

KITS: dict[str, tuple[type[ChatKit], dict[str, Any]]] = {
    "openai": (
        OpenAIDeveloperKit,
        {
            "model": "gpt-4o",
            "api_key": None,
            "base_url": None,
            "embedding_model": "text-embedding-3-small",
            "default_prompt": None,
        },
    ),
    "google": (
        GoogleDeveloperKit,
        {
            "model": "gemini-2.0-flash",
            "api_key": None,
            "embedding_model": "text-embedding-004",
            "default_prompt": None,
        },
    ),
    "anthropic": (
        AnthropicDeveloperKit,
        {"model": inspect.Parameter.empty, "api_key": None, "default_prompt": None},
    ),
    "ollama": (
        OllamaDeveloperKit,
        {
            "model": "llama3.2",
            "base_url": None,  # docs/spec-deviations.md
            "embedding_model": "nomic-embed-text",
            "default_prompt": None,
        },
    ),
    "huggingface": (
        HuggingFaceDeveloperKit,
        {
            "model": "meta-llama/Llama-3.2-3B-Instruct",
            "api_key": None,
            "base_url": None,
            "embedding_model": "sentence-transformers/all-MiniLM-L6-v2",
            "default_prompt": None,
        },
    ),
}
"""Name → the kit and the constructor parameters the specification gives it, with their defaults."""


class SimulatedKit(EmbeddingKit):
    """A kit of the simulated model: what all kits share, without a server."""

    provider = "simulated"

    def __init__(
        self,
        script: Iterable[Any] = (),
        prompt: RactoPrompt | None = PROMPT,
        model: str = "m",
        **stages: Unpack[Stages],
    ) -> None:
        super().__init__(model, prompt, stages, "e", script=script)


@pytest.mark.parametrize("name", KITS)
def test_a_kit_has_the_specified_parameters_in_their_order(name: str) -> None:
    kit, expected = KITS[name]
    parameters = list(inspect.signature(kit).parameters.values())[: len(expected)]
    assert {each.name: each.default for each in parameters} == expected
    assert all(each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for each in parameters)


@pytest.mark.parametrize("name", KITS)
def test_a_kit_module_has_the_kit_its_alias_and_the_words(name: str) -> None:
    module = import_module(f"racto.{name}_developer_kit")
    kit = KITS[name][0]
    assert module.Chat is kit is getattr(module, kit.__name__)
    for word in ("ChatConfig", "Message", "MessageRole", "StreamChunk", "LLMResponse", "RactoPrompt"):
        assert getattr(module, word) is getattr(racto, word)
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("name", KITS)
def test_every_method_of_the_reference_is_there_and_no_other(name: str) -> None:
    kit = KITS[name][0]
    embeds = name != "anthropic"
    for method in ("chat", "achat", "stream", "astream"):
        assert callable(getattr(kit, method))
    assert hasattr(kit, "embed") is hasattr(kit, "aembed") is embeds


@pytest.mark.parametrize("name", KITS)
def test_making_a_kit_imports_no_sdk_and_needs_no_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY", "HF_TOKEN", "HUGGINGFACE_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    kit = KITS[name][0](model="some-model")  # type: ignore[call-arg]  # each kit has its own constructor
    assert kit.model == "some-model"
    assert kit.exact_cache is None
    assert kit.semantic_cache is None


def test_the_address_of_ollama_is_the_one_given_or_that_of_its_own_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert OllamaDeveloperKit().base_url == "http://localhost:11434"
    monkeypatch.setenv("OLLAMA_HOST", "box:8080")
    assert OllamaDeveloperKit().base_url == "http://box:8080"
    assert OllamaDeveloperKit(base_url="http://localhost:11434").base_url == "http://localhost:11434"


def test_the_four_ways_to_ask_say_the_same() -> None:
    async def apart() -> tuple[LLMResponse, LLMResponse | None]:
        answer = await SimulatedKit(["one two"]).achat(HELLO)
        chunks = [chunk async for chunk in SimulatedKit(["one two"]).astream(HELLO)]
        return answer, chunks[-1].response

    plain, streamed = asyncio.run(apart())
    blocked = SimulatedKit(["one two"]).chat(HELLO)
    *_, last = SimulatedKit(["one two"]).stream(HELLO)
    for response in (streamed, blocked, last.response):
        assert response is not None
        assert response.content == plain.content == "one two"
        assert response.usage == plain.usage


def test_a_blocking_call_works_inside_a_running_loop() -> None:
    async def main() -> str | None:
        kit = SimulatedKit(["fine"])
        return kit.chat(HELLO).content

    assert asyncio.run(main()) == "fine"


def test_embeddings_use_the_kits_embedding_model_unless_the_call_names_one() -> None:
    kit = SimulatedKit()
    assert kit.embed(EmbeddingConfig(texts=["a"])).model == "e"
    assert asyncio.run(kit.aembed(EmbeddingConfig(texts=["a"], model="f"))).model == "f"


def test_a_call_without_any_prompt_is_refused_and_one_of_the_two_is_enough() -> None:
    bare = SimulatedKit(prompt=None)
    with pytest.raises(InputError, match="default_prompt"):
        bare.chat(HELLO)
    with pytest.raises(ValueError, match="default_prompt"):
        list(bare.stream(HELLO))
    assert bare.chat(ChatConfig(user_message="x", prompt=PROMPT)).content


def test_the_prompt_of_a_call_goes_before_the_kits() -> None:
    seen: list[str] = []

    def keep(request: ChatRequest) -> str:
        seen.append(request.system)
        return "ok"

    kit = SimulatedKit([keep, keep])
    other = PROMPT.model_copy(update={"role": "A pirate."})
    kit.chat(ChatConfig(user_message="x", prompt=other))
    kit.chat(HELLO)
    assert "A pirate." in seen[0]
    assert seen[1] == PROMPT.compile()


def test_auto_needs_a_router_and_then_asks_the_model_of_the_tier() -> None:
    with pytest.raises(ConfigError, match="router"):
        SimulatedKit(model="auto")
    router = CostAwareRouter([RoutingTier(model="small", max_score=30), RoutingTier(model="large")])
    kit = SimulatedKit(model="auto", router=router)
    assert kit.chat(ChatConfig(user_message="What is 2+2?")).model == "small"
    hard = "Explain the difference between RLHF, DPO, and PPO in the context of fine-tuning large language models."
    assert kit.chat(ChatConfig(user_message=hard)).model == "large"


# -- over the wire

DIALECTS = {
    "openai": "openai:OpenAI",
    "google": "google:Google",
    "anthropic": "anthropic:Anthropic",
    "ollama": "ollama:Ollama",
    "huggingface": "huggingface:TGI",
}


@pytest.mark.parametrize("name", KITS)
def test_a_kit_asks_its_providers_server_in_every_way(name: str) -> None:
    async def main() -> None:
        module, _, cls = DIALECTS[name].partition(":")
        dialect = getattr(import_module(f"tests.dialects.{module}"), cls)()
        async with dialect.running() as base:
            options = dialect.options(base)
            if name == "ollama":
                del options["api_key"]
            make: Any = KITS[name][0]
            kit = make(model="plain", default_prompt=PROMPT, **options)
            plain = await kit.achat(HELLO)
            chunks = [chunk async for chunk in kit.astream(HELLO)]
            blocked = await asyncio.to_thread(kit.chat, HELLO)
            *_, last = await asyncio.to_thread(lambda: list(kit.stream(HELLO)))
            if name != "anthropic":
                config = EmbeddingConfig(texts=["one", "a longer one"], model="plain")
                vectors = (await kit.aembed(config)).vectors
                assert vectors == (await asyncio.to_thread(kit.embed, config)).vectors
                assert [vector.text for vector in vectors] == config.texts
            await asyncio.to_thread(blocking(kit.gateway.aclose))
            await kit.gateway.aclose()
        assert plain.content == dialects.TEXT
        assert plain.provider == name
        assert [chunk.is_final for chunk in chunks].count(True) == 1
        for response in (chunks[-1].response, blocked, last.response):
            assert response is not None
            assert (response.content, response.usage) == (plain.content, plain.usage)

    asyncio.run(main())


# -- the low-level gateway


def adapter(*script: Any) -> BaseLLMAdapter:
    return BaseLLMAdapter(SimulatedProvider(script), "m")


def test_the_low_level_gateway_runs_both_ways() -> None:
    made = Gateway(adapter("one", "two"), default_prompt=PROMPT)
    assert made.run(user_message="x").content == "one"
    assert asyncio.run(made.arun(user_message="x")).content == "two"


def test_the_low_level_gateway_has_the_specified_parameters() -> None:
    assert list(inspect.signature(Gateway).parameters) == ["adapter", "tools", "default_prompt"]
    expected = ["self", "prompt", "user_message", "tools", "temperature", "max_tokens", "response_model", "kwargs"]
    for method in (Gateway.run, Gateway.arun):
        assert list(inspect.signature(method).parameters) == expected


def test_what_a_run_is_given_reaches_the_provider() -> None:
    seen: list[ChatRequest] = []

    def keep(request: ChatRequest) -> str:
        seen.append(request)
        return '{"n": 1}'

    class Number(BaseModel):
        n: int

    registry = ToolRegistry()

    @registry.register
    def look(where: str) -> str:
        """Look there."""
        return where

    made = Gateway(adapter(keep, keep), tools=registry, default_prompt=PROMPT)
    response = made.run(
        PROMPT, "x", temperature=0.3, max_tokens=7, response_model=Number, seed=5, top_p=0.5, logit_bias={"1": 2}
    )
    assert response.parsed == {"n": 1}
    [request] = seen
    assert request.parameters == {"temperature": 0.3, "seed": 5, "top_p": 0.5}
    assert request.extra == {"logit_bias": {"1": 2}}
    assert request.max_tokens == 7
    assert [spec.name for spec in request.tools] == ["look"]
    made.run(user_message="x", tools=ToolRegistry())
    assert seen[1].tools == []


def test_a_run_without_a_prompt_or_a_question_is_refused() -> None:
    with pytest.raises(ValueError, match="default_prompt"):
        Gateway(adapter("one")).run(user_message="x")
    with pytest.raises(ValueError, match="user_message"):
        Gateway(adapter("one"), default_prompt=PROMPT).run()


@pytest.mark.parametrize("made", [OpenAILLMKit, GoogleLLMKit, AnthropicLLMKit])
def test_the_adapters_are_where_the_specification_says(made: type[BaseLLMAdapter]) -> None:
    vendor = made.__name__.removesuffix("LLMKit").lower()
    assert getattr(import_module("racto.adapters"), made.__name__) is made
    assert getattr(import_module(f"racto.adapters.{vendor}_kit"), made.__name__) is made
    built = made(model="some-model", api_key="a-key")
    assert built.model == "some-model"
    assert built.provider.name == vendor


def test_the_other_module_names_of_the_specification_work() -> None:
    from racto import exceptions, gateway, routing
    from racto.knowledge import errors
    from racto.prompts.engine import RactoFile

    assert RactoFile is racto.RactoFile
    assert gateway.Gateway is Gateway
    assert routing.CostAwareRouter is CostAwareRouter
    assert all(getattr(exceptions, name) is getattr(errors, name) for name in exceptions.__all__)
