"""What tests of the classifier share: the labels of two public data sets, and slips of the fingers."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest

CLASSIFIER_DATA = Path(__file__).parents[2] / "shared" / "data" / "classifier"

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def banking() -> list[str]:
    """The 77 labels of Banking77."""
    labels: list[str] = json.loads(_text("banking77/categories.json"))
    return labels


def clinc() -> list[str]:
    """The 150 labels of CLINC150."""
    return sorted({label for _, label in json.loads(_text("clinc150/train_val.json"))["train"]})


def banking_texts() -> list[tuple[str, str]]:
    """Texts of Banking77 with their labels."""
    rows = csv.DictReader(_text("banking77/train.csv").splitlines())
    return [(row["text"], row["category"]) for row in rows]


def misspelt(rng: random.Random, label: str, slips: int = 1) -> str | None:
    """A label with a letter left out, doubled, swapped with the next, or replaced by a neighbour on the keyboard, in so many of its words of
    five letters or more; `None` when it has not so many such words."""
    words = label.split("_")
    long = [place for place, word in enumerate(words) if len(word) >= 5]
    if len(long) < slips:
        return None
    for place in rng.sample(long, slips):
        words[place] = _slip(rng, words[place])
    return rng.choice("_ -").join(words)


def _slip(rng: random.Random, word: str) -> str:
    place = rng.randrange(len(word))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    kind = rng.randrange(4)
    if kind == 0:
        return before + after
    if kind == 1:
        return before + letter * 2 + after
    if kind == 2:
        return (before + after[0] + letter + after[1:]) if after else before[:-1] + letter + before[-1]
    row = next((row for row in _ROWS if letter in row), letter)
    neighbours = row[max(row.index(letter) - 1, 0) : row.index(letter)] + row[row.index(letter) + 1 :][:1]
    return before + rng.choice(neighbours or "x") + after


def _text(name: str) -> str:
    path = CLASSIFIER_DATA / name
    if not path.exists():
        pytest.skip(f"there is no {path}")
    return path.read_text(encoding="utf-8")
