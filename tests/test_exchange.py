"""What adapters that share `Exchange` do around a call, whichever provider it goes to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from racto.agents.providers import make
from racto.agents.providers.anthropic_messages import body as anthropic_body
from racto.agents.providers.google_contents import body as google_body
from racto.knowledge.errors import RactoGatewayAuthError
from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import Message, MessageRole

from tests import dialects
from tests.dialects.anthropic import Anthropic
from tests.dialects.google import Google
from tests.dialects.server import sent_key
from tests.exchanges import WAYS, examined, request
from tests.provider_contract import Examined
from tests.provider_scenarios import TOOLS

BOTH = pytest.mark.parametrize("dialect_type", [Anthropic, Google])
FILES = [
    RactoFile(dialects.PNG, "image/png"),
    RactoFile(dialects.PDF, "application/pdf"),
    RactoFile(b"note", "text/plain"),
    RactoFile(b"\x00", "application/zip", "a.zip"),
]
PROMPT = RactoPrompt(role="r", aim="a", constraints=["c"], tone="t", output_format="text")


def test_attachments_have_the_shape_prompts_give_them() -> None:
    asked = request("m", messages=[Message(role=MessageRole.USER, content="What?", attachments=FILES)])
    _, to_claude = PROMPT.to_messages("What?", attachments=FILES, provider="anthropic")
    _, to_gemini = PROMPT.to_messages("What?", attachments=FILES, provider="google")
    assert anthropic_body(asked)["messages"] == [to_claude]
    assert google_body(asked)["contents"] == [{"role": "user", "parts": to_gemini["content"]}]


@WAYS
@BOTH
def test_a_turn_of_text_and_calls_needs_nothing_of_its_own(dialect_type: type[Any], way: str) -> None:
    async def check(x: Examined) -> None:
        assert (await x.ask("tools-and-text", tools=TOOLS)).native == {}

    asyncio.run(examined(dialect_type(), check, way))


@pytest.mark.parametrize(("provider", "variable"), [("anthropic", "ANTHROPIC_API_KEY"), ("google", "GEMINI_API_KEY")])
def test_without_a_key_the_error_says_which_variable_to_set(
    provider: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (variable, "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RactoGatewayAuthError, match=variable) as caught:
        asyncio.run(make(provider).chat(request("m")))
    assert (caught.value.provider, caught.value.model) == (provider, "m")


@pytest.mark.parametrize(
    ("dialect_type", "environment"),
    [
        (Anthropic, {"ANTHROPIC_API_KEY": dialects.KEY, "ANTHROPIC_AUTH_TOKEN": "another"}),
        (Google, {"GEMINI_API_KEY": dialects.KEY, "GOOGLE_API_KEY": "another"}),
        (Google, {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": dialects.KEY, "GOOGLE_GENAI_USE_VERTEXAI": "true"}),
    ],
)
def test_the_key_is_read_from_the_environment_and_goes_where_it_belongs(
    dialect_type: type[Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def run() -> None:
        dialect = dialect_type()
        async with dialect.running() as base:
            provider = make(dialect.provider, base_url=base)
            assert (await provider.chat(request("plain"))).content == dialects.TEXT
            await provider.aclose()
        (received,) = dialect.received
        assert sent_key(received) == dialects.KEY

    asyncio.run(run())
