"""What providers say of their models, each in its own words, as `ModelMetadata`: OpenRouter, Anthropic, Google, Hugging Face, Ollama, vLLM, llama.cpp, Mistral, Groq."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from .model_metadata import ModelCapability, ModelMetadata, ParameterAvailability, ParameterName, ParameterRange
from .prices import PricingInfo

_CONTEXT = (
    "context_window", "max_input_tokens", "inputTokenLimit", "context_length", "max_model_len", "max_context_length", "meta.n_ctx_train",
)  # fmt: skip
_OUTPUT = (
    "max_output_tokens",
    "outputTokenLimit",
    "max_completion_tokens",
    "top_provider.max_completion_tokens",
    "max_tokens",
)

_SAID = {
    # OpenRouter's `supported_parameters`
    "tools": "tools",
    "structured_outputs": "schema",
    "reasoning": "reasoning",
    # OpenRouter's modalities
    "image": "images",
    "file": "documents",
    # Google's `supportedGenerationMethods`
    "generateContent": "chat",
    "streamGenerateContent": "stream",
    "embedContent": "embed",
    # Ollama's and Mistral's capabilities
    "completion": "chat",
    "completion_chat": "chat",
    "function_calling": "tools",
    "vision": "images",
    "thinking": "reasoning",
    "embedding": "embed",
    # Anthropic's
    "image_input": "images",
    "pdf_input": "documents",
}
_SAID |= {"structured_outputs": "schema", **{each.value: each.value for each in ModelCapability}}

_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "stop": "stop",
    "max_tokens": "max_tokens",
    "reasoning": "reasoning",
    "parallel_tool_calls": "parallel_tool_calls",
    "tool_choice": "tool_choice",
    "structured_outputs": "response_schema",
}
"""OpenRouter's name → ours."""


def read(provider: str, entry: Mapping[str, Any]) -> ModelMetadata:
    """What one entry of `Provider.models` says; what it does not say stays unsaid, and what makes no sense is left out.

    :param entry: With at least `id`.
    """
    said: dict[str, Any] = {"id": str(entry["id"]), "provider": provider}
    name = entry.get("display_name") or entry.get("displayName") or entry.get("name")
    if isinstance(name, str) and name.removeprefix("models/") != said["id"]:
        said["name"] = name
    for ours, places in (("context_window", _CONTEXT), ("max_output_tokens", _OUTPUT)):
        if (count := _first_count(entry, places)) is not None:
            said[ours] = count
    if capabilities := _capabilities(entry):
        said["capabilities"] = capabilities
    if parameters := _parameters(entry):
        said["parameters"] = parameters
    if (pricing := _pricing(entry)) is not None:
        said["listed"] = pricing
    if entry.get("lifecycle") in ("deprecated", "retired"):
        said["deprecated"] = True
    if (gone := _day(entry.get("retires_at"))) is not None:
        said["retires_at"] = gone
    return ModelMetadata(**said)


def _place(entry: Mapping[str, Any], path: str) -> Any:
    value: Any = entry
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _first_count(entry: Mapping[str, Any], places: Iterable[str]) -> int | None:
    counts = (_place(entry, place) for place in places)
    return next(
        (count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count > 0), None
    )


def _words(value: Any) -> list[str]:
    """The names in a list, or those of a mapping that are on: `{"vision": true}`, `{"thinking": {"supported": true}}`."""
    if isinstance(value, Mapping):
        return [
            str(name)
            for name, on in value.items()
            if on is True or (isinstance(on, Mapping) and on.get("supported") is True)
        ]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list | tuple) else []


def _capabilities(entry: Mapping[str, Any]) -> frozenset[ModelCapability]:
    methods = _words(entry.get("supportedGenerationMethods"))
    words = [
        *methods,
        *_words(entry.get("capabilities")),
        *_words(entry.get("supported_parameters")),
        *_words(_place(entry, "architecture.input_modalities")),
        *(["thinking"] if entry.get("thinking") is True else []),
    ]
    found = {ModelCapability(_SAID[word]) for word in words if word in _SAID}
    if ModelCapability.CHAT in found or (found and "text" in _words(_place(entry, "architecture.output_modalities"))):
        found |= {ModelCapability.CHAT, ModelCapability.STREAM}
    return frozenset(found)


def _parameters(entry: Mapping[str, Any]) -> dict[str, ParameterAvailability]:
    found: dict[str, ParameterAvailability] = {}
    if listed := _words(entry.get("supported_parameters")):
        # The list is whole: of the parameters everybody knows, what is not in it is refused.
        names = {ours: theirs in listed for theirs, ours in _PARAMETERS.items()}
        found = {
            name: ParameterAvailability(kind="mutable" if taken else "unsupported") for name, taken in names.items()
        }
        found |= {name: ParameterAvailability(kind="opaque") for name in listed if name not in _PARAMETERS}
    highest = entry.get("maxTemperature")
    if isinstance(highest, int | float):
        allowed = ParameterRange(minimum=0, maximum=highest, default=entry.get("temperature"))
        found[ParameterName.TEMPERATURE.value] = ParameterAvailability(kind="mutable", range=allowed)
    return found


def _pricing(entry: Mapping[str, Any]) -> PricingInfo | None:
    """OpenRouter's price, which is for one token; a negative one means that it varies."""
    listed = entry.get("pricing")
    if not isinstance(listed, Mapping):
        return None
    places = {
        "input": "prompt",
        "output": "completion",
        "cache_read": "input_cache_read",
        "cache_write": "input_cache_write",
    }
    million = {
        ours: price * 1_000_000 for ours, theirs in places.items() if (price := _money(listed.get(theirs))) is not None
    }
    request = _money(listed.get("request"))
    if "input" not in million or any(price < 0 for price in million.values()):
        return None
    return PricingInfo(**million, request=request or None)


def _money(value: Any) -> Decimal | None:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None
