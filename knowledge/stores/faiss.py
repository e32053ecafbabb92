"""Chunks in a FAISS index in memory, saved to two files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..chunks import Chunk, ChunkMetadata
from ..errors import ConfigError, CorruptError, unknown_name
from .adapter import Dialect, StoreAdapter, installed
from .filtering import Node, matches
from .records import Row, unit, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMAT = 1
_TYPES = ("flat_ip", "flat_l2")


class _NoWords(Dialect[None]):
    """FAISS knows numbers of vectors and nothing else: filters choose the numbers."""

    def within(self, key: str, values: list[str] | list[float]) -> None:
        return None

    def ordered(self, key: str, operator: str, value: str | float) -> None:
        return None

    def every(self, parts: list[None]) -> None:
        return None

    def some(self, parts: list[None]) -> None:
        return None

    def negated(self, part: None) -> None:
        return None


class _Kept(NamedTuple):
    record: str
    chunk_id: str
    metadata: ChunkMetadata


class FAISSStore(StoreAdapter[None]):
    """Compares with every vector that the filters let through.

    :param dimension: How long vectors are; by default as long as the first ones added.
    :param index_type: `flat_ip` compares by cosine (vectors are kept at length 1); `flat_l2` by distance, and a score is the
        Euclidean distance with a minus.
    :param index_path: Where `save` and `load` go without a path; what was saved there is loaded at once.
    """

    def __init__(
        self, dimension: int | None = None, index_type: str = "flat_ip", *, index_path: str | Path | None = None
    ) -> None:
        if index_type not in _TYPES:
            raise unknown_name("FAISS index type", index_type, _TYPES)
        super().__init__("FAISS", _NoWords(), batch_size=1_000)
        self._given = dimension
        self._type = index_type
        self._path = index_path
        self._empty()
        if index_path is not None and _files(index_path)[0].exists():
            self.load()

    def _empty(self) -> None:
        self._index: Any = None
        self._kept: dict[int, _Kept] = {}
        self._numbers: dict[str, int] = {}
        self._next = 0

    def save(self, path: str | Path | None = None) -> None:
        """Write the index to `path.index` and the chunks to `path.chunks`, both or neither.

        :raises ConfigError: there is no path.
        :raises StorageError: they cannot be written.
        """
        index_file, chunks_file = _files(self._place(path))
        with self._asked():
            blob = b"" if self._index is None else _faiss().serialize_index(self._index).tobytes()
            head = {
                "format": _FORMAT,
                "type": self._type,
                "next": self._next,
                "sha256": hashlib.sha256(blob).hexdigest(),
            }
            rows = ([number, kept.record] for number, kept in self._kept.items())
            # Once the index is in place the save counts: chunks that wait under the other name are known by its checksum.
            _write(_fresh(chunks_file), "\n".join(json.dumps(line) for line in (head, *rows)).encode())
            _write(_fresh(index_file), blob)
            _fresh(index_file).replace(index_file)
            _fresh(chunks_file).replace(chunks_file)

    def load(self, path: str | Path | None = None) -> None:
        """Take what `save` wrote, instead of what is here.

        :raises ConfigError: there is no path.
        :raises StorageError: the files are not there, or damaged.
        """
        index_file, chunks_file = _files(self._place(path))
        with self._asked():
            blob = index_file.read_bytes()
            digest = hashlib.sha256(blob).hexdigest()
            for file in (chunks_file, _fresh(chunks_file)):
                lines = file.read_bytes().split(b"\n") if file.exists() else [b"{}"]
                try:
                    head = json.loads(lines[0])
                    if head.get("sha256") == digest and head["format"] == _FORMAT:
                        self._take(blob, head, [json.loads(line) for line in lines[1:]])
                        return
                except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
                    break
            hint = "Save it again from its documents, or give both files back from one backup."
            raise CorruptError(f"{index_file} and {chunks_file.name} are damaged, or not of one save.", hint)

    def _take(self, blob: bytes, head: dict[str, Any], rows: list[list[Any]]) -> None:
        import numpy as np

        index = _faiss().deserialize_index(np.frombuffer(blob, dtype=np.uint8)) if blob else None
        if len(rows) != (index.ntotal if index else 0):
            raise ValueError
        self._index, self._type, self._next = index, head["type"], head["next"]
        self._kept = {number: _kept(record) for number, record in rows}
        self._numbers = {kept.chunk_id: number for number, kept in self._kept.items()}

    def _place(self, path: str | Path | None) -> str | Path:
        place = self._path if path is None else path
        if place is None:
            raise ConfigError("There is no path for the index.", "Pass one, or index_path at construction.")
        return place

    def _failures(self) -> tuple[type[Exception], ...]:
        return (OSError, RuntimeError)

    def _dimension(self) -> int | None:
        return self._given if self._index is None else int(self._index.d)

    def _put(self, rows: Sequence[Row]) -> None:
        import numpy as np

        faiss = _faiss()
        if self._index is None:
            flat = faiss.IndexFlatIP if self._type == "flat_ip" else faiss.IndexFlatL2
            self._index = faiss.IndexIDMap2(flat(len(rows[0].vector)))
        self._remove([row.chunk_id for row in rows])
        vectors = np.stack([row.vector for row in rows])
        numbers = range(self._next, self._next + len(rows))
        self._index.add_with_ids(
            unit(vectors) if self._type == "flat_ip" else vectors, np.asarray(numbers, dtype=np.int64)
        )
        self._next += len(rows)
        for number, row in zip(numbers, rows, strict=True):
            self._kept[number] = _kept(row.record)
            self._numbers[row.chunk_id] = number

    def _nearest(self, vector: NDArray[Any], limit: int, native: None, node: Node | None) -> list[tuple[Chunk, float]]:
        import numpy as np

        if not self._kept:
            return []
        faiss = _faiss()
        among = None
        count = len(self._kept)
        if node is not None:
            numbers = [number for number, kept in self._kept.items() if matches(node, kept.metadata)]
            if not numbers:
                return []
            # A bitmap asks each vector once; a batch of ids would be hashed for each.
            bits = np.zeros(self._next, dtype=bool)
            bits[numbers] = True
            among = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(bits, bitorder="little")))
            count = len(numbers)
        query = vector[None, :]
        scores, found = self._index.search(
            unit(query) if self._type == "flat_ip" else query, min(limit, count), params=among
        )
        if self._type == "flat_l2":
            scores = -np.sqrt(np.maximum(scores, 0))
        return [
            (unpacked(self._kept[number].record), score)
            for number, score in zip(found[0].tolist(), scores[0].tolist(), strict=True)
        ]

    def _remove(self, chunk_ids: Sequence[str]) -> None:
        import numpy as np

        numbers = [self._numbers.pop(chunk_id) for chunk_id in chunk_ids if chunk_id in self._numbers]
        if numbers:
            self._index.remove_ids(np.asarray(numbers, dtype=np.int64))
            for number in numbers:
                del self._kept[number]

    def _drop(self) -> None:
        self._empty()

    def _size(self) -> int:
        return len(self._kept)


def _kept(record: str) -> _Kept:
    chunk = unpacked(record)
    return _Kept(record, chunk.chunk_id, chunk.metadata)


def _faiss() -> Any:
    with installed("rag-faiss"):
        import faiss
    return faiss


def _files(path: str | Path) -> tuple[Path, Path]:
    place = Path(path)
    stem = place.with_suffix("") if place.suffix == ".index" else place
    return stem.with_name(stem.name + ".index"), stem.with_name(stem.name + ".chunks")


def _fresh(file: Path) -> Path:
    return file.with_name(file.name + ".new")


def _write(file: Path, content: bytes) -> None:
    with file.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
