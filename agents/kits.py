"""The developer kits: one class for each provider, the same methods on all, and the low-level `Gateway` under them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

from pydantic import BaseModel

from ..knowledge.edge import blocking, blocking_stream
from ..knowledge.errors import InputError
from ..knowledge.prompts import RactoPrompt
from ..knowledge.vocabulary import ChatConfig, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk
from .gateway import ModelGateway
from .providers import make
from .requests import require_prompt
from .retry import RetryConfig
from .routing import CostAwareRouter, Endpoint

if TYPE_CHECKING:
    from .budget import Budget
    from .caches import ExactMatchCache
    from .semantic_cache import SemanticCache
    from .telemetry import Telemetry
    from .toolbox import ToolRegistry
    from .truncation import TokenTruncator


class Stages(TypedDict, total=False):
    """What may stand around the calls of a kit; each is off unless it is given."""

    exact_cache: ExactMatchCache | None
    """Answers what was asked before."""
    semantic_cache: SemanticCache | None
    """Answers what was meant before."""
    budget: Budget | None
    """Limits what is spent, and writes down what was."""
    telemetry: Telemetry | None
    """Is told of every call, retry and look into a cache."""
    router: CostAwareRouter | None
    """Chooses the model when it is `auto`."""
    truncator: TokenTruncator | None
    """Shortens the history of calls that are longer than the model reads."""
    retry: RetryConfig | None
    """How to try again, instead of the defaults."""


class ChatKit:
    """What every kit can do. Made by the kit of a provider.

    :raises ConfigError: the model is `auto` and there is no router (it is a `ValueError`).
    """

    provider: ClassVar[str]

    def __init__(
        self,
        model: str,
        default_prompt: RactoPrompt | None,
        stages: Stages,
        embedding_model: str | None = None,
        **options: Any,
    ) -> None:
        provider = make(self.provider, **options)
        self.model = model
        self.default_prompt = default_prompt
        self.exact_cache = stages.get("exact_cache")
        self.semantic_cache = stages.get("semantic_cache")
        self.gateway = ModelGateway(
            chain=[Endpoint(provider, model)],
            embedders=[Endpoint(provider, embedding_model)] if embedding_model else [],
            prompt=default_prompt,
            **stages,
        )

    async def achat(self, config: ChatConfig) -> LLMResponse:
        """One answer.

        :raises InputError: neither `config` nor the kit has a prompt (it is a `ValueError`).
        :raises RactoGatewayError: no answer could be had.
        """
        require_prompt(config, self.default_prompt)
        return await self.gateway.chat(config)

    async def astream(self, config: ChatConfig) -> AsyncIterator[StreamChunk]:
        """One answer as it is made; see `achat`. The last chunk, and no other, is final."""
        require_prompt(config, self.default_prompt)
        async for chunk in self.gateway.stream(config):
            yield chunk

    chat = blocking(achat)
    stream = blocking_stream(astream)


class EmbeddingKit(ChatKit):
    """A kit whose provider embeds."""

    async def aembed(self, config: EmbeddingConfig) -> EmbeddingResponse:
        """The vectors of some texts, in their order.

        :raises RactoGatewayError: they could not be had.
        """
        return await self.gateway.embed(config)

    embed = blocking(aembed)


class OpenAIDeveloperKit(EmbeddingKit):
    """OpenAI.

    :param model: The chat model; `auto` lets the router choose.
    :param api_key: `OPENAI_API_KEY` when not given.
    :param base_url: Azure, a proxy, or another server of the same API.
    :param embedding_model: The model of `embed`.
    :param default_prompt: The prompt of calls that bring none.
    """

    provider = "openai"

    def __init__(
        self,
        model: str = "gpt-4o",
        api_key: str | None = None,
        base_url: str | None = None,
        embedding_model: str = "text-embedding-3-small",
        default_prompt: RactoPrompt | None = None,
        **stages: Unpack[Stages],
    ) -> None:
        self.embedding_model = embedding_model
        super().__init__(model, default_prompt, stages, embedding_model, api_key=api_key, base_url=base_url)


class GoogleDeveloperKit(EmbeddingKit):
    """Google Gemini.

    :param model: The chat model; `auto` lets the router choose.
    :param api_key: `GEMINI_API_KEY` when not given.
    :param embedding_model: The model of `embed`.
    :param default_prompt: The prompt of calls that bring none.
    """

    provider = "google"

    def __init__(
        self,
        model: str = "gemini-2.0-flash",
        api_key: str | None = None,
        embedding_model: str = "text-embedding-004",
        default_prompt: RactoPrompt | None = None,
        *,
        base_url: str | None = None,
        **stages: Unpack[Stages],
    ) -> None:
        self.embedding_model = embedding_model
        super().__init__(model, default_prompt, stages, embedding_model, api_key=api_key, base_url=base_url)


class AnthropicDeveloperKit(ChatKit):
    """Anthropic Claude. It has no embeddings: Anthropic offers none.

    :param model: The chat model; `auto` lets the router choose.
    :param api_key: `ANTHROPIC_API_KEY` when not given.
    :param default_prompt: The prompt of calls that bring none.
    """

    provider = "anthropic"

    def __init__(
        self,
        model: str,
        api_key: str | None = None,
        default_prompt: RactoPrompt | None = None,
        *,
        base_url: str | None = None,
        **stages: Unpack[Stages],
    ) -> None:
        super().__init__(model, default_prompt, stages, api_key=api_key, base_url=base_url)


class OllamaDeveloperKit(EmbeddingKit):
    """Ollama: models on this machine, without a key.

    :param model: A name of `ollama list`.
    :param base_url: Where the server listens; `None` reads `OLLAMA_HOST`, or is `http://localhost:11434`.
    :param embedding_model: The model of `embed`.
    :param default_prompt: The prompt of calls that bring none.
    """

    provider = "ollama"

    def __init__(
        self,
        model: str = "llama3.2",
        base_url: str | None = None,
        embedding_model: str = "nomic-embed-text",
        default_prompt: RactoPrompt | None = None,
        **stages: Unpack[Stages],
    ) -> None:
        from .providers.ollama import ollama_url

        self.base_url = ollama_url(base_url)
        self.embedding_model = embedding_model
        super().__init__(model, default_prompt, stages, embedding_model, base_url=self.base_url)


class HuggingFaceDeveloperKit(EmbeddingKit):
    """HuggingFace: the Inference API, or a local TGI, vLLM or llama.cpp server.

    :param model: The repository of the model, or the label of a local server.
    :param api_key: `HF_TOKEN` or `HUGGINGFACE_TOKEN` when not given.
    :param base_url: A local server.
    :param embedding_model: The model of `embed`.
    :param default_prompt: The prompt of calls that bring none.
    """

    provider = "huggingface"

    def __init__(
        self,
        model: str = "meta-llama/Llama-3.2-3B-Instruct",
        api_key: str | None = None,
        base_url: str | None = None,
        embedding_model: str = "sentence-transformers/all-MiniLM-L6-v2",
        default_prompt: RactoPrompt | None = None,
        **stages: Unpack[Stages],
    ) -> None:
        self.embedding_model = embedding_model
        super().__init__(model, default_prompt, stages, embedding_model, api_key=api_key, base_url=base_url)


BaseLLMAdapter = Endpoint
"""What the low-level `Gateway` wraps: a provider and the model to ask there. A provider of your own is any `Provider`."""


class OpenAILLMKit(BaseLLMAdapter):
    """OpenAI, for `Gateway`."""

    def __init__(self, model: str = "gpt-4o", api_key: str | None = None, base_url: str | None = None) -> None:
        super().__init__(make("openai", api_key=api_key, base_url=base_url), model)


class GoogleLLMKit(BaseLLMAdapter):
    """Google Gemini, for `Gateway`."""

    def __init__(
        self, model: str = "gemini-2.0-flash", api_key: str | None = None, base_url: str | None = None
    ) -> None:
        super().__init__(make("google", api_key=api_key, base_url=base_url), model)


class AnthropicLLMKit(BaseLLMAdapter):
    """Anthropic Claude, for `Gateway`."""

    def __init__(self, model: str, api_key: str | None = None, base_url: str | None = None) -> None:
        super().__init__(make("anthropic", api_key=api_key, base_url=base_url), model)


class Gateway:
    """A prompt, tools and one adapter, without a kit.

    :param adapter: `OpenAILLMKit`, `GoogleLLMKit`, `AnthropicLLMKit`, or any provider with its model.
    :param tools: The registry of calls that bring none.
    :param default_prompt: The prompt of calls that bring none.
    """

    def __init__(
        self,
        adapter: BaseLLMAdapter,
        *,
        tools: ToolRegistry | None = None,
        default_prompt: RactoPrompt | None = None,
    ) -> None:
        self.adapter = adapter
        self.tools = tools
        self.default_prompt = default_prompt
        self._gateway = ModelGateway(chain=[adapter], prompt=default_prompt)

    async def arun(
        self,
        prompt: RactoPrompt | None = None,
        user_message: str = "",
        *,
        tools: ToolRegistry | None = None,
        temperature: float | None = None,
        max_tokens: int = 4096,
        response_model: type[BaseModel] | None = None,
        **kwargs: Any,
    ) -> LLMResponse:
        """One answer.

        :param prompt: Instead of the gateway's.
        :param user_message: What the person asks.
        :param tools: Instead of the gateway's.
        :param response_model: The model the answer must be; `parsed` then holds it.
        :param kwargs: Other fields of `ChatConfig` by name; what it does not know goes to the provider as it is.
        :raises InputError: there is no prompt, or nothing is asked (it is a `ValueError`).
        :raises RactoGatewayError: no answer could be had.
        """
        if not user_message:
            raise InputError("Nothing is asked.", "Give user_message=….")
        known = {name: kwargs.pop(name) for name in list(kwargs) if name in ChatConfig.model_fields}
        config = ChatConfig(
            user_message=user_message,
            prompt=prompt,
            tools=tools if tools is not None else self.tools,
            temperature=temperature,
            max_tokens=max_tokens,
            response_model=response_model,
            **{**known, "extra": {**known.get("extra", {}), **kwargs}},
        )
        require_prompt(config, self.default_prompt)
        return await self._gateway.chat(config)

    run = blocking(arun)
