"""The money of calls: set aside before one is made, written down after it."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from ..knowledge.errors import RactoError, RateLimitExceededError, StorageError
from ..knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse
from .dispatch import Call
from .routing import Endpoint

if TYPE_CHECKING:
    from ..knowledge.rate_limit import RateLimiter
    from .budget import Budget
    from .limits import Reservation
    from .models import ModelRegistry
    from .telemetry import Observation, Telemetry

log = logging.getLogger(__name__)

_PRICES = "genai_prices.data_snapshot"
BYTES_PER_TOKEN = 4
"""Of usual text, where an estimate will do."""
PICTURE_TOKENS = 4_000
"""What a picture is taken to be before it was counted; no provider takes more for one of its usual size."""
BYTES_PER_DOCUMENT_TOKEN = 8
"""What a document is taken to be before it was counted, by the size of its file."""


class Prices(Protocol):
    """What says what a call costs; see `prices.cost` and `prices.estimate`."""

    def cost(self, provider: str, model: str, usage: Mapping[str, int], *, base_url: str = ...) -> Decimal | None:
        """US dollars."""
        ...

    def estimate(
        self, provider: str, model: str, prompt_tokens: int, max_tokens: int, *, base_url: str = ...
    ) -> Decimal | None:
        """The most it can be."""
        ...


@dataclass(slots=True)
class Account:
    """One call at one endpoint, from its reservation to its entry in the books."""

    call: Call
    endpoint: Endpoint
    begun: float
    prompt_tokens: int
    reservation: Reservation | None = None
    span: AbstractContextManager[Observation] | None = None
    seen: Observation | None = None

    def streaming(self) -> None:
        """The first words are there."""
        if self.seen is not None:
            self.seen.streaming()


class Accounts:
    """Opens and closes accounts, and tells of them; without a budget they only work out costs.

    :param models: Where prices are looked up; without it among the published ones.
    :param limiter: How many tokens a user may take in a minute.
    :param clock: Seconds that only go up, for durations.
    """

    def __init__(
        self,
        budget: Budget | None,
        telemetry: Telemetry | None = None,
        models: ModelRegistry | None = None,
        clock: Callable[[], float] = time.monotonic,
        limiter: RateLimiter | None = None,
    ) -> None:
        self._budget = budget
        self._limiter = limiter
        self._telemetry = telemetry
        self._models = models
        self._clock = clock

    async def pressing(self, call: Call) -> bool:
        """Whether so much is spent that a cheaper model is in order."""
        budget = self._budget
        return budget is not None and await budget.pressure(user=call.user, component=call.component) >= budget.warn_at

    async def admit(self, call: Call, request: ChatRequest | EmbeddingConfig) -> None:
        """Count what a call will read, by estimate, before anybody is asked; what it wrote is counted when it is settled. A call of nobody's
        (the server's own) is not limited.

        :raises RateLimitExceededError: its user has used up this minute.
        """
        limiter = self._limiter
        if limiter is None or not call.user:
            return
        call.counted = -(-most_tokens(request) // BYTES_PER_TOKEN)
        if not await limiter.acheck_and_consume(call.user, call.counted):
            raise RateLimitExceededError(
                f"This call (about {call.counted:,} tokens) would pass the {limiter.most:,} tokens a minute of {call.user!r}.",
                f"Try again in {limiter.seconds_left} s, or set tokens_per_minute higher.",
            )

    async def _count(self, call: Call, usage: Mapping[str, int]) -> None:
        if self._limiter is not None and call.user:
            more = usage.get("total_tokens", 0) - call.counted
            call.counted = max(0, -more)
            if more > 0:
                await self._limiter.aconsume(call.user, more)

    async def open(self, call: Call, endpoint: Endpoint, request: ChatRequest | EmbeddingConfig) -> Account:
        """Set aside what `request` may cost at an endpoint.

        :raises BudgetExceededError: a limit is enforced and would be passed.
        :raises UnknownPriceError: a limit is enforced and the price is not known.
        :raises StorageError: a limit is enforced and the books cannot be read or written.
        """
        account = Account(call, endpoint, self._clock(), 0)
        if self._budget is not None:
            await self._reserve(self._budget, account, request)
        if self._telemetry is not None:
            asked = request if isinstance(request, ChatRequest) else None
            account.span = self._telemetry.span(call.operation, endpoint.provider.name, endpoint.model, asked)
            account.seen = account.span.__enter__()
        return account

    async def _reserve(self, budget: Budget, account: Account, request: ChatRequest | EmbeddingConfig) -> None:
        call, endpoint = account.call, account.endpoint
        account.prompt_tokens = most_tokens(request)
        estimate: Decimal | None = Decimal(0)
        if not endpoint.local:
            await self.ready()
            estimate = self.estimate(endpoint, request)
        try:
            account.reservation = await budget.reserve(
                estimate,
                user=call.user,
                component=call.component,
                task=call.task,
                provider=endpoint.provider.name,
                model=endpoint.model,
                local=endpoint.local,
            )
        except StorageError as error:
            if await budget.policy() == "enforce":
                raise
            # A limit that refuses nothing must not: its books do not come before the answer.
            call.warnings += [each for each in [_missing(error)] if each not in call.warnings]
            return
        # Retries and repairs meet the same limit again: it is told once.
        call.warnings += [warning for warning in account.reservation.warnings if warning not in call.warnings]

    async def settle(self, account: Account, response: LLMResponse | EmbeddingResponse) -> None:
        """Write down what an answer took, and put its cost into it."""
        response.cost = await self.cost(account.endpoint, response.model, response.usage)
        await self._count(account.call, response.usage)
        if account.span is not None and account.seen is not None:
            account.seen.record(response)
            account.span.__exit__(None, None, None)
        response.warnings += await _noted(self._write(account, response.usage, response.cost, "ok"))

    async def fail(self, account: Account, error: BaseException, partial: str = "") -> None:
        """Write down that there was no whole answer.

        :param partial: What came of it: it will be on the bill, and no provider says how much that is, so it is estimated.
        """
        if account.span is not None:
            account.span.__exit__(type(error), error, error.__traceback__)
        if self._budget is None:
            return
        usage: dict[str, int] = {}
        cost: Decimal | None = Decimal(0)
        if partial:
            prompt, completion = account.prompt_tokens // BYTES_PER_TOKEN, -(-len(partial.encode()) // BYTES_PER_TOKEN)
            usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
            cost = await self.cost(account.endpoint, account.endpoint.model, usage)
        await _noted(self._write(account, usage, cost, code_of(error)))

    async def recalled(self, call: Call, response: LLMResponse | EmbeddingResponse, cached: str) -> None:
        """Write down an answer of a cache: nobody was asked, nothing was spent."""
        if self._budget is not None:
            from ..knowledge.ledger import Usage

            line = Usage(
                response.provider,
                response.model,
                call.user,
                call.component,
                call.task,
                cost=Decimal(0),
                streamed=call.operation == "stream",
                cached=cached,
            )
            response.warnings += await _noted(self._budget.record(line))

    async def ready(self) -> None:
        """Load the prices, if that was not done; it takes a third of a second, so it happens in a thread."""
        if _PRICES not in sys.modules:
            await asyncio.to_thread(import_module, _PRICES)

    async def cost(self, endpoint: Endpoint, model: str, usage: Mapping[str, int]) -> Decimal | None:
        """US dollars, `None` when the price is not known.

        :param model: The model that answered, which may say more exactly which it was.
        """
        if endpoint.local:
            return Decimal(0)
        await self.ready()
        name, url = endpoint.provider.name, _url(endpoint)
        found = self._prices.cost(name, model, usage, base_url=url) if model else None
        return self._prices.cost(name, endpoint.model, usage, base_url=url) if found is None else found

    def estimate(self, endpoint: Endpoint, request: ChatRequest | EmbeddingConfig) -> Decimal | None:
        """The most a call can cost at an endpoint; `None` when the price is not known. Call `ready` before."""
        if endpoint.local:
            return Decimal(0)
        name, url = endpoint.provider.name, _url(endpoint)
        return self._prices.estimate(name, endpoint.model, most_tokens(request), most_written(request), base_url=url)

    @property
    def _prices(self) -> Prices:
        """The registry, or the published prices: who asks for neither need not load them."""
        if self._models is not None:
            return self._models
        from . import prices

        return prices

    async def _write(self, account: Account, usage: Mapping[str, int], cost: Decimal | None, outcome: str) -> None:
        if self._budget is not None and account.reservation is not None:
            await self._budget.settle(
                account.reservation,
                usage,
                cost,
                streamed=account.call.operation == "stream",
                outcome=outcome,
                duration=self._clock() - account.begun,
            )


async def _noted(writing: Awaitable[None]) -> list[str]:
    """What to tell of a line that could not be written: the answer is there and paid for, so who asked gets it all the same. What was
    set aside for it stays so for a while, so limits hold meanwhile.
    """
    try:
        await writing
    except StorageError as error:
        log.warning("A call is missing in the books: %s", error.message)
        return [_missing(error)]
    return []


def _missing(error: StorageError) -> str:
    return f"This call is missing in the usage report and the budget. {error}"


def code_of(error: BaseException) -> str:
    """The code of an error in the books; somebody who left is `cancelled`."""
    if isinstance(error, RactoError):
        return error.code
    return "internal" if isinstance(error, Exception) else "cancelled"


def most_written(request: ChatRequest | EmbeddingConfig) -> int:
    """The most tokens an answer can be."""
    return request.max_tokens if isinstance(request, ChatRequest) else 0


def most_tokens(request: ChatRequest | EmbeddingConfig) -> int:
    """The most tokens a request can be: no tokeniser makes more tokens of a text than it has bytes. Pictures and documents are allowed for."""
    if isinstance(request, EmbeddingConfig):
        return sum(map(_bytes, request.texts))
    texts = [request.system, *(message.content for message in request.messages)]
    texts += [json.dumps([tool.description, tool.input_schema], default=str) for tool in request.tools]
    if request.response_schema is not None:
        texts.append(json.dumps(request.response_schema, default=str))
    total = sum(map(_bytes, texts))
    for message in request.messages:
        total += sum(len(json.dumps(call.arguments, default=str)) for call in message.tool_calls)
        for file in message.attachments:
            if file.is_image:
                total += PICTURE_TOKENS
            else:
                total += len(file.data) // (1 if file.is_text else BYTES_PER_DOCUMENT_TOKEN)
    return total


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _url(endpoint: Endpoint) -> str:
    return getattr(endpoint.provider, "base_url", None) or ""
