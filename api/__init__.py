"""racto: a private, offline-capable MCP server and the typed parts under it.

Every public name is imported on first use: `import racto` itself loads nothing else.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = (
    False  # what type checkers know it by; importing `typing` for it would be most of what `import racto` costs
)
if TYPE_CHECKING:
    from racto.agents.calls import Blob, Caller, Content, Embedded, Link, Text, ToolContext, ToolOutput
    from racto.agents.offers import (
        PromptArgument,
        PromptEntry,
        PromptFamily,
        PromptMessage,
        ResourceEntry,
        ResourceFamily,
        Toolset,
    )
    from racto.agents.toolbox import ParamSchema, Tool, ToolCallResult, ToolRegistry, ToolSchema, tool
    from racto.knowledge.catalogue import PageEntry
    from racto.knowledge.database import Database
    from racto.knowledge.documents import Document
    from racto.knowledge.errors import (
        AccessError,
        ConfigError,
        ConflictError,
        CorruptError,
        DeclinedError,
        DiskFullError,
        EncryptedError,
        InputError,
        LimitError,
        NoTextError,
        RactoError,
        ReadError,
        StorageError,
        TimeLimitError,
        UnknownNameError,
        UnsupportedError,
    )
    from racto.knowledge.files import RactoFile
    from racto.knowledge.folder import IngestReport
    from racto.knowledge.pages import PageIndexRAG, PageIndexResponse, PageIndexResult
    from racto.knowledge.processing import BaseProcessor, ProcessingPipeline, TextCleaner
    from racto.knowledge.prompt_store import PromptStore
    from racto.knowledge.prompts import RactoPrompt
    from racto.knowledge.readers import BaseReader, FileReaderRegistry
    from racto.knowledge.roots import Roots
    from racto.knowledge.vocabulary import ChatConfig, Message, MessageRole
    from racto.server.mcp import MCPServerConfig, RactoMCPServer

__version__ = "0.1.0"

_HOMES = {
    "agents.calls": ("Blob", "Caller", "Content", "Embedded", "Link", "Text", "ToolContext", "ToolOutput"),
    "agents.offers": (
        "PromptArgument",
        "PromptEntry",
        "PromptFamily",
        "PromptMessage",
        "ResourceEntry",
        "ResourceFamily",
        "Toolset",
    ),
    "agents.toolbox": ("ParamSchema", "Tool", "ToolCallResult", "ToolRegistry", "ToolSchema", "tool"),
    "knowledge.catalogue": ("PageEntry",),
    "knowledge.database": ("Database",),
    "knowledge.documents": ("Document",),
    "knowledge.errors": (
        "AccessError",
        "ConfigError",
        "ConflictError",
        "CorruptError",
        "DeclinedError",
        "DiskFullError",
        "EncryptedError",
        "InputError",
        "LimitError",
        "NoTextError",
        "RactoError",
        "ReadError",
        "StorageError",
        "TimeLimitError",
        "UnknownNameError",
        "UnsupportedError",
    ),
    "knowledge.files": ("RactoFile",),
    "knowledge.folder": ("IngestReport",),
    "knowledge.pages": ("PageIndexRAG", "PageIndexResponse", "PageIndexResult"),
    "knowledge.processing": ("BaseProcessor", "ProcessingPipeline", "TextCleaner"),
    "knowledge.prompt_store": ("PromptStore",),
    "knowledge.prompts": ("RactoPrompt",),
    "knowledge.readers": ("BaseReader", "FileReaderRegistry"),
    "knowledge.roots": ("Roots",),
    "knowledge.vocabulary": ("ChatConfig", "Message", "MessageRole"),
    "server.mcp": ("MCPServerConfig", "RactoMCPServer"),
}
"""Module → the public names that live there."""

_HOME = {name: home for home, names in _HOMES.items() for name in names}

# Type checkers read only a literal list; tests/test_public_names.py holds it and the two tables above together.
__all__ = [
    "AccessError",
    "BaseProcessor",
    "BaseReader",
    "Blob",
    "Caller",
    "ChatConfig",
    "ConfigError",
    "ConflictError",
    "Content",
    "CorruptError",
    "Database",
    "DeclinedError",
    "DiskFullError",
    "Document",
    "Embedded",
    "EncryptedError",
    "FileReaderRegistry",
    "IngestReport",
    "InputError",
    "LimitError",
    "Link",
    "MCPServerConfig",
    "Message",
    "MessageRole",
    "NoTextError",
    "PageEntry",
    "PageIndexRAG",
    "PageIndexResponse",
    "PageIndexResult",
    "ParamSchema",
    "ProcessingPipeline",
    "PromptArgument",
    "PromptEntry",
    "PromptFamily",
    "PromptMessage",
    "PromptStore",
    "RactoError",
    "RactoFile",
    "RactoMCPServer",
    "RactoPrompt",
    "ReadError",
    "ResourceEntry",
    "ResourceFamily",
    "Roots",
    "StorageError",
    "Text",
    "TextCleaner",
    "TimeLimitError",
    "Tool",
    "ToolCallResult",
    "ToolContext",
    "ToolOutput",
    "ToolRegistry",
    "ToolSchema",
    "Toolset",
    "UnknownNameError",
    "UnsupportedError",
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
