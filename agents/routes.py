"""The endpoints of a gateway and what is known of each: which of them may answer a call, in which order, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..knowledge.errors import ConfigError, ModelNotAvailableError, RactoGatewayError, unknown_name
from .providers import Provider
from .retry import CircuitBreaker, Retrier
from .routing import CostAwareRouter, Endpoint, LatencyTracker, Price, RoutingConfig, TaskRoute, TaskRouter, ordered

if TYPE_CHECKING:
    from .models import ModelRegistry

_OF_THE_LINE = frozenset({"chat", "stream", "embed"})
"""Capabilities that are the provider's, whatever the model."""

AUTO = "auto"
"""The model name that asks the `CostAwareRouter`."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a call says about who should answer it.

    :param operation: `chat`, `stream` or `embed`.
    :param text: The question, for the router.
    :param model: A model by name, with or without its provider in front (`openai/gpt-4o`), or `auto`.
    :param needs: Capabilities without which an endpoint cannot answer.
    """

    operation: str
    text: str = ""
    model: str | None = None
    task: str = ""
    component: str = ""
    needs: frozenset[str] = frozenset()


class Routes:
    """The endpoints, in the order they were given, and what was learned of them.

    :param chain: Who may answer; the later ones when the earlier ones fail.
    :param embedders: Who may embed.
    :param providers: More providers, for tasks and models named by a call.
    :param models: What is known of models: who has one that is named alone, and which can do what a call needs.
    :param breaker: Makes the circuit breaker of an endpoint.
    :raises ConfigError: a model is `auto` and there is no router (it is a `ValueError`).
    """

    def __init__(
        self,
        chain: Sequence[Endpoint],
        *,
        embedders: Sequence[Endpoint] = (),
        providers: Sequence[Provider] = (),
        router: CostAwareRouter | None = None,
        tasks: TaskRouter | None = None,
        config: RoutingConfig | None = None,
        models: ModelRegistry | None = None,
        breaker: Callable[[], CircuitBreaker] | None = None,
    ) -> None:
        if router is None and any(endpoint.model == AUTO for endpoint in chain):
            raise _no_router()
        self.chain = tuple(chain)
        self.embedders = tuple(embedders)
        self.providers: Mapping[str, Provider] = {
            provider.name: provider
            for provider in [*(endpoint.provider for endpoint in (*chain, *embedders)), *providers]
        }
        self.latencies = LatencyTracker()
        self.several = len(self.chain) > 1 or tasks is not None
        """Whether a call may have a choice."""
        self.by_price = self._by_price(config or RoutingConfig())
        """Whether prices decide about the order."""
        self._router = router
        self._tasks = tasks
        self._config = config or RoutingConfig()
        self._registry = models
        self._make_breaker = breaker or Retrier().breaker
        self._breakers: dict[tuple[str, str], CircuitBreaker] = {}

    def _by_price(self, config: RoutingConfig) -> bool:
        models = {endpoint.model for endpoint in self.chain}
        return config.by == "price" or (config.by == "chain" and len(models) < len(self.chain))

    def breaker(self, endpoint: Endpoint) -> CircuitBreaker:
        """The circuit breaker of an endpoint."""
        key = (endpoint.provider.name, endpoint.model)
        found = self._breakers.get(key)
        return found if found is not None else self._breakers.setdefault(key, self._make_breaker())

    def route(self, wish: Wish) -> TaskRoute | None:
        """The route of the call's task and component, when there is a table and neither model nor task says otherwise."""
        if self._tasks is None or wish.model is not None:
            return None
        found = self._tasks.find(wish.task, wish.component)
        return found[1] if found else None

    def open(self, wish: Wish) -> bool:
        """Whether neither the call nor what is set up says who answers it."""
        return not self.chain and wish.model is None and self.route(wish) is None

    def models(self, wish: Wish) -> list[str]:
        """The models a call may come to before any fallback, without choosing one: what it must fit into."""
        if (route := self.route(wish)) is not None and route.provider in self.providers:
            return [route.model]
        name = wish.model or (self.chain[0].model if self.chain else AUTO)
        if name == AUTO and self._router is not None:
            return [self._split(tier.model)[1] for tier in self._router.tiers]
        return [self._split(name)[1]]

    def choose(self, wish: Wish, price: Price, *, thrifty: bool = False) -> tuple[list[Endpoint], list[str]]:
        """Who is to be asked, in order, and why.

        :param price: What the call would cost at an endpoint.
        :param thrifty: The budget is nearly used up: the cheapest goes first, whatever the settings say.
        :raises RactoGatewayError: nobody can answer it.
        """
        steps, why = self._task_steps(wish)
        rest, rest_why = self._in_order(self._asked(wish, why), wish, price, thrifty)
        endpoints = list(dict.fromkeys([*steps, *rest]))
        if thrifty and steps:
            endpoints, reason = ordered(endpoints, by="price", preferred=None, price=price, latency=self._latency(wish))
            why.append(f"the budget is nearly used up: {reason}")
        elif not steps:
            why += rest_why
        return self._able(endpoints, wish), why

    def _asked(self, wish: Wish, why: list[str]) -> list[Endpoint]:
        """The endpoints of the chain, or of the one model that was named, with `auto` decided."""
        known = self.embedders if wish.operation == "embed" else self.chain
        if wish.model is None or wish.model == AUTO:
            chain = list(known)
            if wish.model == AUTO and all(each.model != AUTO for each in chain):
                chain = [Endpoint(self._provider(None), AUTO), *chain]
        else:
            provider, name = self._split(wish.model)
            same = [each for each in known if each.model == name and provider in (None, each.provider.name)]
            chain = same or [Endpoint(self._provider(provider), name)]
        if all(each.model != AUTO for each in chain):
            return chain
        if self._router is None:
            raise _no_router()
        routed = self._router.route(wish.text)
        why.append(f"complexity {self._router.score(wish.text):g} of 100: {routed}")
        owner, model = self._split(routed)
        return [
            Endpoint(self.providers[owner] if owner else each.provider, model) if each.model == AUTO else each
            for each in chain
        ]

    def _task_steps(self, wish: Wish) -> tuple[list[Endpoint], list[str]]:
        route = self.route(wish)
        if route is None:
            return [], []
        label = f"task {'_'.join(filter(None, (wish.component, wish.task)))}"
        steps = [Endpoint(self.providers[name], model) for name, model in route.steps() if name in self.providers]
        missing = [f"{label}: {name} is not set up" for name, _ in route.steps() if name not in self.providers]
        return steps, [*missing, *([f"{label}: {steps[0]}"] if steps else [])]

    def _in_order(
        self, endpoints: list[Endpoint], wish: Wish, price: Price, thrifty: bool
    ) -> tuple[list[Endpoint], list[str]]:
        preferred = self._config.embed if wish.operation == "embed" else self._config.chat
        best, reason = ordered(
            endpoints,
            by="price" if thrifty else self._config.by,
            preferred=None if thrifty else preferred,
            price=price,
            latency=self._latency(wish),
        )
        return best, [f"the budget is nearly used up: {reason}" if thrifty else reason]

    def _latency(self, wish: Wish) -> Callable[[Endpoint], float | None]:
        return lambda endpoint: self.latencies.seconds(endpoint, wish.operation)

    def _able(self, endpoints: list[Endpoint], wish: Wish) -> list[Endpoint]:
        able = [each for each in endpoints if wish.needs <= each.provider.capabilities]
        if able:
            # A registry may not know all of a model: it may put others first, not rule out the last one.
            return [each for each in able if self._knows_how(each, wish)] or able
        if not endpoints:
            raise ModelNotAvailableError("No model is set up.", "Name a provider and a model, and give its key.")
        lacking = sorted(wish.needs - frozenset().union(*(each.provider.capabilities for each in endpoints)))
        raise RactoGatewayError(
            f"None of {', '.join(map(str, endpoints))} can do this ({', '.join(lacking or sorted(wish.needs))}).",
            "Add a model that can.",
        )

    def _knows_how(self, endpoint: Endpoint, wish: Wish) -> bool:
        known = self._registry.metadata(endpoint.model, endpoint.provider.name) if self._registry else None
        return known is None or not known.capabilities or wish.needs - _OF_THE_LINE <= known.capabilities

    def _split(self, name: str) -> tuple[str | None, str]:
        provider, slash, model = name.partition("/")
        # A slash alone says nothing: `meta-llama/Llama-3.2-3B-Instruct` is one name.
        if slash and provider in self.providers:
            return provider, model
        known = self._registry.metadata(name) if self._registry else None
        return (known.provider if known and known.provider in self.providers else None), name

    def _provider(self, name: str | None) -> Provider:
        if not self.providers:
            raise ModelNotAvailableError("No model is set up.", "Name a provider and a model, and give its key.")
        if name is None:
            return next(iter(self.providers.values()))
        if name not in self.providers:
            raise unknown_name("provider", name, self.providers)
        return self.providers[name]


def _no_router() -> ConfigError:
    return ConfigError("model='auto' needs a router.", "Give router=CostAwareRouter([...]), or name a model.")
