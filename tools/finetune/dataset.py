"""Datasets to train on: collected, split, shuffled, and read from and written to JSONL."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ...knowledge.arriving import arriving
from ...knowledge.errors import ConflictError, InputError
from . import rules
from .formats import form
from .messages import RactoTrainingExample


class RactoDataset:
    """Examples in order.

    :param examples: The first ones.
    """

    def __init__(self, examples: Iterable[RactoTrainingExample] | None = None) -> None:
        self.examples = list(examples or ())

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[str, str]], *, system: str = "") -> RactoDataset:
        """A dataset of questions and answers."""
        return cls(RactoTrainingExample.from_pair(user, assistant, system=system) for user, assistant in pairs)

    @classmethod
    def from_jsonl(cls, path: str | Path, provider: str = "openai") -> RactoDataset:
        """A dataset out of a file, as `read_jsonl` reads it."""
        return cls(read_jsonl(path, provider))

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[RactoTrainingExample]:
        return iter(self.examples)

    def __getitem__(self, place: int) -> RactoTrainingExample:
        return self.examples[place]

    def add(self, example: RactoTrainingExample) -> None:
        """Append an example."""
        self.examples.append(example)

    def extend(self, examples: Iterable[RactoTrainingExample]) -> None:
        """Append several examples."""
        self.examples.extend(examples)

    def shuffle(self, seed: int | None = None) -> RactoDataset:
        """A new dataset of the same examples in another order; the same one for the same seed, on every machine."""
        examples = list(self.examples)
        random.Random(seed).shuffle(examples)  # noqa: S311  # an order, not a secret
        return RactoDataset(examples)

    def split(self, train_ratio: float = 0.8, *, seed: int | None = 42) -> tuple[RactoDataset, RactoDataset]:
        """A shuffled dataset in two parts, for training and for validation; neither is empty when there are two examples.

        :param train_ratio: Between 0 and 1.
        :param seed: The same parts for the same seed, on every machine; `None` for others each time.
        :raises InputError: the ratio is not between 0 and 1.
        """
        if not 0 < train_ratio < 1:
            raise InputError(
                f"A part of {train_ratio} is no split.", "Give a train_ratio between 0 and 1, such as 0.8."
            )
        shuffled = self.shuffle(seed).examples
        cut = min(max(round(len(shuffled) * train_ratio), 1), max(len(shuffled) - 1, 1))
        return RactoDataset(shuffled[:cut]), RactoDataset(shuffled[cut:])

    def validate(self, provider: str = "openai") -> list[str]:
        """What the provider would refuse, each with its line and how to correct it; empty when nothing is wrong.

        :raises UnknownNameError: there is no such provider.
        """
        return list(rules.problems(self, provider))

    def to_jsonl_string(self, provider: str = "openai") -> str:
        """The examples as JSONL, one line for each.

        :raises InputError: the format has no place for something in an example.
        """
        return "".join(_lines(self, provider))

    def export_jsonl(self, path: str | Path, provider: str = "openai", *, overwrite: bool = False) -> None:
        """Write the examples to a file, as `write_jsonl` does."""
        write_jsonl(self, path, provider, overwrite=overwrite)

    def summary(self) -> dict[str, Any]:
        """`examples`, `total_messages`, `avg_turns_per_example`, `multimodal_examples`, `tool_examples` and `preference_pairs`."""
        messages = sum(len(each.messages) for each in self)
        return {
            "examples": len(self),
            "total_messages": messages,
            "avg_turns_per_example": round(messages / len(self), 2) if len(self) else 0.0,
            "multimodal_examples": sum(any(turn.attachments for turn in each.messages) for each in self),
            "tool_examples": sum(bool(each.tools) for each in self),
            "preference_pairs": sum(each.rejected is not None for each in self),
        }


def read_jsonl(path: str | Path, provider: str = "openai") -> Iterator[RactoTrainingExample]:
    """The examples of a file, one at a time: it may be larger than memory. Empty lines are passed over.

    :raises FileNotFoundError: there is no such file.
    :raises InputError: a line is no record of this format; says which.
    """
    shape = form(provider)
    with Path(path).open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                example = shape.read(dict(json.loads(line)))
            except InputError as error:
                raise InputError(f"Line {number} of {Path(path).name}: {error.message}", error.hint) from None
            except (ValueError, TypeError, AttributeError, LookupError):  # no JSON, or of another shape than any record
                hint = f"Write one JSON object of the format {provider} to a line."
                raise InputError(f"Line {number} of {Path(path).name} is no such record.", hint) from None
            yield example


def write_jsonl(
    examples: Iterable[RactoTrainingExample], path: str | Path, provider: str = "openai", *, overwrite: bool = False
) -> int:
    """Write examples to a file one at a time; it is there whole or not at all.

    :returns: How many there were.
    :raises ConflictError: the file is there, and may not be replaced.
    :raises InputError: the format has no place for something in an example.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise ConflictError(f"{target} is there already.", "Give another name, or overwrite=True.")
    with arriving(target) as file:
        return sum(file.write(line.encode()) > 0 for line in _lines(examples, provider))


def _lines(examples: Iterable[RactoTrainingExample], provider: str) -> Iterator[str]:
    shape = form(provider)
    for example in examples:
        yield json.dumps(shape.write(example), ensure_ascii=False) + "\n"
