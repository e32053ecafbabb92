"""Settings of the way to the models, each seen to work by a real server or client."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from racto.knowledge.errors import ConfigError
from racto.server.cli import main
from racto.server.secrets import KNOWN
from racto.server.settings import load

from tests import dialects
from tests.dialects.openai_compatible import VLLM
from tests.peers import PATIENCE
from tests.test_chat_tools import house
from tests.test_cli import serving

pytestmark = pytest.mark.anyio

KEPT = "sk-in-an-address-0123456789"


@pytest.fixture(autouse=True)
def nothing_of_the_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KNOWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", dialects.KEY)
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "racto.db"))


async def test_a_question_in_other_words_is_answered_from_the_semantic_cache_and_its_embedding_is_paid_for(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, semantic_cache=0.99, embedding_models=("ollama/plain",)) as here:
        await here.ok("chat", message="Where do walruses live?")
        again = await here.ok("chat", message="Where does a walrus live?")
        assert again.structured["cached"] == "semantic"
        other = await here.ok("chat", message="aaaaaaaaaaaaaaaa")
        assert other.structured["cached"] is None
        assert len(here.openai.received) == 2
        report = await here.ok("usage_report", by=["component", "provider"])
        calls = {line["of"]["component"]: line["calls"] for line in report.structured["lines"]}
        assert calls["semantic_cache"] == 3


async def test_a_semantic_cache_without_a_model_that_embeds_says_what_to_set(tmp_path: Path) -> None:
    async with house(tmp_path, semantic_cache=0.95, embedding_models=()) as here:
        output = await here.call("chat", message="Hello")
    assert output.structured["code"] == "bad_config"
    assert "RACTO_EMBEDDING_MODELS" in output.text


async def test_the_preferred_provider_is_asked_first_for_answers_and_for_embeddings(tmp_path: Path) -> None:
    both = {"models": ("openai/plain", "ollama/plain"), "embedding_models": ("openai/plain", "ollama/plain")}
    async with house(tmp_path, **both, prefer_chat="ollama", prefer_embed="ollama") as here:
        answer = await here.ok("chat", message="Hello")
        assert answer.structured["model"] == "ollama/plain"
        assert "ollama is preferred" in answer.structured["why"]
        assert (await here.ok("embed", texts=["a"])).structured["model"] == "ollama/plain"
        assert not here.openai.received
    async with house(tmp_path, **both, prefer_chat="olama") as here:
        output = await here.call("chat", message="Hello")
        assert output.structured["code"] == "bad_config"
        assert "Did you mean 'ollama'" in output.text


async def test_what_was_cut_before_it_was_embedded_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, embedding_models=("ollama/plain",)) as here:
        here.ollama.longest = 5
        output = await here.ok("embed", texts=["a", "banana bread"])
    assert output.structured["warnings"]
    assert f"Note: {output.structured['warnings'][0]}" in output.text


def fetched(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urlopen(Request(url, headers=headers), timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, ""


async def test_calls_are_counted_at_metrics_behind_the_same_guards_as_the_rest() -> None:
    def with_metrics() -> None:
        variables = {"RACTO_PROMETHEUS": "true", "RACTO_MODELS": "simulated/demo", "RACTO_TOKEN": "s3cret-token"}
        with serving(**variables) as address:
            allowed = {"Authorization": "Bearer s3cret-token"}
            assert fetched(f"{address}/metrics")[0] == 401
            assert fetched(f"{address}/metrics", **allowed, Host="evil.example")[0] == 421
            assert fetched(f"{address}/metrics", **allowed, Origin="http://evil.example")[0] == 403
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
            meta = {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "peer", "version": "1"},
            }
            params = {"name": "chat", "arguments": {"message": "Hello"}, "_meta": meta}
            told = {
                **allowed,
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2026-07-28",
                "Mcp-Method": "tools/call",
                "Mcp-Name": "chat",
            }
            body = json.dumps({**call, "params": params}).encode()
            with urlopen(Request(f"{address}/mcp", body, told), timeout=PATIENCE) as answer:
                assert b"You said: Hello" in answer.read()
            status, counters = fetched(f"{address}/metrics", **allowed)
            assert status == 200
            assert (
                'racto_requests_total{model="demo",operation="chat",outcome="ok",provider="simulated"} 1.0' in counters
            )

    await asyncio.to_thread(with_metrics)


def test_without_the_setting_there_are_no_metrics() -> None:
    with serving() as address:
        assert fetched(f"{address}/metrics")[0] == 404


def test_prometheus_without_its_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RACTO_PROMETHEUS", "true")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)  # as an import finds it that is not installed
    assert main(["serve", "--transport", "http", "--port", "0"]) == 2
    assert "racto[prometheus]" in capsys.readouterr().err


def test_over_stdio_prometheus_is_said_to_need_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RACTO_PROMETHEUS", "true")
    ended = subprocess.run(
        [sys.executable, "-m", "racto.server.cli", "serve"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert ended.stdout == ""
    assert "prometheus needs HTTP" in ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        f"https://me:{KEPT}@box.example/v1",
        f"https://{KEPT}@box.example/v1",
        f"https://box.example/v1?key={KEPT}",
        f"https://box.example/v1?api_key={KEPT}",
        f"https://box.example/v1?a=1&Token={KEPT}",
        f"https://box.example/v1?subscription-key={KEPT}",
        f"https://box.example/v1#access_token={KEPT}",
        f"https://box.example/v1?%6bey={KEPT}",
        f"me:{KEPT}@box.example",
        f"https://[box?key={KEPT}",
        f"https://me:{KEPT}@[::1/v1",
    ],
)
@pytest.mark.parametrize("form", ["openai={}", "{}", "registry"])
def test_a_key_in_an_address_is_refused_and_never_repeated(
    url: str, form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variable = "RACTO_REGISTRY_URL" if form == "registry" else "RACTO_BASE_URLS"
    monkeypatch.setenv(variable, url if form == "registry" else form.format(url))
    with pytest.raises(ConfigError, match=variable) as caught:
        load()
    assert KEPT not in str(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    if form != "{}" and url.startswith("https://") and "[" not in url:
        assert "racto keys set NAME" in str(caught.value)
    assert main(["config"]) == 2
    shown = capsys.readouterr()
    assert KEPT not in shown.out + shown.err


def test_an_address_in_a_setting_it_does_not_belong_in_is_shown_without_its_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"https://me:{KEPT}@box.example/v1?key={KEPT}"
    for variable in ("RACTO_PORT", "RACTO_MODELS", "RACTO_PREFER_CHAT", "RACTO_HOST"):
        with monkeypatch.context() as context:
            context.setenv(variable, url)
            main(["config"])
            main(["config", "--json"])
            main(["call", "chat", "--arg", "message=Hello"])
            shown = capsys.readouterr()
        assert "box.example" in shown.out + shown.err or "***" in shown.out + shown.err
        assert KEPT not in shown.out + shown.err, variable


def test_an_address_with_a_query_that_is_no_key_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://box.example/openai?api-version=2026-01-01"
    monkeypatch.setenv("RACTO_BASE_URLS", f"openai={url},ollama=http://box:11434")
    assert load().settings.base_urls == {"openai": url, "ollama": "http://box:11434"}


async def test_a_missing_key_is_told_with_the_command_that_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    async with house(tmp_path) as here:
        output = await here.call("chat", message="Hello")
    assert output.structured["code"] == "model_auth"
    assert "racto keys set OPENAI_API_KEY" in output.text


async def test_the_token_of_hugging_face_is_not_told_to_another_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", dialects.KEY)
    own = VLLM()
    async with (
        own.running() as base,
        house(tmp_path, models=("huggingface/plain",), base_urls={"huggingface": base}) as here,
    ):
        await here.ok("chat", message="Hello")
    (request,) = own.received
    assert dialects.KEY not in str(request.headers)
