"""What a call costs, in exact decimal dollars, from the published prices of `genai-prices`. An unknown price is `None`, never zero.

The package takes 300 ms to import and 70 µs for a call; so it is imported at the first price, and a rate is worked out once a minute.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from .providers import in_cloud

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

LOCAL = frozenset({"ollama", "sentence_transformers", "simulated"})
"""Providers that cost nothing, whatever the model; but for those of a cloud behind them, whose price nobody publishes."""

_PUBLISHED_AS = {"openai": "openai", "anthropic": "anthropic", "google": "google", "voyage": "voyageai"}
_OLLAMA_COM = "//ollama.com"
_MILLION = 1_000_000
_NO_CONTEXT: Mapping[str, str] = {}


class PriceTier(StrEnum):
    """How dear a model is, by US dollars for 1,000 tokens it writes: nothing, under 0.01, up to 0.05, and more."""

    FREE = "free"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Prices(BaseModel):
    """US dollars for a million tokens of each kind; `None` is not published.

    :param input: Tokens read.
    :param output: Tokens written.
    :param cache_read: Tokens read from the provider's cache; as `input` when not published.
    :param cache_write: Tokens read and kept there; as `input` when not published.
    :param reasoning: Tokens thought; as `output` when not published.
    :param request: Dollars for each call, beside its tokens.
    """

    model_config = ConfigDict(frozen=True)

    input: Decimal | None = Field(default=None, ge=0)
    output: Decimal | None = Field(default=None, ge=0)
    cache_read: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)
    reasoning: Decimal | None = Field(default=None, ge=0)
    request: Decimal | None = Field(default=None, ge=0)


class PriceStep(Prices):
    """Prices of a call that reads more than `above` tokens, for all of its tokens."""

    above: int = Field(ge=0)


class PricingInfo(Prices):
    """What a model costs.

    :param steps: Other prices for long calls, by rising `above`.
    """

    steps: tuple[PriceStep, ...] = ()

    def cost(self, usage: Mapping[str, int]) -> Decimal | None:
        """US dollars for a call.

        :param usage: Token counts under the names of `LLMResponse.usage`.
        :returns: `None` when nothing was counted, or a price of what was counted is not known.
        """
        prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
        prices: Prices = self
        for step in self.steps:
            if prompt > step.above:
                prices = step
        if not usage or prices.input is None or (completion and prices.output is None):
            return None
        cached = min(prompt, usage.get("cached_tokens", 0))
        written = min(prompt - cached, usage.get("cache_write_tokens", 0))
        total = (prompt - cached - written) * prices.input
        total += cached * _or(prices.cache_read, prices.input) + written * _or(prices.cache_write, prices.input)
        if prices.output is not None:
            thought = min(completion, usage.get("reasoning_tokens", 0)) if prices.reasoning is not None else 0
            total += (completion - thought) * prices.output + thought * _or(prices.reasoning, prices.output)
        return total / _MILLION + (prices.request or 0)

    def at_most(self, prompt_tokens: int, max_tokens: int) -> Decimal | None:
        """The most a call can cost that reads and writes no more than so many tokens; `None` when it is not known."""
        read = {"prompt_tokens": prompt_tokens, "completion_tokens": max_tokens}
        ways = (read, {**read, "cache_write_tokens": prompt_tokens}, {**read, "reasoning_tokens": max_tokens})
        costs = [cost for usage in ways if (cost := self.cost(usage)) is not None]
        return max(costs, default=None)

    @property
    def tier(self) -> PriceTier | None:
        """How dear it is; a model that writes nothing is judged by what it reads. `None` when it has no price."""
        million = self.output if self.output is not None else self.input
        if million is None:
            return None
        if not million:
            return PriceTier.FREE
        return PriceTier.LOW if million < 10 else PriceTier.MEDIUM if million <= 50 else PriceTier.HIGH


def hosted(price: PricingInfo | None) -> PricingInfo | None:
    """The price of a model that runs elsewhere: nothing is none, as lists write 0 for what they do not know. Only what runs here is free."""
    if price is None:
        return None
    levels: tuple[Prices, ...] = (price, *price.steps)
    return price if any(each.input or each.output or each.request for each in levels) else None


FREE = PricingInfo(input=Decimal(0), output=Decimal(0))


def _or(price: Decimal | None, other: Decimal) -> Decimal:
    return other if price is None else price


def cost(
    provider: str,
    model: str,
    usage: Mapping[str, int],
    *,
    base_url: str = "",
    context: Mapping[str, str] = _NO_CONTEXT,
    at: datetime | None = None,
) -> Decimal | None:
    """US dollars for a call, exact; 0 for a local provider.

    :param provider: As in `agents.providers.PROVIDERS`.
    :param usage: Token counts under the names of `LLMResponse.usage`.
    :param base_url: Of an OpenAI-compatible server, which tells whose prices count.
    :param context: What else decides: `service_tier` (`flex`, `priority`), `processing` (`batch`).
    :param at: When the call was made; by default now.
    :returns: `None` when the price is not known.
    """
    price = pricing(provider, model, base_url=base_url, context=context, at=at)
    return price.cost(usage) if price else None


def estimate(
    provider: str,
    model: str,
    prompt_tokens: int,
    max_tokens: int,
    *,
    base_url: str = "",
    context: Mapping[str, str] = _NO_CONTEXT,
) -> Decimal | None:
    """The most a call can cost that is not made yet, for reserving; the parameters are those of `cost`."""
    price = pricing(provider, model, base_url=base_url, context=context)
    return price.at_most(prompt_tokens, max_tokens) if price else None


def pricing(
    provider: str,
    model: str,
    *,
    base_url: str = "",
    context: Mapping[str, str] = _NO_CONTEXT,
    at: datetime | None = None,
) -> PricingInfo | None:
    """The prices of a model, `None` when they are not known; the parameters are those of `cost`."""
    if provider in LOCAL:
        return None if in_cloud(model) or _OLLAMA_COM in base_url else FREE
    if not provider:
        return None
    minute = int((at.timestamp() if at else time.time()) // 60)
    return _pricing(provider, model, base_url, tuple(sorted(context.items())), minute)


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of a model beside its price.

    :param context_window: Tokens.
    """

    id: str
    context_window: int | None
    deprecated: bool


def published(provider: str, model: str, base_url: str = "") -> Published | None:
    """What `genai-prices` knows of a model beside its price.

    :param provider: "" for whoever a name like this belongs to.
    """
    found = None if provider in LOCAL else _find(provider, model, base_url)
    return Published(found[0].id, found[0].context_window, bool(found[0].deprecated)) if found else None


@lru_cache(4096)
def _find(provider: str, model: str, base_url: str) -> tuple[ModelInfo, bool] | None:
    """The published model, and whether this provider publishes it itself: only then its special prices count."""
    from genai_prices.data_snapshot import get_snapshot

    seller = _PUBLISHED_AS.get(provider)
    model = model.removeprefix("models/")
    if provider == "huggingface":
        model, _, by = model.partition(":")
        seller = f"huggingface_{by}" if by else None
    if provider and not seller and not base_url:
        return None
    try:
        by_url = None if seller or not base_url else base_url
        owner, found = get_snapshot().find_provider_model(model, None, seller, by_url)
    except LookupError:
        return None
    return found, any(found is own for own in owner.models)


@lru_cache(1024)
def _pricing(
    provider: str, model: str, base_url: str, context: tuple[tuple[str, str], ...], minute: int
) -> PricingInfo | None:
    found = _find(provider, model, base_url)
    if found is None:
        return None
    info, own = found
    price = _converted(info.get_prices(datetime.fromtimestamp(minute * 60, UTC), dict(context) if own else None))
    return None if price.input is None else hosted(price)


def _converted(price: ModelPrice) -> PricingInfo:
    """Our words for a published price; what is priced by the hour, the image or the search is left out, as `usage` has none of it."""
    names = {
        "input": "input_mtok",
        "output": "output_mtok",
        "cache_read": "cache_read_mtok",
        "cache_write": "cache_write_mtok",
        "reasoning": "output_reasoning_mtok",
    }
    published_as: dict[str, Any] = {
        ours: value for ours, key in names.items() if (value := getattr(price, key)) is not None
    }
    starts = sorted({tier.start for value in published_as.values() for tier in getattr(value, "tiers", ())})
    per_thousand = price.requests_kcount
    request = per_thousand / 1000 if isinstance(per_thousand, Decimal) else None

    def level(tokens: int) -> dict[str, Any]:
        values = {ours: _at(value, tokens) for ours, value in published_as.items()}
        return {**values, "request": request}

    steps = tuple(PriceStep(above=start, **level(start + 1)) for start in starts)
    return PricingInfo(**level(0), steps=steps)


def _at(value: Any, tokens: int) -> Decimal:
    """The price for a call that reads so many tokens."""
    price: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if tokens > tier.start:
            price = tier.price
    return price
