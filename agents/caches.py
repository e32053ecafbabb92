"""Answers kept for who asks the same again.

A key covers everything that changes an answer, so a hit is the answer to this very request. Answers are kept as JSON: a hit is a copy, whatever
holds it. What calls tools, was cut short or failed is not kept. A store that cannot be used makes a miss and a warning in the log, never a
failed call.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Literal, TypeVar
from uuid import uuid4
from weakref import WeakKeyDictionary

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import PydanticSerializationError

from ..knowledge.edge import blocking
from ..knowledge.errors import InputError, RactoError
from ..knowledge.keyvalue import KeyValue, checked_ttl
from ..knowledge.keyvalue.memory import MemoryKeyValue
from ..knowledge.keyvalue.redis import REDIS_URL, RedisKeyValue
from ..knowledge.vocabulary import ChatRequest, FinishReason, LLMResponse, Message

log = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)


class CacheConfig(BaseModel):
    """How much a cache keeps.

    :param max_size: The most entries, the least recently used going first; 0 for no limit.
    :param ttl_seconds: How long an entry is kept; `None` for ever.
    """

    max_size: int = Field(default=1024, ge=0)
    ttl_seconds: float | None = Field(default=None, gt=0)


class CacheStats(BaseModel):
    """What a cache did so far.

    :param size: Entries it holds now.
    """

    hits: int = Field(default=0, ge=0)
    misses: int = Field(default=0, ge=0)
    size: int = Field(default=0, ge=0)

    @property
    def total(self) -> int:
        """How often it was asked."""
        return self.hits + self.misses

    @property
    def hit_rate(self) -> float:
        """The part of the requests it could answer, 0 to 1."""
        return self.hits / self.total if self.total else 0.0

    def __repr__(self) -> str:
        return f"CacheStats(hits={self.hits}, misses={self.misses}, size={self.size}, hit_rate={self.hit_rate:.1%})"

    __str__ = __repr__


class Flights:
    """Identical calls that run at the same time: one asks, the others wait for what it finds."""

    def __init__(self) -> None:
        # An event belongs to one loop: calls of several loops do not wait for each other.
        self._flights: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Flight]] = WeakKeyDictionary()

    @asynccontextmanager
    async def flight(self, key: str) -> AsyncIterator[None]:
        """Inside: look `key` up, and if it is not there find the answer and store it.

        The first to come goes in at once. The others go in when it is done, together, since what it found is either kept or cannot be. When it
        was cancelled, the next one takes its place.
        """
        running = self._flights.setdefault(asyncio.get_running_loop(), {})
        while (ahead := running.get(key)) is not None:
            await ahead.landed.wait()
            if not ahead.cancelled:
                yield
                return
        mine = running[key] = _Flight()
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            mine.cancelled = True
            raise
        finally:
            del running[key]
            mine.landed.set()


class _Flight:
    def __init__(self) -> None:
        self.landed = asyncio.Event()
        self.cancelled = False


class _Cache(Flights):
    """What every cache over a key-value store does."""

    def __init__(self, store: KeyValue, ttl_seconds: float | None) -> None:
        super().__init__()
        self._store = store
        self._ttl = checked_ttl(ttl_seconds)
        self._hits = 0
        self._misses = 0

    @property
    def stats(self) -> CacheStats:
        """Hits and misses of this object, and the entries there are now."""
        return CacheStats(hits=self._hits, misses=self._misses, size=blocking(self._store.count)())

    async def aclear(self) -> None:
        """Forget every entry, and the hits and misses."""
        await self._store.clear()
        self._hits = self._misses = 0

    clear = blocking(aclear)

    async def _found(self, key: str, kind: type[M]) -> M | None:
        """The entry of `key`, counted as a hit or a miss."""
        held = await self._store.get(key)
        try:
            found = None if held is None else kind.model_validate_json(held)
        except ValidationError:  # written by another version
            found = None
        if found is None:
            self._misses += 1
        else:
            self._hits += 1
        return found

    async def _keep(self, key: str, value: BaseModel) -> None:
        await self._store.put(key, as_json(value), ttl=self._ttl)


class ExactMatchCache(_Cache):
    """Answers by everything that was asked.

    :param max_size: The most answers, the least recently used going first; 0 for no limit. A `store` has a limit of its own.
    :param ttl_seconds: How long an answer is kept; `None` for ever.
    :param store: Where they are kept; by default in this process.
    """

    def __init__(self, max_size: int = 1024, ttl_seconds: float | None = None, store: KeyValue | None = None) -> None:
        super().__init__(store or MemoryKeyValue(max_entries=max_size), ttl_seconds)

    @staticmethod
    def key_for(request: ChatRequest, *, provider: str = "", scope: str = "") -> str:
        """The key of `request`: see `request_key`."""
        return request_key(request, provider=provider, scope=scope)

    async def lookup(self, key: str) -> LLMResponse | None:
        """The answer kept under `key`, as a copy marked `cached="exact"`; `None` also when the store cannot be used."""
        try:
            return await self.aget(key)
        except RactoError as error:
            self._misses += 1
            log.warning("The exact cache was not read: %s", error)
            return None

    async def store(self, key: str, response: LLMResponse) -> None:
        """Keep `response`, if it is one to keep (see `cacheable`) and the store can be used."""
        if cacheable(response):
            try:
                await self._keep(key, response)
            except RactoError as error:
                log.warning("The exact cache was not written: %s", error)

    async def aget(
        self,
        user_message: str,
        system_prompt: str | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int = 4096,
    ) -> LLMResponse | None:
        """The answer kept for these five. Given one argument, that is the key, as `key_for` makes it.

        :raises StorageError: the store cannot be used.
        """
        found = await self._found(_key_of(user_message, system_prompt, model, temperature, max_tokens), LLMResponse)
        return found and marked(found, "exact")

    async def aput(
        self,
        user_message: str,
        system_prompt: str | LLMResponse | None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int = 4096,
        response: LLMResponse | None = None,
    ) -> None:
        """Keep `response` for these five, whatever it is. Given two arguments, they are a key and the answer.

        :raises StorageError: the store cannot be used.
        """
        if isinstance(system_prompt, LLMResponse):
            system_prompt, response = None, system_prompt
        if response is None:
            raise InputError("There is no response to keep.", "Give it as the last argument.")
        await self._keep(_key_of(user_message, system_prompt, model, temperature, max_tokens), response)

    async def ainvalidate(
        self,
        user_message: str,
        system_prompt: str | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int = 4096,
    ) -> bool:
        """Forget the answer for these five, or for a key; whether there was one.

        :raises StorageError: the store cannot be used.
        """
        return await self._store.delete(_key_of(user_message, system_prompt, model, temperature, max_tokens))

    get = blocking(aget)
    put = blocking(aput)
    invalidate = blocking(ainvalidate)


class RedisExactCache(ExactMatchCache):
    """An exact cache that every process of a fleet shares. How much it keeps is for the server's `maxmemory` to say.

    :param url: `redis://`, `rediss://` or `unix://`; not used when there is a client.
    :param client: A `redis.Redis` of the caller's.
    :param ttl_seconds: How long an answer is kept; `None` for ever.
    :param key_prefix: What the names of its keys in Redis begin with.
    """

    def __init__(
        self,
        *,
        url: str = REDIS_URL,
        client: Any = None,
        ttl_seconds: float | None = None,
        key_prefix: str = "ractogateway:exact",
    ) -> None:
        super().__init__(ttl_seconds=ttl_seconds, store=RedisKeyValue(url, client=client, namespace=key_prefix))


class OperationCache(_Cache):
    """Results of operations that give the same for the same input: embeddings, inference.

    :param store: Where they are kept; by default in this process, as much as `config` says.
    """

    def __init__(self, config: CacheConfig | None = None, store: KeyValue | None = None) -> None:
        config = config or CacheConfig()
        super().__init__(store or MemoryKeyValue(max_entries=config.max_size), config.ttl_seconds)

    async def through(
        self, operation: str, model: str, asked: Any, kind: type[M], find: Callable[[], Awaitable[M]]
    ) -> M:
        """What is kept for this operation, model and input, or else what `find` gives, which is then kept.

        :param asked: The input, as JSON-able data.
        :param kind: The class of the result.
        """
        key = digest([operation, model, asked])
        async with self.flight(key):
            try:
                if (found := await self._found(key, kind)) is not None:
                    return found
            except RactoError as error:
                self._misses += 1
                log.warning("The cache of %s was not read: %s", operation, error)
            result = await find()
            try:
                await self._keep(key, result)
            except RactoError as error:
                log.warning("The cache of %s was not written: %s", operation, error)
            return result


def request_key(request: ChatRequest, *, provider: str = "", scope: str = "", question: bool = True) -> str:
    """64 hexadecimal digits that are the same for requests whose answers may be exchanged.

    They cover all of `request` but `timeout`: the prompt, every turn with its tool calls and the bytes of its attachments, tools, schema,
    model and parameters.

    :param provider: Who answers.
    :param scope: What else tells callers apart: an endpoint, a tenant.
    :param question: Without it the text of the last turn is left out.
    """
    turns = [_turn(message) for message in request.messages]
    if not question:
        turns[-1][1] = None
    tools = [(tool.name, tool.description, tool.input_schema) for tool in request.tools]
    return digest(
        [
            (provider, scope, request.model, request.system, request.tool_choice, request.parallel_tool_calls),
            turns,
            tools,
            (request.response_schema, request.response_name, request.max_tokens, request.parameters),
            request.reasoning,
            request.extra,
        ]
    )


def digest(value: Any) -> str:
    """SHA-256 of `value` written as JSON, in hexadecimal. What cannot be written so is like nothing else, not even itself."""
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError):
        text = uuid4().hex
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def cacheable(response: LLMResponse) -> bool:
    """Whether an answer can stand for the next one: whole, with something in it, and without calls of tools."""
    said = bool(response.content) or response.parsed is not None
    return said and response.finish_reason is FinishReason.STOP and not response.tool_calls


def marked(response: LLMResponse, cached: Literal["exact", "semantic"]) -> LLMResponse:
    """`response` as an answer of a cache: it costs nothing, and says where it is from."""
    response.cached = cached
    response.cost = Decimal(0)
    response.why = [f"answered from the {cached} cache"]
    return response


def as_json(value: BaseModel) -> bytes:
    """`value` as JSON; what is not JSON-able in a provider's raw answer is left out."""
    try:
        return value.model_dump_json(fallback=lambda _: None, warnings=False).encode()
    except PydanticSerializationError:
        return value.model_dump_json(exclude={"raw"}, warnings=False).encode()


def _turn(message: Message) -> list[Any]:
    files = [(file.name, file.mime_type, hashlib.sha256(file.data).hexdigest()) for file in message.attachments]
    calls = [(call.id, call.name, call.arguments) for call in message.tool_calls]
    return [message.role, message.content, files, calls, message.tool_call_id]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, BaseModel):
        return value.model_dump()
    raise TypeError


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_plain)


def _key_of(
    user_message: str, system_prompt: str | None, model: str | None, temperature: float | None, max_tokens: int
) -> str:
    if model is None:
        return user_message
    return digest([user_message, system_prompt, model, None if temperature is None else float(temperature), max_tokens])
