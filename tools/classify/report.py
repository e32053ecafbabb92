"""How right a classifier is: label by label, against what people said, in numbers and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...knowledge.errors import ConfigError, InputError
from .calibration import Bin, expected_error, reliability
from .history import History

NONE = "(none)"
"""Stands in the table for texts that got no label."""
MOST_DRAWN = 40
"""Labels in a picture: those that are mixed up most."""


@dataclass(frozen=True, slots=True)
class LabelLine:
    """How right one label is.

    :param support: Texts that have it.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class ClassifierReport:
    """How right answers are.

    :param confusions: (the true label, the answer) → how often, right ones included.
    :param ece: Expected calibration error, and its `bins`, where answers had a confidence; `None` when none had.
    """

    texts: int
    accuracy: float
    macro_f1: float
    labels: list[LabelLine]
    confusions: dict[tuple[str, str], int]
    ece: float | None
    bins: list[Bin]


def report(
    truth: Sequence[str], answers: Sequence[str | None], confidences: Sequence[float | None] = ()
) -> ClassifierReport:
    """Compare answers with the truth.

    :param answers: One for each truth; `None` where there was none.
    :param confidences: One for each answer, or none at all.
    :raises InputError: there is nothing to compare, or the numbers differ.
    """
    import numpy as np

    if not truth or len(truth) != len(answers) or (confidences and len(confidences) != len(truth)):
        raise InputError("The answers cannot be compared.", "Give one answer for each true label, and at least one.")
    confusions = Counter((label, answer or NONE) for label, answer in zip(truth, answers, strict=True))
    support = Counter(truth)
    given = Counter(answer for answer in answers if answer is not None)
    lines = []
    for label in sorted({*support, *given}):
        hits = confusions[label, label]
        precision, recall = hits / (given[label] or 1), hits / (support[label] or 1)
        lines.append(LabelLine(label, precision, recall, 2 * hits / (given[label] + support[label]), support[label]))
    right = [label == answer for label, answer in zip(truth, answers, strict=True)]
    rated = [(sure, good) for sure, good in zip(confidences, right, strict=False) if sure is not None]
    bins = reliability(np.array([sure for sure, _ in rated]), np.array([good for _, good in rated])) if rated else []
    return ClassifierReport(
        texts=len(truth),
        accuracy=sum(right) / len(truth),
        macro_f1=sum(line.f1 for line in lines) / len(lines),
        labels=lines,
        confusions={pair: n for pair, n in confusions.items() if n},
        ece=expected_error(bins) if bins else None,
        bins=bins,
    )


def history_report(history: History, options: Sequence[str]) -> ClassifierReport:
    """How right the answers of the audit log are, by what people said of them.

    People correct what is wrong more often than they confirm what is right: the accuracy of all answers is likely higher.

    :raises InputError: nobody has corrected or confirmed an answer.
    """
    said = history.corrections(options)
    judged = [(said[number][1], entry) for number, entry in history.entries(options) if number in said]
    return report(
        [label for label, _ in judged],
        [entry.selected[0] if entry.selected else None for _, entry in judged],
        [entry.confidences[0] if entry.confidences else None for _, entry in judged],
    )


def confusion_picture(made: ClassifierReport) -> bytes:
    """The confusion table as a PNG: the true label down, the answer across; of many labels those that are mixed up most.

    :raises ConfigError: the library that draws is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise ConfigError(
            "Pictures need the package vl-convert-python.", "Install it: pip install 'racto[classify]'"
        ) from None
    # No base URL is allowed: whatever a label says, nothing is fetched.
    return vl_convert.vegalite_to_png(confusion_drawing(made), scale=1.5, allowed_base_urls=[])


def confusion_drawing(made: ClassifierReport) -> dict[str, Any]:
    """The picture as a Vega-Lite specification."""
    wrong: Counter[str] = Counter({line.label: 0 for line in made.labels})
    for (label, answer), count in made.confusions.items():
        if label != answer:
            wrong[label] += count
            wrong[answer] += count
    shown = {label for label, _ in wrong.most_common(MOST_DRAWN)}
    rows = [
        {"label": label, "answer": answer, "count": count, "share": count / support}
        for line in made.labels
        for (label, answer), count in made.confusions.items()
        if label == line.label and {label, answer} <= shown and (support := line.support)
    ]
    title = f"{made.accuracy:.1%} of {made.texts} texts right"
    if len(wrong) > len(shown):
        title += f"; the {len(shown)} of {len(wrong)} labels that are mixed up most"
    axis = {"type": "nominal", "axis": {"labelLimit": 160}}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": title,
        "data": {"values": rows},
        "width": {"step": 18},
        "height": {"step": 18},
        "mark": "rect",
        "encoding": {
            "y": {"field": "label", "title": "true label", **axis},
            "x": {"field": "answer", "title": "answer", **axis},
            "color": {"field": "share", "type": "quantitative", "title": "share", "scale": {"domain": [0, 1]}},
        },
    }
