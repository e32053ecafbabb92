"""A process that adds batches of chunks to a PGVectorStore and says the number of each when it is acknowledged. For test_pgvector."""

from __future__ import annotations

import sys

from racto.knowledge.stores.pgvector import PGVectorStore

from tests.store_contract import chunk

BATCH = 5


def main() -> None:
    store = PGVectorStore(sys.argv[1], table=sys.argv[2], batch_size=BATCH)
    first = int(sys.argv[3])
    print("ready", flush=True)
    for number in range(first, first + 10_000):
        store.add([chunk(f"{number}-{nth}", number * BATCH + nth, batch=number) for nth in range(BATCH)])
        print(number, flush=True)


if __name__ == "__main__":
    main()
