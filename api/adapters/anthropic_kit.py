"""The Anthropic adapter under the name the specification gives its module."""

from racto.agents.kits import AnthropicLLMKit

__all__ = ["AnthropicLLMKit"]
