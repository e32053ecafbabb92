"""Page retrieval under the name the specification gives its module."""

from racto.knowledge.catalogue import PageEntry
from racto.knowledge.pages import PageIndexRAG, PageIndexResponse, PageIndexResult

__all__ = ["PageEntry", "PageIndexRAG", "PageIndexResponse", "PageIndexResult"]
