"""The Ollama kit under the name the specification gives its module; `Chat` is the kit."""

from racto.agents.kits import OllamaDeveloperKit
from racto.agents.ollama_server import OllamaServerManager
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

Chat = OllamaDeveloperKit

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
    "OllamaDeveloperKit",
    "OllamaServerManager",
    "RactoFile",
    "RactoPrompt",
    "ReasoningConfig",
    "StreamChunk",
    "StreamDelta",
    "ToolCallResult",
    "ToolRegistry",
]
