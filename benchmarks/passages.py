"""How much of what answers a question a model gets to see: `Library.search` on the corpora with judged passages.

    python -m benchmarks.passages

Part of `benchmarks/retrieval.py`, which writes its table. Recall of the reference passages in the first 4,000 characters of what is found,
all five corpora in one collection, with the library's default chunks.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

from racto.knowledge.database import Database
from racto.knowledge.library import Library

from .minilm import MiniLM
from .pages import JUDGED

BUDGET = 4_000
"""Characters of the best passages that are looked at for each question."""
TOP = 12


def recall(model: MiniLM | None) -> float:
    """Percent, over all questions.

    :param model: Without it, words alone.
    """
    corpora = JUDGED / "chunking_eval"
    questions = [json.loads(line) for line in (corpora / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        library = Library(Database(Path(folder) / "racto.db"), embedder=model)
        for path in sorted((corpora / "corpora").glob("*.md")):
            library.ingester.text(path.read_text(encoding="utf-8"), path.stem)
        return 100 * asyncio.run(_mean(library, questions))


async def _mean(library: Library, questions: list[dict[str, Any]]) -> float:
    if library.embedder:
        await library.embed()
    return fmean([await _share(library, question) for question in questions])


async def _share(library: Library, question: dict[str, Any]) -> float:
    """How much of the reference passages of one question is seen."""
    room, seen = BUDGET, set()
    for one in await library.search(question["question"], TOP):
        about = one.chunk.metadata
        taken = min(about.end_char - about.start_char, room)
        if about.source == question["corpus"]:
            seen |= set(range(about.start_char, about.start_char + taken))
        room -= taken
    wanted = {place for one in question["references"] for place in range(one["start_index"], one["end_index"])}
    return len(wanted & seen) / len(wanted)


if __name__ == "__main__":
    print(f"words {recall(None):.1f}, with MiniLM {recall(MiniLM()):.1f}")
