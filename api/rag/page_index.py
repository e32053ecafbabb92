"""Page retrieval under the name the specification gives its module."""

from racto.knowledge.pages import PageEntry, PageIndexRAG, PageIndexResponse, PageIndexResult

__all__ = ["PageEntry", "PageIndexRAG", "PageIndexResponse", "PageIndexResult"]
