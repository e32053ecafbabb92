"""What racto keeps, as an MCP client in each protocol era finds it: through the whole server, from settings to the wire."""

from __future__ import annotations

from pathlib import Path

import mcp_types as types
import pytest
from mcp.client import ClientRequestContext
from racto.server.app import build
from racto.server.mcp import RactoMCPServer
from racto.server.settings import Settings

from tests.mcp_clients import connected, text_of
from tests.test_mcp_changes import Ears

pytestmark = pytest.mark.anyio

PROMPT = {
    "name": "welcome",
    "role": "You are a guide.",
    "aim": "Welcome {visitor}.",
    "constraints": ["Be brief."],
    "tone": "warm",
    "output_format": "text",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "turbine.md").write_text("# Turbine\n\nIt spins at 3000 rpm.\n")
    return folder


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> RactoMCPServer:
    return build(Settings(database=tmp_path / "racto.db", roots=(folder,), toolsets=("prompts", "pages")))


async def test_a_saved_prompt_can_be_picked_at_once(era: str, server: RactoMCPServer) -> None:
    ears = Ears(server, era)
    async with ears.listening() as client:
        saved = await client.call_tool("prompt_save", PROMPT)
        assert not saved.is_error, text_of(saved)
        assert await ears.next(2) == ["PromptsListChanged", "ResourcesListChanged"]
        (prompt,) = (await client.list_prompts()).prompts
        assert prompt.name == "welcome"
        (message,) = (await client.get_prompt("welcome", {"visitor": "Ada"})).messages
        assert isinstance(message.content, types.TextContent)
        assert "Welcome Ada." in message.content.text
        (resource,) = (await client.list_resources()).resources
        assert resource.uri == "racto://prompts/welcome"
        assert "You are a guide." in str((await client.read_resource(resource.uri)).contents[0])


async def test_an_indexed_document_can_be_searched_and_read(era: str, server: RactoMCPServer, folder: Path) -> None:
    ears = Ears(server, era)
    async with ears.listening() as client:
        indexed = await client.call_tool("page_ingest", {"path": str(folder)})
        assert not indexed.is_error, text_of(indexed)
        assert await ears.next(1) == ["ResourcesListChanged"]
        found = await client.call_tool("page_search", {"query": "how fast is the turbine"})
        assert "turbine.md" in text_of(found)
        (resource,) = (await client.list_resources()).resources
        assert "3000 rpm" in str((await client.read_resource(resource.uri)).contents[0])


@pytest.mark.parametrize(("action", "left"), [("accept", 0), ("decline", 1)])
async def test_a_document_is_deleted_only_with_a_yes(
    era: str, server: RactoMCPServer, folder: Path, action: str, left: int
) -> None:
    asked: list[str] = []

    async def answer(context: ClientRequestContext, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult.model_validate({"action": action})

    async with connected(server, era, elicitation_callback=answer) as client:
        await client.call_tool("page_ingest", {"path": str(folder)})
        await client.call_tool("page_delete", {"document": "turbine.md"})
        assert len((await client.list_resources()).resources) == left
    assert len(asked) == 1
    assert "turbine.md" in asked[0]
