"""The page that hosts with MCP Apps show beside the answer of a query: its chart, its rows to sort, its text.

Version 2026-01-26 of the extension `io.modelcontextprotocol/ui` (SEP-1865). The page is static, reaches nothing, and is told the answer by the
host. What it shows, of the tool's answer:

- the chart: the first PNG of the content, which the model sees too. Drawing it again in the page would cost each host 800 kB of script and an
  evaluator of expressions, and an SVG in the structure is paid for in tokens where a host shows that to its model;
- its text alternative: `chart.alt` of the structured content;
- the rows: `columns` (names, or objects with a `name`) and `rows` (lists, or objects by name), and `notes`;
- without rows: the text of the content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ....agents.offers import VIEW_MIME_TYPE, ResourceEntry

VIEW_URI = "ui://racto/chart"
"""What a tool that answers with rows gives as its `view`."""


class ChartView:
    """The page, as a family of one resource."""

    template = VIEW_URI
    name = "chart"
    description = "Shows the chart and the rows of a query beside the conversation."
    mime_type = VIEW_MIME_TYPE

    def entries(self) -> Iterable[ResourceEntry]:
        """The page itself."""
        return [ResourceEntry(VIEW_URI, self.name, self.description, VIEW_MIME_TYPE)]

    def read(self, variables: Mapping[str, str]) -> Sequence[str | bytes]:
        """The page as HTML."""
        return [Path(__file__).with_name("view.html").read_text("utf-8")]

    def complete(self, variable: str, prefix: str) -> Sequence[str]:
        """Nothing: there are no variables."""
        return ()
