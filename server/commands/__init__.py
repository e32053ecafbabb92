"""The commands of the command line, one module each: adding one is one new file and one line here."""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A command, not imported yet.

    :param module: The module of this package that has `EXAMPLES`, `add_arguments(parser)` and `run(arguments) -> int`.
    :param summary: What it does, in one line.
    """

    module: str
    summary: str


COMMANDS = {
    "serve": Command("serve", "Serve the tools to an MCP client: stdio, or HTTP with /mcp and /sse."),
    "tools": Command("tools", "List the tools."),
    "call": Command("call", "Call one tool and print what it answers."),
    "search": Command("search", "Find passages of indexed documents, cited, the matching words marked."),
    "sql": Command("sql", "Query a configured database: interactive with charts, or one query and out."),
    "export": Command("export", "Write a collection of documents to one file."),
    "import": Command("import_", "Bring a collection back from such a file."),
    "chat": Command("chat", "Talk to a model: interactive and streaming, or one question and out."),
    "models": Command("models", "List models with window, price and abilities; * marks those that answer."),
    "convert": Command("convert", "Make a local embedding model small and quick, so that it runs without PyTorch."),
    "usage": Command("usage", "Say what calls to models cost, and how the budget stands."),
    "keys": Command("keys", "Keep, list or forget the keys of hosted models."),
    "install": Command("install", "Add racto to Claude Desktop, Claude Code, Cursor or VS Code."),
    "doctor": Command("doctor", "Say what works here, what does not, and how to mend it."),
    "rebuild": Command("rebuild", "Make the index, and if wanted the vectors, again from the stored text."),
    "config": Command("config", "Show every setting and where its value came from."),
    "demo": Command("demo", "Watch a real MCP client use racto: index, search, cite, compile a prompt."),
}
"""Name → command."""
