"""How long compiling and checking a prompt takes. CPU time, the median of repeats; run it with nothing else running.

    python -m benchmarks.prompts [--quick]

Writes `benchmarks/results/prompts.json` and `.md`.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, Field
from racto.knowledge.database import Database
from racto.knowledge.prompt_check import check_prompt
from racto.knowledge.prompt_store import PromptStore
from racto.knowledge.prompts import RactoPrompt

RESULTS = Path(__file__).parent / "results"


class Issue(BaseModel):
    """One thing that is wrong."""

    line: int = Field(ge=1)
    severity: str = Field(description="low, medium or high")
    what: str


class CodeReview(BaseModel):
    """A whole review."""

    title: str
    issues: list[Issue]
    suggestion: str | None = None


REVIEWER = RactoPrompt(
    role="You are a senior Python code reviewer at a Fortune 500 company.",
    aim="Review the given code for bugs, security vulnerabilities, and PEP-8 violations.",
    constraints=[
        "Only report issues you are certain about.",
        "Do not suggest stylistic preferences.",
        "If no issues are found, say so explicitly.",
        "Never fabricate code examples that you cannot verify.",
    ],
    tone="Professional and concise",
    output_format="json",
)
EXAMPLES = [{"input": f"def f{n}(): ...", "output": '{"title": "t", "issues": []}'} for n in range(3)]
PROMPTS = {
    "text format": REVIEWER,
    "text format, context and 3 examples": REVIEWER.model_copy(
        update={"context": "Python 3.11.", "examples": EXAMPLES}
    ),
    "text format, German": REVIEWER.model_copy(
        update={"role": "Du prüfst Code.", "aim": "Prüfe gründlich, was übergeben wird."}
    ),
    "pydantic format": REVIEWER.model_copy(update={"output_format": CodeReview, "examples": EXAMPLES}),
    "JSON Schema format": REVIEWER.model_copy(update={"output_format": CodeReview.model_json_schema()}),
}
GOALS = {"text format": 10.0, "pydantic format": 50.0}
"""Microseconds promised."""


def cpu_microseconds(call: Callable[[], object], repeats: int, seconds: float = 0.05) -> float:
    """The median CPU time of one call over `repeats` loops of about `seconds` each."""
    call()
    start = time.perf_counter()
    call()
    number = max(1, int(seconds / max(time.perf_counter() - start, 1e-7)))
    timings = []
    for _ in range(repeats):
        begun = time.process_time_ns()
        for _ in range(number):
            call()
        timings.append((time.process_time_ns() - begun) / number / 1000)
    return statistics.median(timings)


def main() -> None:
    repeats = 3 if "--quick" in sys.argv else 15
    rows = {f"compile: {name}": cpu_microseconds(prompt.compile, repeats) for name, prompt in PROMPTS.items()}
    rows["schema of the pydantic format, uncached"] = cpu_microseconds(CodeReview.model_json_schema, repeats)
    rows["check"] = cpu_microseconds(lambda: check_prompt(PROMPTS["pydantic format"]), repeats)
    database = Database()
    store = PromptStore(database)
    store.save("reviewer", REVIEWER)
    rows["get a stored prompt"] = cpu_microseconds(lambda: store.get("reviewer"), repeats)
    database.close()
    table = ["| what | µs | goal |", "|---|---:|---:|"]
    for name, value in rows.items():
        goal = GOALS.get(name.removeprefix("compile: "))
        table.append(f"| {name} | {value:.1f} | {f'≤ {goal:g}' if goal else ''} |")
    print("\n".join(table))
    RESULTS.mkdir(exist_ok=True)
    record = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "repeats": repeats,
        "microseconds": rows,
    }
    (RESULTS / "prompts.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    head = f"# Prompts\n\nCPU microseconds a call, median of {repeats}; Python {platform.python_version()}.\n\n"
    (RESULTS / "prompts.md").write_text(head + "\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
