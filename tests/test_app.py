"""The wiring: settings decide what a client is offered, and starting opens and imports nothing that is not needed yet."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from racto.server.app import build, registry, services
from racto.server.settings import Settings
from racto.tools import TOOLSETS, load

EXAMPLE = Path(__file__).parents[1] / "claude_desktop_config.example.json"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(database=tmp_path / "data" / "racto.db", roots=(tmp_path,))


def imported_by(code: str) -> set[str]:
    """The modules a fresh Python has imported after running `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_a_client_learns_name_version_and_how_to_use_the_tools(settings: Settings) -> None:
    async def ask() -> None:
        async with Client(build(settings).lowlevel, mode="legacy") as client:
            assert client.server_info is not None
            assert (client.server_info.name, client.server_info.version) == ("racto", version("racto"))
            assert client.instructions is not None
            assert "Cite document and page" in client.instructions
            assert "prompt_check" in client.instructions

    asyncio.run(ask())


def names_of(settings: Settings) -> set[str]:
    with services(settings) as kept:
        return {tool.name for tool in registry(settings, load(settings.toolsets, kept))}


def test_every_toolset_is_offered_unless_some_are_named(settings: Settings) -> None:
    parts = {name: names_of(settings.model_copy(update={"toolsets": (name,)})) for name in TOOLSETS}
    everything = names_of(settings)
    assert set().union(*parts.values()) == everything
    assert sum(map(len, parts.values())) == len(everything) > 8
    assert all(name.startswith("page_") for name in parts["pages"])


def test_read_only_offers_what_changes_nothing_and_still_everything_to_read(settings: Settings) -> None:
    async def ask(chosen: Settings) -> tuple[set[str], list[str]]:
        async with Client(build(chosen).lowlevel) as client:
            tools = (await client.list_tools()).tools
            templates = (await client.list_resource_templates()).resource_templates
            hints = [tool.annotations is not None and tool.annotations.read_only_hint for tool in tools]
            assert chosen.read_only is False or all(hints)
            return {tool.name for tool in tools}, [template.uri_template for template in templates]

    tools, templates = asyncio.run(ask(settings))
    fewer, same = asyncio.run(ask(settings.model_copy(update={"read_only": True})))
    assert {"page_search", "page_read", "prompt_compile"} <= fewer < tools
    assert not {"page_ingest", "page_delete", "prompt_save", "prompt_delete"} & fewer
    assert same == templates != []


def test_building_a_server_touches_no_file(settings: Settings) -> None:
    build(settings)
    assert not settings.database.parent.exists()


def test_what_a_host_keeps_in_its_context_is_small(settings: Settings) -> None:
    async def listed() -> int:
        async with Client(build(settings).lowlevel) as client:
            result = await client.list_tools()
            return len(
                json.dumps(
                    result.model_dump(mode="json", by_alias=True, exclude_none=True)["tools"], separators=(",", ":")
                )
            )

    assert asyncio.run(listed()) / 4 <= 6500


def test_starting_imports_nothing_heavy() -> None:
    heavy = {
        "numpy",
        "pypdfium2",
        "docx",
        "selectolax",
        "sqlite_utils",
        "Stemmer",
        "rank_bm25",
        "jsonschema",
        "genai_prices",
    }
    heavy |= {
        "racto.agents.gateway",
        "racto.agents.providers",
        "racto.agents.budget",
        "racto.server.models",
        "racto.knowledge.vocabulary",
    }
    modules = imported_by(
        "from racto.server.app import build\nfrom racto.server.settings import load\nimport racto.server.commands.serve\nbuild(load().settings)"
    )
    assert "mcp" in modules
    assert not heavy & modules


def test_a_command_imports_only_what_it_needs() -> None:
    assert not {"mcp", "pydantic", "starlette"} & imported_by("import racto.server.cli")
    assert not {"mcp", "starlette", "uvicorn"} & imported_by(
        "from racto.server.cli import main\nmain(['tools', '--json'])"
    )


def test_what_the_example_file_names_starts_and_answers(tmp_path: Path) -> None:
    entry = json.loads(EXAMPLE.read_text(encoding="utf-8"))["mcpServers"]["racto"]
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    (tmp_path / "Documents").mkdir()
    (tmp_path / "Documents" / "note.md").write_text("# Keys\n\nThe spare key hangs behind the clock.", encoding="utf-8")
    environment = {**entry["env"], "PATH": path, "HOME": str(tmp_path)}

    async def ask() -> str:
        server = StdioServerParameters(command=entry["command"], args=entry["args"], env=environment)
        async with Client(server) as client:
            await client.call_tool("page_ingest", {"path": "note.md"})
            result = await client.call_tool("page_search", {"query": "spare key"})
            return "".join(part.text for part in result.content if part.type == "text")

    answer = asyncio.run(ask())
    assert "note.md" in answer
    assert "behind the clock" in answer
    kept = tmp_path / ".local" / "share" / "racto"
    assert [path.name for path in kept.iterdir()] == ["racto.db"]  # one file, once the server has ended
