"""What every tool of the table owes the model that reads it: a short list, flat schemas, strict arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client
from racto.agents.toolbox import Tool
from racto.server.app import build
from racto.server.database_settings import DatabaseSettings
from racto.server.mcp import RactoMCPServer
from racto.server.settings import Settings
from racto.tools import TOOLSETS

pytestmark = pytest.mark.anyio

SERVER = build(Settings())
WITH_DATABASE = build(Settings(sql_databases={"shop": DatabaseSettings(url="shop.db")}))
TOOLS = list(WITH_DATABASE.registry)
LIST_BUDGET = 6_500
"""Tokens of the whole listing, four characters each."""
DATABASE_BUDGET = 1_300
"""What the tools over databases may add, where one is configured."""


@pytest.fixture
def server() -> RactoMCPServer:
    return SERVER


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from _parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _parts(value)


async def _listing(server: RactoMCPServer) -> list[dict[str, Any]]:
    async with Client(server.lowlevel) as client:
        listed = await client.list_tools()
    return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in listed.tools]


def _tokens(listing: list[dict[str, Any]]) -> float:
    return len(json.dumps(listing, ensure_ascii=False, separators=(",", ":"))) / 4


async def test_the_whole_listing_fits_its_budget(server: RactoMCPServer) -> None:
    listing = await _listing(server)
    assert len(listing) >= 36
    print(f"tools/list: {len(listing)} tools, {_tokens(listing):.0f} tokens")
    assert _tokens(listing) <= LIST_BUDGET


async def test_the_tools_over_databases_are_listed_where_there_is_a_database_and_nowhere_else(
    server: RactoMCPServer,
) -> None:
    without, listing = await _listing(server), await _listing(WITH_DATABASE)
    added = {tool["name"] for tool in listing} - {tool["name"] for tool in without}
    assert len(listing) == len(TOOLS)
    assert {name.partition("_")[0] for name in added} == {"sql"}
    print(f"tools over databases: {len(added)}, {_tokens(listing) - _tokens(without):.0f} tokens")
    assert _tokens(listing) - _tokens(without) <= DATABASE_BUDGET


async def test_the_listing_has_no_output_schemas_and_no_made_up_titles(server: RactoMCPServer) -> None:
    for tool in await _listing(server):
        assert "outputSchema" not in tool
        assert "title" not in tool["inputSchema"]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_is_named_described_and_flat(tool: Tool) -> None:
    assert re.fullmatch(r"[a-z0-9_]{1,30}", tool.name)
    assert len(tool.description) >= 20
    for part in _parts(tool.input_schema):
        assert not {"$ref", "$defs", "anyOf", "oneOf", "allOf"} & part.keys(), (
            f"{tool.name} has a schema that is not flat"
        )
        assert not isinstance(part.get("type"), list), (
            f"{tool.name} has an argument of two types, which some hosts refuse"
        )
        assert "" not in part.get("enum", ()), f"{tool.name} offers an empty choice, which Gemini refuses"
    assert tool.input_schema["additionalProperties"] is False


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
async def test_an_unknown_argument_is_refused_by_name(tool: Tool) -> None:
    output = await tool.call({"no_such_argument": 1})
    assert output.is_error
    assert "no_such_argument" in output.text


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_says_whether_it_changes_anything(tool: Tool) -> None:
    # What asks a model changes what may still be spent.
    changes = (
        re.search(
            r"_(ingest|save|save_verified|restore|delete|set|summarise|compare|ask|watch|embed)$|^(chat|embed)$",
            tool.name,
        )
        is not None
    )
    assert tool.read_only is not changes
    assert tool.destructive is tool.name.endswith("_delete")


def test_every_toolset_of_the_table_is_served() -> None:
    assert {tool.name.partition("_")[0].rstrip("s") for tool in TOOLS} >= {name.rstrip("s") for name in TOOLSETS}
