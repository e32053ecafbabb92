"""Embedders under the name the specification gives their module."""

from racto.agents.embedders import (
    GoogleEmbedder,
    HuggingFaceEmbedder,
    OllamaEmbedder,
    OpenAIEmbedder,
    SentenceTransformersEmbedder,
    VoyageEmbedder,
)
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.lsa import LsaEmbedder

__all__ = [
    "BaseEmbedder",
    "GoogleEmbedder",
    "HuggingFaceEmbedder",
    "LsaEmbedder",
    "OllamaEmbedder",
    "OpenAIEmbedder",
    "SentenceTransformersEmbedder",
    "VoyageEmbedder",
]
