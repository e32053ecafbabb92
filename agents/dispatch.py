"""One call on its way through the endpoints: tried again where that helps, handed on where it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..knowledge.errors import (
    CircuitOpenError,
    ModelNotAvailableError,
    RactoGatewayError,
    RateLimitedError,
    ResponseModelValidationError,
    UnsupportedParameterError,
)
from ..knowledge.vocabulary import ChatRequest
from .discovery import ParameterDiscoveryCache, Policy
from .requests import given, in_words, without
from .retry import Retrier
from .routes import Routes
from .routing import Endpoint

if TYPE_CHECKING:
    from .model_metadata import ModelMetadata
    from .models import ModelRegistry
    from .telemetry import Telemetry

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """What is known of one call while it runs.

    :param operation: `chat`, `stream` or `embed`.
    :param until: When it must have ended, on the retrier's clock.
    :param why: What was decided and tried, in order; ends up in `LLMResponse.why`.
    :param warnings: What was dropped or estimated.
    :param fell_back: An endpoint was tried and failed.
    :param counted: Tokens its user's limit already knows of.
    """

    operation: str
    until: float
    user: str = ""
    component: str = ""
    task: str = ""
    why: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    fell_back: bool = False
    counted: int = 0


class Dispatcher:
    """Sends requests to endpoints.

    :param policy: What to do with a parameter a model does not take.
    :param discovery: Where refusals are remembered; `None` remembers nothing.
    :param models: What is known of models beforehand.
    :param telemetry: Is told of retries and discoveries.
    """

    def __init__(
        self,
        routes: Routes,
        retrier: Retrier,
        *,
        policy: Policy = "warn",
        discovery: ParameterDiscoveryCache | None = None,
        models: ModelRegistry | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.routes = routes
        self.retrier = retrier
        self._policy = policy
        self._discovery = discovery
        self._models = models
        self._telemetry = telemetry

    async def through(
        self, call: Call, endpoints: Sequence[Endpoint], attempt: Callable[[Endpoint], Awaitable[T]]
    ) -> T:
        """What `attempt` gives at the first endpoint where it does not fail.

        Every failure hands the call on but that of an answer which never took its shape: the next model would be paid to misread the same
        question. A failed call is not tried twice at one endpoint here; that is `send`.

        :raises RactoGatewayError: the error of the last endpoint, with the earlier ones in its hint.
        """
        tried: list[str] = []
        last: RactoGatewayError | None = None
        for endpoint in endpoints:
            if last is not None and self.retrier.clock() >= call.until:
                break
            try:
                if wait := self.routes.breaker(endpoint).waits():
                    raise _left_alone(endpoint, wait)
                return await attempt(endpoint)
            except ResponseModelValidationError:
                raise
            except RactoGatewayError as error:
                last = error
                tried.append(f"{endpoint} ({error.code})")
                call.why.append(f"{endpoint}: {error.code}")
                call.fell_back = True
        if last is None:
            raise ModelNotAvailableError("No model is set up.", "Name a provider and a model, and give its key.")
        if len(tried) > 1:
            last.hint = f"{last.hint} Tried: {', '.join(tried)}.".lstrip()
        raise last

    async def send(
        self,
        call: Call,
        endpoint: Endpoint,
        request: ChatRequest,
        ask: Callable[[ChatRequest], Awaitable[T]],
    ) -> T:
        """The answer to `request` at one endpoint, tried again while its errors are transient, without the parameters it refuses."""
        request = self._accepted(call, endpoint, request)

        async def attempt() -> T:
            request.timeout = self.retrier.timeout(call.until)
            return await ask(request)

        while True:
            try:
                return await self.retried(call, endpoint, attempt)
            except UnsupportedParameterError as error:
                request = self._refused(call, endpoint, request, error)

    async def retried(self, call: Call, endpoint: Endpoint, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` gives, tried again while its errors are transient; every try counts for latency and the breaker."""
        breaker = self.routes.breaker(endpoint)

        async def observed() -> T:
            begun = self.retrier.clock()
            result = await attempt()
            breaker.succeeded()
            self.routes.latencies.observe(endpoint, call.operation, self.retrier.clock() - begun)
            return result

        def failed(error: RactoGatewayError, wait: float | None) -> None:
            # Too many calls is the caller's doing, and a refusal is an answer: neither says that the endpoint is down.
            if error.transient and not isinstance(error, RateLimitedError):
                breaker.failed()
            if wait is not None:
                if self._telemetry is not None:
                    self._telemetry.retried(endpoint.provider.name, endpoint.model, error.code)
                call.why.append(f"{endpoint}: {error.code}, again after {wait:.2g} s")

        return await self.retrier.run(observed, until=call.until, failed=failed)

    def _accepted(self, call: Call, endpoint: Endpoint, request: ChatRequest) -> ChatRequest:
        """The request without what this model is known not to take."""
        if request.response_schema is not None and "schema" not in endpoint.provider.capabilities:
            request = in_words(request)
        known = self._models.metadata(endpoint.model, endpoint.provider.name) if self._models else None
        if known is not None and (most := known.max_output_tokens) and request.max_tokens > most:
            request = replace(request, max_tokens=most)
            if self._policy == "warn":
                call.warnings.append(f"{endpoint} writes at most {most:,} tokens: max_tokens was lowered.")
        for name in given(request):
            value = request.parameters.get(name, request.extra.get(name))
            if reason := self._known_refusal(endpoint, name, value, known):
                error = UnsupportedParameterError(
                    f"{endpoint} does not take {name} ({reason}).",
                    "Leave it out, or set the policy to drop it.",
                    parameter=name,
                    provider=endpoint.provider.name,
                    model=endpoint.model,
                )
                request = self._dropped(call, endpoint, request, error, f" ({reason})")
        return request

    def _known_refusal(self, endpoint: Endpoint, parameter: str, value: Any, known: ModelMetadata | None) -> str:
        """Why a model will not take a parameter; "" when nothing speaks against it."""
        if known is not None and (stated := known.parameters.get(parameter)) and (reason := stated.refusal(value)):
            return reason
        provider, model = endpoint.provider.name, endpoint.model
        if self._discovery is not None and len(self._discovery) and self._discovery.find(provider, model, parameter):
            return "it refused it before"
        return ""

    def _refused(
        self, call: Call, endpoint: Endpoint, request: ChatRequest, error: UnsupportedParameterError
    ) -> ChatRequest:
        """The request to try next, after a provider refused a parameter."""
        if self._discovery is not None and error.parameter:
            self._discovery.record(endpoint.provider.name, endpoint.model, error.parameter, error.message)
            if self._telemetry is not None:
                self._telemetry.discovered(endpoint.provider.name, endpoint.model, error.parameter)
        return self._dropped(call, endpoint, request, error)

    def _dropped(
        self, call: Call, endpoint: Endpoint, request: ChatRequest, error: UnsupportedParameterError, reason: str = ""
    ) -> ChatRequest:
        less = None if self._policy == "error" else without(request, error.parameter)
        if less is None:
            raise error
        if self._policy == "warn":
            call.warnings.append(f"{endpoint} does not take {error.parameter}{reason}: it was left out.")
        return less


def _left_alone(endpoint: Endpoint, wait: float) -> CircuitOpenError:
    return CircuitOpenError(
        f"{endpoint} failed too often lately and is left alone.",
        f"Try again in {wait:.0f} s.",
        provider=endpoint.provider.name,
        model=endpoint.model,
    )
