"""The Anthropic kit under the name the specification gives its module; `Chat` is the kit."""

from racto.agents.kits import AnthropicDeveloperKit
from racto.agents.toolbox import ToolRegistry
from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import (
    ChatConfig,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    StreamChunk,
    StreamDelta,
    ToolCallResult,
)

Chat = AnthropicDeveloperKit

__all__ = [
    "AnthropicDeveloperKit",
    "Chat",
    "ChatConfig",
    "FinishReason",
    "LLMResponse",
    "Message",
    "MessageRole",
    "RactoFile",
    "RactoPrompt",
    "ReasoningConfig",
    "StreamChunk",
    "StreamDelta",
    "ToolCallResult",
    "ToolRegistry",
]
