"""One question at one endpoint: paid for, answered at once or as a stream, and in the shape that was asked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from pydantic import BaseModel

from ..knowledge.errors import MalformedResponseError
from ..knowledge.vocabulary import ChatConfig, ChatRequest, LLMResponse, StreamChunk
from . import structured
from .accounts import Account, Accounts
from .dispatch import Call, Dispatcher
from .routes import Wish
from .routing import Endpoint
from .streams import buffered


@dataclass(slots=True, kw_only=True)
class Question(Call):
    """A chat call.

    :param config: What was asked.
    :param request: The same for the model that was meant.
    :param shape: The model the answer must be.
    """

    config: ChatConfig
    request: ChatRequest
    wish: Wish
    shape: type[BaseModel] | None = None


@dataclass(slots=True)
class Opened:
    """A stream whose first words are there."""

    endpoint: Endpoint
    request: ChatRequest
    account: Account
    first: StreamChunk
    rest: AsyncGenerator[StreamChunk, None]


class Asker:
    """Asks endpoints.

    :param stream_buffer: Chunks read ahead of a slow reader.
    """

    def __init__(self, dispatcher: Dispatcher, accounts: Accounts, stream_buffer: int) -> None:
        self._dispatcher = dispatcher
        self._accounts = accounts
        self._stream_buffer = stream_buffer

    async def answer(self, question: Question, endpoint: Endpoint, request: ChatRequest) -> LLMResponse:
        """The answer of one endpoint."""
        response = await self._ask(question, endpoint, request)
        return _finished(question, endpoint, await self._shaped(question, endpoint, request, response))

    async def open(self, question: Question, endpoint: Endpoint, request: ChatRequest) -> Opened:
        """The stream of one endpoint, once its first words are there."""
        account = await self._accounts.open(question, endpoint, request)
        try:
            first, rest = await self._dispatcher.send(question, endpoint, request, partial(self._begin, endpoint))
        except BaseException as error:
            await self._accounts.fail(account, error)
            raise
        account.streaming()
        return Opened(endpoint, request, account, first, rest)

    async def chunks(self, question: Question, opened: Opened) -> AsyncGenerator[StreamChunk, None]:
        """The chunks of an opened stream; the last has the answer as `answer` gives it."""
        settled = False
        chunk = opened.first
        async with aclosing(opened.rest):
            try:
                while not chunk.is_final:
                    yield chunk
                    chunk = await _next(opened)
                response = _response(opened, chunk)
                await self._accounts.settle(opened.account, response)
                settled = True
                yield await self._final(question, opened, chunk, response)
            except BaseException as error:
                if not settled:
                    # A reader that leaves ends here too: what it has read will be on the bill.
                    told = chunk.accumulated_thinking + chunk.accumulated_text
                    await self._accounts.fail(opened.account, error, told)
                raise

    async def _ask(self, question: Question, endpoint: Endpoint, request: ChatRequest) -> LLMResponse:
        account = await self._accounts.open(question, endpoint, request)
        try:
            response = await self._dispatcher.send(question, endpoint, request, endpoint.provider.chat)
        except BaseException as error:
            await self._accounts.fail(account, error)
            raise
        await self._accounts.settle(account, response)
        return response

    async def _shaped(
        self, question: Question, endpoint: Endpoint, request: ChatRequest, response: LLMResponse
    ) -> LLMResponse:
        """The answer as `response_model` asks, repaired at most `max_validation_retries` times.

        Its usage and cost are those of all attempts.

        :raises ResponseModelValidationError: it never was.
        """
        shape = question.shape
        if shape is None or response.tool_calls:
            return response
        allowed = question.config.max_validation_retries + 1
        spent, cost = response.usage, response.cost
        for attempts in range(1, allowed + 1):
            try:
                structured.check(response, shape)
            except ValueError as error:
                if attempts == allowed or not structured.can_be_repaired(response):
                    raise structured.failed(response, shape, error, attempts) from error
                turns = structured.repair(response, error, structured.schema_of(shape))
            else:
                response.usage, response.cost = spent, cost
                if attempts > 1:
                    question.why.append(f"{endpoint}: repaired, {attempts} attempts")
                return response
            request = replace(request, messages=[*request.messages, *turns])
            response = await self._ask(question, endpoint, request)
            spent = {key: spent.get(key, 0) + response.usage.get(key, 0) for key in spent | response.usage}
            cost = None if cost is None or response.cost is None else cost + response.cost
        raise AssertionError("the last attempt returns or raises")

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

    async def _final(
        self, question: Question, opened: Opened, chunk: StreamChunk, streamed: LLMResponse
    ) -> StreamChunk:
        response = await self._shaped(question, opened.endpoint, opened.request, streamed)
        if response is not streamed:
            question.warnings.append("The streamed text was not valid and was repaired: `response` holds what counts.")
        chunk.response = _finished(question, opened.endpoint, response)
        chunk.usage = response.usage
        return chunk


async def _next(opened: Opened) -> StreamChunk:
    try:
        return await anext(opened.rest)
    except StopAsyncIteration:
        raise MalformedResponseError(f"The stream of {opened.endpoint} has no end.", "Try again.") from None


def _response(opened: Opened, chunk: StreamChunk) -> LLMResponse:
    if chunk.response is None:
        raise MalformedResponseError(f"The stream of {opened.endpoint} has no answer.", "Try again.")
    return chunk.response


def _finished(question: Question, endpoint: Endpoint, response: LLMResponse) -> LLMResponse:
    response.provider = response.provider or endpoint.provider.name
    response.model = response.model or endpoint.model
    response.why = [*question.why, f"{endpoint} answered"]
    response.warnings = [*response.warnings, *question.warnings]
    return response
