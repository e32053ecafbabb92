"""The OpenAI adapter under the name the specification gives its module."""

from racto.agents.kits import OpenAILLMKit

__all__ = ["OpenAILLMKit"]
