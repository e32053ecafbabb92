"""What is told about calls, read back from the real OpenTelemetry SDK and the real Prometheus client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.parser import text_string_to_metric_families
from racto.agents import telemetry_names as names
from racto.agents.telemetry import GatewayMetricsMiddleware, RactoTracer, Telemetry
from racto.knowledge.errors import RateLimitedError
from racto.knowledge.vocabulary import (
    ChatRequest,
    EmbeddingResponse,
    LLMResponse,
    Message,
    MessageRole,
    ToolCallResult,
)

QUESTION = "canary-question"
ANSWER = "canary-answer"
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "cached_tokens": 40,
    "reasoning_tokens": 5,
}


class Listener:
    """A program that has set up OpenTelemetry."""

    def __init__(self, *, content: bool = False) -> None:
        self.exporter = InMemorySpanExporter()
        self.spans = TracerProvider()
        self.spans.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.telemetry = Telemetry(RactoTracer(self.spans, self.meters, content=content))

    def span(self) -> ReadableSpan:
        """The one span there is."""
        (span,) = self.exporter.get_finished_spans()
        return span

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Attributes and value of every point of a metric."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            (dict(point.attributes or {}), getattr(point, "sum", None) or getattr(point, "value", None))
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def close(self) -> None:
        self.spans.shutdown()
        self.meters.shutdown()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def request() -> ChatRequest:
    return ChatRequest(
        model="gpt-x",
        system="canary-system",
        messages=[Message(role=MessageRole.USER, content=QUESTION)],
        parameters={"temperature": 0.5, "stop": ["END"]},
        max_tokens=64,
    )


def answer() -> LLMResponse:
    return LLMResponse(
        content=ANSWER,
        model="gpt-x-2026",
        provider="openai",
        usage=USAGE,
        cost=Decimal("0.0012"),
        request_id="req-1",
        tool_calls=[ToolCallResult("c1", "look", {"at": "canary-argument"})],
    )


def test_every_name_of_the_conventions_is_the_conventions_own() -> None:
    known = {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    known |= {value for value in vars(gen_ai_metrics).values() if isinstance(value, str)}
    ours = [value for value in vars(names).values() if isinstance(value, str) and value.startswith("gen_ai.")]
    ours += [*names.USAGE.values(), *names.REQUEST_PARAMETERS.values()]
    assert len(ours) >= 25
    assert set(ours) <= known


def test_a_call_is_a_client_span_with_what_the_conventions_ask(listener: Listener) -> None:
    with listener.telemetry.span("chat", "openai", "gpt-x", request()) as call:
        call.record(answer())
    span = listener.span()
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-x", SpanKind.CLIENT, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.response.id": "req-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "racto.cost": 0.0012,
    }


def test_no_words_are_told_unless_asked() -> None:
    told = {}
    for content in (False, True):
        listening = Listener(content=content)
        with listening.telemetry.span("chat", "openai", "gpt-x", request()) as call:
            call.record(answer())
        told[content] = listening.span().to_json()
        listening.close()
    assert "canary" not in told[False]
    for word in (QUESTION, ANSWER, "canary-system", "canary-argument"):
        assert word in told[True]


def test_asked_for_words_are_written_as_the_conventions_write_messages() -> None:
    listening = Listener(content=True)
    with listening.telemetry.span("chat", "openai", "gpt-x", request()) as call:
        call.record(answer())
    attributes = listening.span().attributes or {}
    listening.close()
    assert json.loads(str(attributes["gen_ai.input.messages"])) == [
        {"role": "user", "parts": [{"type": "text", "content": QUESTION}]}
    ]
    (told,) = json.loads(str(attributes["gen_ai.output.messages"]))
    assert [part["type"] for part in told["parts"]] == ["text", "tool_call"]


def test_a_failed_call_tells_its_code_and_not_the_providers_words(listener: Listener) -> None:
    with pytest.raises(RateLimitedError), listener.telemetry.span("chat", "openai", "gpt-x"):
        raise RateLimitedError("Your question 'canary-question' came too often.")
    span = listener.span()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "rate_limited"
    assert span.events == ()
    assert "canary" not in span.to_json()
    ((attributes, _),) = listener.points("gen_ai.client.operation.duration")
    assert attributes["error.type"] == "rate_limited"


def test_metrics_count_tokens_retries_and_cache_lookups(listener: Listener) -> None:
    with listener.telemetry.span("embed", "voyage", "v") as call:
        call.record(EmbeddingResponse(vectors=[], model="v", usage={"prompt_tokens": 9, "completion_tokens": 0}))
    listener.telemetry.retried("voyage", "v", "overloaded")
    listener.telemetry.looked_up("exact", hit=True)
    listener.telemetry.looked_up("semantic", hit=False)
    tokens = {attributes["gen_ai.token.type"]: total for attributes, total in listener.points(names.TOKEN_USAGE)}
    assert tokens["input"] == 9
    assert listener.points(names.RETRIES)[0][1] == 1
    assert listener.points(names.CACHE_HITS) == [({"racto.cache": "exact"}, 1)]
    assert listener.points(names.CACHE_MISSES) == [({"racto.cache": "semantic"}, 1)]
    assert listener.span().name == "embeddings v"


def test_what_is_done_inside_a_call_is_below_its_span(listener: Listener) -> None:
    with listener.telemetry.span("chat", "openai", "gpt-x"):
        trace.get_tracer("http", tracer_provider=listener.spans).start_span("POST").end()
    inner, outer = listener.exporter.get_finished_spans()
    assert inner.parent is not None
    assert inner.parent == outer.get_span_context()


def test_a_stream_left_by_its_reader_is_no_error_and_says_when_the_first_words_came(listener: Listener) -> None:
    async def stream() -> AsyncIterator[int]:
        with listener.telemetry.span("stream", "openai", "gpt-x", request()) as call:
            call.streaming()
            for number in range(3):
                yield number

    async def leave() -> None:
        numbers = stream()
        await anext(numbers)
        # From another task, and so from another context, than it was opened in.
        await asyncio.create_task(numbers.aclose())  # type: ignore[attr-defined]  # an async generator has it

    asyncio.run(leave())
    span = listener.span()
    assert span.status.status_code is StatusCode.UNSET
    assert (span.attributes or {})["gen_ai.request.stream"] is True
    assert len(listener.points(names.FIRST_CHUNK_DURATION)) == 1


def test_prometheus_reads_what_was_counted() -> None:
    metrics = GatewayMetricsMiddleware()
    telling = Telemetry(metrics)
    with telling.span("stream", "openai", "gpt-x") as call:
        call.record(answer())
    with pytest.raises(RateLimitedError), telling.span("chat", "openai", "gpt-x"):
        raise RateLimitedError("Slower.")
    telling.retried("openai", "gpt-x", "rate_limited")
    telling.looked_up("exact", hit=True)
    telling.looked_up("exact", hit=False)
    samples = {
        (sample.name, sample.labels.get("outcome") or sample.labels.get("type") or ""): sample.value
        for family in text_string_to_metric_families(metrics.exposition())
        for sample in family.samples
    }
    assert samples["racto_requests_total", "ok"] == 1
    assert samples["racto_requests_total", "rate_limited"] == 1
    assert samples["racto_tokens_total", "input"] == 100
    assert samples["racto_tokens_total", "output"] == 20
    assert samples["racto_request_duration_seconds_count", ""] == 2
    assert samples["racto_cost_dollars_total", ""] == pytest.approx(0.0012)
    assert samples["racto_retries_total", ""] == 1
    assert samples["racto_cache_hits_total", ""] == samples["racto_cache_misses_total", ""] == 1


def test_without_recorders_nothing_of_opentelemetry_is_needed() -> None:
    with Telemetry().span("chat", "openai", "gpt-x") as call:
        call.record(answer())
    assert call.outcome is not None
    assert call.seconds > 0
