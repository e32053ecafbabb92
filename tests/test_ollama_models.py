"""What is Ollama's own around a conversation: its address, its failures, models that are loaded and downloaded, lines of JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.providers.http_exchange import lines_of
from racto.agents.providers.ollama import OllamaProvider, PullProgress, ollama_url
from racto.knowledge.errors import (
    ConfigError,
    ConnectionLostError,
    ContextLengthError,
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAuthError,
    RateLimitedError,
)
from racto.knowledge.vocabulary import (
    EmbeddingConfig,
)

from tests import dialects
from tests.dialects.ollama import Ollama
from tests.over_the_wire import over_the_wire, question


def examined(examine: Callable[[Ollama, OllamaProvider], Awaitable[None]], **options: Any) -> None:
    """Examine a server and a provider with these options."""
    over_the_wire(Ollama(), lambda base: OllamaProvider(base, **options), examine)


# Failures, and what to do about them


def test_a_model_that_is_missing_says_how_to_get_it() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(ModelNotAvailableError, match="ollama pull status-404"):
            await provider.chat(question("status-404"))

    examined(examine)


def test_a_window_the_memory_cannot_hold_is_an_error_that_does_not_spoil_the_next_question() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.memory = 8192
        with pytest.raises(ModelNotAvailableError, match="smaller model") as caught:
            await provider.chat(question(text="x" * 100_000))
        assert not caught.value.transient
        with pytest.raises(ModelNotAvailableError):
            assert [chunk async for chunk in provider.stream(question(text="x" * 100_000))]
        await provider.chat(question())
        assert server.window == 4096

    examined(examine)


def test_a_busy_server_is_overloaded_also_when_it_says_so_within_an_answer() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(OverloadedError, match="try again"):
            await provider.chat(question("error-in-200"))
        with pytest.raises(OverloadedError):
            assert [chunk async for chunk in provider.stream(question("mid-stream-error"))]

    examined(examine)


def test_a_server_that_does_not_run_says_how_to_start_it() -> None:
    async def examine() -> None:
        provider = OllamaProvider("http://127.0.0.1:1")
        asked: list[Awaitable[Any]] = [
            provider.chat(question()),
            provider.models(),
            provider.loaded(),
            provider.unload("plain"),
            anext(provider.pull("plain")),
        ]
        for each in asked:
            with pytest.raises(ConnectionLostError, match="ollama serve"):
                await each
        assert await provider.detect() is None
        await provider.aclose()

    asyncio.run(examine())


def test_a_server_is_detected_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        monkeypatch.setenv("OLLAMA_HOST", provider.base_url.removeprefix("http://"))
        found = OllamaProvider()
        assert await found.detect() == "0.33.3"
        assert found.local
        await found.aclose()

    examined(examine)


def test_a_proxy_of_the_environment_is_passed_by_for_a_local_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        assert (await provider.chat(question())).content == dialects.TEXT

    examined(examine)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "http://localhost:11434"),
        ("", "http://localhost:11434"),
        ("http://localhost:11434", "http://localhost:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        ("[::]:8080", "http://[::1]:8080"),
        (":56789", "http://127.0.0.1:56789"),
        ("example.com", "http://example.com:11434"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com/ollama/", "https://example.com:443/ollama"),
        ("'10.0.0.7:11500'", "http://10.0.0.7:11500"),
        ("[0001:002:003:0004::1]:56789", "http://[1:2:3:4::1]:56789"),
    ],
)
def test_every_way_to_write_a_host_is_understood(host: str | None, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert ollama_url(host) == url
    monkeypatch.setenv("OLLAMA_HOST", host or "")
    assert ollama_url() == url


@pytest.mark.parametrize("host", ["localhost:port", "http://localhost:99999", "tcp://localhost:11434", "http://[::1"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="http://localhost:11434"):
        ollama_url(host)


def test_a_user_and_password_in_the_address_are_sent_and_never_shown() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        behind = OllamaProvider(provider.base_url.replace("http://", "http://me:canary-secret@"))
        for ask in (behind.chat(question()), behind.models()):
            await ask
            assert server.received[-1].headers["authorization"] == "Basic bWU6Y2FuYXJ5LXNlY3JldA=="
        await behind.aclose()

    examined(examine)

    async def nobody() -> None:
        with pytest.raises(ConnectionLostError) as caught:
            await OllamaProvider("http://me:canary-secret@127.0.0.1:1").chat(question())
        assert "127.0.0.1:1" in str(caught.value)
        assert "canary" not in str(caught.value)

    asyncio.run(nobody())


def test_a_server_elsewhere_is_not_local() -> None:
    assert OllamaProvider("http://192.168.0.9:11434").local
    assert not OllamaProvider("https://ollama.com").local


def test_what_fails_while_models_are_managed_is_told_as_when_one_is_asked() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(ModelNotAvailableError, match="ollama pull status-404") as missing:
            await provider.unload("status-404")
        assert (missing.value.provider, missing.value.model) == ("ollama", "status-404")
        with pytest.raises(RateLimitedError) as limited:
            await provider.unload("status-429")
        assert limited.value.retry_after == 7
        with pytest.raises(RateLimitedError) as limited:
            await anext(provider.pull("status-429"))
        assert limited.value.retry_after == 7
        with pytest.raises(RactoGatewayAuthError) as refused:
            await provider.unload("status-401")
        assert "canary" not in str(refused.value)
        with pytest.raises(MalformedResponseError):
            await provider.unload("malformed-json")

    examined(examine, api_key="canary-key")


def test_without_its_sdk_ollama_answers_and_says_what_managing_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ollama", None)

    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        assert (await provider.chat(question())).content == dialects.TEXT
        assert await provider.detect()
        with pytest.raises(ModelNotAvailableError, match="pip install ollama"):
            await provider.models()

    examined(examine)


# Loading, embedding and downloading


def test_what_is_in_memory_says_how_large_it_is_and_until_when() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        (found,) = await provider.loaded()
        assert found["id"] == dialects.MODELS[0]
        assert (found["size"], found["size_vram"], found["context_length"]) == (6_591_830_464, 5_333_539_264, 4096)
        assert datetime.fromisoformat(found["expires_at"]).utcoffset() == timedelta(hours=1)

    examined(examine)


def test_a_text_that_is_cut_before_it_is_embedded_is_told_of() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        server.longest = 5
        whole = await provider.embed(EmbeddingConfig(texts=["short"]), "plain")
        assert whole.warnings == []
        cut = await provider.embed(EmbeddingConfig(texts=["short", "shorten"]), "plain")
        assert cut.warnings == ["A text was longer than plain reads, and Ollama cut it."]
        assert [vector.text for vector in cut.vectors] == ["short", "shorten"]
        assert cut.vectors[0].embedding == cut.vectors[1].embedding == whole.vectors[0].embedding
        with pytest.raises(ContextLengthError):
            await provider.embed(EmbeddingConfig(texts=["shorten"], extra={"truncate": False}), "plain")
        known = await provider.embed(EmbeddingConfig(texts=["shorten"], extra={"truncate": True}), "plain")
        assert known.warnings == []

    examined(examine)


def test_a_preloaded_model_is_not_loaded_again_for_its_first_question() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        await provider.preload("plain", context=10_000)
        loaded = server.received[-1].body
        assert (loaded["messages"], loaded["keep_alive"], server.window) == ([], "1h", 16_384)
        await provider.chat(question())
        assert server.window == 16_384
        assert server.received[-1].body["keep_alive"] == "1h"
        await provider.unload("plain")
        assert server.received[-1].body["keep_alive"] == 0
        await provider.chat(question())
        assert server.window == 4096, "an unloaded model may be loaded smaller"
        await provider.embed(EmbeddingConfig(texts=["a"], dimensions=2), "plain")
        assert (server.received[-1].body["keep_alive"], server.received[-1].body["dimensions"]) == ("1h", 2)

    examined(examine, keep_alive="1h")


def test_a_download_tells_how_far_all_of_it_is() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        told = [progress async for progress in provider.pull("llama3.2")]
        assert [(progress.completed, progress.total) for progress in told] == [
            (0, 0),
            (0, 100),
            (60, 100),
            (100, 100),
            (120, 120),
            (120, 120),
            (120, 120),
        ]
        assert told[-1] == PullProgress("success", 120, 120)

    examined(examine)


def test_a_download_of_nothing_is_an_error_though_its_status_is_200() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        told = provider.pull("no-such-model")
        assert (await anext(told)).status == "pulling manifest"
        with pytest.raises(ModelNotAvailableError, match="file does not exist") as caught:
            await anext(told)
        assert caught.value.model == "no-such-model"

    examined(examine)


def test_a_download_that_ends_halfway_is_not_taken_for_a_whole_one() -> None:
    async def examine(_: Ollama, provider: OllamaProvider) -> None:
        with pytest.raises(ConnectionLostError, match="before it was whole"):
            assert [progress async for progress in provider.pull("half")]

    examined(examine)


def test_a_download_that_is_no_longer_wanted_is_hung_up_on() -> None:
    async def examine(server: Ollama, provider: OllamaProvider) -> None:
        async with aclosing(provider.pull("endless")) as told:
            async for progress in told:
                if progress.completed == 60:
                    break
        await server.gone.wait()

    examined(examine)


# Lines


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9)), max_size=6), st.data())
def test_lines_are_cut_at_line_feeds_only_wherever_the_bytes_are_cut(values: list[Any], data: st.DataObject) -> None:
    values.append({"text": "one\u2028two\x85three"})
    content = b"\n".join(json.dumps(value, ensure_ascii=False).encode() for value in values)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]

    class Body:
        """A body that comes in these pieces."""

        headers: ClassVar[dict[str, str]] = {}

        async def aiter_bytes(self) -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece

        async def aread(self) -> bytes:
            return content

        async def aclose(self) -> None:
            """Nothing is open."""

    async def read() -> list[Any]:
        return [json.loads(line) async for line in lines_of(Body())]

    assert asyncio.run(read()) == values
