"""How sure an answer is, in the two senses that are not the model's own word: the probability of its tokens, and the agreement of several."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ...knowledge.vocabulary import LLMResponse
from .reading import Reading

WITH_LOG_PROBABILITIES = frozenset({"openai"})
"""Providers whose answers tell them when `logprobs` is asked for."""

_CHOICE = re.compile(r'"label"\s*:\s*"((?:[^"\\]|\\.)*)"')


def probability(response: LLMResponse) -> float | None:
    """The probability of the tokens that name the label, given what stands before them; `None` when the provider did not tell."""
    try:
        told: Any = response.raw["choices"][0]["logprobs"]["content"]
        tokens = [(str(each["token"]), float(each["logprob"])) for each in told]
    except (TypeError, KeyError, IndexError, ValueError):
        return None
    choice = _CHOICE.search("".join(token for token, _ in tokens))
    if choice is None:
        return None
    total, begin = 0.0, 0
    for token, logarithm in tokens:
        end = begin + len(token)
        if begin < choice.end(1) and end > choice.start(1):
            total += logarithm
        begin = end
    return min(math.exp(total), 1.0) if math.isfinite(total) else None


def agreement(readings: Sequence[Reading], *, single: bool) -> Reading:
    """One reading of several answers to the same question: with each label, the share of all answers that name it.

    :param single: Keep the label most answers name; otherwise those that at least half of them do.
    """
    usable = [reading for reading in readings if not reading.problem]
    votes = Counter(label for reading in usable for label in reading.labels)
    if not votes:
        return readings[0]
    ranked = votes.most_common()
    chosen = (
        ranked[:1]
        if single
        else [(label, count) for label, count in ranked if 2 * count >= len(readings)] or ranked[:1]
    )
    first = next(reading for reading in usable if chosen[0][0] in reading.labels)
    return Reading(
        labels={label: count / len(readings) for label, count in chosen},
        scores=first.scores,
        reasoning=first.reasoning,
        fuzzy=first.fuzzy,
        kind="agreement",
    )
