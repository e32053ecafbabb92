"""Embeddings and inference that were paid for once are not paid for again, where a cache for them was given."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from racto.agents.budget import Budget
from racto.agents.caches import OperationCache
from racto.agents.gateway import ModelGateway
from racto.agents.providers import make
from racto.agents.providers.simulated import Reply, SimulatedProvider
from racto.agents.routing import Endpoint, ordered
from racto.agents.telemetry import GatewayMetricsMiddleware, Telemetry
from racto.knowledge.database import Database
from racto.knowledge.vocabulary import EmbeddingConfig

from tests import dialects
from tests.dialects.ollama import Ollama
from tests.dialects.openai import OpenAI

pytestmark = pytest.mark.anyio


async def test_the_same_texts_are_embedded_once_and_the_books_and_counters_say_so(tmp_path: Path) -> None:
    server, metrics = OpenAI(), GatewayMetricsMiddleware()
    budget = Budget(Database(tmp_path / "racto.db"))
    async with server.running() as base:
        provider = make("openai", api_key=dialects.KEY, base_url=f"{base}/v1")
        gateway = ModelGateway(
            chain=[Endpoint(provider, "plain")],
            operation_cache=OperationCache(),
            budget=budget,
            telemetry=Telemetry(metrics),
        )
        first = await gateway.embed(EmbeddingConfig(texts=["a", "banana"]), component="docs")
        again = await gateway.embed(EmbeddingConfig(texts=["a", "banana"]), component="docs")
        assert [each.embedding for each in again.vectors] == [each.embedding for each in first.vectors]
        assert (first.cost, again.cost) == (None, Decimal(0))
        assert len(server.received) == 1
        await gateway.embed(EmbeddingConfig(texts=["a", "banana"], dimensions=2))
        await gateway.embed(EmbeddingConfig(texts=["banana", "a"]))
        assert len(server.received) == 3
        await gateway.aclose()
    lines = {line.of["cached"]: line.calls for line in await budget.report(["cached"])}
    assert lines == {"": 3, "operation": 1}
    assert 'racto_cache_hits_total{cache="operation"} 1.0' in metrics.exposition()
    assert 'racto_cache_misses_total{cache="operation"} 3.0' in metrics.exposition()


async def test_the_same_inference_is_made_once_for_each_model() -> None:
    asked = []

    def judge(request: object) -> Reply:
        asked.append(request)
        scores = {"entailment": 0.9, "neutral": 0.05, "contradiction": 0.05}
        return Reply(json.dumps(scores if len(asked) < 3 else {"scores": [0.8, 0.1, 0.1]}))

    provider = SimulatedProvider([judge] * 4)
    gateway = ModelGateway(chain=[Endpoint(provider, "one")], operation_cache=OperationCache())
    for _ in range(3):
        assert (await gateway.infer_nli("A dog runs.", "An animal moves.")).label == "entailment"
    assert len(asked) == 1
    await gateway.infer_nli("A dog runs.", "An animal moves.", "simulated/two")
    assert len(asked) == 2
    for _ in range(2):
        assert (await gateway.classify_stance("I love trains.", "trains")).label == "favor"
    assert len(asked) == 3


def test_the_reason_names_the_first_of_the_chain_only_when_it_is_the_first() -> None:
    far, near = make("openai", api_key="x"), Ollama()
    here = make("ollama", **near.options("http://127.0.0.1:1"))
    chain = [Endpoint(far, "gpt-oss"), Endpoint(here, "gpt-oss")]
    best, why = ordered(chain, by="chain", preferred=None, price=lambda _: None, latency=lambda _: None)
    assert (str(best[0]), why) == ("ollama/gpt-oss", "who has gpt-oss nearest or cheapest")
    best, why = ordered(chain[:1] * 2, by="chain", preferred=None, price=lambda _: None, latency=lambda _: None)
    assert why == "the first of the chain"


def test_python_runs_racto_as_a_module(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "racto", "--version"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert ended.stdout.startswith("racto ")
