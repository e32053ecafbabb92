"""A model trained here: right often enough, honest about how sure it is, silent where it is not, and kept as data."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import random
import statistics
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.database import Database
from racto.knowledge.errors import CorruptError, InputError
from racto.tools.classify.calibration import expected_error, reliability, separation, sharpness, softmax, threshold_for
from racto.tools.classify.history import History
from racto.tools.classify.local_model import LocalClassifier, loaded, train

DATA = Path(__file__).parents[2] / "shared" / "data" / "classifier"
FULL = bool(os.environ.get("RACTO_FULL"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the classifier sets are not in {DATA}")

SMALL = [(f"where is my {thing}", "shipping") for thing in ("parcel", "order", "box", "letter")]
SMALL += [(f"refund my {thing} please", "billing") for thing in ("money", "payment", "invoice", "bill")]


def banking() -> list[tuple[str, str]]:
    with (DATA / "banking77" / "train.csv").open(encoding="utf-8") as lines:
        return [(row["text"], row["category"]) for row in csv.DictReader(lines)]


def clinc() -> dict[str, list[tuple[str, str]]]:
    return {name: [(text, label) for text, label in rows] for name, rows in json.loads((DATA / "clinc150" / "train_val.json").read_text()).items()}  # fmt: skip


@pytest.fixture(scope="module")
def small() -> LocalClassifier:
    return train(SMALL, ["shipping", "billing", "other"], precision=0.5)


@pytest.fixture(scope="module")
def ten() -> LocalClassifier:
    """Ten labels of CLINC150, with texts that have none."""
    if not DATA.is_dir():
        pytest.skip(f"the classifier sets are not in {DATA}")
    sets = clinc()
    chosen = sorted({label for _, label in sets["train"]})[::15]
    return train(
        [row for row in sets["train"] if row[1] in chosen],
        outside=[text for text, _ in sets["oos_train"]],
        precision=0.98,
    )


def test_ten_labels_are_learnt_and_the_confidence_means_what_it_says(ten: LocalClassifier) -> None:
    assert (ten.measured.examples, ten.measured.labels) == (1000, 10)
    assert ten.measured.accuracy >= 0.95
    assert ten.measured.ece <= 0.03 < ten.measured.ece_before
    assert ten.measured.precision >= 0.98
    assert ten.measured.auroc is not None
    assert ten.measured.auroc >= 0.95


def test_texts_of_no_label_are_left_to_the_model(ten: LocalClassifier) -> None:
    sets = clinc()
    strange = [ten.predict(text, ten.labels).label is None for text, _ in sets["oos_val"]]
    asked = [(ten.predict(text, ten.labels), label) for text, label in sets["val"] if label in ten.labels]
    assert (len(strange), len(asked)) == (100, 200)
    assert statistics.mean(strange) >= 0.7
    answered = [found.label == label for found, label in asked if found.label is not None]
    assert len(answered) >= 150
    assert statistics.mean(answered) >= 0.95


def test_a_text_takes_less_than_a_millisecond(ten: LocalClassifier) -> None:
    spent = []
    for text, _ in clinc()["val"][:200]:
        begun = time.thread_time()
        ten.predict(text, ten.labels)
        spent.append(time.thread_time() - begun)
    assert statistics.median(spent) < 0.001


@needs_data
@pytest.mark.skipif(not FULL, reason="a minute of two cores: set RACTO_FULL=1")
@pytest.mark.parametrize(("name", "least"), [("banking77", 0.90), ("clinc150", 0.92)])
def test_whole_sets_are_learnt_in_a_minute_and_a_half(name: str, least: float) -> None:
    examples = banking() if name == "banking77" else clinc()["train"]
    begun = time.process_time()
    measured = train(examples).measured
    assert time.process_time() - begun <= 90
    assert measured.examples >= 10_000
    assert measured.accuracy >= least
    assert measured.ece <= 0.03


def test_it_abstains_before_a_label_it_was_not_trained_to_tell_apart(small: LocalClassifier) -> None:
    text = "where is my parcel"
    assert small.predict(text, ["shipping", "billing", "other"]).label == "shipping"
    assert small.predict(text, ["shipping", "billing", "sales"]).label is None
    assert small.predict(text, ["billing", "other"]).label != "shipping"
    assert small.predict("12345 ¿?", ["shipping", "billing"]).label is None
    assert small.predict(text, []).label is None


@given(st.text(max_size=80))
@settings(max_examples=100, deadline=None)
def test_any_text_gets_probabilities_of_the_offered_labels(small: LocalClassifier, text: str) -> None:
    found = small.predict(text, ["shipping", "billing", "other"])
    assert found.label in {None, "shipping", "billing"}
    assert sum(found.scores.values()) == pytest.approx(1, abs=1e-3)


def test_a_kept_model_answers_as_before(small: LocalClassifier, tmp_path: Path) -> None:
    labels = ["billing", "shipping"]
    History(Database(tmp_path / "racto.db")).save(labels, small)
    again = History(Database(tmp_path / "racto.db")).model(labels[::-1])
    assert again is not None
    assert again.measured == small.measured
    assert all(again.predict(text, labels) == small.predict(text, labels) for text, _ in SMALL)
    assert History(Database(tmp_path / "racto.db")).model(["other"]) is None


def test_a_model_file_executes_nothing_and_a_damaged_one_says_so(small: LocalClassifier, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'owned'}",)

    held = io.BytesIO()
    np.savez(held, about=np.array([Attack()], dtype=object), idf=np.zeros(1), weights=np.zeros(1), bias=np.zeros(1))
    for data in (pickle.dumps(Attack()), held.getvalue(), b"", small.saved()[:-200], small.saved()[:100]):
        with pytest.raises(CorruptError, match="Train it again"):
            loaded(data)
    assert not (tmp_path / "owned").exists()


def test_what_cannot_be_learnt_from_is_refused() -> None:
    with pytest.raises(InputError, match="fewer than two labels"):
        train([("a", "x"), ("b", "x")])
    with pytest.raises(InputError, match="'y' has one example"):
        train([("a", "x"), ("b", "x"), ("c", "y")])
    with pytest.raises(InputError, match="no words"):
        train([("!", "x"), ("?", "x"), ("-", "y"), (".", "y")])


def test_the_threshold_is_the_least_that_reaches_the_precision() -> None:
    sure, right = np.array([0.9, 0.8, 0.7, 0.7, 0.6]), np.array([True, True, True, False, False])
    assert threshold_for(sure, right, 1.0) == 0.8
    assert threshold_for(sure, right, 0.75) == 0.7
    assert threshold_for(sure, np.zeros(5, bool), 0.5) > 1


def test_scaling_finds_the_temperature_the_labels_were_drawn_at() -> None:
    dice = np.random.default_rng(0)
    scores = dice.normal(size=(4000, 5))
    truth = np.array([dice.choice(5, p=row) for row in softmax(scores * 3.0)])
    assert sharpness(scores, truth) == pytest.approx(3.0, rel=0.05)
    scaled = softmax(scores * sharpness(scores, truth))
    right = scaled.argmax(axis=1) == truth
    assert expected_error(reliability(scaled.max(axis=1), right)) < 0.03
    assert sum(each.count for each in reliability(scaled.max(axis=1), right)) == 4000


def test_the_error_is_the_gap_between_confidence_and_accuracy() -> None:
    assert expected_error(reliability(np.full(10, 0.9), np.arange(10) < 5)) == pytest.approx(0.4)


def test_separation_counts_pairs() -> None:
    dice = random.Random(0)
    inside, outside = [dice.randrange(9) for _ in range(40)], [dice.randrange(6) for _ in range(30)]
    pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    assert separation(np.array(inside), np.array(outside)) == pytest.approx(statistics.mean(pairs))
