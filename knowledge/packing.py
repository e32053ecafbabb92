"""A document as lines of JSON, to be put by or carried elsewhere: one line about it, then one for each page with the page's chunks.

Nothing that can be made again is in it: neither index terms nor row ids. A line of any other origin is checked field by field.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from .catalogue import KeptDocument, outline
from .chunk_rows import rows_on

Count = Annotated[int, Field(ge=0, lt=1 << 62)]
Label = Annotated[str, Field(max_length=8192)]
Title = Annotated[str, Field(max_length=100_000)]

VectorsOf = Callable[[Sequence[int]], Sequence[str | None]]
"""Rows of chunks → the vector of each as text, `None` for one that has none."""


class Packed(BaseModel):
    """A line: strict about types, and with nothing in it that is not named."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class PackedChunk(Packed):
    """A chunk; see `NewChunk` for its fields.

    :param vector: Base 64 of half-precision floats, little-endian.
    """

    index: Count
    start: Count
    end: Count
    heading_path: list[Title]
    content: str = Field(min_length=1)
    digest: str = Field(pattern="^[0-9a-f]{32}$")
    vector: str | None = Field(default=None, max_length=200_000)


class PackedPage(Packed):
    """A page and the chunks on it; see `Window` and `PageEntry` for its fields."""

    number: Count | None
    start: Count
    end: Count
    section_title: Title | None
    heading_path: list[Title]
    keywords: list[Title]
    content: str = Field(min_length=1)
    chunks: list[PackedChunk] = Field(max_length=1 << 16)


class PackedDocument(Packed):
    """A document without its pages; see `KeptDocument` for its fields.

    :param pages: How many lines of pages follow.
    """

    source: str = Field(min_length=1, max_length=8192)
    name: str = Field(min_length=1, max_length=8192)
    type: Label
    language: str = Field(max_length=16)
    size: Count | None
    modified_ns: Count
    read_ns: Count
    sha256: str = Field(max_length=64)
    recipe: Title
    char_count: Count
    metadata: dict[str, JsonValue]
    notes: list[Title]
    outline: list[tuple[Count, Title, Count]]
    pages: int = Field(ge=1, le=10_000_000)


def lines(
    connection: sqlite3.Connection, document: KeptDocument, vectors_of: VectorsOf | None = None
) -> Iterator[bytes]:
    """A kept document, line by line; no more than one page is in memory.

    :param vectors_of: Gives the vectors of chunks, when they are to be carried along.
    """
    yield _line(
        PackedDocument(
            source=document.source,
            name=document.name,
            type=document.type,
            language=document.language,
            size=document.state.size,
            modified_ns=document.state.modified_ns,
            read_ns=document.state.read_ns,
            sha256=document.sha256,
            recipe=document.recipe,
            char_count=document.char_count,
            metadata=document.metadata,
            notes=document.notes,
            outline=outline(connection, document),
            pages=document.page_count,
        )
    )
    for page_id in range(document.first_page, document.first_page + document.page_count):
        yield _line(_page(connection, page_id, vectors_of))


def _page(connection: sqlite3.Connection, page_id: int, vectors_of: VectorsOf | None) -> PackedPage:
    number, start, end, title, path, keywords, content = connection.execute(
        "SELECT number, start_char, end_char, section_title, heading_path, keywords, content FROM pages WHERE id = ?",
        (page_id,),
    ).fetchone()
    chunks = connection.execute(
        "SELECT id, chunk_index, start_char, end_char, heading_path, content, digest FROM chunks WHERE id BETWEEN ? AND ? ORDER BY id",
        rows_on(page_id, page_id),
    ).fetchall()
    vectors = vectors_of([chunk[0] for chunk in chunks]) if vectors_of else [None] * len(chunks)
    # What is kept was checked when it came in.
    return PackedPage.model_construct(
        number=number,
        start=start,
        end=end,
        section_title=title,
        heading_path=json.loads(path),
        keywords=json.loads(keywords),
        content=content,
        chunks=[
            PackedChunk.model_construct(
                index=chunk[1],
                start=chunk[2],
                end=chunk[3],
                heading_path=json.loads(chunk[4]),
                content=chunk[5],
                digest=chunk[6].hex(),
                vector=vector,
            )
            for chunk, vector in zip(chunks, vectors, strict=True)
        ],
    )


def _line(packed: BaseModel) -> bytes:
    return f"{packed.model_dump_json(exclude_defaults=True)}\n".encode()


def described(problem: Any) -> str:
    """What pydantic found wrong, in a few words: where and what."""
    first = problem.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
