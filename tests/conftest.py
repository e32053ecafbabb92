"""What tests of several modules are given."""

from __future__ import annotations

import pytest

from tests.mcp_clients import ERAS


@pytest.fixture(autouse=True)
def no_ollama_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that runs on this machine is found by itself, and must not answer for a test that has none."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """Each protocol era in turn."""
    mode: str = request.param
    return mode
