"""How fast pages are found and added: 100,000 pages of 150 words from a Zipf vocabulary, through the real database file."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from racto.knowledge.pages import PageIndexRAG

from .peers import FTS5, PEERS, Tantivy

WORDS_A_PAGE = 150
VOCABULARY = 200_000
PAGES_A_DOCUMENT = 1_000


class Text:
    """Pages and queries of a language that does not exist: words of two to five syllables, the r-th used 1 / (r + 2.7) as often."""

    def __init__(self) -> None:
        import numpy as np

        self._chance = np.random.default_rng(11)
        syllables = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
        self._words = np.array([_spelled(rank, syllables) for rank in range(VOCABULARY)])
        weights = 1 / (np.arange(VOCABULARY) + 2.7)
        self._weights = weights / weights.sum()

    def pages(self, count: int) -> list[str]:
        """Pages of 150 words."""
        words = self._chance.choice(self._words, size=(count, WORDS_A_PAGE), p=self._weights)
        return [" ".join(page) for page in words]

    def queries(self, count: int) -> list[str]:
        """By turns two words of middling frequency, as people type, and twelve words as they come, as people ask."""
        short = self._chance.choice(self._words[20:3_000], size=(count // 2, 2))
        natural = self._chance.choice(self._words, size=(count // 2, 12), p=self._weights)
        return [" ".join(query) for pair in zip(short, natural, strict=True) for query in pair]


def _spelled(rank: int, syllables: list[str]) -> str:
    word = syllables[rank % len(syllables)]
    while rank := rank // len(syllables):
        word += syllables[rank % len(syllables)]
    return word + syllables[len(word) % 7]


def measure(count: int, queries: int) -> dict[str, dict[str, float]]:
    """Engine → what it took, in milliseconds and megabytes: racto in a process of its own, the peers in this one."""
    text = Text()
    pages, asked = text.pages(count), text.queries(queries)
    rows = {"racto": _racto(pages, asked, text.pages(40))}
    for name, peer in PEERS.items():
        begun = time.perf_counter()
        engine = peer(pages)
        row = {"build_s": time.perf_counter() - begun}
        few = asked[:6] if name == "rank_bm25" else asked  # seconds a query
        row |= _percentiles([_timed(engine.search, query, 10) for query in few])
        if isinstance(engine, FTS5 | Tantivy):
            row["add_ms"] = _median([_timed(engine.add, page) for page in text.pages(40)])
        rows[name] = row
        print(f"  {name}: {row}", flush=True)
    return rows


def _racto(pages: list[str], asked: list[str], new: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "racto.db"
        rag = PageIndexRAG(path=path, page_size=4_000)
        begun = time.perf_counter()
        for start in range(0, len(pages), PAGES_A_DOCUMENT):
            sections = "\n\n".join(
                f"# {page.split(' ', 1)[0]}\n\n{page}" for page in pages[start : start + PAGES_A_DOCUMENT]
            )
            rag.ingest_text(sections, f"document {start}.md")
        row = {"build_s": time.perf_counter() - begun, "pages": float(rag.entry_count)}
        rag.close()
        row["file_mb"] = path.stat().st_size / 1e6
        (Path(folder) / "work.json").write_text(json.dumps({"queries": asked, "new": new}), encoding="utf-8")
        command = [sys.executable, "-m", "benchmarks.page_speed", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row |= json.loads(done.stdout)
    print(f"  racto: {row}", flush=True)
    return row


def _search_process(path: Path) -> dict[str, float]:
    """What a process sees that opens the file, searches, adds pages and searches after each."""
    import numpy  # noqa: F401 - what the file costs, not what numpy costs

    work = json.loads((path.parent / "work.json").read_text(encoding="utf-8"))
    before = _resident_mb()
    begun = time.perf_counter()
    rag = PageIndexRAG(path=path)
    rag.retrieve(work["queries"][0], 10)
    row = {"open_ms": (time.perf_counter() - begun) * 1e3}
    row |= _percentiles([_timed(rag.retrieve, query, 10) for query in work["queries"]])
    row["with_snippets_ms"] = _median(
        [_timed(lambda asked: [hit.snippet for hit in rag.retrieve(asked, 10)], query) for query in work["queries"]]
    )
    begun_cpu = time.process_time()
    for query in work["queries"]:
        rag.retrieve(query, 10)
    row["cpu_ms"] = (time.process_time() - begun_cpu) * 1e3 / len(work["queries"])
    row["growth_mb"] = _resident_mb() - before
    adds, adds_cpu, searches = [], [], []
    for number, page in enumerate(work["new"]):
        begun_cpu = time.process_time()
        adds.append(_timed(rag.ingest_text, page, f"new {number}"))
        adds_cpu.append((time.process_time() - begun_cpu) * 1e3)
        searches.append(_timed(rag.retrieve, work["queries"][0], 10))
    return row | {"add_ms": _median(adds), "add_cpu_ms": _median(adds_cpu), "after_add_ms": _median(searches)}


def _timed(call: Callable[..., Any], *arguments: Any) -> float:
    begun = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - begun) * 1e3


def _percentiles(milliseconds: list[float]) -> dict[str, float]:
    import numpy as np

    short, natural = milliseconds[::2], milliseconds[1::2]
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {"p50_ms": float(p50), "p95_ms": float(p95), "short_ms": _median(short), "natural_ms": _median(natural)}


def _median(values: list[float]) -> float:
    import statistics

    return statistics.median(values)


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    print(json.dumps(_search_process(Path(sys.argv[1]))))
