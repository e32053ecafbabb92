"""What every adapter shares, under the name the specification gives its module."""

from racto.agents.kits import BaseLLMAdapter
from racto.knowledge.vocabulary import FinishReason, LLMResponse, ToolCallResult

__all__ = ["BaseLLMAdapter", "FinishReason", "LLMResponse", "ToolCallResult"]
