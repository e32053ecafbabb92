"""The Google adapter under the name the specification gives its module."""

from racto.agents.kits import GoogleLLMKit

__all__ = ["GoogleLLMKit"]
