"""What is told of a dataset before it is trained on: repetition, leakage, private data, balance, length and cost."""

from __future__ import annotations

import itertools
import random
import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.tools.finetune.checking import check
from racto.tools.finetune.dataset import RactoDataset
from racto.tools.finetune.likeness import repeats
from racto.tools.finetune.private import find, luhn, redacted

PRIVATE = {
    "email": "Write to ann.smith+x@mail.example.org today.",
    "phone": "Call +44 20 7946 0958 now.",
    "card": "Card 4111 1111 1111 1111, please.",
    "iban": "Pay to GB82 WEST 1234 5698 7654 32.",
    "ip": "It came from 8.8.8.8 again.",
    "us_ssn": "My number is 123-45-6789.",
    "api_key": "Use sk-abcdefghijklmnopqrstuvwx as key.",
    "private_key": "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
}


@pytest.mark.parametrize("kind", PRIVATE)
def test_private_data_is_found_and_redacted(kind: str) -> None:
    assert [each.kind for each in find(PRIVATE[kind])] == [kind]
    assert f"[{kind.upper()}]" in redacted(PRIVATE[kind])
    assert list(find(redacted(PRIVATE[kind]))) == []


@pytest.mark.parametrize(
    "text",
    [
        "Card 4111 1111 1111 1112.",
        "Pay to GB83 WEST 1234 5698 7654 32.",
        "Version 1.2.3.4567 of 2026-11-21.",
        "The router is 192.168.0.1.",
        "Part 000-12-3456.",
        "Python 3.11 costs 1,234,567.89 and a@b is no address.",
        "task-force-of-the-united-nations",
    ],
)
def test_what_only_looks_private_is_left_alone(text: str) -> None:
    assert list(find(text)) == []
    assert redacted(text) == text


@given(st.integers(10**12, 10**18 - 1))
def test_one_wrong_digit_breaks_a_card_number(number: int) -> None:
    right = [text for digit in range(10) if luhn(text := f"{number}{digit}")]
    assert len(right) == 1 or len(set(str(number))) == 1


@given(st.lists(st.sampled_from([*PRIVATE.values(), "-", " ", "1", "@", "."]), max_size=6).map("".join))
def test_what_is_found_does_not_overlap(text: str) -> None:
    found = list(find(text))
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


def test_texts_that_nearly_repeat_are_found_with_the_first() -> None:
    long = "the quick brown fox jumps over the lazy dog while the cat sleeps on the warm red roof of the old house"
    assert repeats([long, "something else", long + " today", long.upper(), "", ""]) == [0, 1, 0, 0, 4, 4]


def pairs(count: int) -> RactoDataset:
    """Different questions, of twenty words drawn from a thousand."""
    draw = random.Random(5)
    words = [f"word{n}" for n in range(1000)]
    return RactoDataset.from_pairs((" ".join(draw.choices(words, k=20)), f"answer {n}") for n in range(count))


def test_a_report_tells_what_is_wrong_and_where() -> None:
    dataset = pairs(20)
    dataset.add(dataset[0])
    dataset.extend(RactoDataset.from_pairs([("Who is ann@example.org?", "Ann, at 8.8.8.8."), ("Why?", "")]))
    report = check(dataset, "openai", validation=[dataset[3]], price_per_million=Decimal(3), epochs=2)
    assert (report.examples, report.duplicates, report.near_duplicates, report.leaks) == (23, 1, 0, 1)
    assert report.private == {"email": 1, "ip": 1}
    assert report.problem_count == len(report.problems) == 1
    assert [each.line for each in report.worst] == [4, 22, 23, 21]
    assert "ann@example.org" not in str(report)
    assert report.cost == Decimal(6) * report.token_lengths["total"] / 1_000_000
    assert report.token_lengths["exact"] is False
    assert report.answers == {}


def test_an_unknown_price_is_not_free_and_an_empty_dataset_has_a_report() -> None:
    report = check(RactoDataset(), "jsonl")
    assert report.cost is None
    assert report.token_lengths["total"] == report.examples == 0


def test_classes_are_counted() -> None:
    dataset = RactoDataset.from_pairs([(f"text {n}", "rare" if n % 10 == 0 else "common") for n in range(40)])
    assert check(dataset, "jsonl").answers == {"common": 36, "rare": 4}


def test_an_example_longer_than_the_provider_takes_is_told() -> None:
    report = check(RactoDataset.from_pairs([("word " * 60_000, "yes")]), "bedrock")
    assert "32000" in " ".join(report.worst[0].reasons)


def test_the_time_of_a_check_grows_with_the_number_of_examples() -> None:
    dataset = pairs(2_000)
    begun = time.process_time()
    assert check(dataset, "openai").duplicates == 0
    assert time.process_time() - begun < 60 * 2_000 / 100_000 * 5  # five times the rate promised, on a loaded machine
