"""What is known of models: the seed, a fetched registry, what providers say; merged, looked up by name, release and maker."""

from __future__ import annotations

import asyncio
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st
from racto.agents.model_listings import read
from racto.agents.model_metadata import ModelCapability, ModelMetadata, ModelStatus, parse
from racto.agents.models import SEED, ModelRegistry
from racto.agents.prices import PriceTier
from racto.agents.providers import PROVIDERS
from racto.agents.remote_registry import RemoteRegistryConfig, cached, update
from racto.knowledge.errors import ConfigError, ConnectionLostError, ModelNotAvailableError, RactoError, StorageError
from racto.knowledge.vocabulary import ChatRequest, EmbeddingConfig, EmbeddingResponse, LLMResponse, StreamChunk

pytestmark = pytest.mark.anyio


def registry_of(*entries: dict[str, Any]) -> str:
    return json.dumps({"version": 1, "models": list(entries)})


def known(registry: ModelRegistry, model: str, provider: str | None = None) -> ModelMetadata:
    found = registry.metadata(model, provider)
    assert found is not None
    return found


class Listed:
    """A provider that only tells what it has."""

    local = False
    capabilities = frozenset({"chat"})

    def __init__(self, name: str, *listing: dict[str, Any], error: RactoError | None = None) -> None:
        self.name = name
        self.asked = 0
        self._listing = list(listing)
        self._error = error

    async def models(self) -> list[dict[str, Any]]:
        self.asked += 1
        if self._error is not None:
            raise self._error
        return self._listing

    async def chat(self, request: ChatRequest) -> LLMResponse:
        raise NotImplementedError

    async def stream(self, request: ChatRequest) -> AsyncIterator[StreamChunk]:
        raise NotImplementedError
        yield StreamChunk()  # what makes it a generator

    async def embed(self, config: EmbeddingConfig, model: str) -> EmbeddingResponse:
        raise NotImplementedError

    async def aclose(self) -> None:
        """Nothing is open."""


class Described(Listed):
    """A provider that tells of one model at a time, as Ollama does."""

    async def facts(self, model: str) -> Any:
        class Facts:
            context = 4096
            capabilities = frozenset({"completion", "tools"})

        if model != "here":
            raise ModelNotAvailableError("It is not here.")
        return Facts()


def test_every_entry_of_the_seed_can_be_read_and_belongs_to_a_provider() -> None:
    listed = json.loads(SEED.read_text(encoding="utf-8"))["models"]
    entries = parse(SEED.read_bytes(), "seed")
    assert len(entries) == len(listed) > 100
    assert {entry.provider for entry in entries} <= {*PROVIDERS, ""}
    assert len({(entry.provider, entry.id) for entry in entries}) == len(entries)
    assert all(entry.id.index("*") == len(entry.id) - 1 for entry in entries if "*" in entry.id)


def test_a_model_of_the_seed_is_known_with_all_there_is_to_know() -> None:
    found = known(ModelRegistry(), "gpt-4o")
    assert (found.provider, found.context_window, found.max_output_tokens) == ("openai", 128_000, 16_384)
    assert {ModelCapability.CHAT, ModelCapability.TOOLS, ModelCapability.IMAGES} <= found.capabilities
    temperature = found.parameters["temperature"]
    assert temperature.kind == "mutable"
    assert temperature.range is not None
    assert (temperature.range.minimum, temperature.range.maximum) == (0, 2)
    assert found.parameters["top_k"].kind == "unsupported"
    assert found.pricing is not None
    assert found.pricing.input == Decimal("2.5")
    assert found.tier is PriceTier.MEDIUM
    assert found.source == "seed"
    dumped = found.model_dump(mode="json")
    assert dumped["pricing"]["output"] == "10"
    assert dumped["status"] in ("deprecated", "retired")


def test_claude_takes_no_temperature_any_more() -> None:
    assert known(ModelRegistry(), "claude-sonnet-5-5").parameters["temperature"].kind == "unsupported"


def test_a_name_beats_a_pattern_and_a_longer_pattern_a_shorter_one() -> None:
    registry = ModelRegistry(
        registry_of(
            {"id": "m-*", "provider": "p", "context_window": 1, "max_output_tokens": 9},
            {"id": "m-large-*", "provider": "p", "context_window": 2},
            {"id": "m-large-x", "provider": "p", "context_window": 3},
        )
    )
    assert [known(registry, name).context_window for name in ("m-a", "m-large-b", "m-large-x")] == [1, 2, 3]
    assert known(registry, "m-large-x").max_output_tokens == 9, "what the better one does not say comes from the other"


def test_the_later_layer_wins_in_what_it_says() -> None:
    registry = ModelRegistry(registry_of({"id": "gpt-4o", "provider": "openai", "context_window": 1000}))
    assert (known(registry, "gpt-4o").context_window, known(registry, "gpt-4o").source) == (1000, "seed+remote")
    registry.learn("openai", [{"id": "gpt-4o", "max_model_len": 2000}])
    found = known(registry, "gpt-4o")
    assert (found.context_window, found.max_output_tokens, found.source) == (2000, 16_384, "seed+remote+live")


def test_a_release_and_a_makers_prefix_are_the_model_they_name() -> None:
    registry = ModelRegistry(registry_of({"id": "m", "provider": "p", "context_window": 7}))
    for name in (
        "m",
        "M",
        "m-2026-01-31",
        "m-20260131",
        "m-latest",
        "maker/m",
        "models/m",
        "ft:m",
        "m:free",
        "m@20260131",
    ):
        assert known(registry, name).context_window == 7, name
        assert known(registry, name).id == name
    assert registry.metadata("mm") is None


def test_a_proxy_knows_the_limits_of_what_it_passes_on_but_not_its_price() -> None:
    found = known(ModelRegistry(), "gpt-4o", "openai_compatible")
    assert (found.provider, found.context_window, found.pricing) == ("openai_compatible", 128_000, None)
    assert ModelRegistry().metadata("gpt-4o", "ollama") is None, "a local model of that name is another one"


def test_what_only_the_published_prices_know_is_known_too() -> None:
    found = known(ModelRegistry(), "gpt-4-vision-preview", "openai")
    assert (found.context_window, found.source) == (128_000, "seed+published")
    assert ModelRegistry().metadata("no-such-model", "openai") is None


def test_the_seed_promises_no_larger_window_than_is_published() -> None:
    registry = ModelRegistry()
    compared = 0
    for seller in get_snapshot().providers:
        for model in seller.models if seller.id in ("openai", "anthropic", "google") else ():
            if model.context_window and seller.find_model(model.id) is model and model.id != "gemini-1.5-pro":
                compared += 1
                said = known(registry, model.id, seller.id).context_window
                assert said is not None
                assert 0.9 <= said / model.context_window <= 1.06, model.id  # some round 1,048,576 down
    assert compared > 130


def test_a_model_that_is_gone_is_retired_and_not_listed() -> None:
    today, tomorrow = date(2000, 1, 1), date(2999, 1, 1)
    registry = ModelRegistry(
        registry_of(
            {"id": "gone", "provider": "p", "retires_at": str(today)},
            {"id": "going", "provider": "p", "retires_at": str(tomorrow)},
            {"id": "here", "provider": "p"},
            {"id": "p-*", "provider": "p"},
        )
    )
    status = {name: known(registry, name).status for name in ("gone", "going", "here")}
    assert status == {"gone": ModelStatus.RETIRED, "going": ModelStatus.DEPRECATED, "here": ModelStatus.ACTIVE}
    assert [each.id for each in registry.models("p")] == ["going", "here"]
    assert {"gpt-6-sol", "claude-sonnet-5-5", "going"} <= {each.id for each in registry.models()}


def test_a_price_in_an_entry_wins_over_the_published_one() -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    plain = ModelRegistry()
    assert plain.cost("openai", "gpt-4o", usage) == Decimal("2.5")
    assert plain.cost("openai_compatible", "mine", usage) is None
    assert plain.estimate("openai_compatible", "mine", 1, 1) is None
    priced = ModelRegistry(
        registry_of(
            {"id": "gpt-4o", "provider": "openai", "pricing": {"input": "1", "output": "2"}},
            {"id": "mine", "provider": "openai_compatible", "pricing": {"input": 3, "output": 4}},
        )
    )
    assert priced.cost("openai", "gpt-4o", usage) == 1
    assert priced.cost("openai_compatible", "mine", usage) == 3
    assert priced.estimate("openai_compatible", "mine", 1_000_000, 1_000_000) == 7
    assert plain.cost("ollama", "anything", usage) == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ('{"version": 2, "models": []}', "version 2"),
        ('{"models": []}', "version None"),
        ('{"version": 1}', "lists no models"),
        ("3", "lists no models"),
        ('[{"name": "no id"}]', "No entry"),
    ],
)
def test_what_is_no_registry_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ModelRegistry(text)


def test_an_older_bare_array_a_bad_entry_and_new_fields_are_put_up_with() -> None:
    entries = parse(
        '[{"id": "a", "new": 1, "capabilities": ["chat", "flying"]}, {"id": ""}, {"id": "b", "context_window": -1}, 7]',
        "remote",
    )
    assert [entry.id for entry in entries] == ["a"]
    assert entries[0].capabilities == {ModelCapability.CHAT}


LISTINGS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "openai_compatible",
        {
            "id": "openai/gpt-4o",
            "name": "OpenAI: GPT-4o",
            "context_length": 128000,
            "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
            "pricing": {
                "prompt": "0.0000025",
                "completion": "0.00001",
                "request": "0",
                "input_cache_read": "0.00000125",
            },
            "top_provider": {"context_length": 128000, "max_completion_tokens": 16384},
            "supported_parameters": ["temperature", "tools", "structured_outputs", "logit_bias"],
        },
        {
            "name": "OpenAI: GPT-4o",
            "context_window": 128000,
            "max_output_tokens": 16384,
            "capabilities": {"chat", "stream", "tools", "schema", "images", "documents"},
        },
    ),
    (
        "anthropic",
        {
            "id": "claude-opus-5-5",
            "display_name": "Claude Opus 5.5",
            "type": "model",
            "max_input_tokens": 1000000,
            "max_tokens": 128000,
            "lifecycle": "deprecated",
            "retires_at": "2999-05-01T00:00:00Z",
            "capabilities": {
                "image_input": {"supported": True},
                "pdf_input": {"supported": False},
                "thinking": {"supported": True, "types": {}},
                "structured_outputs": {"supported": True},
            },
        },
        {
            "name": "Claude Opus 5.5",
            "context_window": 1000000,
            "max_output_tokens": 128000,
            "capabilities": {"images", "reasoning", "schema"},
            "status": ModelStatus.DEPRECATED,
            "retires_at": date(2999, 5, 1),
        },
    ),
    (
        "google",
        {
            "id": "gemini-2.5-flash",
            "name": "models/gemini-2.5-flash",
            "displayName": "Gemini 2.5 Flash",
            "inputTokenLimit": 1048576,
            "outputTokenLimit": 65536,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
            "maxTemperature": 2,
            "temperature": 1,
            "thinking": True,
        },
        {
            "name": "Gemini 2.5 Flash",
            "context_window": 1048576,
            "max_output_tokens": 65536,
            "capabilities": {"chat", "stream", "reasoning"},
        },
    ),
    ("openai_compatible", {"id": "m", "object": "model", "max_model_len": 32768}, {"context_window": 32768}),
    ("openai_compatible", {"id": "m", "meta": {"n_ctx_train": 4096}}, {"context_window": 4096}),
    (
        "mistral",
        {"id": "m", "max_context_length": 131072, "capabilities": {"completion_chat": True, "vision": False}},
        {"context_window": 131072, "capabilities": {"chat", "stream"}},
    ),
    ("openai", {"id": "gpt-4o", "object": "model", "owned_by": "system"}, {"context_window": None, "name": ""}),
]


@pytest.mark.parametrize(("provider", "entry", "wanted"), LISTINGS)
def test_each_providers_own_words_are_understood(provider: str, entry: dict[str, Any], wanted: dict[str, Any]) -> None:
    found = read(provider, entry)
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert found.provider == provider


def test_what_openrouter_charges_and_takes_is_understood() -> None:
    found = read(*LISTINGS[0][:2])
    assert found.pricing is not None
    assert (found.pricing.input, found.pricing.output, found.pricing.cache_read) == (
        Decimal("2.5"), Decimal(10), Decimal("1.25"),
    )  # fmt: skip
    kinds = {name: found.parameters[name].kind for name in ("temperature", "seed", "response_schema", "logit_bias")}
    assert kinds == {
        "temperature": "mutable", "seed": "unsupported", "response_schema": "mutable", "logit_bias": "opaque",
    }  # fmt: skip
    varies = read("openai_compatible", {"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1"}})
    assert varies.pricing is None


def test_what_hottest_gemini_allows_is_its_range() -> None:
    allowed = read(*LISTINGS[2][:2]).parameters["temperature"].range
    assert allowed is not None
    assert (allowed.minimum, allowed.maximum, allowed.default) == (0, 2, 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({name for _, entry, _ in LISTINGS for name in entry if name != "id"})


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_no_listing_breaks_the_reading(entry: dict[str, Any]) -> None:
    assert read("openai", {**entry, "id": "m"}).id == "m"


async def test_fetching_asks_the_providers_in_turn_until_one_knows_and_not_twice() -> None:
    first = Listed("a", {"id": "other"})
    second = Listed("b", {"id": "mine", "context_window": 5})
    third = Listed("c", {"id": "mine", "context_window": 6})
    registry = ModelRegistry(providers=[first, second, third])
    assert registry.metadata("mine") is None
    found = await registry.fetch("mine")
    assert found is not None
    assert (found.provider, found.context_window) == ("b", 5)
    assert known(registry, "mine") == found, "what was fetched is known from then on"
    await registry.fetch("mine", "b")
    assert (first.asked, second.asked, third.asked) == (1, 1, 0)


async def test_a_provider_that_is_down_does_not_hide_what_the_next_one_knows() -> None:
    down = Listed("a", error=ConnectionLostError("Nobody is there."))
    registry = ModelRegistry(providers=[down, Listed("b", {"id": "mine", "context_window": 5})])
    found = await registry.fetch("mine")
    assert found is not None
    assert found.context_window == 5
    assert await registry.fetch("nobody-has-it") is None
    with pytest.raises(ConnectionLostError):
        await ModelRegistry(providers=[down]).fetch("mine")


async def test_a_provider_that_describes_one_model_at_a_time_is_asked_to() -> None:
    registry = ModelRegistry(providers=[Described("ollama", {"id": "here", "size": 1})])
    found = await registry.fetch("here", "ollama")
    assert found is not None
    assert found.context_window == 4096
    assert {ModelCapability.CHAT, ModelCapability.TOOLS} <= found.capabilities
    assert await registry.fetch("elsewhere", "ollama") is None


def test_learning_and_looking_up_at_the_same_time_loses_nothing() -> None:
    registry = ModelRegistry()
    errors: list[BaseException] = []

    def learn(who: int) -> None:
        try:
            for number in range(50):
                registry.learn(f"p{who}", [{"id": f"m{who}-{number}", "context_length": number + 1}])
                assert known(registry, f"m{who}-{number}").context_window == number + 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=learn, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(each.provider.startswith("p") for each in registry.models()) == 200


Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """A web server on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name the base class gives it
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/registry.json"
        finally:
            server.shutdown()
            thread.join()


def sending(body: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


async def test_a_fetched_registry_is_used_at_once_and_after_a_restart_without_the_net(tmp_path: Path) -> None:
    registry = ModelRegistry()
    with serving(sending(registry_of({"id": "new", "provider": "p", "context_window": 11}))) as url:
        config = RemoteRegistryConfig(url=url, cache_path=tmp_path / "deep" / "models.json")
        assert cached(config) is None
        assert registry.metadata("new") is None
        assert await update(config, registry) == 1
    assert known(registry, "new").context_window == 11
    assert known(ModelRegistry(cached(config)), "new").source == "remote"
    assert [file.name for file in config.cache_path.parent.iterdir()] == ["models.json"]


async def test_what_is_no_registry_does_not_take_the_place_of_one(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    file.write_text(registry_of({"id": "old", "provider": "p", "context_window": 1}))
    for body in ("<html>", '{"version": 9, "models": []}'):
        with serving(sending(body)) as url:
            config = RemoteRegistryConfig(url=url, cache_path=file)
            registry = ModelRegistry(cached(config))
            with pytest.raises(ConfigError):
                await update(config, registry)
        assert known(registry, "old").context_window == 1
        assert known(ModelRegistry(cached(config)), "old").context_window == 1


async def test_a_file_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    with serving(sending(registry_of({"id": "new"}))) as url:
        config = RemoteRegistryConfig(url=url, cache_path=tmp_path)  # a folder
        with pytest.raises(StorageError, match="cannot be read"):
            cached(config)
        with pytest.raises(StorageError, match="cannot be written"):
            await update(config, ModelRegistry())
    assert list(tmp_path.parent.glob(f"{tmp_path.name}*")) == [tmp_path], "nothing half-written is left"


async def test_a_server_that_is_gone_or_unwell_is_told_as_such(tmp_path: Path) -> None:
    with serving(sending("")) as url:
        gone = RemoteRegistryConfig(url=url, cache_path=tmp_path / "m.json")
    with pytest.raises(ConnectionLostError, match="cannot be fetched"):
        await update(gone, ModelRegistry())

    def unwell(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_error(503)

    with serving(unwell) as url, pytest.raises(ConnectionLostError, match="Service Unavailable"):
        await update(RemoteRegistryConfig(url=url, cache_path=tmp_path / "m.json"), ModelRegistry())


@pytest.mark.parametrize("url", ["http://example.org/m.json", "file:///etc/passwd", "ftp://127.0.0.1/m.json"])
async def test_a_registry_is_only_fetched_from_where_it_cannot_be_tampered_with(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="https"):
        await update(RemoteRegistryConfig(url=url, cache_path=tmp_path / "m.json"), ModelRegistry())


async def test_a_redirect_to_somewhere_else_is_not_followed_to_the_end(tmp_path: Path) -> None:
    def elsewhere(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "file:///etc/passwd")
        handler.end_headers()

    with serving(elsewhere) as url, pytest.raises((ConfigError, ConnectionLostError)):
        await update(RemoteRegistryConfig(url=url, cache_path=tmp_path / "m.json"), ModelRegistry())


def test_knowing_models_loads_no_prices_and_no_sdk() -> None:
    code = (
        "import sys; from racto.agents.models import ModelRegistry; assert ModelRegistry().metadata('gpt-4o').context_window; "
        "assert not {'genai_prices', 'openai', 'anthropic', 'google.genai', 'httpx', 'httpx2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


async def test_the_loop_goes_on_while_a_registry_is_fetched(tmp_path: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(handler: http.server.BaseHTTPRequestHandler) -> None:
        asked.set()
        go_on.wait(10)
        sending(registry_of({"id": "new"}))(handler)

    with serving(slow) as url:
        fetching = asyncio.ensure_future(
            update(RemoteRegistryConfig(url=url, cache_path=tmp_path / "m.json"), ModelRegistry())
        )
        await asyncio.to_thread(asked.wait, 10)
        assert not fetching.done()
        go_on.set()
        assert await fetching == 1
