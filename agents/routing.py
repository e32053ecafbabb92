"""Which endpoint answers: by how hard the question is, by task and component, by preference, price and measured latency."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ..knowledge.errors import ConfigError, InputError
from .providers import Provider, in_cloud


@dataclass(frozen=True)
class Endpoint:
    """A provider and the model to ask there."""

    provider: Provider
    model: str

    def __str__(self) -> str:
        return f"{self.provider.name}/{self.model}"

    @property
    def local(self) -> bool:
        """Whether questions stay on this machine or net, and cost nothing."""
        return self.provider.local and not in_cloud(self.model)


_STRICT = ConfigDict(extra="forbid", defer_build=True)


class RoutingTier(BaseModel):
    """One step of a ladder of models.

    :param model: The provider's name of the model.
    :param max_score: The highest complexity this model is asked for, 0 to 100.
    """

    model_config = ConfigDict(defer_build=True)

    model: str = Field(min_length=1)
    max_score: float = Field(default=100.0, ge=0.0, le=100.0)


KEYWORDS = (
    r"algorithm\w*",
    r"analy[sz]\w*",
    r"architect\w*",
    r"compar\w+",
    r"complexity",
    r"comprehensive\w*",
    r"critique\w*",
    r"debug\w*",
    r"deriv\w+",
    r"design\w*",
    r"differen\w+",
    r"evaluat\w+",
    r"explain\w*",
    r"implement\w*",
    r"in[- ]depth",
    r"multi[- ]step",
    r"optimi[sz]\w*",
    r"prove\w*|proof",
    r"reason\w*",
    r"refactor\w*",
    r"step[- ]by[- ]step",
    r"strateg\w+",
    r"synthesi[sz]\w*",
    r"trade[- ]?offs?",
    r"workloads?",
)
"""The 25 words of a hard question, as patterns; each counts once."""

_LENGTH_POINTS = 60.0
_KEYWORD_POINTS = 40.0
_POINTS_PER_KEYWORD = 15.0
_SATURATION = 400


@cache
def _keywords() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"\b(?:{keyword})\b", re.IGNORECASE) for keyword in KEYWORDS)


class CostAwareRouter:
    """Picks the cheapest model a question can be trusted with, without asking any model.

    :param tiers: Cheapest first, by rising `max_score`; the last one takes whatever no other does.
    :raises InputError: there are no tiers, or their scores do not rise (it is a `ValueError`).
    """

    def __init__(self, tiers: Sequence[RoutingTier]) -> None:
        if not tiers:
            raise InputError("A router needs at least one tier.", "Give RoutingTier(model=…, max_score=100).")
        scores = [tier.max_score for tier in tiers]
        if any(later <= earlier for earlier, later in pairwise(scores)):
            raise InputError(
                f"The tiers' max_score must rise; they are {scores}.", "Sort them, cheapest and lowest first."
            )
        self._tiers = tuple(tiers)

    @property
    def tiers(self) -> tuple[RoutingTier, ...]:
        """The tiers, cheapest first."""
        return self._tiers

    def score(self, text: str) -> float:
        """How hard a question looks, 0 to 100.

        Up to 60 points for its length, `len(text) // 4` tokens on a logarithmic scale that ends at 400, so that a question of one
        technical sentence is not mistaken for small talk; 15 points for each of `KEYWORDS` in it, up to 40.
        """
        tokens = min(len(text) // 4, _SATURATION)
        length = _LENGTH_POINTS * math.log1p(tokens) / math.log1p(_SATURATION)
        hits = sum(keyword.search(text) is not None for keyword in _keywords())
        return round(length + min(hits * _POINTS_PER_KEYWORD, _KEYWORD_POINTS), 1)

    def route(self, text: str) -> str:
        """The model of the first tier whose `max_score` covers the score of `text`."""
        score = self.score(text)
        return next((tier.model for tier in self._tiers if score <= tier.max_score), self._tiers[-1].model)


class TaskOptions(BaseModel):
    """What a task is asked with, unless the call says otherwise."""

    model_config = _STRICT

    temperature: float | None = Field(default=None, ge=0.0, le=2.0)
    max_tokens: int | None = Field(default=None, gt=0)
    fallback_provider: str | None = None
    fallback_model: str | None = None


class TaskRoute(BaseModel):
    """Who does a task."""

    model_config = _STRICT

    provider: str
    model: str
    options: TaskOptions = Field(default_factory=TaskOptions)

    def steps(self) -> list[tuple[str, str]]:
        """The provider and model to ask, then those to fall back to."""
        fallback = self.options.fallback_model
        return [
            (self.provider, self.model),
            *([(self.options.fallback_provider or self.provider, fallback)] if fallback else []),
        ]


DEFAULT_TASKS: Mapping[str, tuple[str, str]] = {
    "code": ("claude-3-opus-20240229", "gpt-4-turbo"),
    "planning": ("claude-3-sonnet-20240229", "gpt-4o"),
    "reasoning": ("claude-3-sonnet-20240229", "gpt-4o"),
    "chat": ("claude-3-haiku-20240307", "gpt-3.5-turbo"),
}
"""The rules the specification names: task → Anthropic's model, then OpenAI's. A table of your own replaces them task by task."""


def default_routes() -> dict[str, TaskRoute]:
    """`DEFAULT_TASKS` as routes."""
    return {
        task: TaskRoute(
            provider="anthropic",
            model=model,
            options=TaskOptions(fallback_provider="openai", fallback_model=fallback),
        )
        for task, (model, fallback) in DEFAULT_TASKS.items()
    }


class TaskRouter:
    """Routes by task and component, from a table that a JSON file may give.

    :param routes: By task (`code`), component (`ergon`) or both (`ergon_code`); what is not here is as in `DEFAULT_TASKS`.
    """

    def __init__(self, routes: Mapping[str, TaskRoute] | None = None) -> None:
        self.routes = {**default_routes(), **(routes or {})}

    @classmethod
    def from_file(cls, path: str | Path) -> TaskRouter:
        """The router of a JSON file: `{task: {"provider": …, "model": …, "options": {…}}}`.

        :raises ConfigError: the file cannot be read or is not such a table.
        """
        try:
            return cls(TypeAdapter(dict[str, TaskRoute]).validate_json(Path(path).read_bytes()))
        except ValidationError as error:
            where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False))
            raise ConfigError(f"{path} is no table of tasks: {where}.", "Each task needs provider and model.") from None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Give a JSON object of tasks.") from None

    def find(self, task: str, component: str = "") -> tuple[str, TaskRoute] | None:
        """The most particular route there is, and its key: component and task, then the component, then the task."""
        both = f"{component}_{task}" if component and task else ""
        for key in (both, component, task):
            if key and key in self.routes:
                return key, self.routes[key]
        return None


class RoutingConfig(BaseModel):
    """What decides between endpoints that could all answer.

    :param chat: The provider preferred for chat, plain and streamed.
    :param embed: The provider preferred for embeddings.
    :param by: `chain` keeps the order given, and chooses only between endpoints of the same model; `price` and `latency` sort all.
    """

    model_config = _STRICT

    chat: str | None = None
    embed: str | None = None
    by: Literal["chain", "price", "latency"] = "chain"


class LatencyTracker:
    """How long each endpoint lately took: an exponentially weighted moving average. Safe from any thread.

    :param weight: What the newest call counts, 0 to 1.
    """

    def __init__(self, weight: float = 0.3) -> None:
        self._weight = weight
        self._seconds: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def observe(self, endpoint: Endpoint, operation: str, seconds: float) -> None:
        """Take in one call."""
        key = (endpoint.provider.name, endpoint.model, operation)
        with self._lock:
            known = self._seconds.get(key)
            self._seconds[key] = seconds if known is None else known + self._weight * (seconds - known)

    def seconds(self, endpoint: Endpoint, operation: str) -> float | None:
        """The average, in seconds; for streams until their first words. `None` before the first call."""
        return self._seconds.get((endpoint.provider.name, endpoint.model, operation))


Price = Callable[[Endpoint], Decimal | None]
"""US dollars this call would cost at an endpoint, `None` when that is not known."""


def ordered(
    endpoints: Iterable[Endpoint],
    *,
    by: Literal["chain", "price", "latency"],
    preferred: str | None,
    price: Price,
    latency: Callable[[Endpoint], float | None],
) -> tuple[list[Endpoint], str]:
    """The endpoints in the order they are to be tried, and the reason in words.

    The preferred provider comes first and a local one before a remote one of the same rank; then the price or the latency. An endpoint
    that was never measured goes before the measured ones, or it would never be; an unknown price goes last, because it is not zero.
    """
    given = list(endpoints)
    if len(given) < 2:
        return given, "the only one there is"
    first_of = {each.model: place for place, each in reversed(list(enumerate(given)))}
    priced = by == "price" or (by == "chain" and len(first_of) < len(given))  # looking up a price is not free

    def rank(endpoint: Endpoint) -> tuple[Any, ...]:
        seconds = latency(endpoint)
        cost = price(endpoint) if priced else None
        dear = (cost is None, cost or Decimal(0))
        slow = -1.0 if seconds is None else seconds
        apart = endpoint.provider.name != preferred
        if by == "chain":
            return (apart, first_of[endpoint.model], not endpoint.local, dear, slow)
        if by == "price":
            return (apart, not endpoint.local, dear, slow)
        return (apart, not endpoint.local, slow)

    best = sorted(given, key=rank)
    return best, _reason(best[0], by, preferred, price, latency, first=best[0] == given[0])


def _reason(
    chosen: Endpoint,
    by: str,
    preferred: str | None,
    price: Price,
    latency: Callable[[Endpoint], float | None],
    *,
    first: bool,
) -> str:
    if preferred and chosen.provider.name == preferred:
        return f"{preferred} is preferred"
    if by == "chain":
        return "the first of the chain" if first else f"who has {chosen.model} nearest or cheapest"
    if chosen.local:
        return "local before remote"
    if by == "price":
        cost = price(chosen)
        return "no price is known" if cost is None else f"the cheapest, about ${cost:f}"
    seconds = latency(chosen)
    return "never measured yet" if seconds is None else f"the fastest lately, {seconds:.3g} s"
