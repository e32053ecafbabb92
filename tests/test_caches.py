"""Caches: a hit is the answer to this very question, a copy, and costs nothing; whatever else happens, the call goes on."""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.agents.caches import (
    CacheConfig,
    CacheStats,
    ExactMatchCache,
    OperationCache,
    RedisExactCache,
    cacheable,
    request_key,
)
from racto.agents.semantic_cache import SemanticCache
from racto.knowledge.chat_memory import ChatMemory, ChatMemoryConfig, RedisChatMemory
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError, StorageError
from racto.knowledge.files import RactoFile
from racto.knowledge.keyvalue import make
from racto.knowledge.keyvalue.memory import MemoryKeyValue
from racto.knowledge.keyvalue.redis import RedisKeyValue
from racto.knowledge.rate_limit import RateLimitConfig, RateLimiter, RedisRateLimiter
from racto.knowledge.vocabulary import (
    ChatRequest,
    EmbeddingResponse,
    EmbeddingVector,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    ToolCallResult,
    ToolSpec,
)

from tests.redis_server import redis_server

pytestmark = pytest.mark.anyio

QUESTION = ("What is the capital of France?", "You are a guide.", "gpt-4o", 0.0, 4096)


def _answer(text: str = "Paris.", **fields: Any) -> LLMResponse:
    return LLMResponse(content=text, usage={"prompt_tokens": 9, "total_tokens": 11}, cost=Decimal("0.01"), **fields)


def _request(text: str = "What is the capital of France?", **fields: Any) -> ChatRequest:
    return ChatRequest(model="gpt-4o", messages=[Message(role=MessageRole.USER, content=text)], **fields)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "redis"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ExactMatchCache]:
    if request.param == "memory":
        yield ExactMatchCache()
    elif request.param == "sqlite":
        database = Database(tmp_path / "racto.db")
        yield ExactMatchCache(store=make("sqlite", database=database, namespace="exact"))
        database.close()
    else:
        client = __import__("redis").Redis.from_url(request.getfixturevalue("redis_url"))
        client.flushdb()
        yield RedisExactCache(client=client)
        client.close()


# --- the exact cache -----------------------------------------------------------------------------------------------------------------


def test_the_same_five_are_answered_and_any_other_is_not(cache: ExactMatchCache) -> None:
    assert cache.get(*QUESTION) is None
    cache.put(*QUESTION, _answer())
    hit = cache.get(*QUESTION)
    assert hit is not None
    assert (hit.content, hit.cached, hit.cost) == ("Paris.", "exact", Decimal(0))
    others: list[Any] = ["Another?", None, "gpt-4o-mini", 0.5, 100]
    for place, other in enumerate(others):
        changed: Any = [*QUESTION[:place], other, *QUESTION[place + 1 :]]
        assert cache.get(*changed) is None
    assert cache.get(*QUESTION[:3], 0, 4096) is not None, "0 and 0.0 are the same temperature"


def test_stats_read_as_specified(cache: ExactMatchCache) -> None:
    cache.get(*QUESTION)
    cache.put(*QUESTION, _answer())
    cache.get(*QUESTION)
    assert str(cache.stats) == repr(cache.stats) == "CacheStats(hits=1, misses=1, size=1, hit_rate=50.0%)"
    assert (cache.stats.total, cache.stats.hit_rate) == (2, 0.5)
    assert cache.invalidate(*QUESTION) is True
    assert cache.invalidate(*QUESTION) is False
    assert cache.get(*QUESTION) is None
    cache.put(*QUESTION, _answer())
    cache.clear()
    assert cache.stats == CacheStats()
    assert CacheStats().hit_rate == 0.0


async def test_a_key_alone_is_taken_as_it_is(cache: ExactMatchCache) -> None:
    key = cache.key_for(_request(), provider="openai")
    await cache.store(key, _answer())
    assert (await cache.aget(key) or _answer("")).content == "Paris."
    await cache.aput(key, _answer("Lyon."))
    assert (await cache.lookup(key) or _answer("")).content == "Lyon."
    assert await cache.ainvalidate(key)
    with pytest.raises(InputError, match="no response"):
        await cache.aput(*QUESTION)


async def test_a_hit_is_the_whole_answer_and_a_copy(cache: ExactMatchCache) -> None:
    kept = _answer(
        "{}",
        thinking="hm",
        parsed={"a": [1, 2.5, None, "é\u2028"]},
        raw={"id": "r1", "choices": [{"n": 1}]},
        model="m",
        provider="p",
        request_id="q",
        warnings=["w"],
    )
    await cache.store("key", kept)
    first, second = await cache.lookup("key"), await cache.lookup("key")
    assert first is not None
    assert first == second
    expected = copy.deepcopy(kept)
    expected.cached, expected.cost, expected.why = "exact", Decimal(0), ["answered from the exact cache"]
    assert first == expected
    first.parsed["a"].append("changed")  # type: ignore[call-overload, index]  # it is the dictionary above
    first.raw.clear()
    assert await cache.lookup("key") == expected
    assert kept.cached is None
    assert kept.cost == Decimal("0.01")


async def test_a_raw_answer_that_is_no_json_is_left_out_and_the_rest_kept(cache: ExactMatchCache) -> None:
    for raw in (object(), {"socket": object()}, b"\xff\xfe", float("nan")):
        await cache.store("key", _answer(raw=raw))
        hit = await cache.lookup("key")
        assert hit is not None
        assert hit.content == "Paris."


@pytest.mark.parametrize(
    "response",
    [
        _answer(finish_reason=FinishReason.LENGTH),
        _answer(finish_reason=FinishReason.CONTENT_FILTER),
        _answer(finish_reason=FinishReason.ERROR),
        _answer(finish_reason=FinishReason.TOOL_CALL, tool_calls=[ToolCallResult("1", "f")]),
        _answer(tool_calls=[ToolCallResult("1", "f")]),
        _answer(""),
        LLMResponse(),
    ],
)
async def test_what_calls_tools_was_cut_short_or_failed_is_not_kept(response: LLMResponse) -> None:
    cache = ExactMatchCache()
    semantic = SemanticCache(lambda _: [1.0])
    await cache.store("key", response)
    await semantic.store("scope", "text", response)
    assert not cacheable(response)
    assert await cache.lookup("key") is None
    assert await semantic.lookup("scope", "text") is None


def test_memory_keeps_the_last_used_and_forgets_in_time() -> None:
    clock = Clock()
    cache = ExactMatchCache(ttl_seconds=60, store=MemoryKeyValue(max_entries=2, clock=clock))
    cache.put("a", _answer("a"))
    cache.put("b", _answer("b"))
    assert cache.get("a") is not None
    cache.put("c", _answer("c"))
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]
    clock.now = 61
    assert cache.get("a") is None
    assert cache.stats.size == 0


def test_its_size_is_what_was_asked_and_0_is_no_limit() -> None:
    small, endless = ExactMatchCache(max_size=3), ExactMatchCache(max_size=0)
    for number in range(2000):
        endless.put(f"k{number}", _answer())
        if number < 10:
            small.put(f"k{number}", _answer())
    assert small.stats.size == 3
    assert endless.stats.size == 2000
    with pytest.raises(InputError):
        ExactMatchCache(max_size=-1)
    with pytest.raises(InputError):
        ExactMatchCache(ttl_seconds=0)
    assert CacheConfig() == CacheConfig(max_size=1024, ttl_seconds=None)


def test_threads_may_share_a_cache() -> None:
    cache = ExactMatchCache(max_size=8)
    failures: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(100):
                cache.put(f"{(name + number) % 12}", _answer(str(number)))
                cache.get(f"{number % 12}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert cache.stats.total == 600
    assert cache.stats.size == 8


async def test_an_answer_of_another_version_is_a_miss() -> None:
    store = MemoryKeyValue()
    await store.put("key", b'{"finish_reason": "exploded"}')
    cache = ExactMatchCache(store=store)
    assert await cache.lookup("key") is None
    assert cache.stats.misses == 1


async def test_a_store_that_cannot_be_used_costs_a_warning_and_not_the_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = RedisExactCache(url=f"unix://{tmp_path}/none.sock")
    with caplog.at_level(logging.WARNING):
        assert await cache.lookup("key") is None
        await cache.store("key", _answer())
    assert len(caplog.records) == 2
    with pytest.raises(StorageError):
        await cache.aget("key")
    with pytest.raises(StorageError):
        await cache.aput("key", _answer())


# --- the key --------------------------------------------------------------------------------------------------------------------------


def _full() -> ChatRequest:
    picture = RactoFile(b"\x89PNG", "image/png", "a.png")
    turns = [
        Message(role=MessageRole.USER, content="Look.", attachments=[picture]),
        Message(
            role=MessageRole.ASSISTANT, content="", tool_calls=[ToolCallResult("c1", "look", {"at": [1, {"x": None}]})]
        ),
        Message(role=MessageRole.TOOL, content="a cat", tool_call_id="c1"),
        Message(role=MessageRole.USER, content="What is it?", attachments=[RactoFile(b"text", "text/plain", "n.txt")]),
    ]
    return ChatRequest(
        model="m",
        messages=turns,
        system="You see.",
        tools=[ToolSpec("look", "Looks.", {"type": "object", "properties": {"at": {"type": "array"}}})],
        tool_choice="auto",
        parallel_tool_calls=True,
        response_schema={"type": "object"},
        max_tokens=100,
        parameters={"temperature": 0.5, "stop": ["a"]},
        reasoning=ReasoningConfig(effort="low"),
        extra={"service_tier": "flex"},
    )


def _turn(index: int, **update: Any) -> Callable[[ChatRequest], ChatRequest]:
    def change(request: ChatRequest) -> ChatRequest:
        messages = list(request.messages)
        messages[index] = messages[index].model_copy(update=update)
        return replace(request, messages=messages)

    return change


def _with(**fields: Any) -> Callable[[ChatRequest], ChatRequest]:
    return lambda request: replace(request, **fields)


CHANGES: dict[str, Callable[[ChatRequest], ChatRequest]] = {
    "model": _with(model="m2"),
    "system": _with(system="You see!"),
    "last text": _turn(-1, content="What is that?"),
    "earlier text": _turn(0, content="Look!"),
    "role": _turn(2, role=MessageRole.USER),
    "bytes of an attachment": _turn(0, attachments=[RactoFile(b"\x89PNH", "image/png", "a.png")]),
    "type of an attachment": _turn(0, attachments=[RactoFile(b"\x89PNG", "image/gif", "a.png")]),
    "name of an attachment": _turn(0, attachments=[RactoFile(b"\x89PNG", "image/png", "b.png")]),
    "attachment at another turn": lambda r: _turn(0, attachments=[])(_turn(-1, attachments=[*r.messages[0].attachments, *r.messages[-1].attachments])(r)),
    "arguments of a tool call": _turn(1, tool_calls=[ToolCallResult("c1", "look", {"at": [1, {"x": 0}]})]),
    "name of a tool call": _turn(1, tool_calls=[ToolCallResult("c1", "see", {"at": [1, {"x": None}]})]),
    "a turn less": lambda request: replace(request, messages=request.messages[1:]),
    "tools": _with(tools=[]),
    "description of a tool": lambda request: replace(request, tools=[replace(request.tools[0], description="Sees.")]),
    "schema of a tool": lambda request: replace(request, tools=[replace(request.tools[0], input_schema={})]),
    "tool choice": _with(tool_choice="required"),
    "parallel tool calls": _with(parallel_tool_calls=None),
    "schema": _with(response_schema={"type": "array"}),
    "name of the schema": _with(response_name="other"),
    "max_tokens": _with(max_tokens=101),
    "a parameter": _with(parameters={"temperature": 0.6, "stop": ["a"]}),
    "a parameter less": _with(parameters={"temperature": 0.5}),
    "reasoning": _with(reasoning=ReasoningConfig(effort="high")),
    "no reasoning": _with(reasoning=None),
    "extra": _with(extra={"service_tier": "default"}),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_answer_changes_the_key(change: str) -> None:
    request, changed = _full(), CHANGES[change](_full())
    assert request_key(changed) != request_key(request)
    alone = change == "last text"
    assert (request_key(changed, question=False) == request_key(request, question=False)) is alone


def test_the_key_covers_every_field_of_a_request_but_the_time_it_may_take() -> None:
    assert request_key(_full()) == request_key(_full())
    assert request_key(replace(_full(), timeout=1.0)) == request_key(_full())
    assert request_key(_full(), provider="openai") != request_key(_full())
    assert request_key(_full(), scope="tenant") != request_key(_full(), provider="tenant")
    fields = set(ChatRequest.__dataclass_fields__) - {"timeout"}
    touched = {
        name
        for change in CHANGES.values()
        for name in fields
        if getattr(change(_full()), name) != getattr(_full(), name)
    }
    assert touched | {"messages"} == fields


def test_what_is_no_json_makes_a_key_of_its_own() -> None:
    odd = _request(extra={"x": object()})
    assert request_key(odd) != request_key(odd)
    assert request_key(_request("\ud800")) == request_key(_request("\ud800"))


_texts = st.text(max_size=4)


@given(first=st.lists(_texts, max_size=3), second=st.lists(_texts, max_size=3))
def test_texts_that_run_together_the_same_have_keys_of_their_own(first: list[str], second: list[str]) -> None:
    def key(texts: list[str]) -> str:
        return request_key(
            ChatRequest(model="m", messages=[Message(role=MessageRole.USER, content=text) for text in texts])
        )

    assert (key(first) == key(second)) is (first == second)


# --- single flight --------------------------------------------------------------------------------------------------------------------


async def _through(cache: ExactMatchCache, key: str, call: Callable[[], Any]) -> LLMResponse:
    async with cache.flight(key):
        if (hit := await cache.lookup(key)) is not None:
            return hit
        response: LLMResponse = await call()
        await cache.store(key, response)
        return response


async def test_1000_identical_calls_at_once_are_one(cache: ExactMatchCache) -> None:
    calls = 0
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def call() -> LLMResponse:
        nonlocal calls
        calls += 1
        begun.set()
        await go_on.wait()
        return _answer()

    tasks = [asyncio.ensure_future(_through(cache, "key", call)) for _ in range(1000)]
    await begun.wait()
    go_on.set()
    answers = await asyncio.gather(*tasks)
    assert calls == 1
    assert {answer.content for answer in answers} == {"Paris."}
    assert sorted(answer.cached or "" for answer in answers) == ["", *["exact"] * 999]
    assert (cache.stats.hits, cache.stats.misses) == (999, 1)


async def test_other_keys_do_not_wait() -> None:
    cache = ExactMatchCache()
    async with cache.flight("a"), cache.flight("b"):
        assert await cache.lookup("b") is None


async def test_when_the_first_is_cancelled_the_next_takes_its_place() -> None:
    cache = ExactMatchCache()
    calls = 0
    begun, begun_again, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def call() -> LLMResponse:
        nonlocal calls
        calls += 1
        (begun_again if begun.is_set() else begun).set()
        await go_on.wait()
        return _answer()

    tasks = [asyncio.ensure_future(_through(cache, "key", call)) for _ in range(10)]
    await begun.wait()
    tasks[5].cancel()  # one that waits: nobody else minds
    tasks[0].cancel()
    await begun_again.wait()
    go_on.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in (answers[0], answers[5])] == [asyncio.CancelledError] * 2
    assert sum(isinstance(answer, LLMResponse) for answer in answers) == 8
    assert calls == 2


async def test_when_the_first_fails_or_cannot_be_kept_the_others_do_not_queue() -> None:
    cache = ExactMatchCache()
    came = calls = 0
    all_came, all_in = asyncio.Event(), asyncio.Event()

    async def call() -> LLMResponse:
        nonlocal calls
        calls += 1
        if calls == 1:
            await all_came.wait()
            raise RuntimeError("the first fails")
        if calls == 10:
            all_in.set()
        await asyncio.wait_for(all_in.wait(), 20)  # would be for ever if one went after the other
        return _answer()

    async def come() -> LLMResponse:
        nonlocal came
        came += 1
        if came == 10:
            all_came.set()
        return await _through(cache, "key", call)

    answers = await asyncio.gather(*(come() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(answer, RuntimeError) for answer in answers) == 1
    assert calls == 10


def test_a_flight_serves_several_event_loops() -> None:
    cache = ExactMatchCache()

    async def call() -> LLMResponse:
        return _answer()

    for _ in range(3):
        assert asyncio.run(_through(cache, "key", call)).content == "Paris."
    assert cache.stats.hits == 2


# --- operations -----------------------------------------------------------------------------------------------------------------------


async def test_an_operation_on_the_same_input_is_done_once() -> None:
    cache = OperationCache(CacheConfig(max_size=2))
    asked: list[str] = []

    async def embed(text: str) -> EmbeddingResponse:
        asked.append(text)
        return EmbeddingResponse(vectors=[EmbeddingVector(index=0, text=text, embedding=[0.1, 0.2])], model="e")

    async def through(operation: str, model: str, text: str) -> EmbeddingResponse:
        return await cache.through(operation, model, [text], EmbeddingResponse, lambda: embed(text))

    first = await asyncio.gather(*(through("embed", "e", "a") for _ in range(20)))
    assert asked == ["a"]
    assert all(each == first[0] for each in first)
    await through("embed", "e", "b")
    await through("embed", "e2", "a")
    await through("nli", "e2", "a")
    assert asked == ["a", "b", "a", "a"]
    await through("embed", "e", "b")
    assert cache.stats == CacheStats(hits=19, misses=5, size=2)


async def test_an_operation_goes_on_without_its_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = OperationCache(store=RedisKeyValue(f"unix://{tmp_path}/none.sock"))

    async def find() -> LLMResponse:
        return _answer()

    with caplog.at_level(logging.WARNING):
        assert await cache.through("chat", "m", "x", LLMResponse, find) == _answer()
    assert len(caplog.records) == 2


# --- the semantic cache ---------------------------------------------------------------------------------------------------------------

MEANINGS = {
    "What is the capital of France?": [1.0, 0.0, 0.0],
    "Which city is the capital of France?": [0.99, 0.14, 0.0],
    "What is the capital of Spain?": [0.8, 0.6, 0.0],
    "How are you?": [0.0, 0.0, 2.0],
}
FRANCE, FRANCE_TOO, SPAIN, HELLO = MEANINGS


def test_a_question_of_the_same_meaning_is_answered_under_both_spellings_of_the_constructor() -> None:
    for cache in (
        SemanticCache(MEANINGS.__getitem__, 0.95),
        SemanticCache(embedder=MEANINGS.__getitem__, threshold=0.95),
    ):
        assert cache.get(FRANCE) is None
        cache.put(FRANCE, _answer())
        hit = cache.get(FRANCE_TOO)
        assert hit is not None
        assert (hit.content, hit.cached, hit.cost) == ("Paris.", "semantic", Decimal(0))
        assert cache.get(SPAIN) is None
        assert cache.get(HELLO) is None
        assert str(cache.stats) == "CacheStats(hits=1, misses=3, size=1, hit_rate=25.0%)"
        cache.clear()
        assert cache.stats == CacheStats()
        assert cache.get(FRANCE) is None


async def test_only_questions_that_agree_in_everything_else_are_compared() -> None:
    cache = SemanticCache(MEANINGS.__getitem__)
    requests = [_request(FRANCE), _request(FRANCE, system="Answer in French."), replace(_request(FRANCE), model="m2")]
    for number, request in enumerate(requests):
        asked = cache.question_of(request, provider="p")
        assert asked is not None
        assert await cache.lookup(*asked) is None
        await cache.store(*asked, _answer(str(number)))
    for number, request in enumerate(requests):
        asked = cache.question_of(replace(request, messages=_request(FRANCE_TOO).messages), provider="p")
        assert asked is not None
        assert (await cache.lookup(*asked) or _answer("")).content == str(number)
    other = cache.question_of(requests[0], provider="q")
    assert other is not None
    assert await cache.lookup(*other) is None


def test_a_turn_that_is_not_a_persons_is_no_question() -> None:
    assert SemanticCache.question_of(_full()) is not None
    for messages in ([], _full().messages[:2], _full().messages[:3]):
        assert SemanticCache.question_of(replace(_full(), messages=messages)) is None


async def test_an_embedder_may_wait_and_is_asked_once_for_a_question() -> None:
    asked: list[str] = []

    async def embed(text: str) -> list[float]:
        asked.append(text)
        await asyncio.sleep(0)
        return MEANINGS[text]

    class Embedder:
        async def __call__(self, text: str) -> list[float]:
            return await embed(text)

    for embedder in (embed, lambda text: embed(text), Embedder()):
        asked.clear()
        cache = SemanticCache(embedder)
        assert await cache.lookup("", FRANCE) is None
        await cache.store("", FRANCE, _answer())
        assert await cache.lookup("", FRANCE) is not None
        assert await cache.lookup("", FRANCE_TOO) is not None
        assert asked == [FRANCE, FRANCE_TOO]


async def test_an_embedder_that_fails_costs_a_warning_and_not_the_call(caplog: pytest.LogCaptureFixture) -> None:
    def down(_: str) -> list[float]:
        raise RuntimeError("no model")

    for embedder in (
        down,
        lambda _: [],
        lambda _: [0.0, 0.0],
        lambda _: [float("nan")],
        lambda _: [[1.0]],
        lambda _: [float("inf")],
    ):
        cache = SemanticCache(embedder)  # type: ignore[arg-type]  # what the test is about
        with caplog.at_level(logging.WARNING):
            assert await cache.lookup("", "x") is None
            await cache.store("", "x", _answer())
        assert len(caplog.records) == 2
        caplog.clear()
        with pytest.raises((InputError, RuntimeError)):
            await cache.aput("x", _answer())


async def test_another_embedder_behind_the_same_cache_is_told() -> None:
    vectors = {"a": [1.0, 0.0], "b": [1.0, 0.0, 0.0]}
    cache = SemanticCache(vectors.__getitem__)
    await cache.aput("a", _answer())
    for call in (cache.aget("b"), cache.aput("b", _answer())):
        with pytest.raises(InputError, match="3 numbers, and 2 before"):
            await call


def test_the_same_words_again_replace_their_answer() -> None:
    cache = SemanticCache(MEANINGS.__getitem__, threshold=1.0)
    cache.put(FRANCE, _answer("Lyon."))
    cache.put(FRANCE, _answer("Paris."))
    assert cache.stats.size == 1
    assert (cache.get(FRANCE) or _answer("")).content == "Paris."


def test_equal_vectors_are_the_same_at_threshold_1() -> None:
    rng = np.random.default_rng(7)
    for length in (1, 3, 384, 1536):
        vector = rng.standard_normal(length)
        cache = SemanticCache(lambda text, vector=vector: vector * len(text), threshold=1.0)  # type: ignore[misc]
        cache.put("x", _answer())
        assert cache.get("another length, the same direction") is not None


def test_a_semantic_cache_keeps_the_last_used_and_forgets_in_time() -> None:
    clock = Clock()
    axes = {name: list(np.eye(5)[number]) for number, name in enumerate("abcde")}
    cache = SemanticCache(axes.__getitem__, max_size=2, ttl_seconds=60, clock=clock)
    cache.put("a", _answer("a"))
    clock.now = 30
    cache.put("b", _answer("b"))
    assert cache.get("a") is not None
    cache.put("c", _answer("c"))
    assert [(cache.get(name) or _answer("-")).content for name in "abc"] == ["a", "-", "c"]
    clock.now = 61
    assert [(cache.get(name) or _answer("-")).content for name in "abc"] == ["-", "-", "c"]
    assert cache.stats.size == 1
    clock.now = 91
    assert cache.stats.size == 0
    for bad in ({"threshold": 1.5}, {"threshold": -0.1}, {"max_size": -1}, {"ttl_seconds": 0}):
        with pytest.raises(InputError):
            SemanticCache(axes.__getitem__, **bad)
    with pytest.raises(InputError, match="needs an embedder"):
        SemanticCache()


_vectors = st.lists(st.integers(-3, 3).map(float), min_size=9, max_size=9).filter(any)


@settings(deadline=None, max_examples=60)
@given(vectors=st.lists(_vectors, min_size=1, max_size=30), query=_vectors, threshold=st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0]),
       size=st.sampled_from([0, 5]))  # fmt: skip
def test_the_nearest_question_is_found_as_by_comparing_all(
    vectors: list[list[float]], query: list[float], threshold: float, size: int
) -> None:
    table = {str(number): vector for number, vector in enumerate(vectors)} | {"query": query}

    async def embed(text: str) -> list[float]:
        return table[text]

    async def find() -> LLMResponse | None:
        cache = SemanticCache(embed, threshold, max_size=size)
        for number in range(len(vectors)):
            await cache.aput(str(number), _answer(str(number)))
        return await cache.aget("query")

    def cosine(number: int) -> float:
        first, second = np.array(vectors[number]), np.array(query)
        return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))

    kept = range(len(vectors))[-size:] if size else range(len(vectors))
    best = max(map(cosine, kept))
    found = asyncio.run(find())
    assert (found is not None) is (best >= threshold - 1e-6)
    if found is not None:
        assert cosine(int(found.content or "")) == pytest.approx(best, abs=1e-6)


# --- what a fleet shares --------------------------------------------------------------------------------------------------------------


def test_two_servers_share_their_answers_through_redis(redis_url: str) -> None:
    first = RedisExactCache(url=redis_url, ttl_seconds=3600, key_prefix="shared")
    second = RedisExactCache(url=redis_url, key_prefix="shared")
    other = RedisExactCache(url=redis_url, key_prefix="shared2")
    first.put(*QUESTION, _answer())
    assert (second.get(*QUESTION) or _answer("")).content == "Paris."
    assert other.get(*QUESTION) is None
    client = __import__("redis").Redis.from_url(redis_url)
    (key,) = client.scan_iter(match="shared:*")
    assert 3590 < client.ttl(key) <= 3600
    second.clear()
    assert first.get(*QUESTION) is None
    assert second.stats == CacheStats()
    client.close()


def _limiters(redis_url: str, clock: Clock, most: int = 100) -> list[RateLimiter]:
    config = RateLimitConfig(max_tokens_per_minute=most)
    client = __import__("redis").Redis.from_url(redis_url)
    client.flushdb()
    client.close()
    return [RateLimiter(config, clock=clock), RedisRateLimiter(url=redis_url, config=config, clock=clock)]


def test_a_user_has_so_many_tokens_a_minute_and_a_refusal_takes_none(redis_url: str) -> None:
    clock = Clock()
    for limiter in _limiters(redis_url, clock):
        clock.now = 1_700_000_000 // 60 * 60
        assert limiter.get_remaining("ann") == 100
        assert limiter.check_and_consume("ann", 90) is True
        assert limiter.check_and_consume("ann", 11) is False
        assert limiter.get_remaining("ann") == 10
        assert limiter.check_and_consume("ann", 10) is True
        assert limiter.check_and_consume("ann") is False
        assert limiter.check_and_consume("ann", 0) is True
        assert limiter.check_and_consume("bob", 100) is True
        clock.now += 60
        assert limiter.get_remaining("ann") == 100
        with pytest.raises(InputError):
            limiter.check_and_consume("ann", -1)


async def test_two_requests_at_once_cannot_both_have_the_last_tokens(redis_url: str) -> None:
    for limiter in _limiters(redis_url, Clock()):
        allowed = await asyncio.gather(*(limiter.acheck_and_consume("ann", 9) for _ in range(200)))
        assert sum(allowed) == 11
        assert await limiter.aget_remaining("ann") == 1


def test_resetting_a_user_leaves_those_with_longer_names_alone(redis_url: str) -> None:
    for limiter in _limiters(redis_url, Clock()):
        for user in ("a", "a:b", "a:5", "a*"):
            limiter.check_and_consume(user, 50)
        limiter.reset("a")
        assert [limiter.get_remaining(user) for user in ("a", "a:b", "a:5", "a*")] == [100, 50, 50, 50]
        limiter.reset("a*")
        assert limiter.get_remaining("a:5") == 50


def test_the_keys_of_the_limiter_are_named_as_specified_and_last_a_minute(redis_url: str) -> None:
    clock = Clock()
    clock.now = 120.5
    _, limiter = _limiters(redis_url, clock)
    limiter.check_and_consume("ann", 5)
    client = __import__("redis").Redis.from_url(redis_url)
    assert client.keys("*") == [b"ractogateway:ratelimit:ann:2"]
    assert client.get("ractogateway:ratelimit:ann:2") == b"5"
    assert 50 < client.ttl("ractogateway:ratelimit:ann:2") <= 60
    client.close()


def test_a_conversation_keeps_its_last_turns_oldest_first(redis_url: str) -> None:
    config = ChatMemoryConfig(max_turns=2, ttl_seconds=60, key_prefix="turns")
    redis_memory = RedisChatMemory(url=redis_url, config=config)
    redis_memory.clear("one")
    for memory in (ChatMemory(config), redis_memory):
        assert memory.get_history("one") == []
        for number in range(3):
            memory.append("one", "user", f"question {number}")
            memory.append("one", MessageRole.ASSISTANT, f"answer {number} \u2028é")
        memory.append("two", "user", "else")
        history = memory.get_history("one")
        assert [turn["content"] for turn in history][0::3] == ["question 1", "answer 2 \u2028é"]
        assert [Message(**turn).role for turn in history] == ["user", "assistant"] * 2
        assert memory.count("one") == 4
        memory.clear("one")
        assert memory.count("one") == 0
        assert memory.count("two") == 1
        with pytest.raises(InputError, match="no role"):
            memory.append("one", "narrator", "once")
    client = __import__("redis").Redis.from_url(redis_url)
    assert client.type("turns:two") == b"list"
    assert 50 < client.ttl("turns:two") <= 60
    client.close()
