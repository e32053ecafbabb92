"""A key that was planted is found nowhere: not in traces with content, the log at debug, the database, results, errors, `racto config` or `racto doctor`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from racto.agents.gateway import ModelGateway
from racto.agents.providers.openai import OpenAIProvider
from racto.agents.retry import RetryConfig
from racto.agents.routing import Endpoint
from racto.agents.telemetry import RactoTracer, Telemetry
from racto.knowledge.errors import RactoGatewayError
from racto.knowledge.vocabulary import ChatConfig
from racto.server.secrets import KNOWN

from tests import dialects
from tests.dialects.openai import OpenAI
from tests.test_chat_tools import kept_bytes

pytestmark = pytest.mark.anyio

TOKEN = "canary-token-0123456789"
FAILING = ("status-401", "status-500", "exhausted", "overflow", "error-in-200")
FINAL = ("status-401", "status-404", "exhausted", "overflow")
"""Failures that are not tried again, so that nobody waits."""


def environment(home: Path, base: str) -> dict[str, str]:
    """Keys in the environment and in the secrets file, and everything told that can be."""
    secrets = home / ".config" / "racto" / "secrets.toml"
    secrets.parent.mkdir(parents=True, exist_ok=True)
    secrets.touch(mode=0o600)
    secrets.write_text(f'OPENAI_API_KEY = "{dialects.KEY}"\n')
    usual = {name: value for name, value in os.environ.items() if name not in KNOWN and not name.startswith("RACTO_")}
    return usual | {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "RACTO_DATABASE": str(home / "racto.db"),
        "RACTO_ROOTS": str(home),
        "RACTO_MODELS": "openai/plain",
        "RACTO_BASE_URLS": f"openai={base}/v1",
        "RACTO_CACHE_SECONDS": "60",
        "RACTO_LOG_LEVEL": "debug",
        "RACTO_TELEMETRY": "true",
        "RACTO_TOKEN": TOKEN,
    }


def told(result: CallToolResult) -> str:
    return result.model_dump_json()


async def test_the_running_server_tells_no_key_in_results_errors_log_or_file(tmp_path: Path) -> None:
    model, log = OpenAI(), tmp_path / "log"
    async with model.running() as base:
        server = StdioServerParameters(
            command=sys.executable, args=["-m", "racto.server.cli", "serve"], env=environment(tmp_path, base)
        )
        texts = []
        with log.open("w") as errlog:
            async with Client(stdio_client(server, errlog=errlog)) as client:
                for name in ("plain", *FINAL):
                    asked = {"message": "Hello", "model": f"openai/{name}", "context_id": "c"}
                    texts.append(told(await client.call_tool("chat", asked)))
                texts.append(told(await client.call_tool("embed", {"texts": ["a"], "model": "openai/plain"})))
                texts.append(told(await client.call_tool("models_list", {"provider": "openai", "live": True})))
                texts.append(told(await client.call_tool("usage_report", {})))
                texts.append(told(await client.call_tool("chat", {"message": "Hello", "model": "nobody/x"})))
                texts += [
                    (await client.list_tools()).model_dump_json(),
                    (await client.list_resources()).model_dump_json(),
                ]
                for each in (await client.list_resources()).resources:
                    texts.append((await client.read_resource(str(each.uri))).model_dump_json())
    sent = [request for request in model.received if dialects.KEY in str(request.headers)]
    assert len(sent) >= len(FINAL)  # it was really used
    assert dialects.TEXT.partition("\n")[0] in texts[0]
    assert len(log.read_text()) > 1_000
    assert "DEBUG" in log.read_text()
    (tmp_path / ".config" / "racto" / "secrets.toml").unlink()  # the one place it belongs
    for canary in (dialects.KEY, TOKEN):
        assert not [text for text in texts if canary in text]
        assert canary.encode() not in kept_bytes(tmp_path)  # the log lies there too
    assert len(kept_bytes(tmp_path)) > 10_000


@pytest.mark.parametrize("command", [["config"], ["config", "--json"], ["doctor"], ["keys"], ["models"], ["usage"]])
async def test_a_command_shows_no_key(command: list[str], tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "racto.server.cli", *command),
        env=environment(tmp_path, "http://127.0.0.1:9"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    shown = (await process.communicate())[0].decode()
    assert len(shown) > 20
    assert dialects.KEY not in shown
    assert TOKEN not in shown


async def test_traces_with_content_hold_the_words_and_no_key() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    model = OpenAI()
    async with model.running() as base:
        openai = OpenAIProvider(api_key=dialects.KEY, base_url=f"{base}/v1")
        for name in ("plain", *FAILING):
            gateway = ModelGateway(
                chain=[Endpoint(openai, name)],
                retry=RetryConfig(max_attempts=2, initial_delay=0.0),
                telemetry=Telemetry(RactoTracer(provider, content=True)),
            )
            with nullcontext() if name == "plain" else pytest.raises(RactoGatewayError) as caught:
                await gateway.chat(ChatConfig(user_message="Where do walruses live?"))
            assert dialects.KEY not in str(caught and caught.value)
        await openai.aclose()
    spans = kept.get_finished_spans()
    assert len(spans) == 1 + len(FAILING)
    text = json.dumps([span.to_json() for span in spans])
    assert "walruses" in text
    assert dialects.KEY not in text
    assert any(dialects.KEY in str(request.headers) for request in model.received)
