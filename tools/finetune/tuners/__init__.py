"""Where models are fine-tuned: one file for each provider, one line for each file."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ....knowledge.errors import unknown_name

if TYPE_CHECKING:
    from .tuner import FineTuner

TUNERS = {
    "anthropic": "anthropic:AnthropicFineTuner",
    "bedrock": "bedrock:BedrockFineTuner",
    "fireworks": "fireworks:FireworksFineTuner",
    "gemini": "gemini:GeminiFineTuner",
    "openai": "openai:OpenAIFineTuner",
    "together": "together:TogetherFineTuner",
}
"""Provider → module of this package and its class."""


def tuner_class(provider: str) -> type[FineTuner]:
    """The tuner of a provider.

    :raises UnknownNameError: there is none of this name.
    """
    if provider not in TUNERS:
        raise unknown_name("tuner", provider, TUNERS)
    module, _, name = TUNERS[provider].partition(":")
    found: type[FineTuner] = getattr(import_module(f".{module}", __name__), name)
    return found
