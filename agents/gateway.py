"""Everything that spends tokens goes through here: one chat, stream and embed over every provider.

Around a call, in this order: truncate → exact cache → semantic cache → route → budget.reserve → provider, with retry and fallback →
structured → settle → record. The budget reserves at each endpoint and not before the route, because only the route knows the price.
Each stage is a collaborator that may be absent, and then costs nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from pydantic import BaseModel

from ..knowledge.errors import MalformedResponseError, RactoGatewayError, StreamInterruptedError
from ..knowledge.prompts import RactoPrompt
from ..knowledge.vocabulary import (
    ChatConfig,
    ChatRequest,
    EmbeddingConfig,
    EmbeddingResponse,
    LLMResponse,
    StreamChunk,
)
from . import structured
from .discovery import ParameterDiscoveryCache, Policy
from .dispatch import Call, Dispatcher
from .providers import Provider
from .recall import Recall, replayed
from .requests import chat_request, needs
from .retry import Retrier, RetryConfig
from .routes import Routes, Wish
from .routing import CostAwareRouter, Endpoint, RoutingConfig, TaskRouter
from .streams import STREAM_BUFFER, buffered

if TYPE_CHECKING:
    from .caches import ExactMatchCache
    from .semantic_cache import SemanticCache
    from .truncation import TokenTruncator


@dataclass(slots=True, kw_only=True)
class _Question(Call):
    """A chat call: what is asked, and the model the answer must be."""

    config: ChatConfig
    request: ChatRequest
    wish: Wish
    shape: type[BaseModel] | None = None


@dataclass(slots=True)
class _Opened:
    """A stream whose first words are there."""

    endpoint: Endpoint
    request: ChatRequest
    first: StreamChunk
    rest: AsyncGenerator[StreamChunk, None]


class ModelGateway:
    """One way to every model.

    :param chain: Who answers; the later ones when the earlier ones fail.
    :param embedders: Who embeds, likewise; without them the endpoints of `chain` that can.
    :param providers: More providers, for tasks and models a call names.
    :param prompt: The system prompt of calls that bring none of their own.
    :param truncator: Shortens the history of calls that are longer than the model reads.
    :param exact_cache: Answers what was asked before.
    :param semantic_cache: Answers what was meant before.
    :param router: Chooses the model of endpoints whose model is `auto`.
    :param tasks: Chooses by the task and component of a call.
    :param routing: What decides between endpoints that could all answer.
    :param retry: How to try again; a `Retrier` brings its own clock.
    :param policy: What to do with a parameter a model does not take.
    :param discovery: Where refused parameters are remembered; `None` remembers nothing.
    :param stream_buffer: Chunks read ahead of a slow reader.
    :raises ConfigError: a model is `auto` and there is no router.
    """

    def __init__(
        self,
        *,
        chain: Sequence[Endpoint],
        embedders: Sequence[Endpoint] = (),
        providers: Sequence[Provider] = (),
        prompt: RactoPrompt | None = None,
        truncator: TokenTruncator | None = None,
        exact_cache: ExactMatchCache | None = None,
        semantic_cache: SemanticCache | None = None,
        router: CostAwareRouter | None = None,
        tasks: TaskRouter | None = None,
        routing: RoutingConfig | None = None,
        retry: RetryConfig | Retrier | None = None,
        policy: Policy = "warn",
        discovery: ParameterDiscoveryCache | None = None,
        stream_buffer: int = STREAM_BUFFER,
    ) -> None:
        self.prompt = prompt
        self._retrier = retry if isinstance(retry, Retrier) else Retrier(retry)
        self._truncator = truncator
        cached = exact_cache is not None or semantic_cache is not None
        self._recall = Recall(exact_cache, semantic_cache) if cached else None
        self._chain = ", ".join(map(str, chain))
        self.routes = Routes(
            chain,
            embedders=embedders or [each for each in chain if "embed" in each.provider.capabilities],
            providers=providers,
            router=router,
            tasks=tasks,
            config=routing,
            breaker=self._retrier.breaker,
        )
        self._dispatcher = Dispatcher(self.routes, self._retrier, policy=policy, discovery=discovery)
        self._stream_buffer = stream_buffer

    async def chat(
        self, config: ChatConfig, *, user: str = "", component: str = "", task: str = "", model: str | None = None
    ) -> LLMResponse:
        """One answer.

        :param user: Who asks, `component` for which part of a program, `task` what for: the budget counts and the tasks route by them.
        :param model: Instead of the chain's: a name, `provider/name`, or `auto`.
        :raises RactoGatewayError: nobody answered; the hint names who was tried.
        """
        question = self._question("chat", config, user, component, task, model)
        if self._recall is None:
            return await self._fresh(question)
        asked = self._recall.asked(question.request, provider=self._chain, scope=question.wish.model or "")
        async with self._recall.flight(asked):
            response = await self._recall.find(asked)
            if response is None:
                response = await self._fresh(question)
                # What a stand-in said is not what the model would say: it is given once and not kept.
                if not question.fell_back:
                    await self._recall.keep(asked, response)
            return response

    async def stream(
        self,
        config: ChatConfig,
        *,
        user: str = "",
        component: str = "",
        task: str = "",
        model: str | None = None,
        restart: bool = False,
    ) -> AsyncGenerator[StreamChunk, None]:
        """One answer as it is made; see `chat`.

        Until the first words a failing endpoint is replaced unseen. After them a break is an error, unless `restart`: then the answer
        begins anew, `accumulated_text` with it.

        :raises StreamInterruptedError: it broke after its first words; has the `partial` text.
        """
        question = self._question("stream", config, user, component, task, model)
        asked = None
        if self._recall is not None:
            asked = self._recall.asked(question.request, provider=self._chain, scope=question.wish.model or "")
            if (hit := await self._recall.find(asked)) is not None:
                for chunk in replayed(hit):
                    yield chunk
                return
        async with aclosing(self._fresh_stream(question, restart)) as chunks:
            async for chunk in chunks:
                if self._recall is not None and asked and chunk.response is not None and not question.fell_back:
                    await self._recall.keep(asked, chunk.response)
                yield chunk

    async def _fresh_stream(self, question: _Question, restart: bool) -> AsyncGenerator[StreamChunk, None]:
        endpoints = self._endpoints(question)
        for left in range(self._retrier.config.max_attempts - 1 if restart else 0, -1, -1):
            opened = await self._dispatcher.through(question, endpoints, partial(self._open, question))
            text = ""
            try:
                async with aclosing(self._chunks(question, opened)) as chunks:
                    async for chunk in chunks:
                        text = chunk.accumulated_text
                        yield chunk
                return
            except RactoGatewayError as error:
                if not (left and error.transient and self._retrier.clock() < question.until):
                    raise _interrupted(error, text) from error
                question.warnings.append(f"The stream of {opened.endpoint} broke ({error.code}) and began anew.")

    async def _fresh(self, question: _Question) -> LLMResponse:
        endpoints = self._endpoints(question)
        return await self._dispatcher.through(question, endpoints, partial(self._answer, question))

    async def embed(
        self, config: EmbeddingConfig, *, user: str = "", component: str = "", task: str = ""
    ) -> EmbeddingResponse:
        """The vectors of some texts, in their order.

        When an endpoint fails, only others of the same model are tried: vectors of two models cannot be compared.

        :raises RactoGatewayError: nobody could.
        """
        wish = Wish("embed", model=config.model, task=task, component=component, needs=frozenset({"embed"}))
        call = Call("embed", self._retrier.deadline(), user, component, task)
        endpoints, _ = self.routes.choose(wish, self._price)
        same = [each for each in endpoints if each.model == endpoints[0].model]

        async def attempt(endpoint: Endpoint) -> EmbeddingResponse:
            ask = partial(endpoint.provider.embed, config, endpoint.model)
            return await self._dispatcher.retried(call, endpoint, ask)

        return await self._dispatcher.through(call, same, attempt)

    async def aclose(self) -> None:
        """Close every provider's clients."""
        for provider in self.routes.providers.values():
            await provider.aclose()

    def _question(
        self, operation: str, config: ChatConfig, user: str, component: str, task: str, model: str | None
    ) -> _Question:
        wish = Wish(operation, config.user_message, model, task, component)
        if (route := self.routes.route(wish)) is not None:
            options = {"temperature": route.options.temperature, "max_tokens": route.options.max_tokens}
            unset = {
                key: value for key, value in options.items() if value is not None and key not in config.model_fields_set
            }
            config = config.model_copy(update=unset) if unset else config
        warnings = []
        if self._truncator is not None:
            turns = len(config.history)
            config = self._fitted(config, self.routes.models(wish))
            if left_out := turns - len(config.history):
                warnings.append(f"{left_out} earlier turns were left out: the conversation is longer than is read.")
        request = chat_request(config, self.prompt, self.routes.models(wish)[0])
        wish = replace(wish, needs=needs(request) | {operation})
        shape = structured.model_of(config, config.prompt or self.prompt)
        return _Question(
            operation,
            self._retrier.deadline(),
            user,
            component,
            task,
            warnings=warnings,
            config=config,
            request=request,
            wish=wish,
            shape=shape,
        )

    def _fitted(self, config: ChatConfig, models: Sequence[str]) -> ChatConfig:
        """The call, short enough for each of `models`."""
        assert self._truncator is not None
        if config.prompt is None and self.prompt is not None:
            config = config.model_copy(update={"prompt": self.prompt})  # it counts too
        for model in models:
            config = self._truncator.truncate(config, model)
        return config

    def _request(self, question: _Question, endpoint: Endpoint) -> ChatRequest:
        """The request for one endpoint; a stand-in may read less than the model that was meant."""
        if self._truncator is not None and endpoint.model != question.request.model:
            fitted = self._fitted(question.config, [endpoint.model])
            if len(fitted.history) < len(question.config.history):
                return chat_request(fitted, self.prompt, endpoint.model)
        return replace(question.request, model=endpoint.model)

    def _endpoints(self, question: _Question) -> list[Endpoint]:
        endpoints, why = self.routes.choose(question.wish, self._price)
        question.why += why
        return endpoints

    def _price(self, endpoint: Endpoint) -> Decimal | None:
        return Decimal(0) if endpoint.provider.local else None

    async def _answer(self, question: _Question, endpoint: Endpoint) -> LLMResponse:
        """The answer of one endpoint, in its shape."""
        request = self._request(question, endpoint)
        response = await self._ask(question, endpoint, request)
        return self._finished(question, endpoint, await self._shaped(question, endpoint, request, response))

    async def _ask(self, question: _Question, endpoint: Endpoint, request: ChatRequest) -> LLMResponse:
        return await self._dispatcher.send(question, endpoint, request, endpoint.provider.chat)

    async def _shaped(
        self, question: _Question, endpoint: Endpoint, request: ChatRequest, response: LLMResponse
    ) -> LLMResponse:
        """The answer as `response_model` asks, repaired at most `max_validation_retries` times; its usage is that of all tries.

        :raises ResponseModelValidationError: it never was.
        """
        shape = question.shape
        if shape is None or response.tool_calls:
            return response
        spent = response.usage
        for attempts in range(1, question.config.max_validation_retries + 2):
            try:
                structured.check(response, shape)
            except ValueError as error:
                if attempts > question.config.max_validation_retries or not structured.can_be_repaired(response):
                    raise structured.failed(response, shape, error, attempts) from error
                turns = structured.repair(response, error, structured.schema_of(shape))
            else:
                response.usage = spent
                if attempts > 1:
                    question.why.append(f"{endpoint}: repaired, {attempts} attempts")
                return response
            request = replace(request, messages=[*request.messages, *turns])
            response = await self._ask(question, endpoint, request)
            spent = {key: spent.get(key, 0) + response.usage.get(key, 0) for key in spent | response.usage}
        raise AssertionError("the last attempt returns or raises")

    async def _open(self, question: _Question, endpoint: Endpoint) -> _Opened:
        """The stream of one endpoint, once its first words are there."""
        request = self._request(question, endpoint)
        first, rest = await self._dispatcher.send(question, endpoint, request, partial(self._begin, endpoint))
        return _Opened(endpoint, request, first, rest)

    async def _begin(
        self, endpoint: Endpoint, request: ChatRequest
    ) -> tuple[StreamChunk, AsyncGenerator[StreamChunk, None]]:
        chunks = buffered(endpoint.provider.stream(request), self._stream_buffer)
        try:
            return await anext(chunks), chunks
        except BaseException as error:
            await chunks.aclose()
            if isinstance(error, StopAsyncIteration):
                raise MalformedResponseError(f"The stream of {endpoint} is empty.", "Try again.") from None
            raise

    async def _chunks(self, question: _Question, opened: _Opened) -> AsyncGenerator[StreamChunk, None]:
        async with aclosing(opened.rest):
            if not opened.first.is_final:
                yield opened.first
                async for chunk in opened.rest:
                    if chunk.is_final:
                        yield await self._final(question, opened, chunk)
                    else:
                        yield chunk
            else:
                yield await self._final(question, opened, opened.first)

    async def _final(self, question: _Question, opened: _Opened, chunk: StreamChunk) -> StreamChunk:
        """The last chunk, its answer checked and explained as `chat` does it."""
        if chunk.response is None:
            raise MalformedResponseError(f"The stream of {opened.endpoint} ended without an answer.", "Try again.")
        response = await self._shaped(question, opened.endpoint, opened.request, chunk.response)
        if response is not chunk.response:
            question.warnings.append("The streamed text was not valid and was repaired: `response` holds what counts.")
        chunk.response = self._finished(question, opened.endpoint, response)
        chunk.usage = response.usage
        return chunk

    def _finished(self, question: _Question, endpoint: Endpoint, response: LLMResponse) -> LLMResponse:
        response.provider = response.provider or endpoint.provider.name
        response.model = response.model or endpoint.model
        response.why = [*question.why, f"{endpoint} answered"]
        response.warnings = [*response.warnings, *question.warnings]
        return response


def _interrupted(error: RactoGatewayError, text: str) -> RactoGatewayError:
    if not text:
        return error
    return StreamInterruptedError(
        f"The stream broke after its first words: {error.message}",
        "The text so far is in `partial`; ask again, or with restart=True.",
        partial=text,
        provider=error.provider,
        model=error.model,
        request_id=error.request_id,
    )
