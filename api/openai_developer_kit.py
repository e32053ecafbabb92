"""The OpenAI kit under the name the specification gives its module; `Chat` is the kit."""

from racto.agents.kits import OpenAIDeveloperKit
from racto.agents.toolbox import ToolRegistry
from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import (
    ChatConfig,
    EmbeddingConfig,
    EmbeddingResponse,
    EmbeddingVector,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    StreamChunk,
    StreamDelta,
    ToolCallResult,
)

Chat = OpenAIDeveloperKit

__all__ = [
    "Chat",
    "ChatConfig",
    "EmbeddingConfig",
    "EmbeddingResponse",
    "EmbeddingVector",
    "FinishReason",
    "LLMResponse",
    "Message",
    "MessageRole",
    "OpenAIDeveloperKit",
    "RactoFile",
    "RactoPrompt",
    "ReasoningConfig",
    "StreamChunk",
    "StreamDelta",
    "ToolCallResult",
    "ToolRegistry",
]
