"""Write docs/reference.md: every public name, tool, setting and command, from the code itself. `make docs` runs it.

`text()` is also what tests/test_docs.py compares the committed file with.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import racto
from racto.agents.offers import Toolset
from racto.agents.toolbox import ToolRegistry
from racto.server.commands import COMMANDS
from racto.server.database_settings import DatabaseSettings
from racto.server.databases import databases
from racto.server.settings import Settings
from racto.tools import TOOLSETS, load
from racto.tools.services import Services

HERE = Path(__file__).parent
RAG_MODULES = ("chunkers", "embedders", "processors", "readers", "stores")


def _toolsets() -> list[Toolset]:
    # With a database, since tools over databases are offered only where one is configured; it is never opened.
    services = Services(databases=databases(Settings(sql_databases={"example": DatabaseSettings(url="example.db")})))
    try:
        return load(TOOLSETS, services)
    finally:
        services.database.close()


def _first_paragraph(value: object) -> str:
    return " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _tools() -> list[str]:
    registry = ToolRegistry()
    for each in (each for toolset in _toolsets() for each in toolset.tools):
        registry.register(each)
    lines = ["## Tools", ""]
    for tool in registry:
        hints = [hint for hint in ("read_only", "destructive", "idempotent") if getattr(tool, hint)]
        lines += [f"### `{tool.name}`", "", f"{tool.description}", ""]
        if hints:
            lines += [f"Hints: {', '.join(hints)}.", ""]
        required = tool.input_schema.get("required", [])
        if tool.input_schema["properties"]:
            lines += ["| argument | type | default | |", "|---|---|---|---|"]
        for name, schema in tool.input_schema["properties"].items():
            kind = schema.get("type", "any")
            kind = " or ".join(kind) if isinstance(kind, list) else kind
            default = "required" if name in required else f"`{schema['default']!r}`" if "default" in schema else ""
            lines.append(f"| `{name}` | {kind} | {default} | {_cell(schema.get('description', ''))} |")
        lines.append("")
    return lines


def _resources() -> list[str]:
    lines = ["## Resources", "", "| template | kind | |", "|---|---|---|"]
    families = [family for toolset in _toolsets() for family in toolset.resources]
    lines += [f"| `{family.template}` | {family.mime_type} | {_cell(family.description)} |" for family in families]
    return [*lines, ""]


def _settings() -> list[str]:
    lines = [
        "## Settings",
        "",
        "Defaults < config file < environment < flags; `racto config` shows each value and where it came from.",
        "",
    ]
    lines += ["| key in the file | environment | default | |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "(see text)" if field.default_factory else f"`{field.default!r}`"
        lines.append(f"| `{name}` | `RACTO_{name.upper()}` | {_cell(default)} | {_cell(field.description or '')} |")
    lines += ["", "Of a database, in the table `[sql_databases.NAME]` of the config file:", ""]
    lines += ["| key | default | |", "|---|---|---|"]
    for name, field in DatabaseSettings.model_fields.items():
        lines.append(f"| `{name}` | `{field.default!r}` | {_cell(field.description or '')} |")
    return [*lines, ""]


def _commands() -> list[str]:
    lines = ["## Commands", "", "| command | |", "|---|---|"]
    lines += [f"| `racto {name}` | {_cell(command.summary)} |" for name, command in COMMANDS.items()]
    return [*lines, "", "`racto COMMAND --help` has the flags and examples.", ""]


def _names() -> list[str]:
    lines = ["## Python", "", "Every name is imported from `racto`.", "", "| name | |", "|---|---|"]
    for name in sorted(racto.__all__, key=str.lower):
        if not name.startswith("__"):
            value = getattr(racto, name)
            about = _first_paragraph(value) if inspect.isclass(value) or inspect.isfunction(value) else "Type alias."
            lines.append(f"| `{name}` | {_cell(about)} |")
    for module in RAG_MODULES:
        lines += ["", f"From `racto.rag.{module}`:", "", "| name | |", "|---|---|"]
        there = import_module(f"racto.rag.{module}")
        lines += [f"| `{name}` | {_cell(_first_paragraph(getattr(there, name)))} |" for name in there.__all__]
    return [*lines, ""]


def text() -> str:
    """The whole reference as Markdown."""
    head = ["# Reference", "", "Made by `make docs` from the code; do not edit by hand.", ""]
    return "\n".join([*head, *_tools(), *_resources(), *_settings(), *_commands(), *_names()])


if __name__ == "__main__":
    (HERE / "reference.md").write_text(text())
