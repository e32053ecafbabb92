"""Inference, zero-shot classification and stance: by a tiny ONNX model the test makes (it counts words), a local server in
Hugging Face's words, and a scripted chat model."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from racto.agents.gateway import ModelGateway
from racto.agents.local_models import ModelManager
from racto.agents.nlp import NLP, LocalNLI, NLILabel, NLIResult, StanceLabel, StanceResult
from racto.agents.providers.huggingface_zero_shot import HuggingFaceZeroShot
from racto.agents.providers.simulated import Reply, SimulatedProvider
from racto.agents.routing import Endpoint
from racto.knowledge.errors import (
    ConfigError,
    InputError,
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAuthError,
    ResponseModelValidationError,
)
from racto.knowledge.vocabulary import ChatRequest

from tests.dialects import KEY
from tests.dialects.server import DialectServer, Line, Received
from tests.onnx_models import nli_model

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def chat(*answers: object) -> tuple[ModelGateway, list[ChatRequest]]:
    """A gateway whose model answers with these in turn, and what it was asked."""
    asked: list[ChatRequest] = []

    def step(answer: object) -> Any:
        def reply(request: ChatRequest) -> Reply:
            asked.append(request)
            return Reply(json.dumps(answer))

        return reply

    provider = SimulatedProvider([step(answer) for answer in answers])
    return ModelGateway(chain=[Endpoint(provider, "scripted")]), asked


@pytest.fixture
def local(tmp_path: Path) -> LocalNLI:
    return LocalNLI(str(nli_model(tmp_path / "tiny-nli")))


def softmax(*numbers: float) -> list[float]:
    return [math.exp(each) / sum(map(math.exp, numbers)) for each in numbers]


def test_a_local_model_says_what_a_premise_entails(local: LocalNLI) -> None:
    nlp = NLP(local=local)
    entailed = run(nlp.infer_nli("A football goal.", "Football and a goal"))
    # entailment 8, neutral 2, contradiction 0: the columns of the file come in another order
    assert [entailed.entailment, entailed.neutral, entailed.contradiction] == pytest.approx(softmax(8, 2, 0), abs=1e-5)
    assert (entailed.label, entailed.by) == (NLILabel.ENTAILMENT, f"local/{local.model}")
    assert run(nlp.infer_nli("Not so.", "Football")).label is NLILabel.CONTRADICTION
    assert run(nlp.infer_nli("An election.", "Football")).label is NLILabel.NEUTRAL


def test_a_local_model_ranks_labels(local: LocalNLI) -> None:
    found = run(NLP(local=local).classify_zero_shot("The election of politics", ["sports", "politics", "good"]))
    assert found.label == "politics"
    assert list(found.scores) == ["politics", "sports", "good"]
    assert sum(found.scores.values()) == pytest.approx(1)
    assert found.scores["politics"] == pytest.approx(softmax(4, 0, 0)[0], abs=1e-5)


def test_labels_judged_alone_may_all_fit_or_none(local: LocalNLI) -> None:
    nlp = NLP(local=local)
    both = run(nlp.classify_zero_shot("sports and politics", ["sports", "politics"], multi_label=True))
    none = run(nlp.classify_zero_shot("not football", ["sports", "politics"], multi_label=True))
    assert min(both.scores.values()) == pytest.approx(softmax(4, 0)[0], abs=1e-5)
    assert max(none.scores.values()) < 0.01


def test_stance_is_zero_shot_over_three_sentences(local: LocalNLI) -> None:
    nlp = NLP(local=local)
    assert run(nlp.classify_stance("I favor it", "taxes")).label is StanceLabel.FAVOR
    against = run(nlp.classify_stance("I am against it", "taxes"))
    assert against.label is StanceLabel.AGAINST
    assert against.favor + against.against + against.neutral == pytest.approx(1)
    assert against.by == f"local/{local.model}"


def test_many_labels_go_in_batches_and_come_back_in_order(local: LocalNLI) -> None:
    labels = [f"word{number}" for number in range(70)]
    labels[41] = "football"
    found = run(NLP(local=local).classify_zero_shot("football", labels))
    assert found.label == "football"
    assert len(found.scores) == 70


def test_a_chat_model_judges_by_shape_and_the_result_names_it() -> None:
    gateway, asked = chat({"entailment": 0.2, "neutral": 0.2, "contradiction": 0.6})
    result = run(NLP(chat=gateway).infer_nli("It rains.", "It is dry."))
    assert result == NLIResult(
        entailment=0.2, neutral=0.2, contradiction=0.6, label=NLILabel.CONTRADICTION, by="simulated/scripted"
    )
    (request,) = asked
    assert json.loads(request.messages[-1].content) == {"premise": "It rains.", "hypothesis": "It is dry."}
    assert request.response_schema is not None or "entailment" in request.system


def test_a_chat_models_scores_are_made_to_add_up() -> None:
    gateway, _ = chat({"scores": [0.9, 0.9, 0.2]}, {"scores": [0.9, 0.9, 0.2]})
    nlp = NLP(chat=gateway)
    stance = run(nlp.classify_stance("Cut them!", "taxes"))
    assert [stance.favor, stance.against, stance.neutral] == pytest.approx([0.45, 0.45, 0.1])
    alone = run(nlp.classify_zero_shot("Cut them!", ["a", "b", "c"], multi_label=True))
    assert alone.scores == {"a": 0.9, "b": 0.9, "c": 0.2}


def test_an_answer_with_another_number_of_scores_is_repaired_or_refused() -> None:
    gateway, asked = chat({"scores": [0.9]}, {"scores": [0.3, 0.7]})
    assert run(NLP(chat=gateway).classify_zero_shot("x", ["a", "b"])).label == "b"
    assert len(asked) == 2
    gateway, _ = chat(*[{"scores": [0, 0]}] * 3)
    with pytest.raises(ResponseModelValidationError, match="more than 0"):
        run(NLP(chat=gateway).classify_zero_shot("x", ["a", "b"]))


def test_without_the_local_model_the_chat_model_is_asked(tmp_path: Path, local: LocalNLI) -> None:
    gateway, _ = chat(*[{"entailment": 1, "neutral": 0, "contradiction": 0}] * 3)
    missing = LocalNLI(str(tmp_path / "nowhere"))
    assert run(NLP(local=missing, chat=gateway).infer_nli("a", "b")).by == "simulated/scripted"
    too_large = LocalNLI(local.model, manager=ModelManager(ram_budget=10))
    assert run(NLP(local=too_large, chat=gateway).infer_nli("a", "b")).by == "simulated/scripted"
    with pytest.raises(ModelNotAvailableError, match="not on this machine"):
        run(NLP(local=missing).infer_nli("a", "b"))
    # Another model, by name, is the chat's.
    assert run(NLP(local=local, chat=gateway).infer_nli("a", "b", "other")).by.startswith("simulated/")
    with pytest.raises(ModelNotAvailableError, match="not other"):
        run(NLP(local=local).infer_nli("a", "b", "other"))


def test_a_model_for_something_else_is_not_available(tmp_path: Path) -> None:
    folder = nli_model(tmp_path / "feelings", ("good", "bad", "neutral"))
    with pytest.raises(ModelNotAvailableError, match="good, bad, neutral"):
        run(NLP(local=LocalNLI(str(folder))).infer_nli("a", "b"))


def test_what_cannot_be_judged_is_refused(local: LocalNLI) -> None:
    nlp = NLP(local=local)
    for labels in ([], ["a", "a"], [" "]):
        with pytest.raises(InputError, match="labels"):
            run(nlp.classify_zero_shot("text", labels))
    with pytest.raises(InputError, match="target is empty"):
        run(nlp.classify_stance("text", ""))
    with pytest.raises(ConfigError, match="Nothing can classify"):
        NLP()


def test_braces_in_texts_and_labels_are_only_text(local: LocalNLI) -> None:
    found = run(NLP(local=local).classify_zero_shot("football {0}", ["{x} sports", "football {}"]))
    assert found.label == "football {}"


def test_stance_results_hold_shares() -> None:
    with pytest.raises(ValueError, match="less than or equal to 1"):
        StanceResult(favor=2, against=0, neutral=0, label=StanceLabel.FAVOR, by="x")


def test_tokens_are_counted_and_shown_by_the_tokenizers_of_the_house(local: LocalNLI) -> None:
    count = NLP(local=local).count_tokens("four words are here", "no-such-model")
    assert not count.exact
    assert count.count > 0
    with pytest.raises(InputError, match="not on this machine"):
        NLP(local=local).tokenize("four words", "no-such-model")


class ZeroShotServer(DialectServer):
    """The `zero-shot-classification` of the Inference API: a label fits the better the oftener it is in the text."""

    def __init__(self, *, old: bool = False) -> None:
        super().__init__()
        self.old = old

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        return {"error": f"Told to fail with {status}."}, {}

    def scenario(self, request: Received) -> str:
        return request.path.removeprefix("/hf-inference/models/")

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        labels = request.body["parameters"]["candidate_labels"]
        scores = {label: request.body["inputs"].split().count(label.split()[0]) for label in labels}
        total = 1 if request.body["parameters"]["multi_label"] else sum(scores.values())
        ranked = sorted(((label, score / total) for label, score in scores.items()), key=lambda each: -each[1])
        if scenario == "lost":
            ranked.pop()
        if self.old:
            await line.json({"sequence": "…", "labels": [x for x, _ in ranked], "scores": [y for _, y in ranked]})
        else:
            await line.json([{"label": label, "score": score} for label, score in ranked])


@pytest.mark.parametrize("old", [False, True])
def test_a_hosted_classifier_ranks_labels_and_tells_stance(old: bool, local: LocalNLI) -> None:
    async def judge() -> None:
        server = ZeroShotServer(old=old)
        async with server.running() as base:
            hosted = HuggingFaceZeroShot("facebook/bart-large-mnli", KEY, router=base)
            try:
                nlp = NLP(hosted=hosted)
                found = await nlp.classify_zero_shot("b a a b a", ["b", "a"])
                assert (found.scores, found.label) == ({"a": 0.6, "b": 0.4}, "a")
                assert found.by == "huggingface/facebook/bart-large-mnli"
                stance = await nlp.classify_stance("against this and neutral but against and against", "taxes")
                assert stance.label is StanceLabel.AGAINST
                assert stance.neutral == 0.25
                assert server.received[1].body["parameters"]["hypothesis_template"] == "The author of this text is {}."
                assert server.received[1].headers["authorization"] == f"Bearer {KEY}"
                with pytest.raises(ModelNotAvailableError, match="not for this"):
                    await nlp.infer_nli("a", "b")
                named = await NLP(local=local, hosted=hosted).classify_zero_shot("a", ["b", "a"], hosted.model)
                assert named.by == hosted.name
            finally:
                await hosted.aclose()

    run(judge())


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("status-401", RactoGatewayAuthError),
        ("status-404", ModelNotAvailableError),
        ("status-503", OverloadedError),
        ("lost", MalformedResponseError),
        ("malformed-json", MalformedResponseError),
    ],
)
def test_what_a_hosted_classifier_fails_with_is_told_as_every_providers(model: str, error: type[Exception]) -> None:
    async def judge() -> None:
        async with ZeroShotServer().running() as base:
            hosted = HuggingFaceZeroShot(model, KEY, router=base)
            try:
                await NLP(hosted=hosted).classify_zero_shot("a", ["b", "a"])
            finally:
                await hosted.aclose()

    with pytest.raises(error):
        run(judge())
