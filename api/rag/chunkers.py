"""Chunkers under the name the specification gives their module."""

from racto.knowledge.chunking import BaseChunker
from racto.knowledge.chunking.fixed import FixedChunker
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.chunking.semantic import SemanticChunker
from racto.knowledge.chunking.sentence import SentenceChunker
from racto.knowledge.chunking.structure import StructureChunker

__all__ = ["BaseChunker", "FixedChunker", "RecursiveChunker", "SemanticChunker", "SentenceChunker", "StructureChunker"]
