"""One call and its answer, whatever SDK carries the bytes: the key, the time limit, the errors, and the stream of chunks."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, suppress
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from ...knowledge.errors import MalformedResponseError, RactoGatewayAPIError, RactoGatewayAuthError
from ...knowledge.vocabulary import ChatRequest, FinishReason, LLMResponse, StreamChunk
from .answers import Accumulator
from .sse import Body, events
from .wire import Dialect, api_error, guarded, paced, request_id

_DRAIN_SECONDS = 0.1

Key = str | Callable[[], str | None] | None
"""A key; or what finds it, which may take as long as a person takes to open a keyring; or `None` for the environment's."""


class Response(Body, Protocol):
    """An HTTP response whose body has not been read: what httpx and httpx2 agree on."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By name, without regard to case."""
        ...

    async def aread(self) -> bytes:
        """The whole body."""
        ...

    async def aclose(self) -> None:
        """Give the line back, or hang up when the body was not read to its end."""
        ...


async def events_of(response: Response) -> AsyncGenerator[str, None]:
    """The data of every server-sent event of a body."""
    async with aclosing(cast("AsyncGenerator[tuple[str, str], None]", events(response))) as told:
        async for _, data in told:
            yield data


class Turn(Protocol):
    """One answer as an adapter reads it, event by event."""

    done: bool
    """The provider said that nothing more will come."""

    def feed(self, event: dict[str, Any], whole: Accumulator) -> Iterator[StreamChunk]:
        """The chunks of one event."""
        ...


class Exchange:
    """How one adapter talks with its endpoint.

    :param provider: Whose name errors and answers carry.
    :param dialect: How it words its errors.
    :param api_key: `None` reads the first of `key_variables` that is set, at every call; what finds it is asked before the first.
    """

    def __init__(self, provider: str, dialect: Dialect, api_key: Key, *key_variables: str) -> None:
        self.provider = provider
        self._dialect = dialect
        self._given_key = api_key
        self._key_variables = key_variables

    @property
    def key(self) -> str:
        """The key calls are made with; "" when there is none, or it was not looked for yet."""
        given = self._given_key if isinstance(self._given_key, str) else ""
        return given or next(filter(None, map(os.environ.get, self._key_variables)), "")

    async def unlock(self) -> None:
        """Find the key, in a thread: the keyring of a desktop may wait for a person. One that is not there is looked for again."""
        if callable(self._given_key):
            self._given_key = await asyncio.to_thread(self._given_key) or self._given_key

    def needed_key(self) -> str:
        """
        :raises RactoGatewayAuthError: there is no key.
        """
        if key := self.key:
            return key
        name = self._key_variables[0]
        hint = f"Run `racto keys set {name}`, set the environment variable {name}, or pass api_key."
        raise RactoGatewayAuthError(f"There is no API key for {self.provider}.", hint, provider=self.provider)

    def guarded(self, model: str = "") -> AbstractContextManager[None]:
        """`wire.guarded` for this endpoint."""
        return guarded(self.provider, model, dialect=self._dialect, secret=lambda: self.key)

    def refuse(
        self, status: int | None, body: Any, headers: Mapping[str, str], model: str = "", wait: float | None = None
    ) -> RactoGatewayAPIError:
        """`wire.api_error` for this endpoint.

        :param wait: Seconds to wait before another try, where the body says it.
        """
        return api_error(
            status,
            body,
            headers,
            provider=self.provider,
            model=model,
            dialect=self._dialect,
            secret=self.key,
            retry_after_seconds=wait,
        )

    def object(self, text: str | bytes, headers: Mapping[str, str], model: str = "") -> dict[str, Any]:
        """The JSON object a text is.

        :raises RactoGatewayAPIError: it is an error, though the status was 200.
        :raises MalformedResponseError: it is no object.
        """
        data = json.loads(text)
        if not isinstance(data, dict):
            raise MalformedResponseError(f"The answer of {self.provider} is not a JSON object.", "Try again.")
        if data.get("error"):
            raise self.refuse(None, data, headers, model)
        return data

    async def fetch(
        self, sent: Awaitable[Response], model: str = "", seconds: float | None = None
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The JSON object and the headers of an answer; within `guarded`.

        :param sent: The call on its way.
        :param seconds: For all of it.
        """
        async with asyncio.timeout(seconds):
            response = await sent
            try:
                return self.object(await response.aread(), response.headers, model), response.headers
            finally:
                await response.aclose()

    async def stream(
        self,
        request: ChatRequest,
        sent: Callable[[], Awaitable[Response]],
        turn: Turn,
        told: Callable[[Response], AsyncGenerator[str, None]] = events_of,
    ) -> AsyncGenerator[StreamChunk, None]:
        """One answer as it is made.

        :param sent: Makes the call.
        :param told: The JSON text of every event of a body.
        """
        whole = Accumulator(self.provider, request.model)
        with self.guarded(request.model):
            async with asyncio.timeout(request.timeout):
                response = await sent()
            whole.request_id = request_id(response.headers)
            try:
                texts = cast("AsyncGenerator[str, None]", paced(told(response), request.timeout))
                async with aclosing(texts):
                    async for text in texts:
                        event = self.object(text, response.headers, request.model)
                        whole.events.append(event)
                        for chunk in turn.feed(event, whole):
                            yield chunk
                        if turn.done:
                            await drain(texts)
                            break
            finally:
                await response.aclose()
            yield whole.final()

    def whole(
        self,
        request: ChatRequest,
        data: dict[str, Any],
        headers: Mapping[str, str],
        turn: Turn,
        *events: dict[str, Any],
    ) -> LLMResponse:
        """An answer that came at once, read as the stream it would have been.

        :param data: The answer, kept as `raw`.
        :param events: What a stream would have told.
        """
        whole = Accumulator(self.provider, request.model)
        whole.request_id = request_id(headers)
        for event in events:
            for _ in turn.feed(event, whole):
                pass
        whole.finish = whole.finish or FinishReason.STOP  # nothing can be missing from an answer that came whole
        response = whole.final().response
        assert response is not None
        response.raw = data
        return response


async def drain(texts: AsyncIterator[Any]) -> None:
    """Read on to the end, so that the line can carry the next call; a server that does not end it is not waited for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in texts:
                pass


def is_local(url: str) -> bool:
    """Whether a URL points to this machine or its own net: a loopback or private address, or a name without a domain."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost", ".internal"))
    return address.is_loopback or address.is_private
