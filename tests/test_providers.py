"""One contract for every provider, examined over the wire against a local server that speaks its dialect: provider × scenario × way of asking.

A provider is one line in `DIALECTS`. A scenario is one function of `tests/provider_scenarios.py` or `provider_failures.py`. What a dialect cannot express is named in its
`cannot`, with the reason; the number of cases is printed, and may not shrink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import certifi
import pytest
from racto.agents.providers import PROVIDERS, make

from tests import provider_failures, provider_scenarios  # noqa: F401 - importing them adds their scenarios
from tests.provider_contract import SCENARIOS, Examined

DIALECTS = {
    "openai": "openai:OpenAI",
    "openai-responses": "openai_responses:OpenAIResponses",
    "vllm": "openai_compatible:VLLM",
    "openrouter": "openai_compatible:OpenRouter",
    "mistral": "openai_compatible:Mistral",
    "anthropic": "anthropic:Anthropic",
    "ollama": "ollama:Ollama",
    "huggingface": "huggingface:HuggingFace",
    "tgi": "huggingface:TGI",
    "voyage": "voyage:Voyage",
    "google": "google:Google",
}
"""Name of the case → module of `tests.dialects` and class."""

FLOOR = 950
"""Cases there are at least."""


def _dialect(name: str) -> Any:
    module, _, cls = DIALECTS[name].partition(":")
    return getattr(import_module(f"tests.dialects.{module}"), cls)()


def _cases() -> list[tuple[str, str, str]]:
    """Every provider × scenario × way that can be examined."""
    return [
        (name, sentence, way)
        for name in DIALECTS
        for sentence, scenario in SCENARIOS.items()
        if scenario.needs <= _capabilities(name) and sentence not in _dialect(name).cannot
        for way in scenario.ways
    ]


def _capabilities(name: str) -> frozenset[str]:
    dialect = _dialect(name)
    return make(dialect.provider, **dialect.options("http://127.0.0.1:1")).capabilities


CASES = _cases()


@pytest.fixture(scope="module", autouse=True)
def few_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here is encrypted, and reading the 150 certificates of the world for every client would take a third of the time."""
    first, end, _ = Path(certifi.where()).read_text(encoding="utf-8").partition("-----END CERTIFICATE-----")
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(f"{first}{end}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.mark.parametrize(("name", "sentence", "way"), CASES, ids=[f"{n}: {s} ({w})" for n, s, w in CASES])
def test_a_provider_keeps_the_contract(name: str, sentence: str, way: str) -> None:
    async def examine() -> None:
        dialect = _dialect(name)
        async with dialect.running() as base:
            provider = make(dialect.provider, **dialect.options(base))
            try:
                async with asyncio.timeout(30):
                    await SCENARIOS[sentence].check(Examined(provider, dialect, way))
            finally:
                await provider.aclose()

    asyncio.run(examine())


def test_the_contract_has_not_shrunk(capsys: pytest.CaptureFixture[str]) -> None:
    each = {name: sum(1 for case in CASES if case[0] == name) for name in DIALECTS}
    with capsys.disabled():
        print(
            f"\nprovider contract: {len(CASES)} cases over the wire ({', '.join(f'{name} {count}' for name, count in each.items())})"
        )
    assert len(CASES) >= FLOOR
    assert all(each.values())


def test_what_a_dialect_cannot_express_is_a_scenario_with_a_reason() -> None:
    for name in DIALECTS:
        for sentence, reason in _dialect(name).cannot.items():
            assert sentence in SCENARIOS
            assert len(reason) > 10


def test_every_scenario_is_expressed_by_some_dialect() -> None:
    assert {sentence for _, sentence, _ in CASES} == set(SCENARIOS)


def test_every_provider_with_a_wire_is_examined() -> None:
    without_wire = {"simulated", "sentence_transformers"}
    assert {_dialect(name).provider for name in DIALECTS} == set(PROVIDERS) - without_wire
