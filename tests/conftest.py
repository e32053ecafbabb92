"""What tests of several modules are given."""

from __future__ import annotations

import pytest

from tests.mcp_clients import ERAS


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the server does."""
    return "asyncio"


@pytest.fixture(params=ERAS)
def era(request: pytest.FixtureRequest) -> str:
    """Each protocol era in turn."""
    mode: str = request.param
    return mode
