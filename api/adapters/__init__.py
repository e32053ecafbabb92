"""The adapters of the low-level gateway, under the name the specification gives their package."""

from racto.agents.kits import AnthropicLLMKit, BaseLLMAdapter, GoogleLLMKit, OpenAILLMKit
from racto.knowledge.vocabulary import FinishReason, LLMResponse, ToolCallResult

__all__ = [
    "AnthropicLLMKit",
    "BaseLLMAdapter",
    "FinishReason",
    "GoogleLLMKit",
    "LLMResponse",
    "OpenAILLMKit",
    "ToolCallResult",
]
