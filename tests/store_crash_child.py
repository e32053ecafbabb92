"""A process that adds to a store and deletes from it, and says on its output what it has done for good. For test_vectors."""

from __future__ import annotations

import random
import sys

from racto.knowledge.chunks import Chunk
from racto.knowledge.stores.sqlite import SQLiteStore

SIZE = 40
DIMENSION = 16


def chunks(step: int) -> list[Chunk]:
    """What step `step` adds."""
    return [
        Chunk(f"{step} {nth}", chunk_id=f"{step}-{nth}", embedding=numbers(1_000 * step + nth)) for nth in range(SIZE)
    ]


def numbers(seed: int) -> list[float]:
    """A vector of its own."""
    drawn = random.Random(seed)
    return [drawn.gauss(0, 1) for _ in range(DIMENSION)]


def expected(steps: int) -> set[str]:
    """The ids that are there after so many steps: odd steps add, even ones delete what was added three steps before."""
    there: set[str] = set()
    for step in range(1, steps + 1):
        if step % 2:
            there |= {chunk.chunk_id for chunk in chunks(step)}
        else:
            there -= {f"{step - 3}-{nth}" for nth in range(SIZE)}
    return there


def main() -> None:
    store = SQLiteStore(sys.argv[1])
    for step in range(1, 100_000):
        if step % 2:
            store.add(chunks(step))
        else:
            store.delete([f"{step - 3}-{nth}" for nth in range(SIZE)])
        print(step, flush=True)


if __name__ == "__main__":
    main()
