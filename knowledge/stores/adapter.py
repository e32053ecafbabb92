"""What the stores of other makers have in common: one meaning of filters, one set of checks, one kind of error.

An adapter says how its backend words a filter (`Dialect`) and how it keeps and compares (`StoreAdapter`); nothing else differs.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from ..chunks import Chunk, RetrievalResult
from ..errors import ConfigError, InputError, LimitError, RactoError, StorageError
from . import BaseVectorStore
from .filtering import EVERYTHING, And, Comparison, Node, Not, Or, matches, parse
from .records import Row, checked_vectors, is_exact, key_of, native_value, rows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

N = TypeVar("N")
"""A backend's own kind of filter."""

_WIDER = 4
_LONGEST_REASON = 300


class Dialect(ABC, Generic[N]):
    """How one backend words conditions on the flat fields of `records.flat`; `None` where it has no words."""

    @abstractmethod
    def within(self, key: str, values: list[str] | list[float]) -> N | None:
        """The field is there and is one of these."""

    @abstractmethod
    def ordered(self, key: str, operator: str, value: str | float) -> N | None:
        """The field is there and is `gt`, `gte`, `lt` or `lte` the value."""

    @abstractmethod
    def every(self, parts: list[N]) -> N:
        """All of two or more."""

    @abstractmethod
    def some(self, parts: list[N]) -> N:
        """At least one of two or more."""

    @abstractmethod
    def negated(self, part: N) -> N | None:
        """Whatever the part does not hold for, also where a field is missing."""

    def worded(self, node: Node) -> tuple[N | None, bool]:
        """A filter that lets through all that `node` does, and whether it lets through nothing else.

        What cannot be worded is left to `matches`: a part of an `and` is dropped, any other takes the whole with it.
        """
        if isinstance(node, Comparison):
            return self._comparison(node)
        if isinstance(node, Not):
            inner, exact = self.worded(node.node)
            negated = self.negated(inner) if exact and inner is not None else None
            return negated, negated is not None
        worded = [self.worded(part) for part in node.nodes]
        parts = [part for part, _ in worded if part is not None]
        exact = all(each for _, each in worded)
        if isinstance(node, Or) and len(parts) < max(1, len(worded)):
            return None, False
        if len(parts) < 2:
            return (parts[0] if parts else None), exact
        return (self.every if isinstance(node, And) else self.some)(parts), exact

    def _comparison(self, node: Comparison) -> tuple[N | None, bool]:
        if node.operator in ("eq", "in"):
            return self._one_of(node.field, node.value if isinstance(node.value, tuple) else (node.value,))
        key, value = key_of(node.field, node.value), native_value(node.value)
        if key is None or value is None or not is_exact(node.value):
            return None, False
        part = self.ordered(key, node.operator, value)
        return part, part is not None

    def _one_of(self, field: str, values: Sequence[Any]) -> tuple[N | None, bool]:
        kinds: dict[str, list[Any]] = {}
        for value in values:
            key, native = key_of(field, value), native_value(value)
            if key is None or native is None:
                return None, False
            kinds.setdefault(key, []).append(native)
        worded = [self.within(key, natives) for key, natives in kinds.items()]
        parts = [part for part in worded if part is not None]
        if not parts or len(parts) < len(worded):
            return None, False
        return (parts[0] if len(parts) == 1 else self.some(parts)), all(map(is_exact, values))


class StoreAdapter(BaseVectorStore, Generic[N]):
    """A store on somebody else's library. It is opened by its first use; results carry no vectors.

    :param title: What errors call it.
    :param secrets: What no message may show.
    """

    most: ClassVar[int] = 1_000_000
    """The longest list of results the backend gives."""

    longest_record: ClassVar[int] = 2**30
    """How many bytes a chunk may take without its vector."""

    def __init__(
        self, title: str, dialect: Dialect[N], *, batch_size: int = 100, secrets: Iterable[str | None] = ()
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}.", "Give at least 1.")
        self._title = title
        self._dialect = dialect
        self._batch_size = batch_size
        self._secrets = [secret for secret in secrets if secret]
        self._lock = threading.RLock()

    @abstractmethod
    def _failures(self) -> tuple[type[Exception], ...]:
        """What the library raises when its backend fails."""

    @abstractmethod
    def _dimension(self) -> int | None:
        """How long the vectors are that are there, or must be; `None` when nothing was said or added yet."""

    @abstractmethod
    def _put(self, rows: Sequence[Row]) -> None:
        """Keep one batch of different ids, replacing those that are there; makes the collection when it is missing."""

    @abstractmethod
    def _nearest(
        self, vector: NDArray[Any], limit: int, native: N | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        """The `limit` most similar chunks with their scores; fewer only when there are no more.

        :param native: What they must be like, in the backend's words.
        :param node: The same and exactly, for those that have no words.
        """

    @abstractmethod
    def _remove(self, chunk_ids: Sequence[str]) -> None:
        """Remove one batch of ids; the collection may be missing."""

    @abstractmethod
    def _drop(self) -> None:
        """Remove everything; the collection may be missing."""

    @abstractmethod
    def _size(self) -> int:
        """How many chunks there are; 0 when the collection is missing."""

    def add(self, chunks: Sequence[Chunk]) -> None:
        """See `BaseVectorStore.add`. Every chunk is checked before the first is written; then each batch is kept as a whole."""
        fresh = list({chunk.chunk_id: chunk for chunk in chunks}.values())
        if not fresh:
            return
        rows = rows_of(fresh)
        for row in rows:
            if len(row.record) > self.longest_record:
                raise InputError(
                    f"Chunk {row.chunk_id} takes {len(row.record):,} bytes; {self._title} keeps at most {self.longest_record:,}.",
                    "Use smaller chunks, or less metadata.",
                )
        with self._asked():
            self._fits(len(rows[0].vector))
            for start in range(0, len(rows), self._batch_size):
                self._put(rows[start : start + self._batch_size])

    def search(
        self, embedding: Sequence[float], top_k: int = 5, filters: Mapping[str, Any] | None = None
    ) -> list[RetrievalResult]:
        """See `BaseVectorStore.search`.

        A filter the backend cannot word as a whole is applied to ever longer lists until `top_k` are found or there are no more.

        :raises LimitError: the backend's longest list did not hold `top_k` results.
        """
        asked = parse(filters)
        node = None if asked == EVERYTHING else asked
        vector = checked_vectors([Chunk("", embedding=list(embedding))])
        if top_k < 1:
            return []
        native = self._dialect.worded(node)[0] if node else None
        with self._asked():
            if not self._fits(vector.shape[1]):
                return []
            found = self._enough(vector, top_k, native, node)
        found.sort(key=lambda pair: -pair[1])
        return [RetrievalResult(chunk, score, rank) for rank, (chunk, score) in enumerate(found[:top_k], 1)]

    def _enough(
        self, vector: NDArray[Any], top_k: int, native: N | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        limit = top_k
        while True:
            limit = min(limit, self.most)
            found = self._nearest(vector[0], limit, native, node)
            kept = found if node is None else [pair for pair in found if matches(node, pair[0].metadata)]
            if len(kept) >= top_k or len(found) < limit:
                return kept
            if limit == self.most:
                raise LimitError(
                    f"{self._title} lists at most {limit} chunks, and {len(kept)} of them are what was asked for.",
                    "Ask for fewer, or also for a text or number that the wanted chunks have.",
                )
            limit *= _WIDER

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """See `BaseVectorStore.delete`."""
        ids = iter(dict.fromkeys(chunk_ids))
        with self._asked():
            while batch := list(islice(ids, self._batch_size)):
                self._remove(batch)

    def clear(self) -> None:
        """See `BaseVectorStore.clear`. A dimension that was not given at construction is forgotten."""
        with self._asked():
            self._drop()

    def count(self) -> int:
        """See `BaseVectorStore.count`."""
        with self._asked():
            return self._size()

    def _fits(self, dimension: int) -> bool:
        """Whether there is a dimension and it is this one.

        :raises InputError: it is another one.
        """
        known = self._dimension()
        if known is not None and known != dimension:
            raise InputError(
                f"The vector has {dimension} numbers; those in {self._title} have {known}.",
                "Use the embedder it was filled with, or another collection.",
            )
        return known is not None

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """One call at a time, and what the library raises turned into what a person can act on."""
        with self._lock:
            failures = self._failures()
            try:
                yield
            except RactoError:
                raise
            except failures as error:
                hint = "Check that it runs, that its address and key are right, and its log."
                reason = self._shown(str(error) or type(error).__name__)
                raise StorageError(f"{self._title} failed ({reason}).", hint) from None

    def _shown(self, text: str) -> str:
        """What a backend said, as one line that is safe to show."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        line = " ".join(text.split()).rstrip(".")
        return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


@contextmanager
def installed(extra: str) -> Iterator[None]:
    """Around the import of a library that an extra brings.

    :raises ConfigError: it is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The package {error.name} is not installed.", f"Install it: pip install 'racto[{extra}]'"
        ) from error
