"""What happens to calls, told to whoever listens: OpenTelemetry spans and metrics, Prometheus.

What things are called is in `telemetry_names.py`.
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
from . import telemetry_names as names

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Span, TracerProvider
    from prometheus_client import CollectorRegistry

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

    def discovered(self, provider: str, model: str, parameter: str) -> None:
        """A model turned out not to take a parameter."""
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

    def looked_up(self, cache: Literal["exact", "semantic", "operation"], hit: bool) -> None:
        """A cache was asked."""
        for recorder in self._recorders:
            recorder.looked_up(cache, hit)

    def discovered(self, provider: str, model: str, parameter: str) -> None:
        """A model turned out not to take a parameter."""
        for recorder in self._recorders:
            recorder.discovered(provider, model, parameter)


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

        self._duration = histogram(names.OPERATION_DURATION, "s", names.SECONDS_BUCKETS)
        self._first_chunk = histogram(names.FIRST_CHUNK_DURATION, "s", names.SECONDS_BUCKETS)
        self._tokens = histogram(names.TOKEN_USAGE, "{token}", names.TOKENS_BUCKETS)
        self._retries = meter.create_counter(names.RETRIES, unit="{retry}")
        self._hits = meter.create_counter(names.CACHE_HITS, unit="{hit}")
        self._misses = meter.create_counter(names.CACHE_MISSES, unit="{miss}")
        self._discoveries = meter.create_counter(names.DISCOVERIES, unit="{discovery}")
        self._content = content

    def begin(self, call: Observation) -> Ended:
        """Start the span; the work of a call, though not of a stream, happens inside it."""
        from opentelemetry import context, trace

        about = _about(call)
        span = self._tracer.start_span(
            f"{about[names.OPERATION]} {call.model}", kind=trace.SpanKind.CLIENT, attributes=about | _asked(call)
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
        self._retries.add(1, {names.PROVIDER: provider, names.REQUEST_MODEL: model, names.ERROR_TYPE: code})

    def looked_up(self, cache: str, hit: bool) -> None:
        """Count a hit or a miss."""
        (self._hits if hit else self._misses).add(1, {names.CACHE: cache})

    def discovered(self, provider: str, model: str, parameter: str) -> None:
        """Count a discovery."""
        self._discoveries.add(1, {names.PROVIDER: provider, names.REQUEST_MODEL: model, names.PARAMETER: parameter})

    def _describe(self, span: Span, call: Observation) -> None:
        from opentelemetry.trace import StatusCode

        span.set_attributes(_answered(call))
        if self._content:
            span.set_attributes(_words(call))
        if call.error:
            span.set_attribute(names.ERROR_TYPE, call.error)
            span.set_status(StatusCode.ERROR, call.error)

    def _measure(self, call: Observation, about: Mapping[str, Any]) -> None:
        seen = {key: about[key] for key in (names.OPERATION, names.PROVIDER, names.REQUEST_MODEL)}
        if call.outcome is not None and call.outcome.model:
            seen[names.RESPONSE_MODEL] = call.outcome.model
        self._duration.record(call.seconds, seen | ({names.ERROR_TYPE: call.error} if call.error else {}))
        if call.first_chunk is not None:
            self._first_chunk.record(call.first_chunk, seen)
        for name, kind in _TOKEN_TYPES.items():
            if call.outcome is not None and (count := call.outcome.usage.get(name)) is not None:
                self._tokens.record(count, {**seen, names.TOKEN_TYPE: kind})


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

        self._requests = counter(names.PROMETHEUS_REQUESTS, "Calls to models, by how they ended.", *call, "outcome")
        self._tokens = counter(names.PROMETHEUS_TOKENS, "Tokens read and written.", *call, "type")
        self._cost = counter(names.PROMETHEUS_COST, "US dollars, where the price is known.", *call)
        self._retries = counter(names.PROMETHEUS_RETRIES, "Calls tried again.", "provider", "model", "error")
        self._hits = counter(names.PROMETHEUS_CACHE_HITS, "Answers a cache had.", "cache")
        self._misses = counter(names.PROMETHEUS_CACHE_MISSES, "Answers a cache did not have.", "cache")
        self._discoveries = counter(
            names.PROMETHEUS_DISCOVERIES, "Parameters models turned out not to take.", "provider", "model", "parameter"
        )
        self._duration = Histogram(
            names.PROMETHEUS_DURATION,
            "Seconds a call took.",
            call,
            registry=self.registry,
            buckets=names.SECONDS_BUCKETS,
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

    def discovered(self, provider: str, model: str, parameter: str) -> None:
        """Count a discovery."""
        self._discoveries.labels(provider, model, parameter).inc()

    def exposition(self) -> str:
        """All of it in Prometheus' text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry).decode()


def _about(call: Observation) -> dict[str, Any]:
    return {
        names.OPERATION: _OPERATIONS.get(call.operation, call.operation),
        names.PROVIDER: call.provider,
        names.REQUEST_MODEL: call.model,
    }


def _asked(call: Observation) -> dict[str, Any]:
    """The parameters of a call, without its words."""
    request = call.request
    if request is None:
        return {}
    told: dict[str, Any] = {names.REQUEST_MAX_TOKENS: request.max_tokens}
    told |= {
        key: request.parameters[name] for name, key in names.REQUEST_PARAMETERS.items() if name in request.parameters
    }
    if call.operation == "stream":
        told[names.REQUEST_STREAM] = True
    if request.response_schema is not None:
        told[names.OUTPUT_TYPE] = "json"
    return told


def _answered(call: Observation) -> dict[str, Any]:
    """What is known of an answer, without its words."""
    outcome = call.outcome
    if outcome is None:
        return {}
    told: dict[str, Any] = {key: outcome.usage[name] for name, key in names.USAGE.items() if name in outcome.usage}
    if outcome.model:
        told[names.RESPONSE_MODEL] = outcome.model
    if outcome.cost is not None:
        told[names.COST] = float(outcome.cost)
    if call.first_chunk is not None:
        told[names.TIME_TO_FIRST_CHUNK] = call.first_chunk
    if isinstance(outcome, LLMResponse):
        told[names.FINISH_REASONS] = [outcome.finish_reason.value]
        if outcome.request_id:
            told[names.RESPONSE_ID] = outcome.request_id
    return told


def _words(call: Observation) -> dict[str, str]:
    """The question and the answer, as the conventions write messages."""
    told: dict[str, Any] = {}
    if call.request is not None:
        told[names.INPUT_MESSAGES] = [_message(message) for message in call.request.messages]
        if call.request.system:
            told[names.SYSTEM_INSTRUCTIONS] = [_text(call.request.system)]
    if isinstance(answer := call.outcome, LLMResponse):
        parts = [_text(answer.content)] if answer.content else []
        parts += [_call(each.id, each.name, each.arguments) for each in answer.tool_calls]
        told[names.OUTPUT_MESSAGES] = [
            {"role": "assistant", "parts": parts, "finish_reason": answer.finish_reason.value}
        ]
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
