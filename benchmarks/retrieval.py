"""How well racto finds what answers a question, beside what people would use instead: one table, one run, everything on the same pages.

    python -m benchmarks.retrieval [--sample N] [--only NAME …]

Needs the judged collections (`../shared/data/retrieval` beside the checkout) and the real weights of all-MiniLM-L6-v2 (group `models`). An ONNX
model in `.cache/minilm` is used when there is one; vectors are made once and kept in `.cache/minilm-vectors.db`. `--sample` takes so many
questions of each collection, at even distances. Writes `benchmarks/results/retrieval.json`, `.md` and `.svg`.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from html import escape
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from statistics import fmean

import numpy as np
from racto.knowledge.database import Database
from racto.knowledge.documents import Document, PageSpan
from racto.knowledge.embedding import BaseEmbedder
from racto.knowledge.library import Library
from racto.knowledge.lsa import LsaEmbedder
from racto.knowledge.readers import BaseReader, FileReaderRegistry

from .minilm import MiniLM
from .pages import FILINGS, JUDGED, RESULTS, TEXTS, TUNED_ON, Collection, load, ndcg
from .passages import recall
from .peers import BM25S, FTS5, Tantivy
from .rivals import DEPTH, PEER_PAGES, PEER_RAG, Dense, Search, peer

ENGLISH = [name for name in TEXTS if name not in ("xquad_de", "xquad_es", "xquad_zh")]
OTHER_LANGUAGES = ["xquad_de", "xquad_es", "xquad_zh"]

WORDS, LSA, HYBRID = "racto", "racto + LSA", "racto + MiniLM"
MINILM, RRF, MIN_MAX = "MiniLM", "rank fusion", "min-max fusion"
LEXICAL = {"bm25s": BM25S, "FTS5": FTS5, "tantivy": Tantivy}


class JudgedReader(BaseReader):
    """Files this benchmark writes: the pages of a document, and the title it stands under."""

    @property
    def supported_extensions(self) -> frozenset[str]:
        return frozenset({".judged"})

    def read(self, path: Path) -> Document:
        pages = json.loads(path.read_text(encoding="utf-8"))
        spans, at = [], 0
        for number, text in enumerate(pages, 1):
            spans.append(PageSpan(number, at, at + len(text)))
            at += len(text) + 1
        return Document("\n".join(pages), str(path), pages=[span for span in spans if span.end > span.start])


class Racto:
    """The library over one collection, as it comes: its own chunks, its own search."""

    def __init__(self, collection: Collection, folder: Path) -> None:
        self._database, self._runner = Database(), asyncio.Runner()
        self._places: dict[tuple[str, int], int] = {}
        self.library = self._opened(None)
        for file, pages in _documents(collection):
            path = folder / f"{file}.judged"
            path.write_text(json.dumps([collection.texts[place] for place in pages]), encoding="utf-8")
            if any(collection.texts[place].strip() for place in pages):
                self.library.ingester.file(path)
            self._places |= {(str(path.resolve()), number): place for number, place in enumerate(pages, 1)}

    def _opened(self, embedder: BaseEmbedder | None) -> Library:
        return Library(self._database, embedder=embedder, registry=FileReaderRegistry([JudgedReader()]))

    def chunks(self) -> tuple[list[int], list[str]]:
        """Every chunk: the place of its page, and its text as it is embedded."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT source, number, chunks.content FROM chunks JOIN pages ON pages.id = chunks.id >> 16 "
                "JOIN documents ON documents.id = document_id ORDER BY chunks.id"
            ).fetchall()
        places = [self._places[source, number] for source, number, _ in rows]
        return places, [self.library.ingester.clean(content) for _, _, content in rows]

    def search(self, embedder: BaseEmbedder | None) -> Search:
        """Search with these vectors; the pages are those of the passages found, the best passage of a page standing for it."""
        self.library.forget_vectors()
        library = self._opened(embedder)
        self._runner.run(library.embed())
        # A page may bring several passages before the tenth page comes.
        limit = min(50, 2 + 10 * library.count() // len(self._places))

        def found(question: str) -> list[int]:
            passages = self._runner.run(library.search(question, limit))
            pages = [(one.chunk.metadata.source, one.chunk.metadata.page or 0) for one in passages]
            return list(dict.fromkeys(self._places[page] for page in pages))

        return found


def _documents(collection: Collection) -> list[tuple[str, list[int]]]:
    """File name → its pages. A name that says nothing of what is in it is made of letters: numbers are words one may ask for."""
    if any(collection.names):
        runs = groupby(range(len(collection.names)), key=lambda place: collection.names[place])
        return [(name, list(places)) for name, places in runs]
    letters = "bcdfghjklm"
    return [
        ("zz" + "".join(letters[int(digit)] for digit in str(place)), [place]) for place in range(len(collection.ids))
    ]


def quality(name: str, model: MiniLM, sample: int) -> dict[str, float]:
    """Engine → mean nDCG@10 over the questions of a collection, in percent."""
    collection = load(name)
    questions = list(collection.questions.items())
    asked = [questions[int(place)] for place in np.unique(np.linspace(0, len(questions) - 1, sample).astype(int))]
    scores: dict[str, float] = {}

    def judge(engine: str, search: Search) -> None:
        begun = time.perf_counter()
        each = []
        for question, text in asked:
            found = [collection.ids[place] for place in dict.fromkeys(search(text))]
            each.append(ndcg(found, collection.judgements[question]))
        scores[engine] = 100 * fmean(each)
        print(f"  {name}: {engine} {scores[engine]:.1f} ({time.perf_counter() - begun:.0f} s)", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        racto = Racto(collection, Path(folder))
        judge(WORDS, racto.search(None))
        judge(LSA, racto.search(LsaEmbedder.train(racto.chunks()[1])))
        judge(HYBRID, racto.search(model))
        dense = Dense(collection, *racto.chunks(), model)
    judge(MINILM, dense.alone)
    judge(RRF, dense.by_rank)
    judge(MIN_MAX, dense.by_min_max)
    for engine, build in LEXICAL.items():
        built = build(collection.texts)
        judge(engine, lambda question, built=built: built.search(question, DEPTH))
    for engine, search in peer(collection, model).items():
        judge(engine, search)
    return scores


def mean(judged: dict[str, dict[str, float]], engine: str, names: Sequence[str] = TEXTS) -> float:
    """Of an engine over collections."""
    return fmean(judged[name][engine] for name in names)


def goals(judged: dict[str, dict[str, float]]) -> list[tuple[str, str, bool]]:
    """What was promised, what was measured, and whether that keeps the promise."""
    rival = max(mean(judged, engine) for engine in LEXICAL)
    best = {name: max(judged[name][engine] for engine in LEXICAL) for name in TEXTS}
    worst = min((judged[name][WORDS] - best[name], name) for name in TEXTS)
    words, hybrid, alone = (mean(judged, engine) for engine in (WORDS, HYBRID, MINILM))
    english = [mean(judged, engine, ENGLISH) for engine in (HYBRID, MINILM)]
    over_ranks = hybrid - mean(judged, RRF)
    lost = min((judged[name][HYBRID] - judged[name][WORDS], name) for name in OTHER_LANGUAGES)
    filing = judged[FILINGS][HYBRID]
    return [
        (
            "without a model: mean ≥ the best of bm25s, FTS5, tantivy",
            f"{words:.1f} against {rival:.1f}",
            words >= rival,
        ),
        ("… and no collection more than 1.5 below the best of them", f"{worst[0]:+.1f} ({worst[1]})", worst[0] >= -1.5),
        (
            "with MiniLM: mean ≥ 1.12 × MiniLM alone",
            f"{hybrid / alone:.2f} × (English collections {english[0] / english[1]:.2f} ×)",
            hybrid >= 1.12 * alone,
        ),
        ("… ≥ reciprocal rank fusion + 1", f"{over_ranks:+.1f}", over_ranks >= 1),
        ("… and no language loses more than 2 against words alone", f"{lost[0]:+.1f} ({lost[1]})", lost[0] >= -2),
        ("right page of filings, with MiniLM ≥ 45", f"{filing:.1f}", filing >= 45),
    ]


def report(judged: dict[str, dict[str, float]], promised: list[tuple[str, str, bool]], about: str) -> str:
    """The Markdown page of the results."""
    engines = list(judged[TEXTS[0]])
    lines = ["# Retrieval", "", about, "", "| promised | measured | kept |", "|---|---:|---|"]
    lines += [f"| {what} | {measured} | {'yes' if kept else '**no**'} |" for what, measured, kept in promised]
    lines += ["", "nDCG@10, percent.", "", f"| collection | {' | '.join(engines)} |", f"|---|{'---:|' * len(engines)}"]
    means = {engine: mean(judged, engine) for engine in engines}
    english = {engine: mean(judged, engine, ENGLISH) for engine in engines}
    for name, row in [
        *((name, judged[name]) for name in TEXTS),
        ("**mean**", means),
        ("mean of the English ones", english),
        *((name, judged[name]) for name in (FILINGS, TUNED_ON)),
    ]:
        lines.append(f"| {name} | {' | '.join(f'{row[engine]:.1f}' for engine in engines)} |")
    lines += ["", NOTES, "", "![nDCG@10 by collection](retrieval.svg)"]
    return "\n".join(lines) + "\n"


NOTES = (
    f"`{WORDS}`, `{LSA}` and `{HYBRID}` are `Library.search` as it comes; a page stands where its best passage stands. `{MINILM}` is the"
    " nearest chunk of a page, with the chunks and vectors of the library. `rank fusion` (reciprocal, k = 60) and `min-max fusion` (.6 words,"
    " .4 vectors) join our page index with it. bm25s, FTS5 and tantivy are set up for English, as their users do. The peer is ractogateway,"
    " its `PageIndexRAG` and its `RactoRAG` with the same MiniLM, each as it comes. All-MiniLM-L6-v2 speaks English; xquad is German,"
    f" Spanish and Chinese too. The weight of the vectors was looked for on `{TUNED_ON}`, where 0.5 to 0.7 are within half a point; of these 0.5"
    f" moves least where the model does not speak the language. `{FILINGS}` (the right page among all pages of all filings) and `{TUNED_ON}`"
    " are not in the mean: the weights of the fields are a compromise between these two."
)


def chart(judged: dict[str, dict[str, float]]) -> str:
    """Bars by collection and engine as an SVG picture."""
    shown = {
        WORDS: "#7bc8a4", LSA: "#3f9f7a", HYBRID: "#0b6e4f", MINILM: "#c98", RRF: "#a87", "bm25s": "#9ab", "FTS5": "#79a", "tantivy": "#578",
        PEER_PAGES: "#ccc", PEER_RAG: "#999",
    }  # fmt: skip
    names = [*TEXTS, FILINGS]
    bar, left, top, height = 8, 40, 40, 240
    group = bar * len(shown) + 14
    width = left + group * len(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + height + 70}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{top + height + 70}" fill="white"/>',
    ]
    for nth, (engine, colour) in enumerate(shown.items()):
        x = left + nth * (width - left) // len(shown)
        parts.append(f'<rect x="{x}" y="12" width="11" height="11" fill="{colour}"/>')
        parts.append(f'<text x="{x + 16}" y="22">{escape(engine)}</text>')
    for level in range(0, 101, 20):
        y = top + height - height * level / 100
        parts.append(f'<path d="M{left} {y}H{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{level}</text>')
    for place, name in enumerate(names):
        x = left + place * group + 7
        for nth, (engine, colour) in enumerate(shown.items()):
            size = height * judged[name][engine] / 100
            title = escape(f"{name}, {engine}: {judged[name][engine]:.1f}")
            parts.append(
                f'<rect x="{x + nth * bar}" y="{top + height - size:.1f}" width="{bar - 1}" height="{size:.1f}" fill="{colour}">'
                f"<title>{title}</title></rect>"
            )
        parts.append(f'<text transform="translate({x + 24} {top + height + 12}) rotate(30)">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    if not JUDGED.is_dir():
        sys.exit(f"The judged collections are not at {JUDGED}: there is nothing to measure.")
    wanted = sys.argv[sys.argv.index("--only") + 1 :] if "--only" in sys.argv else [*TEXTS, FILINGS, TUNED_ON]
    sample = int(sys.argv[sys.argv.index("--sample") + 1]) if "--sample" in sys.argv else 10**6
    begun, busy, model = time.perf_counter(), os.getloadavg()[0], MiniLM()
    judged = {name: quality(name, model, sample) for name in wanted}
    if "--only" in sys.argv:
        return  # what is kept is a full run
    found = recall(model)
    promised = [
        *goals(judged),
        ("passages that answer, in 4,000 characters, with MiniLM ≥ 89", f"{found:.1f}", found >= 89),
    ]
    packages = ", ".join(f"{one} {version(one)}" for one in ("bm25s", "tantivy", "ractogateway"))
    about = (
        f"{'All' if sample == 10**6 else f'At most {sample}'} questions of each collection. Python {platform.python_version()}, {os.cpu_count()} CPUs, load {busy:.1f} at the start; {packages}, SQLite {sqlite3.sqlite_version};"
        f" {time.perf_counter() - begun:.0f} s with kept vectors. Quality does not depend on the machine."
    )
    text = report(judged, promised, about)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    record = {"about": about, "promised": promised, "ndcg": judged}
    (RESULTS / "retrieval.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / "retrieval.md").write_text(text, encoding="utf-8")
    (RESULTS / "retrieval.svg").write_text(chart(judged), encoding="utf-8")


if __name__ == "__main__":
    main()
