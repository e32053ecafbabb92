"""How fast documents are read, side by side with pypdf in one run.

    python -m benchmarks.readers

Needs the documents (`../shared/data/retrieval` beside the checkout). Times are CPU seconds of this process, the best of `RUNS` for each file.
Writes `benchmarks/results/readers.json` and `.md`.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from racto.knowledge.errors import ReadError
from racto.knowledge.readers.pdf import PdfReader

RESULTS = Path(__file__).parent / "results"
DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
FOLDERS = ("pdf_ingest", "readers_dev")
TRUTH = DATA / "readers_dev" / "GeoTopo.ground_truth.txt"
BOOK = "GeoTopo-komprimiert.pdf"
RUNS = 2
PROMISED = 10.0


@dataclass
class File:
    """One document, read by both.

    :param ours: CPU seconds.
    :param theirs: CPU seconds of pypdf.
    """

    name: str
    pages: int
    ours: float
    theirs: float


def ours(path: Path) -> tuple[int, str]:
    """Our reader, in this process."""
    document = PdfReader().read(path)
    return int(document.metadata["page_count"]), document.content


def theirs(path: Path) -> tuple[int, str]:
    """pypdf, as its users extract text."""
    from pypdf import PdfReader as Pypdf

    pages = Pypdf(path).pages
    return len(pages), "\n".join(page.extract_text() for page in pages)


def timed(read: Callable[[Path], tuple[int, str]], path: Path) -> tuple[float, int, str]:
    """The least CPU seconds of some runs, the pages and the text."""
    least, pages, text = float("inf"), 0, ""
    for _ in range(RUNS):
        begun = time.process_time()
        pages, text = read(path)
        least = min(least, time.process_time() - begun)
    return least, pages, text


def share(text: str) -> float:
    """The share of the words of the book's ground truth that are in the text, in percent."""
    found, wanted = (Counter(re.findall(r"\w+", each.lower())) for each in (text, TRUTH.read_text(encoding="utf-8")))
    return 100 * (found & wanted).total() / wanted.total()


def measure() -> tuple[list[File], dict[str, float], list[str]]:
    """Every file both can read, how much of the book each finds, and what was left out."""
    files: list[File] = []
    shares: dict[str, float] = {}
    left_out: list[str] = []
    for path in sorted(path for folder in FOLDERS for path in (DATA / folder).rglob("*.pdf")):
        try:
            mine, pages, text = timed(ours, path)
            other, counted, their_text = timed(theirs, path)
        except ReadError as error:
            left_out.append(f"{path.name} ({error.code})")
            continue
        assert pages == counted, path
        files.append(File(path.name, pages, mine, other))
        if path.name == BOOK:
            shares = {"racto": share(text), "pypdf": share(their_text)}
        print(f"  {path.name}: {pages} pages, {mine:.2f} s against {other:.2f} s", flush=True)
    return files, shares, left_out


def main() -> None:
    if not DATA.is_dir():
        raise SystemExit(f"The documents are not at {DATA}.")
    os.environ["PATH"] = ""  # no OCR: pypdf has none
    warnings.simplefilter("ignore")
    logging.disable()  # pypdf tells what it misses for each font
    load = os.getloadavg()[0]
    files, shares, left_out = measure()
    pages = sum(file.pages for file in files)
    rates = {"racto": pages / sum(file.ours for file in files), "pypdf": pages / sum(file.theirs for file in files)}
    times = rates["racto"] / rates["pypdf"]
    slowest = min(files, key=lambda file: file.theirs / file.ours)
    about = (
        f"{len(files)} documents of {' and '.join(FOLDERS)}, {pages:,} pages; CPU time, best of {RUNS}. Python {platform.python_version()}, "
        f"{os.cpu_count()} CPUs, load {load:.1f} at the start; pypdfium2 {version('pypdfium2')}, pypdf {version('pypdf')}."
    )
    promised = [
        (f"PDF pages per CPU second ≥ {PROMISED:.0f} × pypdf", f"{times:.1f} ×", times >= PROMISED),
    ]
    lines = ["# Readers", "", about, "", "| promised | measured | kept |", "|---|---:|---|"]
    lines += [f"| {what} | {measured} | {'yes' if kept else '**no**'} |" for what, measured, kept in promised]
    lines += ["", "| reader | pages per CPU second | words of the book's ground truth, % |", "|---|---:|---:|"]
    lines += [f"| {name} | {rate:.0f} | {shares[name]:.1f} |" for name, rate in rates.items()]
    lines += [
        "",
        f"The least difference in one document: {slowest.theirs / slowest.ours:.1f} × ({slowest.name}, {slowest.pages} pages).",
    ]
    lines += [f"Left out, as a scan or locked: {', '.join(left_out)}."] if left_out else []
    text = "\n".join(lines) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    record = {
        "about": about,
        "promised": promised,
        "pages_per_cpu_second": rates,
        "share": shares,
        "files": [asdict(file) for file in files],
    }
    (RESULTS / "readers.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (RESULTS / "readers.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
