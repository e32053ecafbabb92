"""Hugging Face's router, as its documentation says it, and Text Generation Inference, as its source does."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from tests import dialects
from tests.dialects.openai import OpenAI
from tests.dialects.server import Line, Received

_NOT_SAID = {
    "an opening event that is missing is not missed": "a stream of chat completions has no opening event",
    "a pdf is sent byte for byte": "neither takes file parts",
}
_FEATURES = re.compile(r"/hf-inference/models/(?P<model>.+)/pipeline/feature-extraction")


class HuggingFace(OpenAI):
    """The Inference API: chat completions for all providers, and the `feature-extraction` of `hf-inference`."""

    provider = "huggingface"
    extra = ("top_k", 20)
    thinking = "reasoning"
    cannot: ClassVar[dict[str, str]] = _NOT_SAID

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"api_key": dialects.KEY, "router": base}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"error": text}`."""
        message = "Invalid token THE-KEY." if status == 401 else f"Told to fail with {status}."
        return {"error": message}, {"retry-after": "7"} if status == 429 else {}

    def scenario(self, request: Received) -> str:
        """The name of the model, which is in the URL of an embedding."""
        found = _FEATURES.fullmatch(request.path)
        return found["model"] if found else super().scenario(request)

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """In Hugging Face's words where OpenAI's are not theirs."""
        if _FEATURES.fullmatch(request.path):
            await self._features(scenario, request.body["inputs"], line)
        elif scenario == "exhausted":
            message = "You have depleted your monthly included credits. Purchase pre-paid credits to continue."
            await line.json({"error": message}, status=402)
        elif scenario == "not-served":
            error = {
                "message": "The requested model 'not-served' is not supported by any provider you have enabled.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_supported",
            }
            await line.json({"error": error}, status=400)
        else:
            await super().answer(scenario, request, line)

    async def _features(self, scenario: str, texts: list[str], line: Line) -> None:
        assert len(texts) <= 32
        if scenario == "loading":
            await line.json({"error": "Model loading is currently loading", "estimated_time": 20.5}, status=503)
        elif scenario == "too-few":
            await line.json([])
        elif scenario == "per-token":
            await line.json([[dialects.vector_of(text), [0.0, 0.0, 0.0]] for text in texts])
        else:
            await line.json([dialects.vector_of(text) for text in texts])

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["max_tokens"])


class TGI(OpenAI):
    """Text Generation Inference on one's own machine: `{"error": text, "error_type": kind}`, no key needed."""

    provider = "huggingface"
    extra = ("top_k", 20)
    thinking = "reasoning_content"
    cannot: ClassVar[dict[str, str]] = {
        **_NOT_SAID,
        "a quota that is used up is not worth another try": "there is no quota on one's own machine",
    }
    refused: ClassVar[dict[str, str]] = {
        "overflow": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4100 `inputs` tokens",
        "unsupported-parameter": "Input validation error: unsupported parameter: `temperature`",
    }

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"api_key": dialects.KEY, "base_url": base}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"error": text, "error_type": kind}`."""
        message = "unauthorized THE-KEY" if status == 401 else f"Told to fail with {status}."
        kind = "overloaded" if status in (429, 503, 529) else "generation"
        return {"error": message, "error_type": kind}, {"retry-after": "7"} if status == 429 else {}

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """In its own words where OpenAI's are not its."""
        if scenario in self.refused:
            await line.json({"error": self.refused[scenario], "error_type": "validation"}, status=422)
        else:
            await super().answer(scenario, request, line)

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["max_tokens"])
