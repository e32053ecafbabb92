"""What happens to calls, told to whoever listens: OpenTelemetry spans and metrics, Prometheus.

Names follow the OpenTelemetry semantic conventions for generative AI (`gen_ai.*`); what they do not name is `racto.*`.
No prompt and no answer is told unless it is asked for, and of an error only its code: a provider's words may repeat the question.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..knowledge.errors import ConfigError, RactoError
from ..knowledge.vocabulary import ChatRequest, EmbeddingResponse, LLMResponse, Message

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Span, TracerProvider
    from prometheus_client import CollectorRegistry

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_PARAMETERS = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "stop": "gen_ai.request.stop_sequences",
}
OUTPUT_TYPE = "gen_ai.output.type"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
USAGE = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}
ERROR_TYPE = "error.type"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - the kind of a language model's token
CACHE = "racto.cache"
COST = "racto.cost"

OPERATION_DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK_DURATION = "gen_ai.client.operation.time_to_first_chunk"
TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105 - likewise
RETRIES = "racto.retries"
CACHE_HITS = "racto.cache.hits"
CACHE_MISSES = "racto.cache.misses"

PROMETHEUS_REQUESTS = "racto_requests_total"
PROMETHEUS_DURATION = "racto_request_duration_seconds"
PROMETHEUS_RETRIES = "racto_retries_total"
PROMETHEUS_TOKENS = "racto_tokens_total"
PROMETHEUS_COST = "racto_cost_dollars_total"
PROMETHEUS_CACHE_HITS = "racto_cache_hits_total"
PROMETHEUS_CACHE_MISSES = "racto_cache_misses_total"

SECONDS_BUCKETS = tuple(0.01 * 2**power for power in range(14))
TOKENS_BUCKETS = tuple(4**power for power in range(14))
"""Bounds of the histograms, as the conventions advise."""

_OPERATIONS = {"stream": "chat", "embed": "embeddings"}
_TOKEN_TYPES = {"prompt_tokens": "input", "completion_tokens": "output"}

Outcome = LLMResponse | EmbeddingResponse
Ended = Callable[[], None]


@dataclass(slots=True)
class Observation:
    """One call, as it is seen while it runs and when it has ended.

    :param operation: `chat`, `stream` or `embed`.
    :param seconds: How long it took.
    :param first_chunk: Seconds until the first words of a stream.
    :param error: Its code when it failed: that of a `RactoError`, or the name of the class.
    """

    operation: str
    provider: str
    model: str
    request: ChatRequest | None = None
    outcome: Outcome | None = None
    error: str = ""
    seconds: float = 0.0
    first_chunk: float | None = None
    _clock: Callable[[], float] = time.perf_counter
    _begun: float = 0.0

    def __post_init__(self) -> None:
        self._begun = self._clock()

    def record(self, outcome: Outcome | BaseException) -> None:
        """How it ended: the answer, or the error. An error that leaves the span is recorded by itself."""
        self.seconds = self._clock() - self._begun
        if isinstance(outcome, BaseException):
            self.error = outcome.code if isinstance(outcome, RactoError) else type(outcome).__name__
        else:
            self.outcome, self.error = outcome, ""

    def streaming(self) -> None:
        """The first words of a stream are there."""
        if self.first_chunk is None:
            self.first_chunk = self._clock() - self._begun


class Recorder(Protocol):
    """Where it is told to."""

    def begin(self, call: Observation) -> Ended:
        """A call begins; what is returned is called when it has ended."""
        ...

    def retried(self, provider: str, model: str, code: str) -> None:
        """A call failed with this code and is tried again."""
        ...

    def looked_up(self, cache: str, hit: bool) -> None:
        """A cache was asked."""
        ...


class Telemetry:
    """What the gateway tells; without recorders nobody hears it.

    :param recorders: `RactoTracer`, `GatewayMetricsMiddleware`, or one of your own.
    :param clock: Seconds that only go up.
    """

    def __init__(self, *recorders: Recorder, clock: Callable[[], float] = time.perf_counter) -> None:
        self._recorders = recorders
        self._clock = clock

    @contextmanager
    def span(
        self, operation: str, provider: str, model: str, request: ChatRequest | None = None
    ) -> Iterator[Observation]:
        """One call to one provider. Give its answer to `record`; an error that leaves the block records itself.

        May enclose the `yield`s of a stream; a stream its reader has left is no error.
        """
        call = Observation(operation, provider, model, request, _clock=self._clock)
        ended = [recorder.begin(call) for recorder in self._recorders]
        try:
            yield call
        except GeneratorExit:
            raise
        except BaseException as error:
            call.record(error)
            raise
        finally:
            call.seconds = call.seconds or self._clock() - call._begun
            for end in reversed(ended):
                end()

    def retried(self, provider: str, model: str, code: str) -> None:
        """A call failed with this code and is tried again."""
        for recorder in self._recorders:
            recorder.retried(provider, model, code)

    def looked_up(self, cache: Literal["exact", "semantic"], hit: bool) -> None:
        """A cache was asked."""
        for recorder in self._recorders:
            recorder.looked_up(cache, hit)


class RactoTracer:
    """Spans and metrics through the OpenTelemetry API: whatever SDK and exporter the program has set up receives them.

    :param tracer_provider: Instead of the program's.
    :param meter_provider: Likewise.
    :param content: Whether spans carry the words of questions and answers. Files are never told.
    :raises ConfigError: the API is not installed.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        content: bool = False,
    ) -> None:
        try:
            from opentelemetry import metrics, trace
        except ModuleNotFoundError:
            raise ConfigError("OpenTelemetry is not installed.", "Install it: pip install 'racto[telemetry]'") from None
        self._tracer = trace.get_tracer("racto", tracer_provider=tracer_provider)
        meter = metrics.get_meter("racto", meter_provider=meter_provider)

        def histogram(name: str, unit: str, buckets: Sequence[float]) -> Histogram:
            return meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=buckets)

        self._duration = histogram(OPERATION_DURATION, "s", SECONDS_BUCKETS)
        self._first_chunk = histogram(FIRST_CHUNK_DURATION, "s", SECONDS_BUCKETS)
        self._tokens = histogram(TOKEN_USAGE, "{token}", TOKENS_BUCKETS)
        self._retries = meter.create_counter(RETRIES, unit="{retry}")
        self._hits = meter.create_counter(CACHE_HITS, unit="{hit}")
        self._misses = meter.create_counter(CACHE_MISSES, unit="{miss}")
        self._content = content

    def begin(self, call: Observation) -> Ended:
        """Start the span; the work of a call, though not of a stream, happens inside it."""
        from opentelemetry import context, trace

        about = _about(call)
        span = self._tracer.start_span(
            f"{about[OPERATION]} {call.model}", kind=trace.SpanKind.CLIENT, attributes=about | _asked(call)
        )
        # A stream may be closed from another context than it was opened in, and its span cannot be current in both.
        token = None if call.operation == "stream" else context.attach(trace.set_span_in_context(span))

        def end() -> None:
            if token is not None:
                context.detach(token)
            if span.is_recording():
                self._describe(span, call)
            span.end()
            self._measure(call, about)

        return end

    def retried(self, provider: str, model: str, code: str) -> None:
        """Count a retry."""
        self._retries.add(1, {PROVIDER: provider, REQUEST_MODEL: model, ERROR_TYPE: code})

    def looked_up(self, cache: str, hit: bool) -> None:
        """Count a hit or a miss."""
        (self._hits if hit else self._misses).add(1, {CACHE: cache})

    def _describe(self, span: Span, call: Observation) -> None:
        from opentelemetry.trace import StatusCode

        span.set_attributes(_answered(call))
        if self._content:
            span.set_attributes(_words(call))
        if call.error:
            span.set_attribute(ERROR_TYPE, call.error)
            span.set_status(StatusCode.ERROR, call.error)

    def _measure(self, call: Observation, about: Mapping[str, Any]) -> None:
        seen = {key: about[key] for key in (OPERATION, PROVIDER, REQUEST_MODEL)}
        if call.outcome is not None and call.outcome.model:
            seen[RESPONSE_MODEL] = call.outcome.model
        self._duration.record(call.seconds, seen | ({ERROR_TYPE: call.error} if call.error else {}))
        if call.first_chunk is not None:
            self._first_chunk.record(call.first_chunk, seen)
        for name, kind in _TOKEN_TYPES.items():
            if call.outcome is not None and (count := call.outcome.usage.get(name)) is not None:
                self._tokens.record(count, {**seen, TOKEN_TYPE: kind})


class GatewayMetricsMiddleware:
    """Counters and a histogram for Prometheus.

    :param registry: Where they are registered; by default one of their own.
    :raises ConfigError: `prometheus-client` is not installed.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Histogram
        except ModuleNotFoundError:
            raise ConfigError(
                "The Prometheus client is not installed.", "Install it: pip install 'racto[prometheus]'"
            ) from None
        self.registry = registry or CollectorRegistry()
        call = ("operation", "provider", "model")

        def counter(name: str, help_: str, *labels: str) -> Counter:
            return Counter(name, help_, labels, registry=self.registry)

        self._requests = counter(PROMETHEUS_REQUESTS, "Calls to models, by how they ended.", *call, "outcome")
        self._tokens = counter(PROMETHEUS_TOKENS, "Tokens read and written.", *call, "type")
        self._cost = counter(PROMETHEUS_COST, "US dollars, where the price is known.", *call)
        self._retries = counter(PROMETHEUS_RETRIES, "Calls tried again.", "provider", "model", "error")
        self._hits = counter(PROMETHEUS_CACHE_HITS, "Answers a cache had.", "cache")
        self._misses = counter(PROMETHEUS_CACHE_MISSES, "Answers a cache did not have.", "cache")
        self._duration = Histogram(
            PROMETHEUS_DURATION, "Seconds a call took.", call, registry=self.registry, buckets=SECONDS_BUCKETS
        )

    def begin(self, call: Observation) -> Ended:
        """Count the call when it has ended."""

        def end() -> None:
            labels = (_OPERATIONS.get(call.operation, call.operation), call.provider, call.model)
            self._requests.labels(*labels, call.error or "ok").inc()
            self._duration.labels(*labels).observe(call.seconds)
            if call.outcome is None:
                return
            for name, kind in _TOKEN_TYPES.items():
                self._tokens.labels(*labels, kind).inc(call.outcome.usage.get(name, 0))
            if call.outcome.cost is not None:
                self._cost.labels(*labels).inc(float(call.outcome.cost))

        return end

    def retried(self, provider: str, model: str, code: str) -> None:
        """Count a retry."""
        self._retries.labels(provider, model, code).inc()

    def looked_up(self, cache: str, hit: bool) -> None:
        """Count a hit or a miss."""
        (self._hits if hit else self._misses).labels(cache).inc()

    def exposition(self) -> str:
        """All of it in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry).decode()


def _about(call: Observation) -> dict[str, Any]:
    return {
        OPERATION: _OPERATIONS.get(call.operation, call.operation),
        PROVIDER: call.provider,
        REQUEST_MODEL: call.model,
    }


def _asked(call: Observation) -> dict[str, Any]:
    """The parameters of a call, without its words."""
    request = call.request
    if request is None:
        return {}
    told: dict[str, Any] = {REQUEST_MAX_TOKENS: request.max_tokens}
    told |= {key: request.parameters[name] for name, key in REQUEST_PARAMETERS.items() if name in request.parameters}
    if call.operation == "stream":
        told[REQUEST_STREAM] = True
    if request.response_schema is not None:
        told[OUTPUT_TYPE] = "json"
    return told


def _answered(call: Observation) -> dict[str, Any]:
    """What is known of an answer, without its words."""
    outcome = call.outcome
    if outcome is None:
        return {}
    told: dict[str, Any] = {key: outcome.usage[name] for name, key in USAGE.items() if name in outcome.usage}
    if outcome.model:
        told[RESPONSE_MODEL] = outcome.model
    if outcome.cost is not None:
        told[COST] = float(outcome.cost)
    if call.first_chunk is not None:
        told[TIME_TO_FIRST_CHUNK] = call.first_chunk
    if isinstance(outcome, LLMResponse):
        told[FINISH_REASONS] = [outcome.finish_reason.value]
        if outcome.request_id:
            told[RESPONSE_ID] = outcome.request_id
    return told


def _words(call: Observation) -> dict[str, str]:
    """The question and the answer, as the conventions write messages."""
    told: dict[str, Any] = {}
    if call.request is not None:
        told[INPUT_MESSAGES] = [_message(message) for message in call.request.messages]
        if call.request.system:
            told[SYSTEM_INSTRUCTIONS] = [_text(call.request.system)]
    if isinstance(answer := call.outcome, LLMResponse):
        parts = [_text(answer.content)] if answer.content else []
        parts += [_call(each.id, each.name, each.arguments) for each in answer.tool_calls]
        told[OUTPUT_MESSAGES] = [{"role": "assistant", "parts": parts, "finish_reason": answer.finish_reason.value}]
    return {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()}


def _message(message: Message) -> dict[str, Any]:
    if message.tool_call_id:
        parts = [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}]
    else:
        parts = [_text(message.content)] if message.content else []
    parts += [_call(each.id, each.name, each.arguments) for each in message.tool_calls]
    return {"role": message.role.value, "parts": parts}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _call(call_id: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}
