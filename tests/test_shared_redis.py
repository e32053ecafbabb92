"""Several servers over one Redis: what one was told the others know, and none fails when Redis is away."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from racto.agents.calls import Caller, ToolContext
from racto.agents.shared_semantic_cache import SharedSemanticCache
from racto.knowledge.errors import ConfigError, StorageError
from racto.knowledge.keyvalue.memory import MemoryKeyValue
from racto.knowledge.keyvalue.redis import RedisKeyValue, RedisServer
from racto.knowledge.vocabulary import LLMResponse
from racto.server import doctor, shared
from racto.server.cli import main
from racto.server.secrets import KNOWN
from racto.server.settings import Settings, load

from tests import dialects
from tests.dialects.openai import OpenAI
from tests.redis_server import redis_server
from tests.test_chat_tools import House, Person, house, kept_bytes

pytestmark = pytest.mark.anyio

PASSWORD = "s3cret-of-redis-0123456789"


@pytest.fixture(autouse=True)
def nothing_of_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", dialects.KEY)
    monkeypatch.setenv("REDIS_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "racto.db"))
    shared._server.cache_clear()
    yield
    shared._server.cache_clear()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with redis_server("--requirepass", PASSWORD) as address:
        yield address


@asynccontextmanager
async def two(tmp_path: Path, url: str, **given: Any) -> AsyncIterator[tuple[House, House]]:
    """Two servers with a database each."""
    async with AsyncExitStack() as stack:
        values: dict[str, Any] = {"embedding_models": (), "redis_url": url, **given}
        places = [tmp_path / "one", tmp_path / "two"]
        for place in places:
            place.mkdir()
        one, other = [await stack.enter_async_context(house(place, **values)) for place in places]
        yield one, other


async def test_two_server_processes_share_an_answer_and_a_conversation(tmp_path: Path, url: str) -> None:
    model = OpenAI()
    async with model.running() as base, AsyncExitStack() as stack:
        clients = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            env = {each: value for each, value in os.environ.items() if not each.startswith("RACTO_")} | {
                "RACTO_DATABASE": str(tmp_path / name / "racto.db"),
                "RACTO_MODELS": "openai/plain",
                "RACTO_BASE_URLS": f"openai={base}/v1",
                "RACTO_CACHE_SECONDS": "600",
                "RACTO_REDIS_URL": url,
            }
            server = StdioServerParameters(command=sys.executable, args=["-m", "racto.server.cli", "serve"], env=env)
            errlog = stack.enter_context((tmp_path / name / "log").open("w"))
            clients.append(await stack.enter_async_context(Client(stdio_client(server, errlog=errlog))))
        one, other = clients
        first = await one.call_tool("chat", {"message": "Where do walruses live?"})
        again = await other.call_tool("chat", {"message": "Where do walruses live?"})
        assert first.structured_content is not None
        assert again.structured_content is not None
        assert (first.structured_content["cached"], again.structured_content["cached"]) == (None, "exact")
        assert again.structured_content["text"] == dialects.TEXT
        assert len(model.received) == 1
        await one.call_tool("chat", {"message": "And seals?", "context_id": "zoo"})
        await other.call_tool("chat", {"message": "And bears?", "context_id": "zoo"})
        assert [text for _, text in model.sent_texts(model.received[-1])] == ["And seals?", dialects.TEXT, "And bears?"]
    assert PASSWORD.encode() not in kept_bytes(tmp_path)  # the logs lie there too


async def test_an_answer_to_a_question_in_other_words_is_shared(tmp_path: Path, url: str) -> None:
    async with two(tmp_path, url, semantic_cache=0.99, embedding_models=("openai/plain",)) as (one, other):
        await one.ok("chat", message="Where do walruses live?")
        again = await other.ok("chat", message="Where does a walrus live?")
        assert again.structured["cached"] == "semantic"
        assert (await other.ok("chat", message="aaaaaaaaaaaaaaaa")).structured["cached"] is None
        assert (await one.ok("chat", message="aaaaaaaaaaaaaaaa")).structured["cached"] == "semantic"


async def test_a_conversation_goes_on_at_another_server_and_nothing_is_told_twice(tmp_path: Path, url: str) -> None:
    async with two(tmp_path, url) as (one, other):
        for here, message in ((one, "a"), (other, "b"), (other, "Go on."), (one, "Go on."), (one, "c"), (other, "d")):
            await here.ok("chat", message=message, context_id="talk")
        said = [text for _, text in other.openai.sent_texts(other.openai.received[-1])]
        assert said[::2] == ["a", "b", "Go on.", "Go on.", "c", "d"]


async def test_a_deleted_conversation_is_not_brought_back_by_another_server(tmp_path: Path, url: str) -> None:
    async with two(tmp_path, url) as (one, other):
        await one.ok("chat", message="a secret", context_id="gone")
        await one.ok("context_delete", Person(says=True), name="gone")
        await other.ok("chat", message="Hello", context_id="gone")
        assert [text for _, text in other.openai.sent_texts(other.openai.received[-1])] == ["Hello"]


async def test_conversations_of_two_people_are_two(tmp_path: Path, url: str) -> None:
    async with two(tmp_path, url) as (one, other):
        await one.ok("chat", ToolContext(Caller("ann")), message="of ann", context_id="mine")
        await other.ok("chat", ToolContext(Caller("bob")), message="of bob", context_id="mine")
        assert len(other.openai.sent_texts(other.openai.received[-1])) == 1


async def test_the_tokens_of_a_minute_are_counted_over_all_servers_for_each_user(tmp_path: Path, url: str) -> None:
    async with two(tmp_path, url, tokens_per_minute=40) as (one, other):
        ann, bob = ToolContext(Caller("ann")), ToolContext(Caller("bob"))
        await one.ok("chat", ann, message="Hello")  # 18 tokens, by what the model says
        await other.ok("chat", ann, message="Hello")
        refused = await one.call("chat", ann, message="Hello, hello, hello, hello, hello")
        assert refused.structured["code"] == "rate_limit"
        assert "40 tokens a minute of 'ann'" in refused.text
        assert "Try again in" in refused.text
        await one.ok("chat", bob, message="Hello")
        assert one.asked() + other.asked() == 3


async def test_a_limit_holds_without_redis_for_all_processes_of_one_database(tmp_path: Path) -> None:
    async with house(tmp_path, tokens_per_minute=20) as one, house(tmp_path, tokens_per_minute=20) as other:
        await one.ok("chat", message="Hello")
        assert (await other.call("chat", message="Hello, hello, hello")).structured["code"] == "rate_limit"


async def test_kept_answers_take_no_tokens(tmp_path: Path) -> None:
    async with house(tmp_path, tokens_per_minute=20, cache_seconds=60) as here:
        for _ in range(5):
            await here.ok("chat", message="Hello")
        assert here.asked() == 1


async def test_a_redis_that_is_away_fails_no_call_and_limits_hold_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"cache_seconds": 60, "semantic_cache": 0.99, "embedding_models": ("openai/plain",)}
    async with house(tmp_path, redis_url=f"unix://{tmp_path}/none.sock", tokens_per_minute=60, **given) as here:
        with caplog.at_level(logging.WARNING):
            for message in ("Hello", "Go on"):
                answer = await here.ok("chat", message=message, context_id="c")
                assert answer.structured["cached"] is None
            asked = [each for each in here.openai.received if each.path.endswith("/chat/completions")]
            assert len(here.openai.sent_texts(asked[-1])) == 3  # its own turns are there
            refused = [await here.call("chat", message="Hello, hello") for _ in range(3)][-1]
        assert refused.structured["code"] == "rate_limit"
        assert "exact cache was not read" in caplog.text
        assert "counted by this process alone" in caplog.text
        assert PASSWORD not in caplog.text
        kept = await here.call("context_delete", Person(says=True), name="c")
        assert kept.structured["code"] == "storage"
        await here.ok("context_read", name="c")


async def test_a_redis_that_does_not_answer_is_waited_for_once_and_used_again_later(tmp_path: Path) -> None:
    now, wait = 0.0, 0.3
    with redis_server() as address, socket.socket(socket.AF_UNIX) as deaf:
        path = tmp_path / "redis.sock"
        deaf.bind(str(path))
        deaf.listen()
        server = RedisServer(f"unix://{path}", timeout=wait, rest=10, clock=lambda: now)
        store, other = (RedisKeyValue(server=server, namespace=name) for name in ("one", "other"))
        with pytest.raises(StorageError, match="cannot be used"):
            await store.get("key")
        begun = time.perf_counter()
        for _ in range(100):
            with pytest.raises(StorageError, match="cannot be used"):
                await other.get("key")
        assert time.perf_counter() - begun < 100 * wait / 2
        await asyncio.to_thread(path.unlink)
        await asyncio.to_thread(path.symlink_to, address.removeprefix("unix://"))
        now += 10
        assert await other.get("key") is None
        server.close()


async def test_a_wrong_password_is_told_with_the_command_that_keeps_the_right_one_and_then_that_one_is_used(
    url: str,
) -> None:
    now, passwords = 0.0, [None, "wrong-password-0123", PASSWORD]
    server = RedisServer(url, password=lambda: passwords.pop(0), rest=10, clock=lambda: now)
    store = RedisKeyValue(server=server, namespace="asked")
    for _ in range(2):
        for _ in range(2):  # the second time it is only remembered, with the same advice
            with pytest.raises(StorageError, match="racto keys set REDIS_PASSWORD") as caught:
                await store.get("key")
            assert "wrong-password" not in str(caught.value)
        now += 10
    assert await store.get("key") is None
    server.close()


async def test_a_password_in_the_address_is_refused_and_never_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = "in-the-address-0123456789"
    for address in (
        f"redis://:{kept}@box:6379/0",
        f"rediss://me:{kept}@box:6379/0",
        f"redis://me:{kept[:8]}/{kept}@box",
        f"unix://:{kept}@/run/redis.sock",
        f"redis://box:6379/0?password={kept}",
        f"http://{kept}",
        kept,
    ):
        monkeypatch.setenv("RACTO_REDIS_URL", address)
        with pytest.raises(ConfigError, match="RACTO_REDIS_URL") as caught:
            load()
        assert kept not in str(caught.value)
        assert main(["config"]) == 2
        shown = capsys.readouterr()
        assert kept not in shown.out + shown.err
    for address in ("redis://box:6379/0", "rediss://me@box", "unix:///run/redis.sock?db=2", "redis://[::1]:6379/0"):
        monkeypatch.setenv("RACTO_REDIS_URL", address)
        assert load().settings.redis_url == address


async def test_without_its_package_the_setting_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    settings = Settings(database=tmp_path / "racto.db", redis_url="redis://box")
    with pytest.raises(ConfigError, match=r"racto\[redis\]"):
        shared.store(settings.redis_url or "", "chat")


def vector(text: str) -> list[float]:
    return [float(len(text)), 1.0, float(text.count("a"))]


def answer(text: str) -> LLMResponse:
    return LLMResponse(content=text, provider="x", model="m")


async def test_a_shared_meaning_is_forgotten_with_its_time_by_number_and_on_demand() -> None:
    now = 1_000.0
    store = MemoryKeyValue(clock=lambda: now)

    def cache() -> SharedSemanticCache:
        return SharedSemanticCache(vector, 0.9999, 2, 60, store=store, clock=lambda: now)

    one, other = cache(), cache()
    for text in ("a" * 10, "b" * 30, "c" * 90):
        await one.aput(text, answer(text))
    assert await other.aget("a" * 10) is None  # only two are kept
    found = await other.aget("c" * 90)
    assert found is not None
    assert (found.content, found.cached) == ("c" * 90, "semantic")
    assert await other.aget("b" * 30, "another scope") is None
    now += 61
    assert await other.aget("c" * 90) is None
    assert await cache().aget("c" * 90) is None
    await one.aput("d", answer("d"))
    await other.aclear()
    assert await one.aget("d") is None
    assert other.stats.size == 0


async def test_copies_of_scopes_do_not_grow_without_end() -> None:
    store = MemoryKeyValue()
    writer = SharedSemanticCache(vector, 0.99, 4, store=store)
    reader = SharedSemanticCache(vector, 0.99, 4, store=store)
    for number in range(20):
        await writer.aput("question", answer(str(number)), f"scope {number}")
    for number in (*range(20), 0):
        found = await reader.aget("question", f"scope {number}")
        assert found is not None
        assert found.content == str(number)
    assert reader.stats.size <= 4


def test_the_shown_settings_hold_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RACTO_REDIS_URL", "redis://box:6379/0")
    assert main(["config", "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown)["redis_url"]["value"] == "redis://box:6379/0"
    assert PASSWORD not in shown


def test_the_doctor_says_whether_redis_answers(tmp_path: Path, url: str) -> None:
    for address, state in ((url, "ok"), (f"unix://{tmp_path}/none.sock", "broken")):
        settings = Settings(database=tmp_path / "racto.db", redis_url=address)
        (finding,) = [each for each in doctor.examine(settings) if each.about == "redis"]
        assert finding.state == state, finding.said
        assert bool(finding.fix) == (state == "broken")
        assert PASSWORD not in finding.said + finding.fix
