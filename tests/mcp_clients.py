"""An official MCP client in each protocol era, for tests that look at a server through one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import mcp_types as types
from mcp import Client
from racto.server.mcp import RactoMCPServer

ERAS = ("legacy", "2026-07-28")
"""The handshake era up to 2025-11-25, and the stateless one."""

PATIENCE = 20.0
"""Seconds until something that should have happened is taken to have failed."""


@asynccontextmanager
async def connected(server: RactoMCPServer, era: str, **options: Any) -> AsyncGenerator[Client]:
    """A client of the era, in process, without a cache of its own; what is done with it has to end in time."""
    async with asyncio.timeout(PATIENCE):
        mode = "legacy" if era == "legacy" else "auto"
        async with Client(server.lowlevel, mode=mode, cache=None, **options) as client:
            yield client


def text_of(result: types.CallToolResult) -> str:
    """The text of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, types.TextContent))
