"""A chunk as the stores of other makers keep it: one JSON text that comes back exactly, beside flat fields to filter by."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from ..chunks import Chunk, ChunkMetadata
from ..errors import CorruptError, InputError
from .filtering import fields_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_INTEGERS = 2.0**53
"""Beyond it two whole numbers can be one and the same double, and a backend keeps doubles."""

_LARGEST = 1e300
_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNKEEPABLE = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL takes no NUL, UTF-8 no lone surrogate
_REPLACEMENT = "\ufffd"


class Row(NamedTuple):
    """A chunk as a backend gets it.

    :param record: All of it but its vector; see `packed`.
    :param fields: What it can be filtered by; see `flat`.
    :param vector: float32, as the embedder made it.
    """

    chunk_id: str
    record: str
    fields: dict[str, str | float]
    vector: NDArray[Any]


def rows_of(chunks: Sequence[Chunk]) -> list[Row]:
    """The rows of chunks, every one of them checked.

    :raises InputError: one cannot be kept.
    """
    return [
        Row(chunk.chunk_id, packed(chunk), flat(chunk.metadata), vector)
        for chunk, vector in zip(chunks, checked_vectors(chunks), strict=True)
    ]


def packed(chunk: Chunk) -> str:
    """The chunk without its vector, as ASCII JSON: any text survives any wire.

    :raises InputError: its metadata hold what JSON cannot say.
    """
    try:
        return json.dumps(
            {
                "id": chunk.chunk_id,
                "doc_id": chunk.doc_id,
                "content": chunk.content,
                "metadata": asdict(chunk.metadata),
            },
            separators=(",", ":"),
        )
    except (TypeError, ValueError, RecursionError) as error:
        hint = "Use texts, numbers, booleans, lists and dictionaries of them."
        raise InputError(f"The metadata of chunk {chunk.chunk_id} are not JSON: {error}.", hint) from None


def unpacked(record: Any) -> Chunk:
    """The chunk of a record; its vector stays in the store.

    :param record: What the backend had where a record should be.
    :raises CorruptError: it is none of ours.
    """
    try:
        kept = json.loads(record)
        about = kept["metadata"]
        about["heading_path"] = tuple(about["heading_path"])
        return Chunk(kept["content"], ChunkMetadata(**about), kept["doc_id"], kept["id"])
    except (KeyError, TypeError, ValueError) as error:
        hint = "Something else wrote into this collection; give racto one of its own."
        raise CorruptError("The store holds something that is no chunk.", hint) from error


def uuid_of(chunk_id: str) -> str:
    """The id itself when it is a UUID; for any other text a UUID, the same every time."""
    if _UUID.fullmatch(chunk_id):
        return chunk_id
    return str(uuid.uuid5(uuid.NAMESPACE_OID, chunk_id))


def checked_vectors(chunks: Sequence[Chunk]) -> NDArray[Any]:
    """The vectors of chunks, as a float32 array of one row each.

    :raises InputError: a chunk has none, they differ in length, or one cannot be compared.
    """
    import numpy as np

    for chunk in chunks:
        if not chunk.embedding:
            raise InputError(f"Chunk {chunk.chunk_id} has no embedding.", "Embed the chunks before adding them.")
        if len(chunk.embedding) != len(chunks[0].embedding or ()):
            raise InputError("The embeddings differ in length.", "Embed all chunks with one model.")
    vectors = np.asarray([chunk.embedding for chunk in chunks], dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    for chunk, length in zip(chunks, lengths.tolist(), strict=True):
        if not math.isfinite(length) or length == 0:
            raise InputError(
                f"The embedding of chunk {chunk.chunk_id} has no direction: it is all zeros or not finite.",
                "Check what the embedder returned for its text.",
            )
    return vectors


def unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Rows at length 1, so that an inner product is a cosine."""
    import numpy as np

    scaled: NDArray[Any] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return scaled


def flat(metadata: ChunkMetadata) -> dict[str, str | float]:
    """The texts, numbers and booleans a chunk can be filtered by, each under `key_of` its field.

    A field has the kind of its value in its key, so that no backend meets two kinds in one field or takes `True` for 1.
    """
    kept: dict[str, str | float] = {}
    for name, value in fields_of(metadata).items():
        native = native_value(value)
        if native is not None and (key := key_of(name, value)):
            kept[key] = native
    return kept


def key_of(name: str, value: Any) -> str | None:
    """What a field with such a value is called in a backend; `None` when not every backend could name it."""
    kind = "b" if isinstance(value, bool) else "s" if isinstance(value, str) else "n"
    return f"{kind}_{name}" if _NAME.fullmatch(name) else None


def native_value(value: Any) -> str | float | None:
    """A value as every backend can keep it; `None` for what is neither text, number nor boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _UNKEEPABLE.sub(_REPLACEMENT, value)
    if isinstance(value, int | float) and value == value:
        return float(max(-_LARGEST, min(_LARGEST, value)))  # also infinity, which JSON has no number for
    return None


def is_exact(value: Any) -> bool:
    """Whether `native_value` of no other value is the same."""
    if isinstance(value, str):
        return _REPLACEMENT not in value and not _UNKEEPABLE.search(value)
    return isinstance(value, int | float) and abs(value) < EXACT_INTEGERS
