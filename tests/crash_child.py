"""A process that ingests a folder and says on its output, after every commit, how many files are settled for good. For test_crash."""

from __future__ import annotations

import sys
from pathlib import Path

from racto.knowledge import folder
from racto.knowledge.database import Database
from racto.knowledge.ingest import Ingester

folder.BATCH_PAGES = 12  # so that there are many commits to be killed between


def main() -> None:
    database, documents = Database(sys.argv[1]), Path(sys.argv[2])
    told = -1

    def tell(done: int, _total: int, _name: str) -> None:
        nonlocal told
        if done > told:
            told = done
            print(done, flush=True)

    Ingester(Database()).text("What is slow the first time is done before anybody counts.", "warming up")
    print("ready", flush=True)
    folder.ingest_folder(Ingester(database), documents, metadata={"kept": "yes"}, prune=True, progress=tell)
    print("end", flush=True)


if __name__ == "__main__":
    main()
