"""Probabilities that mean what they say: how far off they are, the temperature that mends them, and from where on they are trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

BINS = 15
"""Of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence.

    :param low: Of the confidences, not included; `high` is.
    :param confidence: Their mean confidence.
    :param accuracy: The share of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(confidences: NDArray[Any], right: NDArray[Any]) -> list[Bin]:
    """The bins that are not empty.

    :param confidences: (n,), 0 to 1.
    :param right: (n,), whether each answer is right.
    """
    import numpy as np

    place = np.clip(np.ceil(confidences * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for number in range(BINS):
        inside = place == number
        if count := int(inside.sum()):
            means = float(confidences[inside].mean()), float(right[inside].mean())
            bins.append(Bin(number / BINS, (number + 1) / BINS, count, *means))
    return bins


def expected_error(bins: list[Bin]) -> float:
    """The expected calibration error: the mean distance of confidence and accuracy, 0 to 1; 0 of no bins."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / total if total else 0.0


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    """Probabilities of scores, (…, labels)."""
    import numpy as np

    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    made: NDArray[Any] = powers / powers.sum(axis=-1, keepdims=True)
    return made


def sharpness(scores: NDArray[Any], truth: NDArray[Any]) -> float:
    """The factor of the scores, the inverse temperature, under which the truth is likeliest (Guo et al., 2017).

    :param scores: (n, labels).
    :param truth: (n,), places of labels.
    """
    import numpy as np

    rows = np.arange(len(truth))

    def loss(factor: float) -> float:
        return float(-np.log(softmax(scores * factor)[rows, truth] + 1e-12).mean())

    low, high, golden = 0.1, 40.0, (5**0.5 - 1) / 2
    while high - low > 0.01:  # the loss has one valley
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return (low + high) / 2


def threshold_for(confidences: NDArray[Any], right: NDArray[Any], precision: float) -> float:
    """The least confidence from which on answers are right often enough; above 1, never reached, when there is none.

    :param precision: The share that must be right.
    """
    import numpy as np

    order = np.argsort(-confidences, kind="stable")
    values = confidences[order]
    reached = np.cumsum(right[order]) / np.arange(1, len(order) + 1) >= precision
    # Answers of the same confidence are taken together or not at all.
    reached[:-1] &= values[:-1] > values[1:]
    places = np.flatnonzero(reached)
    return float(values[places[-1]]) if len(places) else 2.0


def separation(inside: NDArray[Any], outside: NDArray[Any]) -> float:
    """The AUROC: how often a text that has a label gets a higher confidence than one that has none, a tie counting half."""
    import numpy as np

    ordered = np.sort(outside)
    below, upto = np.searchsorted(ordered, inside, "left"), np.searchsorted(ordered, inside, "right")
    return float((below + upto).mean() / 2 / len(outside))
