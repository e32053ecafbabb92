"""racto: a private, offline-capable MCP server and the typed parts under it.

Every public name is imported on first use: `import racto` itself loads nothing else. The file is as long as its list of names, which type checkers
want to read twice.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = (
    False  # what type checkers know it by; importing `typing` for it would be most of what `import racto` costs
)
if TYPE_CHECKING:
    from racto.agents.budget import Budget
    from racto.agents.caches import CacheConfig, CacheStats, ExactMatchCache, RedisExactCache
    from racto.agents.calls import Blob, Caller, Content, Embedded, Link, Text, ToolContext, ToolOutput
    from racto.agents.gateway import ModelGateway
    from racto.agents.kits import (
        AnthropicDeveloperKit,
        AnthropicLLMKit,
        BaseLLMAdapter,
        Gateway,
        GoogleDeveloperKit,
        GoogleLLMKit,
        HuggingFaceDeveloperKit,
        OllamaDeveloperKit,
        OpenAIDeveloperKit,
        OpenAILLMKit,
    )
    from racto.agents.limits import BudgetLimit
    from racto.agents.model_metadata import ModelMetadata
    from racto.agents.models import ModelRegistry
    from racto.agents.nlp import NLP, LocalNLI, NLIResult, StanceLabel, StanceResult, ZeroShotResult
    from racto.agents.offers import (
        PromptArgument,
        PromptEntry,
        PromptFamily,
        PromptMessage,
        ResourceEntry,
        ResourceFamily,
        Toolset,
    )
    from racto.agents.rerankers import ChatReranker, CrossEncoderReranker
    from racto.agents.routing import CostAwareRouter, Endpoint, RoutingConfig, RoutingTier, TaskRoute, TaskRouter
    from racto.agents.semantic_cache import SemanticCache
    from racto.agents.toolbox import ParamSchema, Tool, ToolRegistry, ToolSchema, tool
    from racto.agents.truncation import TokenTruncator, TruncationConfig
    from racto.knowledge.catalogue import PageEntry
    from racto.knowledge.chat_memory import ChatMemoryConfig, RedisChatMemory
    from racto.knowledge.chunks import Chunk, ChunkMetadata, RetrievalResult
    from racto.knowledge.contexts import ContextStore
    from racto.knowledge.database import Database
    from racto.knowledge.documents import Document
    from racto.knowledge.embedding import BaseEmbedder, Reranker
    from racto.knowledge.errors import (
        AccessError,
        BudgetExceededError,
        CircuitOpenError,
        ConfigError,
        ConflictError,
        ConnectionLostError,
        ContextLengthError,
        CorruptError,
        DeclinedError,
        DiskFullError,
        EncryptedError,
        InputError,
        LimitError,
        MalformedResponseError,
        ModelNotAvailableError,
        NoModelError,
        NoTextError,
        OverloadedError,
        QueryError,
        QueryRefusedError,
        RactoError,
        RactoGatewayAPIError,
        RactoGatewayAuthError,
        RactoGatewayError,
        RactoGatewayTimeoutError,
        RateLimitedError,
        RateLimitExceededError,
        ReadError,
        ReadOnlyViolationError,
        ResponseModelValidationError,
        StorageError,
        StreamInterruptedError,
        TimeLimitError,
        UnknownNameError,
        UnknownPriceError,
        UnsupportedError,
        UnsupportedParameterError,
    )
    from racto.knowledge.files import RactoFile
    from racto.knowledge.folder import IngestReport
    from racto.knowledge.library import Library
    from racto.knowledge.pages import PageIndexRAG, PageIndexResponse, PageIndexResult
    from racto.knowledge.processing import BaseProcessor, ProcessingPipeline, TextCleaner
    from racto.knowledge.prompt_store import PromptStore
    from racto.knowledge.prompts import RactoPrompt
    from racto.knowledge.rag import RactoRAG, RAGResponse
    from racto.knowledge.rate_limit import RateLimitConfig, RedisRateLimiter
    from racto.knowledge.readers import BaseReader, FileReaderRegistry
    from racto.knowledge.roots import Roots
    from racto.knowledge.stores import BaseVectorStore
    from racto.knowledge.templates import TemplateStore
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
    from racto.server.mcp import MCPServerConfig, RactoMCPServer
    from racto.tools.classify.answers import (
        AuditEntry,
        ClassifierRateLimitExceededError,
        ClassifierResult,
        ClassifierUsage,
    )
    from racto.tools.classify.pipeline import AsyncListClassifierPipeline, ListClassifierPipeline
    from racto.tools.finetune.dataset import RactoDataset
    from racto.tools.finetune.messages import RactoTrainingExample, RactoTrainingMessage
    from racto.tools.finetune.tuners.anthropic import AnthropicFineTuner
    from racto.tools.finetune.tuners.gemini import GeminiFineTuner
    from racto.tools.finetune.tuners.openai import OpenAIFineTuner
    from racto.tools.sql.answers import PipelineUsage, SQLAnalystResult
    from racto.tools.sql.charts.spec import ChartSpec
    from racto.tools.sql.pipeline import AsyncSQLAnalystPipeline, SQLAnalystPipeline

__version__ = "0.1.0"

_HOMES = {
    "agents.budget": ("Budget",),
    "agents.caches": ("CacheConfig", "CacheStats", "ExactMatchCache", "RedisExactCache"),
    "agents.calls": ("Blob", "Caller", "Content", "Embedded", "Link", "Text", "ToolContext", "ToolOutput"),
    "agents.gateway": ("ModelGateway",),
    "agents.kits": (
        "AnthropicDeveloperKit",
        "AnthropicLLMKit",
        "BaseLLMAdapter",
        "Gateway",
        "GoogleDeveloperKit",
        "GoogleLLMKit",
        "HuggingFaceDeveloperKit",
        "OllamaDeveloperKit",
        "OpenAIDeveloperKit",
        "OpenAILLMKit",
    ),
    "agents.limits": ("BudgetLimit",),
    "agents.model_metadata": ("ModelMetadata",),
    "agents.models": ("ModelRegistry",),
    "agents.nlp": ("LocalNLI", "NLIResult", "NLP", "StanceLabel", "StanceResult", "ZeroShotResult"),
    "agents.offers": (
        "PromptArgument",
        "PromptEntry",
        "PromptFamily",
        "PromptMessage",
        "ResourceEntry",
        "ResourceFamily",
        "Toolset",
    ),
    "agents.rerankers": ("ChatReranker", "CrossEncoderReranker"),
    "agents.routing": ("CostAwareRouter", "Endpoint", "RoutingConfig", "RoutingTier", "TaskRoute", "TaskRouter"),
    "agents.semantic_cache": ("SemanticCache",),
    "agents.toolbox": ("ParamSchema", "Tool", "ToolRegistry", "ToolSchema", "tool"),
    "agents.truncation": ("TokenTruncator", "TruncationConfig"),
    "knowledge.catalogue": ("PageEntry",),
    "knowledge.chat_memory": ("ChatMemoryConfig", "RedisChatMemory"),
    "knowledge.chunks": ("Chunk", "ChunkMetadata", "RetrievalResult"),
    "knowledge.contexts": ("ContextStore",),
    "knowledge.database": ("Database",),
    "knowledge.documents": ("Document",),
    "knowledge.embedding": ("BaseEmbedder", "Reranker"),
    "knowledge.errors": (
        "AccessError",
        "BudgetExceededError",
        "CircuitOpenError",
        "ConfigError",
        "ConflictError",
        "ConnectionLostError",
        "ContextLengthError",
        "CorruptError",
        "DeclinedError",
        "DiskFullError",
        "EncryptedError",
        "InputError",
        "LimitError",
        "MalformedResponseError",
        "ModelNotAvailableError",
        "NoModelError",
        "NoTextError",
        "OverloadedError",
        "QueryError",
        "QueryRefusedError",
        "RactoError",
        "RactoGatewayAPIError",
        "RactoGatewayAuthError",
        "RactoGatewayError",
        "RactoGatewayTimeoutError",
        "RateLimitExceededError",
        "RateLimitedError",
        "ReadError",
        "ReadOnlyViolationError",
        "ResponseModelValidationError",
        "StorageError",
        "StreamInterruptedError",
        "TimeLimitError",
        "UnknownNameError",
        "UnknownPriceError",
        "UnsupportedError",
        "UnsupportedParameterError",
    ),
    "knowledge.files": ("RactoFile",),
    "knowledge.folder": ("IngestReport",),
    "knowledge.library": ("Library",),
    "knowledge.pages": ("PageIndexRAG", "PageIndexResponse", "PageIndexResult"),
    "knowledge.processing": ("BaseProcessor", "ProcessingPipeline", "TextCleaner"),
    "knowledge.prompt_store": ("PromptStore",),
    "knowledge.prompts": ("RactoPrompt",),
    "knowledge.rag": ("RAGResponse", "RactoRAG"),
    "knowledge.rate_limit": ("RateLimitConfig", "RedisRateLimiter"),
    "knowledge.readers": ("BaseReader", "FileReaderRegistry"),
    "knowledge.roots": ("Roots",),
    "knowledge.stores": ("BaseVectorStore",),
    "knowledge.templates": ("TemplateStore",),
    "knowledge.vocabulary": (
        "ChatConfig",
        "EmbeddingConfig",
        "EmbeddingResponse",
        "EmbeddingVector",
        "FinishReason",
        "LLMResponse",
        "Message",
        "MessageRole",
        "ReasoningConfig",
        "StreamChunk",
        "StreamDelta",
        "ToolCallResult",
    ),
    "server.mcp": ("MCPServerConfig", "RactoMCPServer"),
    "tools.classify.answers": ("AuditEntry", "ClassifierRateLimitExceededError", "ClassifierResult", "ClassifierUsage"),
    "tools.classify.pipeline": ("AsyncListClassifierPipeline", "ListClassifierPipeline"),
    "tools.finetune.dataset": ("RactoDataset",),
    "tools.finetune.messages": ("RactoTrainingExample", "RactoTrainingMessage"),
    "tools.finetune.tuners.anthropic": ("AnthropicFineTuner",),
    "tools.finetune.tuners.gemini": ("GeminiFineTuner",),
    "tools.finetune.tuners.openai": ("OpenAIFineTuner",),
    "tools.sql.answers": ("PipelineUsage", "SQLAnalystResult"),
    "tools.sql.charts.spec": ("ChartSpec",),
    "tools.sql.pipeline": ("AsyncSQLAnalystPipeline", "SQLAnalystPipeline"),
}
"""Module → the public names that live there."""

_HOME = {name: home for home, names in _HOMES.items() for name in names}

# Type checkers read only a literal list; tests/test_public_names.py holds it and the two tables above together.
__all__ = [
    "NLP",
    "AccessError",
    "AnthropicDeveloperKit",
    "AnthropicFineTuner",
    "AnthropicLLMKit",
    "AsyncListClassifierPipeline",
    "AsyncSQLAnalystPipeline",
    "AuditEntry",
    "BaseEmbedder",
    "BaseLLMAdapter",
    "BaseProcessor",
    "BaseReader",
    "BaseVectorStore",
    "Blob",
    "Budget",
    "BudgetExceededError",
    "BudgetLimit",
    "CacheConfig",
    "CacheStats",
    "Caller",
    "ChartSpec",
    "ChatConfig",
    "ChatMemoryConfig",
    "ChatReranker",
    "Chunk",
    "ChunkMetadata",
    "CircuitOpenError",
    "ClassifierRateLimitExceededError",
    "ClassifierResult",
    "ClassifierUsage",
    "ConfigError",
    "ConflictError",
    "ConnectionLostError",
    "Content",
    "ContextLengthError",
    "ContextStore",
    "CorruptError",
    "CostAwareRouter",
    "CrossEncoderReranker",
    "Database",
    "DeclinedError",
    "DiskFullError",
    "Document",
    "Embedded",
    "EmbeddingConfig",
    "EmbeddingResponse",
    "EmbeddingVector",
    "EncryptedError",
    "Endpoint",
    "ExactMatchCache",
    "FileReaderRegistry",
    "FinishReason",
    "Gateway",
    "GeminiFineTuner",
    "GoogleDeveloperKit",
    "GoogleLLMKit",
    "HuggingFaceDeveloperKit",
    "IngestReport",
    "InputError",
    "LLMResponse",
    "Library",
    "LimitError",
    "Link",
    "ListClassifierPipeline",
    "LocalNLI",
    "MCPServerConfig",
    "MalformedResponseError",
    "Message",
    "MessageRole",
    "ModelGateway",
    "ModelMetadata",
    "ModelNotAvailableError",
    "ModelRegistry",
    "NLIResult",
    "NoModelError",
    "NoTextError",
    "OllamaDeveloperKit",
    "OpenAIDeveloperKit",
    "OpenAIFineTuner",
    "OpenAILLMKit",
    "OverloadedError",
    "PageEntry",
    "PageIndexRAG",
    "PageIndexResponse",
    "PageIndexResult",
    "ParamSchema",
    "PipelineUsage",
    "ProcessingPipeline",
    "PromptArgument",
    "PromptEntry",
    "PromptFamily",
    "PromptMessage",
    "PromptStore",
    "QueryError",
    "QueryRefusedError",
    "RAGResponse",
    "RactoDataset",
    "RactoError",
    "RactoFile",
    "RactoGatewayAPIError",
    "RactoGatewayAuthError",
    "RactoGatewayError",
    "RactoGatewayTimeoutError",
    "RactoMCPServer",
    "RactoPrompt",
    "RactoRAG",
    "RactoTrainingExample",
    "RactoTrainingMessage",
    "RateLimitConfig",
    "RateLimitExceededError",
    "RateLimitedError",
    "ReadError",
    "ReadOnlyViolationError",
    "ReasoningConfig",
    "RedisChatMemory",
    "RedisExactCache",
    "RedisRateLimiter",
    "Reranker",
    "ResourceEntry",
    "ResourceFamily",
    "ResponseModelValidationError",
    "RetrievalResult",
    "Roots",
    "RoutingConfig",
    "RoutingTier",
    "SQLAnalystPipeline",
    "SQLAnalystResult",
    "SemanticCache",
    "StanceLabel",
    "StanceResult",
    "StorageError",
    "StreamChunk",
    "StreamDelta",
    "StreamInterruptedError",
    "TaskRoute",
    "TaskRouter",
    "TemplateStore",
    "Text",
    "TextCleaner",
    "TimeLimitError",
    "TokenTruncator",
    "Tool",
    "ToolCallResult",
    "ToolContext",
    "ToolOutput",
    "ToolRegistry",
    "ToolSchema",
    "Toolset",
    "TruncationConfig",
    "UnknownNameError",
    "UnknownPriceError",
    "UnsupportedError",
    "UnsupportedParameterError",
    "ZeroShotResult",
    "__version__",
    "tool",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'racto' has no attribute {name!r}")
    value: object = getattr(import_module(f"racto.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
