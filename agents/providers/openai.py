"""OpenAI: chat completions, or the Responses API when asked for."""

from __future__ import annotations

from typing import Literal

from . import openai_chat, openai_responses
from .exchange import Key
from .openai_api import OpenAIEndpoint
from .wire import Dialect

DIALECT = Dialect(
    overflow=r"context_length_exceeded|maximum context length|exceeds the context window|string_above_max_length",
    missing=r"model_not_found|the model .* does not exist",
    unsupported=(
        r"unsupported_parameter|unsupported_value|unknown_parameter|(?:unsupported|unrecognized|unknown) (?:parameter|request argument)"
        r"[\w ]*: '?(?P<name>[\w.]+)"
    ),
    exhausted=r"insufficient_quota|billing_hard_limit_reached|exceeded your current quota",
    parameters={
        "max_completion_tokens": "max_tokens",
        "max_output_tokens": "max_tokens",
        "reasoning_effort": "reasoning",
        "reasoning.effort": "reasoning",
        "reasoning.summary": "reasoning",
        "response_format": "response_schema",
        "text.format": "response_schema",
    },
)

_EMBED_BATCH = 2048
_EMBED_BYTES = 600_000
"""A call may carry 300,000 tokens, and tokens of less than two bytes are rare in running text."""


class OpenAIProvider(OpenAIEndpoint):
    """OpenAI, or a proxy or Azure resource that speaks exactly as it does.

    :param api_key: `None` reads `OPENAI_API_KEY` at the first call.
    :param base_url: Another endpoint; `None` reads `OPENAI_BASE_URL`, or is OpenAI itself.
    :param api: `chat` for chat completions, `responses` for the Responses API.
    """

    local = False
    capabilities = frozenset({"chat", "stream", "embed", "tools", "schema", "images", "documents", "reasoning"})

    def __init__(
        self, api_key: Key = None, base_url: str | None = None, *, api: Literal["chat", "responses"] = "chat"
    ) -> None:
        form = openai_responses.FORM if api == "responses" else openai_chat.form(openai_chat.Quirks())
        super().__init__(
            "openai",
            DIALECT,
            form,
            "OPENAI_API_KEY",
            api_key=api_key,
            base_url=base_url,
            batch=_EMBED_BATCH,
            batch_bytes=_EMBED_BYTES,
        )
