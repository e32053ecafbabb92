"""Vectors without a model: learnt from the collection, the same every time, kept as bytes that are safe to read."""

from __future__ import annotations

import asyncio
import json
import math
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.errors import CorruptError, InputError
from racto.knowledge.lsa import LsaEmbedder, LsaModel

from tests.indexes import JUDGED, judged

TOPICS = [
    ["car", "engine", "wheel", "brake", "road", "driver", "motor", "tyre", "fuel", "seat"],
    ["bread", "flour", "oven", "yeast", "dough", "baker", "crust", "knead", "loaf", "salt"],
    ["star", "planet", "orbit", "moon", "comet", "galaxy", "telescope", "sun", "light", "space"],
]


def _documents(count: int = 300, seed: int = 0) -> list[list[str]]:
    """Documents of eight words of one topic each, the topic of document `n` being `n % 3`."""
    chance = random.Random(seed)
    return [
        chance.sample(TOPICS[place % 3], 5) + chance.choices(["the", "of", "and", "is"], k=3) for place in range(count)
    ]


def test_words_that_stand_together_elsewhere_are_alike_though_no_text_holds_both() -> None:
    model = LsaModel.train((document for document in _documents(600) if not {"engine", "tyre"} <= set(document)), 3)
    engine, tyre, dough = (model.fold_in([word]) for word in ("engine", "tyre", "dough"))
    assert engine @ tyre > 0.6 > 0.2 > abs(engine @ dough)


def test_vectors_have_length_one_and_unknown_words_none() -> None:
    model = LsaModel.train(_documents(), 8)
    for document in _documents(30, seed=9):
        assert np.linalg.norm(model.fold_in(document)) == pytest.approx(1, abs=1e-5)
    assert not model.fold_in(["never", "seen"]).any()
    assert not model.fold_in([]).any()
    assert model.fold_in(["car", "never"]) == pytest.approx(model.fold_in(["car"]))


def test_the_directions_are_those_of_an_exact_decomposition() -> None:
    documents = _documents(200)
    model = LsaModel.train(documents, 3)
    rows = np.zeros((len(documents), len(model.vocabulary)))
    for row, document in enumerate(documents):
        for term in set(document):
            place = model.vocabulary[term]
            rows[row, place] = model.rarity[place] * (1 + math.log(document.count(term)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    exact = np.linalg.svd(rows, full_matrices=False)[2][:3]
    shared = np.linalg.svd(exact @ model.basis)[1]  # the cosines of the angles between the two spaces
    assert shared == pytest.approx([1, 1, 1], abs=2e-3)


def test_the_same_collection_gives_the_same_bytes_in_another_process() -> None:
    script = "from tests.test_lsa import _documents; from racto.knowledge.lsa import LsaModel; print(LsaModel.train(_documents(), 16).fingerprint)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    here = LsaModel.train(_documents(), 16)
    assert found.stdout.strip() == here.fingerprint
    assert here.fingerprint != LsaModel.train(_documents(seed=1), 16).fingerprint


def test_what_was_kept_gives_the_very_vectors_again() -> None:
    model = LsaModel.train(_documents(), 12)
    again = LsaModel.from_bytes(model.to_bytes())
    assert (again.fingerprint, again.documents, again.dimension) == (model.fingerprint, 300, 12)
    for document in _documents(20, seed=5):
        assert (again.fold_in(document) == model.fold_in(document)).all()


@settings(max_examples=200)
@given(st.data())
def test_damaged_bytes_are_refused_or_read_and_never_run(data: st.DataObject) -> None:
    kept = LsaModel.train(_documents(30), 4).to_bytes()
    cut = data.draw(st.integers(0, len(kept)))
    damaged = kept[:cut] + data.draw(st.binary(max_size=12)) + kept[cut + data.draw(st.integers(0, 12)) :]
    try:
        model = LsaModel.from_bytes(damaged)
    except CorruptError as error:
        assert "Train it again" in error.hint  # noqa: PT017 - both ends are right
    else:
        assert model.basis.shape == (len(model.rarity), model.dimension)


def test_the_model_of_another_version_is_refused() -> None:
    kept = LsaModel.train(_documents(30), 4).to_bytes()
    with pytest.raises(CorruptError, match="another version"):
        LsaModel.from_bytes(kept.replace(b"racto lsa 1", b"racto lsa 9", 1))
    with pytest.raises(CorruptError, match="another analyser"):
        LsaModel.from_bytes(kept.replace(b"snowball", b"snowfall", 1))
    with pytest.raises(CorruptError):
        LsaModel.from_bytes(b"")


def test_too_little_to_learn_from_is_said() -> None:
    for documents in ([], [["one"]], [["one"], ["two"]]):
        with pytest.raises(InputError, match="too little text"):
            LsaModel.train(documents)


def test_a_small_collection_has_fewer_dimensions() -> None:
    assert LsaModel.train([["one", "two"], ["one", "two"], ["two", "three"]]).dimension == 2


def test_a_collection_half_as_large_again_asks_for_another_training() -> None:
    model = LsaModel.train(_documents(100))
    assert [model.outgrown(count) for count in (100, 149, 150, 900)] == [False, False, True, True]


def test_more_documents_than_are_kept_in_memory_are_sampled_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("racto.knowledge.lsa._SAMPLE", 100)
    model = LsaModel.train(iter(_documents(3000)), 3)
    assert model.documents == 3000
    engine, tyre, dough = (model.fold_in([word]) for word in ("engine", "tyre", "dough"))
    assert engine @ tyre > 0.6 > 0.3 > abs(engine @ dough)


TEXTS = [
    "The engine of the car drives its wheels.", "A motor and an engine are much the same.", "The motor drives the wheels.",
    "Der Teig ruht, dann kommt das Brot in den Ofen.", "Der Bäcker knetet den Teig für das Brot.", "Im Ofen wird aus dem Teig ein Brot.",
]  # fmt: skip


def test_the_embedder_is_named_for_what_it_is_and_for_what_it_learnt() -> None:
    embedder = LsaEmbedder.train(TEXTS)
    again = LsaEmbedder(LsaModel.from_bytes(embedder.model.to_bytes()))
    assert embedder.name == again.name == f"built-in/lsa-1-{embedder.model.fingerprint}"
    assert embedder.name != LsaEmbedder.train(TEXTS[1:]).name


def test_every_text_gets_a_vector_of_the_stated_length_and_questions_find_theirs() -> None:
    embedder = LsaEmbedder.train(TEXTS)
    vectors = np.array(embedder.embed([*TEXTS, "", "xyzzy"]))
    assert vectors.shape == (len(TEXTS) + 2, embedder.dimension)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(vectors)), abs=1e-5)
    for question, answers in (("What do motors drive?", {0, 1, 2}), ("Wie wird Brot gebacken?", {3, 4, 5})):
        asked = np.array(asyncio.run(embedder.aembed_query(question)))
        assert int((vectors[: len(TEXTS)] @ asked).argmax()) in answers


def test_a_question_of_unknown_words_is_like_nothing_not_even_texts_of_unknown_words() -> None:
    embedder = LsaEmbedder.train(TEXTS)
    asked = np.array(asyncio.run(embedder.aembed_query("plugh")))
    assert (np.array(embedder.embed([*TEXTS, "xyzzy"])) @ asked).max() <= 0


def test_on_a_judged_collection_it_finds_more_than_the_words_of_the_question() -> None:
    """MED: abstracts of medicine, where synonyms are the rule. BM25 has .62 of the first ten right."""
    pages = judged("med").pages
    questions = [json.loads(line) for line in (JUDGED / "med" / "queries.jsonl").read_text("utf-8").splitlines()]
    relevant = {tuple(line.split("\t")[:2]) for line in (JUDGED / "med" / "qrels.tsv").read_text("utf-8").splitlines()}
    embedder = LsaEmbedder.train(pages.values())
    vectors, ids = np.array(embedder.embed(list(pages.values())), np.float32), list(pages)
    right = []
    for question in questions:
        asked = np.array(asyncio.run(embedder.aembed_query(question["text"])), np.float32)
        best = np.argsort(-(vectors @ asked), kind="stable")[:10]
        right += [(question["_id"], ids[place]) in relevant for place in best]
    assert len(right) == 300
    assert sum(right) / len(right) > 0.65
