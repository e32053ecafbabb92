"""What a classifier did: how right it was label by label, what the local model saved, and a picture of what is mixed up."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from racto.knowledge.database import Database
from racto.knowledge.errors import InputError
from racto.tools.classify.answers import AuditEntry
from racto.tools.classify.cascade import Sampled, cascade_report
from racto.tools.classify.history import History
from racto.tools.classify.local_model import LocalClassifier, train
from racto.tools.classify.report import NONE, confusion_drawing, confusion_picture, history_report, report
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

LABELS = ["billing", "shipping"]
THINGS = ["parcel", "order", "box", "letter", "card", "bag"]


@pytest.fixture(scope="module")
def local() -> LocalClassifier:
    known = [(f"where is my {thing}", "shipping") for thing in THINGS]
    return train([*known, *((f"refund the {thing} please", "billing") for thing in THINGS)], precision=0.9)


def entry(text: str, label: str | None, by: str = "model", tokens: int = 0, sure: float | None = None) -> AuditEntry:
    return AuditEntry.model_validate(
        {
            "timestamp": "2026-11-21T00:00:00Z",
            "user_query": text,
            "options_provided": LABELS,
            "selected": [label] if label else [],
            "confidences": None if sure is None else [sure],
            "answered_by": by,
            "usage": {"total_tokens": tokens},
        }
    )


def test_the_numbers_are_those_of_scikit_learn() -> None:
    dice = random.Random(1)
    truth = [dice.choice("abcd") for _ in range(300)]
    answers = [label if dice.random() < 0.7 else dice.choice("abcd") for label in truth]
    made = report(truth, answers)
    expected = precision_recall_fscore_support(truth, answers, labels=list("abcd"))
    for line, *numbers in zip(made.labels, *expected, strict=True):
        assert [line.precision, line.recall, line.f1, line.support] == pytest.approx(numbers)
    assert made.accuracy == pytest.approx(accuracy_score(truth, answers))
    assert sum(made.confusions.values()) == 300
    assert made.ece is None


def test_a_text_without_an_answer_is_not_right_and_stands_in_the_table() -> None:
    made = report(["a", "a", "b"], ["a", None, "b"], [0.9, None, 0.8])
    assert made.accuracy == pytest.approx(2 / 3)
    assert made.confusions["a", NONE] == 1
    assert made.ece == pytest.approx(0.15)
    with pytest.raises(InputError, match="one answer for each"):
        report(["a"], [])


def test_the_report_is_of_what_people_said(tmp_path: Path) -> None:
    history = History(Database(tmp_path / "racto.db"))
    with pytest.raises(InputError, match="at least one"):
        history_report(history, LABELS)
    history.correct(history.log(entry("a", "billing", sure=0.9)), "shipping", "ada")
    history.correct(history.log(entry("b", "billing", sure=0.9)), "billing", "ada")
    history.log(entry("c", "billing"))
    made = history_report(history, LABELS)
    assert (made.texts, made.accuracy) == (2, 0.5)
    assert made.ece == pytest.approx(0.4)
    assert made.confusions == {("shipping", "billing"): 1, ("billing", "billing"): 1}


def test_the_picture_shows_what_is_mixed_up_most() -> None:
    truth = [f"label {number}" for number in range(60)] * 2
    answers = [*truth[:119], "label 0"]
    made = report(truth, answers)
    drawing = confusion_drawing(made)
    assert "40 of 60" in drawing["title"]
    assert {"label": "label 59", "answer": "label 0", "count": 1, "share": 0.5} in drawing["data"]["values"]
    pytest.importorskip("vl_convert", reason="vl-convert-python draws")
    assert confusion_picture(made).startswith(b"\x89PNG")


def test_what_local_answers_saved_and_whether_the_models_agree(local: LocalClassifier, tmp_path: Path) -> None:
    history = History(Database(tmp_path / "racto.db"))
    for thing in THINGS[:3]:
        history.log(entry(f"where is my {thing}", "shipping", "local"))
    history.log(entry("where is my card", "shipping", tokens=100))
    history.log(entry("where is my bag", "billing", tokens=200))
    history.log(entry("¿?", "billing", tokens=300))
    made = cascade_report(history, LABELS, local, dollars_per_call=0.01)
    assert (made.answered, made.local, made.share) == (6, 3, 0.5)
    assert (made.compared, made.agreement) == (2, 0.5)
    assert made.tokens_saved == 600
    assert made.dollars_saved == pytest.approx(0.03)
    assert made.warnings == []
    assert cascade_report(history, LABELS, local).dollars_saved is None


def test_texts_that_have_changed_and_models_that_disagree_are_told(local: LocalClassifier, tmp_path: Path) -> None:
    history = History(Database(tmp_path / "racto.db"))
    for number in range(60):
        history.log(entry(f"{THINGS[number % 6]} {number} where is my", "billing"))
    assert "Agrees with the model on 0%" in cascade_report(history, LABELS, local).warnings[-1]
    for number in range(200):
        history.log(entry(f"{number} zzz", "billing"))
    assert "they have changed" in cascade_report(history, LABELS, local).warnings[0]


def test_a_sample_goes_to_the_model_though_the_local_one_is_sure(local: LocalClassifier) -> None:
    texts = [f"where is my {thing} {number}" for thing in THINGS for number in range(100)]
    sure = [text for text in texts if local.predict(text, LABELS).label]
    left = [text for text in sure if Sampled(local, every=10).predict(text, LABELS).label is None]
    assert len(sure) >= 300
    assert 0.05 < len(left) / len(sure) < 0.16
    assert left == [text for text in sure if Sampled(local, every=10).predict(text, LABELS).label is None]
