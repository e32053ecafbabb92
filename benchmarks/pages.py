"""How well and how fast pages are found, side by side with rank_bm25, bm25s, SQLite FTS5 and tantivy in one run.

    python -m benchmarks.pages [--quick]

Quality needs the judged collections (`../shared/data/retrieval` beside the checkout); without them only speed is measured. `--quick` takes
10,000 pages instead of 100,000. Writes `benchmarks/results/pages.json`, `.md` and `.svg`.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import version
from pathlib import Path
from statistics import fmean

from racto.knowledge.analyser import detect_language, page_fields, query_terms
from racto.knowledge.database import Database
from racto.knowledge.postings import IndexedPage, add
from racto.knowledge.ranking import Searcher

from .page_speed import measure
from .peers import PEERS

RESULTS = Path(__file__).parent / "results"
JUDGED = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
TEXTS = [
    "adi",
    "med",
    "cranfield",
    "cisi",
    "scifact",
    "squad_a",
    "anthropic_docs",
    "xquad_en",
    "xquad_de",
    "xquad_es",
    "xquad_zh",
]
FILINGS = "financebench_dev"
TUNED_ON = "scifact_train"
DEPTH = 10
RIVALS = ["bm25s", "FTS5 porter", "tantivy en_stem"]

Search = Callable[[str, int], list[int]]


@dataclass
class Collection:
    """Pages as a person would give them, questions, and which pages answer how well.

    :param names: The file each page is of; empty where a page is no file's.
    :param headings: The headings each stands under.
    """

    ids: list[str]
    names: list[str]
    headings: list[list[str]]
    texts: list[str]
    questions: dict[str, str]
    judgements: dict[str, dict[str, float]]


def load(name: str) -> Collection:
    """A judged collection. Titles of filings are file names; those of articles are headings, written above the text for every engine."""
    corpus, queries = _lines(JUDGED / name / "corpus.jsonl"), _lines(JUDGED / name / "queries.jsonl")
    judgements: dict[str, dict[str, float]] = {}
    for line in (JUDGED / name / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        question, page, score = line.split("\t")
        judgements.setdefault(question, {})[page] = float(score)
    filings = name == FILINGS
    return Collection(
        [page["_id"] for page in corpus],
        [page["title"] if filings else "" for page in corpus],
        [[page["title"]] if page["title"] and not filings else [] for page in corpus],
        [page["text"] if filings else f"{page['title']}\n{page['text']}".strip() for page in corpus],
        {query["_id"]: query["text"] for query in queries if query["_id"] in judgements},
        judgements,
    )


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def racto(collection: Collection) -> dict[str, Search]:
    """Our engines over one index of the collection."""
    database, searcher = Database(), Searcher()
    languages = [detect_language(text) for text in collection.texts]
    spoken = sorted(set(languages))
    fields = map(page_fields, collection.names, collection.headings, collection.texts, languages)
    with database.writing() as connection:
        connection.execute("INSERT INTO collections (id, name, analyser, created_at) VALUES (1, 'bench', '', '')")
        add(connection, 1, [IndexedPage(page_id, *terms) for page_id, terms in enumerate(fields, 1)])

    def search(engine: str) -> Search:
        def found(query: str, limit: int) -> list[int]:
            with database.reading() as connection:
                hits = searcher.search(connection, 1, query_terms(query, spoken), limit=limit, engine=engine)
            return [hit.page_id - 1 for hit in hits]

        return found

    return {"racto": search("fields"), "racto okapi": search("okapi")}


def ndcg(found: Sequence[str], judged: dict[str, float]) -> float:
    """Normalised discounted cumulative gain at 10 with linear gains (Järvelin and Kekäläinen 2002), 0 to 1."""
    gain = sum(judged.get(page, 0) / math.log2(rank + 2) for rank, page in enumerate(found[:DEPTH]))
    ideal = sum(score / math.log2(rank + 2) for rank, score in enumerate(sorted(judged.values(), reverse=True)[:DEPTH]))
    return gain / ideal


def quality(name: str) -> dict[str, float]:
    """Engine → mean nDCG@10 over the questions of a collection, in percent."""
    collection = load(name)
    engines = racto(collection) | {peer: build(collection.texts).search for peer, build in PEERS.items()}
    row = {}
    for engine, search in engines.items():
        scores = [
            ndcg([collection.ids[place] for place in search(text, DEPTH)], collection.judgements[question])
            for question, text in collection.questions.items()
        ]
        row[engine] = 100 * fmean(scores)
    print(f"  {name}: " + ", ".join(f"{engine} {score:.1f}" for engine, score in row.items()), flush=True)
    return row


def mean_scores(judged: dict[str, dict[str, float]], names: Sequence[str]) -> dict[str, float]:
    """Engine → mean over these collections."""
    return {engine: fmean(judged[name][engine] for name in names) for engine in judged[names[0]]}


def goals(
    judged: dict[str, dict[str, float]], speed: dict[str, dict[str, float]], pages: int
) -> list[tuple[str, str, bool]]:
    """What was promised, what was measured, and whether that keeps the promise."""
    rows: list[tuple[str, str, bool]] = []
    if judged:
        mean = mean_scores(judged, TEXTS)
        best = max(mean[rival] for rival in RIVALS)
        worst = min((judged[name]["racto"] - judged[name]["bm25s"], name) for name in TEXTS)
        least = min((judged[name]["racto"], name) for name in TEXTS if name.startswith("xquad"))
        times = judged[FILINGS]["racto"] / max(judged[FILINGS]["racto okapi"], judged[FILINGS]["rank_bm25"])
        rows += [
            (
                "mean nDCG@10 ≥ the best of bm25s, FTS5 and tantivy",
                f"{mean['racto']:.1f} against {best:.1f}",
                mean["racto"] >= best,
            ),
            ("no collection more than 1.5 below bm25s", f"{worst[0]:+.1f} ({worst[1]})", worst[0] >= -1.5),
            ("every xquad language ≥ 93", f"{least[0]:.1f} ({least[1]})", least[0] >= 93),
            ("right page of filings ≥ 2 × plain body BM25", f"{times:.2f} ×", times >= 2),
        ]
    ours = speed["racto"]
    assert ours["pages"] == pages
    for what, key, most, unit in (
        ("retrieve, p50", "p50_ms", 5, "ms"),
        ("retrieve, p95", "p95_ms", 20, "ms"),
        ("adding one page", "add_ms", 5, "ms"),
        ("growth of a searching process", "growth_mb", 100, "MB"),
        ("open and first answer", "open_ms", 200, "ms"),
    ):
        rows.append((f"{what} ≤ {most} {unit}", f"{ours[key]:.1f} {unit}", ours[key] <= most))
    return rows


def report(
    judged: dict[str, dict[str, float]],
    speed: dict[str, dict[str, float]],
    promised: list[tuple[str, str, bool]],
    about: str,
) -> str:
    """The Markdown page of the results."""
    lines = ["# Pages", "", about, "", "| promised | measured | kept |", "|---|---:|---|"]
    lines += [f"| {what} | {measured} | {'yes' if kept else '**no**'} |" for what, measured, kept in promised]
    if judged:
        engines = list(judged[TEXTS[0]])
        lines += [
            "",
            "nDCG@10, percent. Engines for English text are shown as their users set them up, in every language.",
            "",
        ]
        lines += [f"| collection | {' | '.join(engines)} |", f"|---|{'---:|' * len(engines)}"]
        means = mean_scores(judged, TEXTS)
        spaced = mean_scores(judged, [name for name in TEXTS if name != "xquad_zh"])
        for name, row in [
            *((name, judged[name]) for name in TEXTS),
            ("**mean**", means),
            ("mean without Chinese", spaced),
            *((name, judged[name]) for name in (FILINGS, TUNED_ON)),
        ]:
            lines.append(f"| {name} | {' | '.join(f'{row[engine]:.1f}' for engine in engines)} |")
        about_two = f"`{FILINGS}` (the right page among all pages of all filings) and `{TUNED_ON}` are not in the mean:"
        lines += ["", f"{about_two} the weights of the fields are a compromise between these two."]
        lines += ["", "![nDCG@10 by collection](pages.svg)"]
    columns = {
        "build, s": "build_s",
        "p50, ms": "p50_ms",
        "p95, ms": "p95_ms",
        "short, ms": "short_ms",
        "natural, ms": "natural_ms",
        "add one, ms": "add_ms",
    }
    lines += ["", f"| engine | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for engine, row in speed.items():
        lines.append(
            f"| {engine} | {' | '.join(f'{row[key]:.2f}' if key in row else '–' for key in columns.values())} |"
        )
    ours = speed["racto"]
    notes = (
        "The row of racto is the whole of it: `PageIndexRAG.ingest_text` (analysis, keywords, documents, index, one file) and `retrieve` with"
        " cited pages, in a process of its own; the others return row numbers. Short queries are two words of middling frequency, natural"
        " ones twelve words as frequent as in the text, with nothing left out as a stop word. rank_bm25 and bm25s cannot add without building"
        f" again. File {ours['file_mb']:.0f} MB; p50 with the ten snippets, which are made when looked at, {ours['with_snippets_ms']:.1f} ms; CPU time of one retrieve {ours['cpu_ms']:.1f} ms, of one add {ours['add_cpu_ms']:.1f} ms; first search after an add"
        f" {ours['after_add_ms']:.1f} ms."
    )
    lines += ["", notes]
    return "\n".join(lines) + "\n"


def chart(judged: dict[str, dict[str, float]]) -> str:
    """Bars by collection and engine as an SVG picture."""
    engines = [engine for engine in judged[TEXTS[0]] if engine != "racto okapi"]
    colours = ["#0b6e4f", "#c9c9c9", "#9ab", "#79a", "#578"]
    names = [*TEXTS, FILINGS]
    bar, left, top, height = 11, 40, 40, 240
    group = bar * len(engines) + 14
    width = left + group * len(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + height + 70}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{top + height + 70}" fill="white"/>',
    ]
    for nth, engine in enumerate(engines):
        parts.append(f'<rect x="{left + nth * 130}" y="12" width="11" height="11" fill="{colours[nth]}"/>')
        parts.append(f'<text x="{left + nth * 130 + 16}" y="22">{escape(engine)}</text>')
    for level in range(0, 101, 20):
        y = top + height - height * level / 100
        parts.append(
            f'<path d="M{left} {y}H{width}" stroke="#ddd"/><text x="{left - 6}" y="{y + 4}" text-anchor="end">{level}</text>'
        )
    for place, name in enumerate(names):
        x = left + place * group + 7
        for nth, engine in enumerate(engines):
            size = height * judged[name][engine] / 100
            title = f"{name}, {engine}: {judged[name][engine]:.1f}"
            parts.append(
                f'<rect x="{x + nth * bar}" y="{top + height - size:.1f}" width="{bar - 1}" height="{size:.1f}" fill="{colours[nth]}">'
                f"<title>{escape(title)}</title></rect>"
            )
        parts.append(f'<text transform="translate({x + 24} {top + height + 12}) rotate(30)">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    quick = "--quick" in sys.argv
    pages, queries = (10_000, 100) if quick else (100_000, 400)
    begun, load_before = time.perf_counter(), os.getloadavg()[0]
    judged = {name: quality(name) for name in (*TEXTS, FILINGS, TUNED_ON)} if JUDGED.is_dir() else {}
    if not judged:
        print(f"The judged collections are not at {JUDGED}: quality is not measured.")
    speed = measure(pages, queries)
    promised = goals(judged, speed, pages)
    versions = ", ".join(f"{package} {version(package)}" for package in ("rank-bm25", "bm25s", "tantivy"))
    about = (
        f"{pages:,} pages of 150 words, {queries} queries; wall-clock times. Python {platform.python_version()}, {os.cpu_count()} CPUs,"
        f" load {load_before:.1f} at the start; {versions}, SQLite {_sqlite()}; {time.perf_counter() - begun:.0f} s."
    )
    text = report(judged, speed, promised, about)
    print(text)
    if quick:
        return  # what is kept is a full run
    RESULTS.mkdir(exist_ok=True)
    record = {"about": about, "promised": promised, "ndcg": judged, "speed": speed}
    (RESULTS / "pages.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / "pages.md").write_text(text, encoding="utf-8")
    if judged:
        (RESULTS / "pages.svg").write_text(chart(judged), encoding="utf-8")


def _sqlite() -> str:
    import sqlite3

    return sqlite3.sqlite_version


if __name__ == "__main__":
    main()
