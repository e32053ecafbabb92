"""What a call costs: to the last decimal what the published prices say, and nothing made up where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.agents.model_metadata import ModelMetadata
from racto.agents.models import ModelRegistry
from racto.agents.prices import PriceTier, PricingInfo, cost, estimate, pricing, published

WHEN = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
_KINDS = {
    "input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "web_searches_kcount",
    "storage_searches_kcount", "output_reasoning_mtok", "requests_kcount",
}  # fmt: skip
"""Prices of kinds that our token counts can mean; of the others (audio, images) a text call has none."""


def comparable() -> list[tuple[str, str]]:
    """Every published model of our providers whose prices are of those kinds."""
    ours = {"openai": "openai", "anthropic": "anthropic", "google": "google", "voyageai": "voyage"}
    return [
        (ours[provider.id], model.id)
        for provider in get_snapshot().providers
        if provider.id in ours
        for model in provider.models
        if provider.find_model(model.id) is model
        and {key for key, value in vars(model.get_prices(WHEN)).items() if value is not None} <= _KINDS
        and model.get_prices(WHEN).input_mtok is not None
    ]


MODELS = comparable()
SELLER = {"voyage": "voyageai"}


@st.composite
def usages(draw: st.DrawFn) -> dict[str, int]:
    prompt = draw(st.one_of(st.integers(0, 300_000), st.sampled_from([128_000, 200_000, 200_001, 272_000, 272_001])))
    completion = draw(st.integers(0, 100_000))
    cached = draw(st.integers(0, prompt))
    written = draw(st.integers(0, prompt - cached))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "cached_tokens": cached,
        "cache_write_tokens": written,
        "reasoning_tokens": draw(st.integers(0, completion)),
    }


def test_there_is_something_to_compare() -> None:
    assert len(MODELS) > 150


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(MODELS), usages(), st.sampled_from([{}, {"processing": "batch"}, {"service_tier": "flex"}]))
def test_a_cost_is_to_the_last_decimal_what_is_published(
    which: tuple[str, str], usage: dict[str, int], context: dict[str, str]
) -> None:
    provider, model = which
    theirs: dict[str, Any] = {
        "input_tokens": usage["prompt_tokens"],
        "output_tokens": usage["completion_tokens"],
        "cache_read_tokens": usage["cached_tokens"],
        "cache_write_tokens": usage["cache_write_tokens"],
    }
    expected = calc_price(
        Usage(**theirs),
        model,
        provider_id=SELLER.get(provider, provider),
        genai_request_timestamp=WHEN,
        price_context=context,
    ).total_price
    found = cost(provider, model, usage, context=context, at=WHEN)
    if found is None:  # it writes, and only reading has a price
        price = pricing(provider, model, at=WHEN)
        assert price is not None
        assert price.output is None
        assert usage["completion_tokens"]
    else:
        assert found == expected


@given(st.sampled_from(MODELS), usages())
def test_no_call_costs_more_than_was_estimated(which: tuple[str, str], usage: dict[str, int]) -> None:
    provider, model = which
    reserved = estimate(provider, model, usage["prompt_tokens"], usage["completion_tokens"])
    spent = cost(provider, model, usage)
    assert spent is None or (reserved is not None and spent <= reserved)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("openai_compatible", "gpt-4o"),
        ("huggingface", "meta-llama/Llama-3.1-8B-Instruct"),
        ("nobody", "gpt-4o"),
        ("google", "gemma-3"),
        ("openai", "gpt-live-1"),
    ],
)
def test_an_unknown_price_is_not_zero(provider: str, model: str) -> None:
    assert cost(provider, model, {"prompt_tokens": 1, "completion_tokens": 1}) is None
    assert estimate(provider, model, 1, 1) is None


@pytest.mark.parametrize("provider", ["ollama", "sentence_transformers", "simulated"])
def test_a_local_model_costs_nothing(provider: str) -> None:
    assert cost(provider, "gpt-4o", {"prompt_tokens": 10}) == 0
    assert estimate(provider, "anything", 10, 10) == 0


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("glm-4.6:cloud", ""),
        ("gpt-oss:120b-cloud", "http://localhost:11434"),
        ("gpt-oss:120b", "https://ollama.com:443"),
    ],
)
def test_ollamas_cloud_is_neither_free_nor_has_it_a_known_price(model: str, url: str) -> None:
    assert cost("ollama", model, {"prompt_tokens": 10}, base_url=url) is None
    assert estimate("ollama", model, 10, 10, base_url=url) is None
    assert cost("ollama", "llama3.2:latest", {"prompt_tokens": 10}, base_url="http://localhost:11434") == 0


def test_what_was_not_counted_has_no_cost() -> None:
    assert cost("openai", "gpt-4o", {}) is None


def test_a_server_is_known_by_its_address() -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
    assert cost("openai_compatible", "openai/gpt-4o", usage, base_url="https://openrouter.ai/api/v1") == Decimal("2.5")
    assert cost("openai_compatible", "gpt-4o", usage, base_url="http://10.0.0.1:8000/v1") is None


def test_who_serves_a_hugging_face_model_decides() -> None:
    models = next(each.models for each in get_snapshot().providers if each.id == "huggingface_together")
    assert pricing("huggingface", f"{models[0].id}:together") is not None
    assert pricing("huggingface", f"{models[0].id}:nobody") is None


def test_a_dated_release_and_a_resource_name_are_the_model() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 10}
    assert cost("openai", "gpt-4o-2024-11-20", usage) == cost("openai", "gpt-4o", usage) == Decimal("0.0026")
    assert cost("google", "models/gemini-2.5-flash", usage) == cost("google", "gemini-2.5-flash", usage)


def test_a_long_call_is_dearer_for_all_of_its_tokens() -> None:
    price = pricing("anthropic", "claude-sonnet-4-5", at=WHEN)
    assert price is not None
    assert [step.above for step in price.steps] == [200_000]
    below, above = (price.cost({"prompt_tokens": tokens, "completion_tokens": 0}) for tokens in (200_000, 200_001))
    assert below == Decimal("0.6")
    assert above == Decimal("1.200006")


def test_a_batch_is_cheaper_and_priority_dearer() -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    plain, batch, priority = (
        cost("openai", "gpt-4o", usage, context=context, at=WHEN)
        for context in ({}, {"processing": "batch"}, {"service_tier": "priority"})
    )
    assert plain is not None
    assert batch == plain / 2
    assert priority is not None
    assert priority > plain


def test_counts_that_cannot_be_are_not_billed_twice() -> None:
    price = PricingInfo(input=Decimal(1), output=Decimal(1), cache_read=Decimal("0.1"))
    assert price.cost({"prompt_tokens": 10, "cached_tokens": 50}) == Decimal("0.000001")


def test_a_price_for_each_call_and_for_thinking_counts() -> None:
    price = PricingInfo(input=Decimal(1), output=Decimal(2), reasoning=Decimal(10), request=Decimal("0.005"))
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000, "reasoning_tokens": 500_000}
    assert price.cost(usage) == Decimal("7.005")
    assert price.at_most(0, 1_000_000) == Decimal("10.005")


@pytest.mark.parametrize(
    ("provider", "model", "tier"),
    [
        ("ollama", "llama3", PriceTier.FREE),
        ("simulated", "echo", PriceTier.FREE),
        ("openai", "gpt-3.5-turbo", PriceTier.LOW),
        ("anthropic", "claude-3-sonnet-20240229", PriceTier.MEDIUM),
        ("anthropic", "claude-3-opus-20240229", PriceTier.HIGH),
        ("openai", "gpt-4", PriceTier.HIGH),
        ("openai", "text-embedding-3-small", PriceTier.LOW),
    ],
)
def test_models_stand_in_the_tiers_of_their_prices(provider: str, model: str, tier: PriceTier) -> None:
    price = pricing(provider, model)
    assert price is not None
    assert price.tier is tier
    assert PricingInfo().tier is None


def test_what_is_published_beside_the_price() -> None:
    known = published("openai", "gpt-4o-2024-11-20")
    assert known is not None
    assert (known.id, known.context_window, known.deprecated) == ("gpt-4o", 128_000, False)
    assert published("openai", "no-such-model") is None
    assert published("ollama", "gpt-4o") is None


def test_prices_are_loaded_at_the_first_price_and_not_for_local_models() -> None:
    code = (
        "import sys; from racto.agents.prices import cost; cost('ollama', 'x', {'prompt_tokens': 1}); "
        "assert 'genai_prices' not in sys.modules; cost('openai', 'gpt-4o', {'prompt_tokens': 1}); "
        "assert 'genai_prices' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_a_price_of_nothing_is_a_price_only_here() -> None:
    nothing = {"pricing": {"input": 0, "output": 0}}
    listed = [
        {"id": "box/free-model", "provider": "openrouter", **nothing},
        {"id": "llama9", "provider": "ollama", **nothing},
    ]
    models = ModelRegistry(json.dumps({"version": 1, "models": listed}))
    used = {"prompt_tokens": 10, "completion_tokens": 10}
    assert models.cost("openrouter", "box/free-model", used) is None
    assert models.estimate("openrouter", "box/free-model", 10, 10) is None
    assert ModelMetadata.model_validate(listed[0]).tier is None
    assert models.cost("ollama", "llama9", used) == 0
    assert ModelMetadata.model_validate(listed[1]).tier is PriceTier.FREE
