"""Servers that copied OpenAI's chat completions, each with what it does in its own way."""

from __future__ import annotations

from typing import Any, ClassVar

from tests import dialects
from tests.dialects.openai import OpenAI
from tests.dialects.server import Line, Received

_NO_OPENING = {"an opening event that is missing is not missed": "a stream of chat completions has no opening event"}


class _Copy(OpenAI):
    """What they have in common: `max_tokens`, and reasoning beside the answer."""

    provider = "openai_compatible"
    thinking = "reasoning_content"
    refused: ClassVar[dict[str, tuple[int, dict[str, Any]]]] = {}

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """In these servers' words where OpenAI's are not theirs."""
        if scenario in self.refused:
            status, body = self.refused[scenario]
            await line.json(body, status=status)
        else:
            await super().answer(scenario, request, line)

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["max_tokens"])


class VLLM(_Copy):
    """vLLM: errors with the status as their code; no key needed; no refusals of its own."""

    extra = ("top_k", 20)
    cannot: ClassVar[dict[str, str]] = {
        **_NO_OPENING,
        "a pdf is sent byte for byte": "vLLM takes no file parts",
    }
    refused: ClassVar[dict[str, tuple[int, dict[str, Any]]]] = {
        "overflow": (
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 2048 tokens. However, your request has 3000 input tokens.",
                    "type": "BadRequestError",
                    "param": "input_tokens",
                    "code": 400,
                }
            },
        ),
        "unsupported-parameter": (
            400,
            {
                "object": "error",
                "message": "Unsupported parameter: 'temperature'",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            },
        ),
    }

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"base_url": f"{base}/v1", "server": "vllm", "api_key": dialects.KEY}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """As vLLM said it before it nested them: the error is the whole body."""
        body, headers = super().error(status)
        return {"object": "error", **body["error"], "type": "BadRequestError", "code": status}, headers


class OpenRouter(_Copy):
    """OpenRouter: reasoning by an object, comments while a model is waited for, errors within chunks."""

    extra = ("transforms", ["middle-out"])
    thinking = "reasoning"
    cannot: ClassVar[dict[str, str]] = _NO_OPENING
    refused: ClassVar[dict[str, tuple[int, dict[str, Any]]]] = {
        "exhausted": (
            402,
            {"error": {"code": 402, "message": "Insufficient credits. Add more using the settings page."}},
        ),
        "overflow": (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "This endpoint's maximum context length is 8192 tokens. However, you requested about 9001.",
                }
            },
        ),
    }

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"base_url": f"{base}/v1", "server": "openrouter", "api_key": dialects.KEY}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"error": {code, message, metadata}}`, the code being the status."""
        body, headers = super().error(status)
        return {
            "error": {"code": status, "message": body["error"]["message"], "metadata": {"provider_name": "Somebody"}}
        }, headers


class Mistral(_Copy):
    """Mistral: `random_seed`, `any` for `required`, usage in every stream without being asked, errors as a flat object."""

    extra = ("safe_prompt", True)
    cannot: ClassVar[dict[str, str]] = {
        **_NO_OPENING,
        "a pdf is sent byte for byte": "Mistral takes documents by URL only",
        "a quota that is used up is not worth another try": "Mistral says it with a 402 and no words of its own",
    }
    usage_unasked = True
    refused: ClassVar[dict[str, tuple[int, dict[str, Any]]]] = {
        "overflow": (
            400,
            {
                "object": "error",
                "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
                "type": "invalid_request_error",
                "param": None,
                "code": "3051",
            },
        ),
        "unsupported-parameter": (
            422,
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "temperature"],
                            "msg": "Extra inputs are not permitted",
                            "input": 0.7,
                        }
                    ]
                },
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        ),
    }

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"base_url": f"{base}/v1", "server": "mistral", "api_key": dialects.KEY}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"object": "error", message, type, param, code}`."""
        body, headers = super().error(status)
        return {"object": "error", **body["error"], "code": "1000"}, headers

    def sent_choice(self, request: Received) -> Any:
        """`tool_choice`, a named one as its name, `any` as `required`."""
        choice = super().sent_choice(request)
        assert choice != "required"
        return "required" if choice == "any" else choice

    def sent_parameters(self, request: Received) -> dict[str, Any]:
        """Sampling parameters, under our names."""
        assert "seed" not in request.body
        assert "stream_options" not in request.body
        seed = {"seed": request.body["random_seed"]} if "random_seed" in request.body else {}
        return {**super().sent_parameters(request), **seed}
