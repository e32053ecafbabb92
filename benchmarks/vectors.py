"""How fast and how surely the nearest vectors are found, from the file and beside what would be used instead: everything in one run.

    python -m benchmarks.vectors [--quick]

The vectors are real at heart: 10,000 passages and 500 questions of the judged collections (`../shared/data/retrieval` beside the checkout),
embedded by all-MiniLM-L6-v2. The rest are mixtures of two of those passages (one part in ten to one half of the second), moved in every
dimension by noise of a fifth to three fifths of how much passages differ there. Questions are never mixed. `--quick` leaves out the million.
Writes `benchmarks/results/vectors.json` and `.md`.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from racto.knowledge import vectors
from racto.knowledge.database import Database
from racto.knowledge.ranges import Ranges
from racto.knowledge.vectors import Space, VectorSearcher

from .pages import JUDGED, RESULTS

Floats = NDArray[np.float32]

ENGLISH = ["adi", "med", "cranfield", "cisi", "scifact", "squad_a", "anthropic_docs"]
PASSAGES, QUESTIONS, WORDS = 10_000, 500, 40
DIMENSION, NEAREST = 384, 10
PAGES_A_DOCUMENT, CHUNKS_A_PAGE = 4, 3
SHARES = (0.01, 0.1, 0.5)


def real(folder: Path) -> tuple[Floats, Floats]:
    """The vectors of passages and of questions."""
    from .minilm import MiniLM

    passages, questions = [], []
    for name in ENGLISH:
        for line in (JUDGED / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
            words = f"{json.loads(line)['title']} {json.loads(line)['text']}".split()
            passages += [" ".join(words[at : at + WORDS]) for at in range(0, max(1, len(words) - 10), WORDS)]
        lines = (JUDGED / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()
        questions += [json.loads(line)["text"] for line in lines]
    drawn = random.Random(5)
    model = MiniLM()
    found = [
        np.array(model.embed(drawn.sample(texts, count)), np.float32)
        for texts, count in ((sorted(set(passages)), PASSAGES), (sorted(set(questions)), QUESTIONS))
    ]
    for name, made in zip(("passages", "questions"), found, strict=True):
        np.save(folder / f"{name}.npy", unit(made))
    return unit(found[0]), unit(found[1])


def mixed(passages: Floats, count: int) -> Floats:
    """So many vectors: the passages, and mixtures of them."""
    chance, spread = np.random.default_rng(11), passages.std(axis=0)
    found = np.empty((count, DIMENSION), np.float32)
    found[: len(passages)] = passages
    for start in range(len(passages), count, 50_000):
        part = found[start : start + 50_000]
        one, other = chance.integers(0, len(passages), (2, len(part)))
        weight = chance.uniform(0.1, 0.5, (len(part), 1)).astype(np.float32)
        noise = chance.standard_normal(part.shape, np.float32) * spread
        part[:] = passages[one] * (1 - weight) + passages[other] * weight
        part += noise * chance.uniform(0.2, 0.6, (len(part), 1)).astype(np.float32)
    return unit(found)


def unit(given: Floats) -> Floats:
    """At length 1."""
    made: Floats = given / np.linalg.norm(given, axis=1, keepdims=True)
    return made


def ids_of(count: int) -> NDArray[np.int64]:
    """Ids as the library gives them to chunks: the page, and the place on it."""
    nth = np.arange(count)
    return (nth // CHUNKS_A_PAGE + 1) << 16 | nth % CHUNKS_A_PAGE


def ranges_of(count: int, share: float) -> list[tuple[int, int]]:
    """The ids in a share of the documents, drawn at random, as ranges; neighbours are one."""
    documents = count // (PAGES_A_DOCUMENT * CHUNKS_A_PAGE)
    found: list[tuple[int, int]] = []
    for document in sorted(random.Random(3).sample(range(documents), max(1, int(documents * share)))):
        first = (document * PAGES_A_DOCUMENT + 1) << 16
        last = ((document + 1) * PAGES_A_DOCUMENT + 1 << 16) - 1
        if found and found[-1][1] == first - 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def build(path: Path, given: Floats) -> dict[str, float]:
    """Put vectors into a new file, 10,000 a transaction."""
    database, ids = Database(path), ids_of(len(given))
    begun = time.process_time()
    for start in range(0, len(given), 10_000):
        with database.writing() as connection:
            space = vectors.open_space(connection, "all", "MiniLM", DIMENSION)
            vectors.put(connection, space, ids[start : start + 10_000].tolist(), given[start : start + 10_000])
    row = {"build_cpu_s": time.process_time() - begun}
    database.close()  # which moves everything from the log into the file
    return row | {"file_mb": path.stat().st_size / 1e6}


class Measured:
    """A process that has just opened the file.

    :param path: The file; the vectors themselves lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self.database, self.searcher = Database(path), VectorSearcher()
        self.questions: Floats = np.load(path.parent / "questions.npy")
        self.path = path

    def search(self, query: Floats, **how: Any) -> list[tuple[int, float]]:
        """As the library does: a transaction, and a search in it."""
        with self.database.reading() as connection:
            space = vectors.space_named(connection, "all")
            assert space is not None
            return self.searcher.search(connection, space, query.tolist(), limit=NEAREST, **how)

    def first(self) -> dict[str, float]:
        """The first search, and what it leaves in memory."""
        before = resident_mb()
        row = {"cold_ms": timed(self.search, self.questions[0])}
        return row | {"memory_mb": resident_mb() - before}

    def beside(self) -> dict[str, Any]:
        """Every engine with the same question in turn, so that what else the machine does hits all alike."""
        given: Floats = np.load(self.path.parent / "given.npy")
        ids, count = ids_of(len(given)), len(given)
        ways: dict[str, Callable[[Floats], Any]] = {
            "numpy f32": lambda query: plain(given, query),
            "racto": self.search,
            "racto exact": lambda query: self.search(query, exact=True),
        }
        for share in SHARES:
            chosen = Ranges(ranges_of(count, share))
            ways[f"racto {share:.0%}"] = lambda query, chosen=chosen: self.search(query, among=chosen)
        ways |= faiss_ways(given)
        questions = self.questions[: 200 if count <= 100_000 else 40]
        taken: dict[str, list[float]] = {name: [] for name in ways}
        cpu: dict[str, list[float]] = {name: [] for name in ways}
        recall: dict[str, list[float]] = {name: [] for name in ways}
        inside = {share: among(ids, ranges_of(count, share)) for share in SHARES}
        for nth, query in enumerate(questions):
            scores = given @ query
            truth = {"": best(scores, ids)}
            truth |= {f"racto {share:.0%}": best(scores[held], ids[held]) for share, held in inside.items()}
            for name, way in ways.items():
                begun_cpu, begun = time.process_time(), time.perf_counter()
                found = way(query)
                if nth >= 3:  # the first ones fill caches
                    taken[name].append((time.perf_counter() - begun) * 1e3)
                    cpu[name].append((time.process_time() - begun_cpu) * 1e3)
                got = {one for one, _ in found} if name.startswith("racto") else set(ids[found].tolist())
                recall[name].append(len(got & truth.get(name, truth[""])) / NEAREST)
        return {
            name: {"p50_ms": median(taken[name]), "cpu_ms": median(cpu[name]), "recall": fmean(recall[name])}
            for name in ways
        }

    def changes(self) -> dict[str, float]:
        """One vector added at the end, replaced in the middle and removed, and how long until a search sees it."""
        row: dict[str, float] = {}
        new, ids = unit(np.random.default_rng(2).standard_normal((30, DIMENSION), np.float32)), ids_of(1_000)
        for name, of in (("add", lambda nth: (1 << 40) + nth), ("replace", lambda nth: int(ids[nth * 30]))):
            taken = []
            for nth, vector in enumerate(new):
                begun = time.perf_counter()
                with self.database.writing() as connection:
                    vectors.put(connection, self._space(connection), [of(nth)], vector[None])
                assert self.search(vector)[0][0] == of(nth)
                taken.append((time.perf_counter() - begun) * 1e3)
            row[f"{name}_ms"] = median(taken)
        return row

    def space_used_again(self) -> dict[str, float]:
        """How much the file grows when a tenth of the vectors goes and comes back five times."""
        before = self._pages()
        given: Floats = np.load(self.path.parent / "given.npy", mmap_mode="r")
        few = len(given) // 10
        ids = ids_of(len(given))[:few].tolist()
        with self.database.writing() as connection:
            vectors.remove(connection, self._space(connection), ids)
        row = {"free_after_delete": (self._pages()[1] - before[1]) / before[0]}
        for _ in range(5):
            with self.database.writing() as connection:
                vectors.remove(connection, self._space(connection), ids)
                vectors.put(connection, self._space(connection), ids, given[:few])
        return row | {"growth": self._pages()[0] / before[0] - 1}

    def _pages(self) -> tuple[int, int]:
        with self.database.reading() as connection:
            return tuple(
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")
            )  # type: ignore[return-value]  # two names, two numbers

    def _space(self, connection: Any) -> Space:
        found = vectors.space_named(connection, "all")
        assert found is not None
        return found


def plain(given: Floats, query: Floats) -> NDArray[np.intp]:
    """What one would write oneself."""
    scores = given @ query
    nearest = np.argpartition(-scores, NEAREST)[:NEAREST]
    return nearest[np.argsort(-scores[nearest])]


def faiss_ways(given: Floats) -> dict[str, Callable[[Floats], Any]]:
    """FAISS as its users have it: exact, and with 8 bits a number."""
    import faiss

    flat = faiss.IndexFlatIP(DIMENSION)
    eight = faiss.IndexScalarQuantizer(DIMENSION, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    eight.train(given[:: max(1, len(given) // 50_000)])
    for index in (flat, eight):
        index.add(given)
    return {
        name: lambda query, index=index: index.search(query[None], NEAREST)[1][0]
        for name, index in (("faiss flat", flat), ("faiss SQ8", eight))
    }


def best(scores: Floats, ids: NDArray[np.int64]) -> set[int]:
    """The ids of the nearest."""
    return set(ids[np.argpartition(-scores, NEAREST)[:NEAREST]].tolist())


def among(ids: NDArray[np.int64], ranges: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Which ids lie in a range."""
    table = np.array(ranges)
    nearest = np.searchsorted(table[:, 0], ids, "right") - 1
    held: NDArray[np.bool_] = (nearest >= 0) & (ids <= table[nearest, 1])
    return held


def timed(work: Callable[..., Any], *given: Any) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    work(*given)
    return (time.perf_counter() - begun) * 1e3


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(passages: Floats, count: int, folder: Path) -> dict[str, Any]:
    """Everything about so many vectors."""
    given = mixed(passages, count)
    np.save(folder / "given.npy", given)
    path = folder / f"{count}.db"
    row: dict[str, Any] = build(path, given)
    del given
    command = [sys.executable, "-m", "benchmarks.vectors", "--process", str(path)]
    # Idle threads of BLAS sleep at once instead of spinning: whoever is asked after numpy would pay for it, numpy itself is as quick.
    quiet = {**os.environ, "OPENBLAS_THREAD_TIMEOUT": "4"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=quiet)
    path.unlink()
    return row | json.loads(done.stdout)


def _process(path: Path) -> None:
    measured = Measured(path)
    row: dict[str, Any] = measured.first()
    row["engines"] = measured.beside()
    print(json.dumps(row | measured.changes() | measured.space_used_again()))


def promises(rows: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """What was promised, what was measured, and whether it is kept."""
    kept = []
    for count, most in (("100000", 0.6), ("1000000", 0.4)):
        if count not in rows:
            continue
        engines = rows[count]["engines"]
        one, base = engines["racto"], engines["numpy f32"]["p50_ms"]
        size = f"{int(count):,}"
        kept += [
            (f"{size}: recall@10 ≥ .98", f"{one['recall']:.3f}", one["recall"] >= 0.98),
            (f"{size}: p50 ≤ {most} × numpy", f"{one['p50_ms'] / base:.2f}", one["p50_ms"] <= most * base),
            (
                f"{size}: exact ≤ 1.3 × numpy",
                f"{engines['racto exact']['p50_ms'] / base:.2f}",
                engines["racto exact"]["p50_ms"] <= 1.3 * base,
            ),
            *(
                (
                    f"{size}: a filter that keeps {share:.0%} is no slower",
                    f"{engines[f'racto {share:.0%}']['p50_ms'] / one['p50_ms']:.2f}",
                    engines[f"racto {share:.0%}"]["p50_ms"] <= one["p50_ms"],
                )
                for share in SHARES
            ),
            (f"{size}: one more searchable in ≤ 20 ms", f"{rows[count]['add_ms']:.1f}", rows[count]["add_ms"] <= 20),
            (
                f"{size}: what is deleted is used again (growth ≤ 5 %)",
                f"{rows[count]['growth']:.1%}",
                rows[count]["growth"] <= 0.05,
            ),
        ]
    return kept


def report(rows: dict[str, Any], load: float) -> str:
    """The table."""
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start"
    made_with = f"Python {platform.python_version()}, numpy {np.__version__}, faiss-cpu {version('faiss-cpu')}"
    asked = "384 numbers, ten nearest, engines asked in turn"
    lines = ["# Vectors", "", f"{machine}; {made_with}. {asked}. {_sqlite_vec()}", ""]
    for count, row in rows.items():
        lines += [
            f"## {int(count):,} vectors",
            "",
            "| engine | p50 ms | × numpy | CPU ms | recall@10 |",
            "|---|---:|---:|---:|---:|",
        ]
        base = row["engines"]["numpy f32"]["p50_ms"]
        lines += [
            f"| {name} | {one['p50_ms']:.2f} | {one['p50_ms'] / base:.2f} | {one['cpu_ms']:.2f} | {one['recall']:.3f} |"
            for name, one in row["engines"].items()
        ]
        lines += [
            "",
            f"First search of a process {row['cold_ms']:.0f} ms; it keeps {row['memory_mb']:.0f} MB.",
            f"Added and found in {row['add_ms']:.1f} ms, replaced in {row['replace_ms']:.1f} ms.",
            f"Built in {row['build_cpu_s']:.1f} s of CPU, {row['file_mb']:.0f} MB.",
            f"Deleting a tenth frees {row['free_after_delete']:.1%} of the file; five rounds of deleting and adding it make the file {row['growth']:.1%} larger.",
            "",
        ]
    lines += ["| promise | measured | kept |", "|---|---:|---|"]
    lines += [f"| {what} | {how} | {'yes' if kept else 'NO'} |" for what, how, kept in promises(rows)]
    return "\n".join(lines) + "\n"


def _sqlite_vec() -> str:
    loads = hasattr(sqlite3.Connection, "enable_load_extension")
    return (
        "sqlite-vec is not measured here."
        if loads
        else "sqlite-vec is not here: this Python loads no SQLite extensions."
    )


def main() -> None:
    """Measure, print and write."""
    load, rows = os.getloadavg()[0], {}
    with tempfile.TemporaryDirectory() as name:
        passages, _ = real(Path(name))
        for count in (100_000,) if "--quick" in sys.argv else (100_000, 1_000_000):
            rows[str(count)] = measure(passages, count, Path(name))
            print(json.dumps(rows[str(count)], indent=1), flush=True)
    text = report(rows, load)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "vectors.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "vectors.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if "--process" in sys.argv:
        _process(Path(sys.argv[-1]))
    else:
        main()
