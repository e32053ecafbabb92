"""Everything that spends tokens goes through here: one chat, stream and embed over every provider.

Around a call, in this order: truncate → exact cache → semantic cache → route → budget.reserve → provider, with retry and fallback →
structured → settle → record. The budget reserves at each endpoint and not before the route, because only the route knows the price.
Each stage is a collaborator that may be absent, and then costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..knowledge.errors import (
    ContextLengthError,
    RactoGatewayError,
    ResponseModelValidationError,
    StreamInterruptedError,
)
from ..knowledge.prompts import RactoPrompt
from ..knowledge.vocabulary import (
    ChatConfig,
    ChatRequest,
    EmbeddingConfig,
    EmbeddingResponse,
    LLMResponse,
    StreamChunk,
)
from .accounts import Accounts
from .asking import Asker, Question
from .discovery import DISCOVERY, DiscoveryConfig, ParameterDiscoveryCache, Policy
from .dispatch import Call, Dispatcher
from .providers import Provider
from .recall import Asked, Operations, Recall, replayed
from .requests import chat_request, needs
from .retry import Retrier, RetryConfig
from .routes import Routes, Wish
from .routing import CostAwareRouter, Endpoint, RoutingConfig, TaskRouter
from .streams import STREAM_BUFFER
from .structured import model_of

if TYPE_CHECKING:
    from ..knowledge.rate_limit import RateLimiter
    from .budget import Budget
    from .caches import ExactMatchCache, OperationCache
    from .models import ModelRegistry
    from .nlp import LocalNLI, NLIResult, StanceResult
    from .running_model import RunningModel
    from .semantic_cache import SemanticCache
    from .telemetry import Telemetry
    from .truncation import TokenTruncator

T = TypeVar("T")


class ModelGateway:
    """One way to every model.

    :param chain: Who answers; the later ones when the earlier ones fail.
    :param embedders: Who embeds, likewise; without them the endpoints of `chain` that can.
    :param providers: More providers, for tasks and models a call names.
    :param prompt: The system prompt of calls that bring none of their own.
    :param truncator: Shortens the history of calls that are longer than the model reads.
    :param exact_cache: Answers what was asked before.
    :param semantic_cache: Answers what was meant before.
    :param operation_cache: Embeds and infers once what was embedded and inferred before.
    :param budget: Limits what is spent, and writes down what was.
    :param models: What is known of models beforehand: limits, parameters, prices, who has them.
    :param telemetry: Is told of every call, retry and look into a cache.
    :param router: Chooses the model of endpoints whose model is `auto`.
    :param tasks: Chooses by the task and component of a call.
    :param routing: What decides between endpoints that could all answer.
    :param retry: How to try again; a `Retrier` brings its own clock.
    :param policy: What to do with a parameter a model does not take.
    :param discovery: How much of refused parameters is remembered; `None` remembers nothing.
    :param stream_buffer: Chunks read ahead of a slow reader.
    :param nli: Infers and takes sides in this process; where it is not there, a chat model does.
    :param running: Finds who answers when there is no chain and a call names no model.
    :param limiter: How many tokens each user may take in a minute.
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
        operation_cache: OperationCache | None = None,
        budget: Budget | None = None,
        models: ModelRegistry | None = None,
        telemetry: Telemetry | None = None,
        router: CostAwareRouter | None = None,
        tasks: TaskRouter | None = None,
        routing: RoutingConfig | None = None,
        retry: RetryConfig | Retrier | None = None,
        policy: Policy = "warn",
        discovery: DiscoveryConfig | None = DISCOVERY,
        stream_buffer: int = STREAM_BUFFER,
        nli: LocalNLI | None = None,
        running: RunningModel | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.prompt = prompt
        self._nli = nli
        self._running = running
        self._retrier = retry if isinstance(retry, Retrier) else Retrier(retry)
        self._truncator = truncator
        cached = exact_cache is not None or semantic_cache is not None
        self._recall = Recall(exact_cache, semantic_cache, telemetry) if cached else None
        self._operations = Operations(operation_cache, telemetry)
        self._chain = ", ".join(map(str, chain))
        self.routes = Routes(
            chain,
            embedders=embedders or [each for each in chain if "embed" in each.provider.capabilities],
            providers=providers,
            router=router,
            tasks=tasks,
            config=routing,
            models=models,
            breaker=self._retrier.breaker,
        )
        self.discovery = None if discovery is None else ParameterDiscoveryCache(discovery)
        self._accounts = Accounts(budget, telemetry, models, self._retrier.clock, limiter)
        self._dispatcher = Dispatcher(
            self.routes, self._retrier, policy=policy, discovery=self.discovery, models=models, telemetry=telemetry
        )
        self._asker = Asker(self._dispatcher, self._accounts, stream_buffer)

    async def chat(
        self, config: ChatConfig, *, user: str = "", component: str = "", task: str = "", model: str | None = None
    ) -> LLMResponse:
        """One answer.

        :param user: Who asks, `component` for which part of a program, `task` what for: the budget counts and the tasks route by them.
        :param model: Instead of the chain's: a name, `provider/name`, or `auto`.
        :raises RactoGatewayError: nobody answered; the hint names who was tried.
        """
        question = await self._question("chat", config, user, component, task, model)
        if self._recall is None:
            return await self._answer(question)
        asked = self._asked(self._recall, question)
        async with self._recall.flight(asked):
            response = await self._recall.find(asked)
            if response is not None:
                await self._accounts.recalled(question, response, response.cached or "")
            else:
                response = await self._answer(question)
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
        question = await self._question("stream", config, user, component, task, model)
        asked = self._asked(self._recall, question) if self._recall else None
        if self._recall and asked and (kept := await self._recall.find(asked)) is not None:
            await self._accounts.recalled(question, kept, kept.cached or "")
            for chunk in replayed(kept):
                yield chunk
            return
        async with aclosing(self._chunks(question, restart)) as chunks:
            async for chunk in chunks:
                if self._recall and asked and chunk.response is not None and not question.fell_back:
                    await self._recall.keep(asked, chunk.response)
                yield chunk

    async def embed(
        self, config: EmbeddingConfig, *, user: str = "", component: str = "", task: str = ""
    ) -> EmbeddingResponse:
        """The vectors of some texts, in their order.

        When an endpoint fails, only others of the same model are tried: vectors of two models cannot be compared.

        :raises RactoGatewayError: nobody could.
        """
        wish = Wish("embed", model=config.model, task=task, component=component, needs=frozenset({"embed"}))
        call = Call("embed", self._retrier.deadline(), user, component, task)

        async def embedded() -> EmbeddingResponse:
            endpoints = await self._endpoints(call, wish, config)
            same = [each for each in endpoints if each.model == endpoints[0].model]
            return await self._dispatcher.through(call, same, attempt)

        async def attempt(endpoint: Endpoint) -> EmbeddingResponse:
            account = await self._accounts.open(call, endpoint, config)
            try:
                ask = partial(endpoint.provider.embed, config, endpoint.model)
                response = await self._dispatcher.retried(call, endpoint, ask)
            except BaseException as error:
                await self._accounts.fail(account, error)
                raise
            await self._accounts.settle(account, response)
            return response

        by = config.model or ", ".join(map(str, self.routes.embedders))
        response, kept = await self._operations.through("embed", by, config.model_dump(), EmbeddingResponse, embedded)
        if kept:
            response.cost = Decimal(0)
            await self._accounts.recalled(call, response, "operation")
        return response

    async def infer_nli(self, premise: str, hypothesis: str, model: str | None = None) -> NLIResult:
        """Whether the premise entails or contradicts the hypothesis; see `NLP.infer_nli`."""
        from .nlp import NLP, NLIResult

        nlp = NLP(local=self._nli, chat=self)
        find = partial(nlp.infer_nli, premise, hypothesis, model)
        return (await self._operations.through("nli", self._judge(model), [premise, hypothesis], NLIResult, find))[0]

    async def classify_stance(self, text: str, target: str, model: str | None = None) -> StanceResult:
        """Whether a text is for or against something; see `NLP.classify_stance`."""
        from .nlp import NLP, StanceResult

        find = partial(NLP(local=self._nli, chat=self).classify_stance, text, target, model)
        return (await self._operations.through("stance", self._judge(model), [text, target], StanceResult, find))[0]

    def _judge(self, model: str | None) -> str:
        return model or f"{self._nli.model if self._nli else ''}, {self._chain}"

    async def availability(self) -> dict[str, RactoGatewayError | None]:
        """Every provider by name, and the error with which it fails to list its models; `None` when it is there."""

        async def look(provider: Provider) -> RactoGatewayError | None:
            try:
                await provider.models()
            except RactoGatewayError as error:
                return error
            return None

        providers = self.routes.providers
        return dict(zip(providers, await asyncio.gather(*map(look, providers.values())), strict=True))

    async def aclose(self) -> None:
        """Close every provider's clients."""
        for provider in self.routes.providers.values():
            await provider.aclose()

    async def _answer(self, question: Question) -> LLMResponse:
        async def attempt(endpoint: Endpoint) -> LLMResponse:
            return await self._fitting(question, endpoint, partial(self._asker.answer, question, endpoint))

        endpoints = await self._endpoints(question, question.wish, question.request)
        return await self._dispatcher.through(question, endpoints, attempt)

    async def _chunks(self, question: Question, restart: bool) -> AsyncGenerator[StreamChunk, None]:
        endpoints = await self._endpoints(question, question.wish, question.request)
        for left in range(self._retrier.config.max_attempts - 1 if restart else 0, -1, -1):
            opened = await self._dispatcher.through(
                question,
                endpoints,
                lambda endpoint: self._fitting(question, endpoint, partial(self._asker.open, question, endpoint)),
            )
            text = ""
            try:
                async with aclosing(self._asker.chunks(question, opened)) as chunks:
                    async for chunk in chunks:
                        text = chunk.accumulated_text
                        yield chunk
                return
            except ResponseModelValidationError:
                raise
            except RactoGatewayError as error:
                if not left or self._retrier.clock() >= question.until:
                    raise _interrupted(error, text) from error
                question.warnings.append(f"The stream of {opened.endpoint} broke ({error.code}) and began anew.")

    async def default(self) -> Endpoint | None:
        """Who answers a call that names neither model nor task, if anybody does: first of the chain, or what runs on this machine."""
        if self.routes.chain:
            return self.routes.chain[0]
        found = await self._running.find() if self._running else None
        return found.endpoint if found else None

    async def _question(
        self, operation: str, config: ChatConfig, user: str, component: str, task: str, model: str | None
    ) -> Question:
        wish = Wish(operation, config.user_message, model, task, component)
        if (route := self.routes.route(wish)) is not None:
            options = {"temperature": route.options.temperature, "max_tokens": route.options.max_tokens}
            unset = {
                key: value for key, value in options.items() if value is not None and key not in config.model_fields_set
            }
            config = config.model_copy(update=unset) if unset else config
        why, warnings = [], []
        if self._running is not None and self.routes.open(wish) and (found := await self._running.find()):
            wish = replace(wish, model=str(found.endpoint))
            why, warnings = [found.why], [found.why]
        models = self.routes.models(wish)
        if self._truncator is not None:
            turns = len(config.history)
            config = self._fitted(self._truncator, config, models)
            if left_out := turns - len(config.history):
                warnings.append(f"{left_out} earlier turns were left out: the conversation is longer than is read.")
        request = chat_request(config, self.prompt, models[0])
        return Question(
            operation,
            self._retrier.deadline(),
            user,
            component,
            task,
            why=why,
            warnings=warnings,
            config=config,
            request=request,
            wish=replace(wish, needs=needs(request) | {operation}),
            shape=model_of(config, config.prompt or self.prompt),
        )

    def _fitted(self, truncator: TokenTruncator, config: ChatConfig, models: Sequence[str]) -> ChatConfig:
        """The call, short enough for each of `models`."""
        if config.prompt is None and self.prompt is not None:
            config = config.model_copy(update={"prompt": self.prompt})  # it counts too
        for model in models:
            config = truncator.truncate(config, model)
        return config

    def _request(self, question: Question, endpoint: Endpoint) -> ChatRequest:
        """The request for one endpoint; a stand-in may read less than the model that was meant."""
        if self._truncator is not None and endpoint.model != question.request.model:
            fitted = self._fitted(self._truncator, question.config, [endpoint.model])
            if len(fitted.history) < len(question.config.history):
                return chat_request(fitted, self.prompt, endpoint.model)
        return replace(question.request, model=endpoint.model)

    async def _fitting(self, question: Question, endpoint: Endpoint, ask: Callable[[ChatRequest], Awaitable[T]]) -> T:
        """What `ask` gives for the request; when the model cannot read all of it, once more with half of the history."""
        try:
            return await ask(self._request(question, endpoint))
        except ContextLengthError:
            if self._truncator is None:
                raise
            whole = self._fitted(self._truncator, question.config, [endpoint.model])
            less = self._truncator.truncate(whole, endpoint.model, halved=True)
            if not (left_out := len(whole.history) - len(less.history)):
                raise
        question.why.append(f"{endpoint}: {ContextLengthError.code}, again with less")
        question.warnings.append(f"{left_out} earlier turns were left out: {endpoint} could not read all of them.")
        return await ask(chat_request(less, self.prompt, endpoint.model))

    def _asked(self, recall: Recall, question: Question) -> Asked:
        return recall.asked(question.request, provider=self._chain, scope=question.wish.model or "")

    async def _endpoints(self, call: Call, wish: Wish, request: ChatRequest | EmbeddingConfig) -> list[Endpoint]:
        """Who is to be asked, in order; the reasons go into `call.why`.

        :raises RateLimitExceededError: its user has used up this minute.
        """
        await self._accounts.admit(call, request)
        thrifty = self.routes.several and await self._accounts.pressing(call)
        if thrifty or self.routes.by_price:
            await self._accounts.ready()

        endpoints, why = self.routes.choose(
            wish, lambda endpoint: self._accounts.estimate(endpoint, request), thrifty=thrifty
        )
        call.why += why
        return endpoints


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
