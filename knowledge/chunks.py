"""The unit of retrieval: a stretch of a document that is embedded, found and cited by itself."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ChunkMetadata:
    """Where a chunk comes from.

    :param source: Path, URL or label of its document.
    :param page: The physical page it is on, counted from 1; `None` where the format has no pages.
    :param chunk_index: Its place in the document, counted from 0.
    :param total_chunks: How many chunks the document has.
    :param start_char: Where it begins in the text of the document, before any processing.
    :param end_char: Where it ends there.
    :param doc_id: The id of the document.
    :param heading_path: The headings it stands under, outermost first.
    :param extra: What the document says about itself, and what was said when it was ingested.
    """

    source: str = ""
    page: int | None = None
    chunk_index: int = 0
    total_chunks: int = 0
    start_char: int = 0
    end_char: int = 0
    doc_id: str = ""
    heading_path: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Chunk:
    """A stretch of a document.

    :param content: Its text as the document has it: `document.content[start_char:end_char]`.
    :param doc_id: The id of its document.
    :param chunk_id: A UUID; a chunk of the same document at the same place keeps it.
    :param embedding: Its vector, once there is one.
    """

    content: str
    metadata: ChunkMetadata = field(default_factory=ChunkMetadata)
    doc_id: str = ""
    chunk_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    embedding: list[float] | None = field(default=None, repr=False)


@dataclass(slots=True)
class RetrievalResult:
    """A chunk that was found.

    :param score: Higher is better; comparable within one query.
    :param rank: Its place among the results, counted from 1.
    :param matched_terms: The words of the query it holds.
    :param why: What brought it up, in one sentence: its words, its meaning, or both.
    """

    chunk: Chunk
    score: float
    rank: int
    matched_terms: list[str] = field(default_factory=list)
    why: str = ""
