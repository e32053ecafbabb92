"""The local classifier on two public sets: by cross-validation on their training texts, and on texts and strangers it was never trained on.

    python -m benchmarks.classify

Needs the sets (`../shared/data/classifier` beside the checkout). Writes `benchmarks/results/classify.json` and `.md`.
"""

from __future__ import annotations

import csv
import json
import os
import platform
import statistics
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from racto.tools.classify.local_model import loaded, train

DATA = Path(__file__).parents[2] / "shared" / "data" / "classifier"
RESULTS = Path(__file__).parent / "results"

Rows = list[tuple[str, str]]


def measured(examples: Rows, outside: list[str], held: Rows) -> dict[str, Any]:
    """Training, its own cross-validation, and what a kept and loaded model says of `held`."""
    wall, cpu = time.perf_counter(), time.process_time()
    trained = train(examples, outside=outside)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    data = trained.saved()
    model = loaded(data)
    spent, answers = [], []
    for text, label in held or examples[::5]:
        begun = time.perf_counter()
        found = model.predict(text, model.labels)
        spent.append((time.perf_counter() - begun) * 1000)
        answers.append((max(found.scores, key=found.scores.__getitem__) == label, found.label))
    row = {**asdict(trained.measured), "train_s": wall, "train_cpu_s": cpu, "megabytes": len(data) / 1e6}
    row |= {"p50_ms": statistics.median(spent), "p99_ms": statistics.quantiles(spent, n=100)[-1]}
    if held:
        sure = [right for right, label in answers if label is not None]
        row |= {"held_accuracy": statistics.mean(right for right, _ in answers)}
        row |= {"held_coverage": len(sure) / len(answers), "held_precision": statistics.mean(sure)}
    return row


def report(rows: dict[str, dict[str, Any]], about: str) -> str:
    """The table."""
    names = {name: None for row in rows.values() for name in row}
    lines = ["# The local classifier", "", about, "", f"| | {' | '.join(rows)} |", f"|---|{'---:|' * len(rows)}"]
    for name in names:
        values = [row.get(name) for row in rows.values()]
        told = [f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value) for value in values]
        lines.append(f"| {name} | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    load = os.getloadavg()[0]
    with (DATA / "banking77" / "train.csv").open(encoding="utf-8") as lines:
        banking = [(row["text"], row["category"]) for row in csv.DictReader(lines)]
    sets = json.loads((DATA / "clinc150" / "train_val.json").read_text(encoding="utf-8"))
    strangers = [text for text, _ in sets["oos_train"] + sets["oos_val"]]
    rows = {"banking77": measured(banking, [], []), "clinc150": measured(sets["train"], strangers, sets["val"])}
    about = (
        f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} CPUs, load {load:.1f} at the start; "
        f"scikit-learn {version('scikit-learn')}. Five-fold cross-validation on the training texts; `held_` is CLINC150's validation set."
    )
    text = report(rows, about)
    print(text)
    (RESULTS / "classify.json").write_text(json.dumps({"about": about, **rows}, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "classify.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
