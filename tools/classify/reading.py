"""From what a model wrote to labels of the list. Whatever it wrote, nothing but labels of the list comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ...knowledge.vocabulary import LLMResponse
from .answers import ConfidenceKind
from .options import Options
from .prompts import Form, by_id

LONGEST_ANSWER = 200_000
"""Characters; of longer answers nothing is read."""

_LABELS = ("label", "labels", "selected", "selection", "option", "options", "category", "categories", "answer", "class", "intent", "id", "ids", "name")  # fmt: skip
_CONFIDENCE = ("confidence", "score", "probability")
_MOST = 1_000  # labels that one answer names


@dataclass(slots=True)
class Reading:
    """What an answer says.

    :param labels: Label → how sure the model says it is; in the order of the answer.
    :param scores: Label → score.
    :param problem: Why the answer cannot be used as it is; empty when it can.
    :param unknown: What it names that is not on the list.
    :param kind: What the confidences are.
    """

    labels: dict[str, float | None] = field(default_factory=dict)
    scores: dict[str, float] | None = None
    reasoning: str | None = None
    fuzzy: bool = False
    problem: Literal["", "not a label", "no label", "several labels"] = ""
    unknown: str = ""
    kind: ConfidenceKind = "model-stated"


def read(response: LLMResponse, options: Options, form: Form, *, fuzzy: bool) -> Reading:
    """What an answer says.

    :param options: Those the model was shown.
    :param fuzzy: Whether a misspelt label is taken for it.
    """
    value = _value(response)
    reading = Reading(reasoning=_reasoning(value) if form.reasoning else None)
    ids = by_id(options, form)
    unknown: list[str] = []
    for given, confidence in _named(value):
        match = options.matcher.match(given, fuzzy=fuzzy, ids=ids)
        if match is None:
            unknown.append(given)
        else:
            reading.labels.setdefault(match.label, confidence)
            reading.fuzzy |= match.how == "fuzzy"
    if form.scores and isinstance(value, dict):
        reading.scores = _scores(value.get("scores"), options)
    if unknown:
        reading.problem, reading.unknown = "not a label", unknown[0]
    elif not reading.labels:
        reading.problem = "no label"
    elif form.mode == "single" and len(reading.labels) > 1:
        reading.problem = "several labels"
    return reading


def complaint(reading: Reading, options: Options) -> str:
    """What to say to the model whose answer has a problem, for its next try."""
    if reading.problem == "not a label":
        near = ", ".join(map(repr, options.matcher.nearest(reading.unknown)))
        said = " ".join(reading.unknown.split())[:100]
        return f"{said!r} is not in the list. The nearest are: {near}. Choose from the list only."
    if reading.problem == "no label":
        return "That names no label of the list. Answer with the JSON object that was asked for."
    return f"That names {len(reading.labels)} labels. Choose the one that fits best."


def _value(response: LLMResponse) -> Any:
    """The JSON of an answer, or its text when it is none; `None` when it is too long to be one."""
    text = (response.content or "").strip()
    if len(text) > LONGEST_ANSWER:
        return None
    if text.startswith(("{", "[", '"')):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass
    if response.parsed is not None:
        return response.parsed
    first, last = text.find("{"), text.rfind("}")
    if 0 <= first < last:
        try:
            return json.loads(text[first : last + 1])
        except (ValueError, RecursionError):
            return None  # words around broken JSON are no label
    return text


def _named(value: Any) -> Iterator[tuple[str, float | None]]:
    """What an answer names, each with its confidence."""
    if isinstance(value, str):
        if value.strip():
            yield value, None
    elif isinstance(value, list):
        for each in value[:_MOST]:
            if not isinstance(each, list):  # lists in lists are nobody's answer, and could be deep
                yield from _named(each)
    elif isinstance(value, dict):
        told = next((value[name] for name in _LABELS if isinstance(value.get(name), str | list)), None)
        sure = next((number for name in _CONFIDENCE if (number := _number(value.get(name))) is not None), None)
        if isinstance(told, str):
            yield told, sure
        elif told is not None:
            inner = [each for each in told[:_MOST] if isinstance(each, str | dict)]
            for each in inner:
                for label, confidence in _named(each) if isinstance(each, str) else _of_item(each):
                    yield label, sure if confidence is None and len(inner) == 1 else confidence


def _of_item(item: dict[str, Any]) -> Iterator[tuple[str, float | None]]:
    told = next((item[name] for name in _LABELS if isinstance(item.get(name), str)), None)
    if told is not None and told.strip():
        yield told, next((number for name in _CONFIDENCE if (number := _number(item.get(name))) is not None), None)


def _scores(given: Any, options: Options) -> dict[str, float] | None:
    """Label → score, for every label; a label that got none has 0."""
    if not isinstance(given, dict):
        return None
    found: dict[str, float] = {}
    for name, score in given.items():
        match = options.matcher.match(name, fuzzy=False, ids=True)
        number = _number(score)
        if match is not None and number is not None:
            found[match.label] = number
    return {label: found.get(label, 0.0) for label in options.labels} if found else None


def _number(value: Any) -> float | None:
    """0 to 1; what lies outside is taken for the nearer end, what is no number for nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(float(value), 0.0), 1.0)


def _reasoning(value: Any) -> str | None:
    told = value.get("reasoning") if isinstance(value, dict) else None
    return told[:2_000] if isinstance(told, str) and told.strip() else None
