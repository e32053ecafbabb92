"""What is wrong with a dataset before anybody pays for training on it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ...agents import tokens
from .dataset import RactoDataset
from .likeness import repeats
from .messages import RactoTrainingExample
from .private import find
from .rules import RULES, problems

_MOST = 100  # problems told
_WORST = 10
_WEIGHTS = {"leak": 5, "private": 4, "refused": 3, "too long": 3, "duplicate": 2, "near-duplicate": 1}


@dataclass(frozen=True, slots=True)
class BadExample:
    """An example to look at.

    :param line: Its place, counted from 1.
    :param reasons: What is wrong with it, never the private data itself.
    """

    line: int
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What `check` found.

    :param problems: What the provider would refuse, the first hundred; `problem_count` of them in all.
    :param duplicates: Examples that say exactly what an earlier one says; `near_duplicates` nearly.
    :param leaks: Examples of the training data that are, nearly, in the validation data.
    :param private: Kind of personal data or secret → in how many examples.
    :param answers: The commonest last messages and how often they come, when they look like classes.
    :param token_lengths: `total`, `median`, `p95` and `max` of an example; `exact` says whether they were counted by the model's tokenizer.
    :param cost: US dollars for all epochs; `None` when the price is not known, which is not free.
    :param worst: At most ten examples, the worst first.
    """

    examples: int
    problems: list[str]
    problem_count: int
    duplicates: int
    near_duplicates: int
    leaks: int
    private: dict[str, int]
    answers: dict[str, int]
    token_lengths: dict[str, int | bool]
    cost: Decimal | None
    worst: list[BadExample] = field(default_factory=list)


def check(
    dataset: RactoDataset,
    provider: str,
    *,
    validation: Iterable[RactoTrainingExample] = (),
    model: str = "",
    epochs: int = 3,
    price_per_million: Decimal | None = None,
) -> DatasetReport:
    """Look at every example.

    :param validation: What the tuned model will be measured on.
    :param model: Whose tokens are counted; "" for an estimate.
    :param price_per_million: US dollars the provider asks for a million trained tokens.
    :raises UnknownNameError: there is no such provider.
    """
    reasons: dict[int, list[tuple[str, str]]] = {}

    def blame(line: int, kind: str, told: str) -> None:
        reasons.setdefault(line, []).append((kind, told))

    told = list(problems(dataset, provider))
    for problem in told:
        where, _, what = problem.partition(": ")
        if where.startswith("line "):
            blame(int(where[5:]), "refused", what)
    texts = [each.text for each in dataset]
    exact, near, leaks = _alike(texts, [each.text for each in validation], blame)
    private: Counter[str] = Counter()
    for line, text in enumerate(texts, 1):
        kinds = sorted({each.kind for each in find(text)})
        private.update(kinds)
        if kinds:
            blame(line, "private", f"holds {', '.join(kinds)}; redact it, or leave the example out")
    lengths = [tokens.count(text, model) for text in texts]
    limit = RULES[provider].tokens
    for line, length in enumerate(lengths, 1):
        if limit is not None and length.count > limit:
            blame(line, "too long", f"is {length.count} tokens; {provider} takes no more than {limit}")
    total = sum(each.count for each in lengths)
    ranked = sorted(reasons.items(), key=lambda each: (-sum(_WEIGHTS[kind] for kind, _ in each[1]), each[0]))
    return DatasetReport(
        examples=len(dataset),
        problems=told[:_MOST],
        problem_count=len(told),
        duplicates=exact,
        near_duplicates=near,
        leaks=leaks,
        private=dict(private.most_common()),
        answers=_classes(dataset),
        token_lengths=_spread(
            [each.count for each in lengths], exact=bool(lengths) and all(each.exact for each in lengths)
        ),
        cost=None if price_per_million is None else price_per_million * total * epochs / 1_000_000,
        worst=[BadExample(line, [what for _, what in found]) for line, found in ranked[:_WORST]],
    )


def _alike(texts: list[str], held_out: list[str], blame: Any) -> tuple[int, int, int]:
    """How many repeat an earlier one exactly, how many nearly, and how many are in the validation data."""
    exact = near = leaks = 0
    ahead = len(held_out)
    for line, (text, first) in enumerate(zip(texts, repeats(texts), strict=True), 1):
        if first == line - 1:
            continue
        same = texts[first] == text
        exact, near = exact + same, near + (not same)
        blame(
            line,
            "duplicate" if same else "near-duplicate",
            f"{'repeats' if same else 'nearly repeats'} line {first + 1}",
        )
    if ahead:
        for line, first in enumerate(itertools.islice(repeats([*held_out, *texts]), ahead, None), 1):
            if first < ahead:
                leaks += 1
                blame(line, "leak", f"is in the validation data too (line {first + 1}); keep it on one side")
    return exact, near, leaks


def _classes(dataset: RactoDataset) -> dict[str, int]:
    """The last messages, when few are told many times: classes rather than answers."""
    found = Counter(each.messages[-1].content for each in dataset if each.messages)
    return dict(found.most_common(50)) if 0 < 2 * len(found) <= len(dataset) else {}


def _spread(lengths: list[int], *, exact: bool) -> dict[str, int | bool]:
    ranked = sorted(lengths) or [0]
    at = {"median": 0.5, "p95": 0.95, "max": 1.0}
    found = {name: ranked[min(int(part * len(ranked)), len(ranked) - 1)] for name, part in at.items()}
    return {"total": sum(lengths), **found, "exact": exact}
