"""The classifier with the real kit of every provider, over the wire to a server of its dialect."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from racto.knowledge.errors import UnknownNameError
from racto.tools.classify.answers import ClassifierResult
from racto.tools.classify.pipeline import AsyncListClassifierPipeline

from tests import dialects
from tests.classifying import SUPPORT
from tests.dialects.anthropic import Anthropic
from tests.dialects.google import Google
from tests.dialects.huggingface import TGI
from tests.dialects.ollama import Ollama
from tests.dialects.openai import OpenAI
from tests.dialects.server import Line, Received

ANSWER = '{"label": "Sales", "confidence": 0.75}'


def _openai(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def _anthropic(text: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_reason": "end_turn",
        "stop_sequence": None,
    }
    return told | {"content": [{"type": "text", "text": text}], "usage": {"input_tokens": 30, "output_tokens": 5}}


def _google(text: str) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 30, "candidatesTokenCount": 5, "totalTokenCount": 35}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}


def _ollama(text: str) -> dict[str, Any]:
    told = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": True, "done_reason": "stop"}
    return told | {"message": {"role": "assistant", "content": text}, "prompt_eval_count": 30, "eval_count": 5}


def _refusal(dialect: str) -> dict[str, Any]:
    message = "The schema is too complex: reduce the number of enum values."
    if dialect == "anthropic":
        return {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    if dialect == "google":
        return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}
    if dialect == "ollama":
        return {"error": message}
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


DIALECTS: dict[str, tuple[type[Any], Callable[[str], dict[str, Any]]]] = {
    "openai": (OpenAI, _openai),
    "anthropic": (Anthropic, _anthropic),
    "google": (Google, _google),
    "ollama": (Ollama, _ollama),
    "huggingface": (TGI, _openai),
}


def _is_chat(request: Received) -> bool:
    return request.body is not None and any(name in request.body for name in ("messages", "contents"))


def _server(name: str, each: Callable[[bool], str | None]) -> Any:
    """A server of a dialect whose model answers what `each` makes of whether a schema came; `None` refuses."""
    kind, form = DIALECTS[name]
    server = kind()
    usual = server.answer

    async def answer(scenario: str, request: Received, line: Line) -> None:
        if not _is_chat(request):
            await usual(scenario, request, line)
            return
        text = each(server.sent_schema(request) is not None)
        if text is None:
            await line.json(_refusal(name), status=400)
        else:
            await line.json(form(text))

    server.answer = answer
    return server


def _classified(name: str, server: Any, *texts: str, **settings: Any) -> tuple[list[ClassifierResult], list[Received]]:
    async def main() -> list[ClassifierResult]:
        async with asyncio.timeout(30), server.running() as base:
            options = server.options(base)
            pipeline = AsyncListClassifierPipeline.from_provider(
                name, "plain", api_key=dialects.KEY, base_url=options["base_url"], options=SUPPORT, **settings
            )
            results = [await pipeline.run(text) for text in texts]
            await pipeline.kit.gateway.aclose()
            return [result for result in results if isinstance(result, ClassifierResult)]

    results = asyncio.run(main())
    return results, [request for request in server.received if _is_chat(request)]


@pytest.mark.parametrize("name", DIALECTS)
def test_the_provider_is_held_to_the_labels_where_it_can_be(name: str) -> None:
    server = _server(name, lambda _: ANSWER)
    (result,), (sent,) = _classified(name, server, "I want to buy")
    schema = server.sent_schema(sent)
    assert schema is not None
    assert schema["properties"]["label"]["enum"] == SUPPORT
    assert (result.selected, result.confidences, result.error) == (["Sales"], [0.75], None)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (30, 5)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_provider_that_refuses_the_schema_is_asked_in_words(name: str) -> None:
    server = _server(name, lambda schema: None if schema else "Sales.")
    results, sent = _classified(name, server, "I want to buy", "And I too")
    assert [result.selected for result in results] == [["Sales"], ["Sales"]]
    assert [server.sent_schema(request) is not None for request in sent] == [True, False, False]


@pytest.mark.parametrize("name", DIALECTS)
def test_what_a_provider_answers_off_the_list_is_uncertain(name: str) -> None:
    (result,), sent = _classified(name, _server(name, lambda _: '{"label": "Not Billing"}'), "x", max_retries=1)
    assert (result.selected, result.uncertain) == ([], True)
    assert len(sent) == 2


def test_log_probabilities_are_those_of_the_tokens_that_name_the_label() -> None:
    tokens = [
        ('{"', -0.5),
        ("label", 0.0),
        ('":', 0.0),
        (' "', 0.0),
        ("Sa", math.log(0.8)),
        ("les", math.log(0.5)),
        ('"', 0.0),
        ("}", -0.1),
    ]
    told: list[dict[str, Any]] = [
        {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": []} for token, logprob in tokens
    ]

    class Telling(OpenAI):
        async def answer(self, scenario: str, request: Received, line: Line) -> None:
            assert request.body["logprobs"] is True
            whole = _openai('{"label": "Sales"}')
            whole["choices"][0]["logprobs"] = {"content": told, "refusal": None}
            await line.whole(json.dumps(whole).encode())

    (result,), _ = _classified("openai", Telling(), "x", confidence_from="log-probabilities")
    assert result.confidence_kind == "log-probabilities"
    assert result.top_confidence == pytest.approx(0.4)


def test_a_provider_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="opnai"):
        AsyncListClassifierPipeline.from_provider("opnai", "m")
