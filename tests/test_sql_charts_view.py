"""The chart view of MCP Apps: what a client is told of it, and what a browser shows of an answer."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from racto.agents.calls import Blob, Text, ToolOutput
from racto.agents.offers import Toolset
from racto.agents.toolbox import tool
from racto.server.mcp import RactoMCPServer
from racto.tools.sql.charts import drawn
from racto.tools.sql.charts.view import VIEW_URI, ChartView
from racto.tools.sql.results import QueryResult, ResultColumn

from tests.mcp_clients import connected

pytestmark = pytest.mark.anyio

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

MARKUP = "</script><script>parent.hit=1</script><img src=x onerror=parent.hit=1>"
"""What a page that took data for markup would run."""

CSP = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'none'"
)
"""What a host has to apply to a page that declares nothing."""

HOST = """<!DOCTYPE html><meta charset="utf-8"><body><pre id="seen"></pre><script>
const said = [], RESULT = __RESULT__, THEME = __THEME__;
const frame = document.createElement("iframe");
frame.style = "width:700px;height:800px";
frame.srcdoc = __PAGE__;
const tell = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
const texts = (selector) => [...frame.contentDocument.querySelectorAll(selector)].map((element) => element.textContent);
function look() {
  const page = frame.contentDocument, image = page.getElementById("chart");
  const table = () => [...page.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent));
  const seen = { said, hit: window.hit ?? null, blocked: window.blocked, heads: texts("th"), before: table(), notes: texts("#notes p"),
    text: page.getElementById("text").hidden ? null : page.getElementById("text").textContent,
    image: image.hidden ? null : [image.naturalWidth, image.alt], scheme: getComputedStyle(page.documentElement).colorScheme,
    color: page.documentElement.style.getPropertyValue("--color-text-primary") };
  const button = page.querySelectorAll("th button")[1];
  if (button) { button.click(); seen.up = table(); button.click(); seen.down = table();
    seen.sort = [...page.querySelectorAll("th")].map((cell) => cell.getAttribute("aria-sort")); }
  document.getElementById("seen").textContent = JSON.stringify(seen);
}
window.blocked = 0;
frame.addEventListener("load", () => frame.contentDocument.addEventListener("securitypolicyviolation", () => window.blocked++));
window.addEventListener("message", ({ data }) => {
  said.push(data);
  if (data.method === "ui/initialize")
    tell({ id: data.id, result: { protocolVersion: "2026-01-26", hostInfo: { name: "test", version: "1" }, hostCapabilities: {},
      hostContext: { theme: THEME, styles: { variables: { "--color-text-primary": "#123456" } } } } });
  if (data.method === "ui/notifications/initialized") {
    tell({ method: "ui/notifications/tool-input", params: { arguments: {} } });
    tell({ method: "ui/notifications/tool-result", params: RESULT });
    tell({ id: 7, method: "ping" });
    tell({ id: 8, method: "ui/resource-teardown", params: { reason: "test" } });
    tell({ id: 9, method: "sampling/createMessage", params: {} });
  }
  if (data.id === 9) {
    const image = frame.contentDocument.getElementById("chart");
    // In the browser's virtual time this waits until nothing is left that data could have started.
    const settled = () => setTimeout(look, 1000);
    image.hidden || image.complete ? settled() : image.addEventListener("load", settled);
  }
});
document.body.append(frame);
</script>"""
"""A host of one answer, which writes down what its view said and shows."""


@tool(view=VIEW_URI, read_only=True)
def ask() -> ToolOutput:
    """Answer with rows and their chart."""
    names = ["city", "total"]
    rows: list[list[Any]] = [[MARKUP, 9], ["Oslo", 100], ["Bergen", None], ["Rome", 20.5]]
    result = QueryResult([ResultColumn(name) for name in names], [tuple(row) for row in rows])
    chart = drawn(result, "auto")
    assert chart is not None
    structured = {"columns": names, "rows": rows, "notes": [MARKUP], "chart": {"alt": chart.alt}}
    return ToolOutput([Text("4 rows"), Blob(chart.png, "image/png")], structured=structured)


@tool
def fail() -> str:
    """Answer with text alone."""
    return MARKUP


def server() -> RactoMCPServer:
    made = RactoMCPServer("test")
    made.add_toolset(Toolset("charts", [ask, fail], resources=[ChartView()]))
    return made


def shown(result: Mapping[str, Any], folder: Path, theme: str = "dark") -> Any:
    """What a browser shows of a result, in a host that keeps to the specification."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: the chart view was not looked at")
    (page,) = ChartView().read({})
    assert isinstance(page, str)
    guarded = page.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{CSP}">', 1)
    written = HOST
    for name, value in (("RESULT", result), ("THEME", theme), ("PAGE", guarded)):
        written = written.replace(f"__{name}__", json.dumps(value).replace("<", "\\u003c"))
    file = folder / "host.html"
    file.write_text(written, "utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update"
    command = [CHROMIUM, *flags.split(), "--disable-sync", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, "--virtual-time-budget=10000", "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


async def test_a_client_learns_which_page_shows_the_answers_of_a_tool(era: str) -> None:
    async with connected(server(), era) as client:
        listed = {each.name: each for each in (await client.list_tools()).tools}
        capabilities = client.server_capabilities
        page = (await client.read_resource(VIEW_URI)).contents[0]
        resources = [resource.uri for resource in (await client.list_resources()).resources]
    assert listed["ask"].meta == {"ui": {"resourceUri": "ui://racto/chart"}}
    assert listed["fail"].meta is None
    assert capabilities is not None
    # Up to 2025-11-25 a server had no place to say so; those hosts go by the tool alone.
    assert capabilities.extensions == (None if era == "legacy" else {"io.modelcontextprotocol/ui": {}})
    assert page.mime_type == "text/html;profile=mcp-app"
    assert page.uri == VIEW_URI
    assert resources == [VIEW_URI]


async def test_a_server_without_a_view_promises_none(era: str) -> None:
    made = RactoMCPServer("test")
    made.add_toolset(Toolset("plain", [fail]))
    async with connected(made, era) as client:
        assert client.server_capabilities is not None
        assert not client.server_capabilities.extensions


async def test_a_client_without_views_gets_text_and_picture() -> None:
    async with connected(server(), "2026-07-28") as client:
        answer = await client.call_tool("ask", {})
    assert [block.type for block in answer.content] == ["text", "image"]


async def test_a_browser_shows_the_chart_and_rows_that_sort_and_runs_no_data(tmp_path: Path) -> None:
    async with connected(server(), "2026-07-28") as client:
        answer = await client.call_tool("ask", {})
    seen = shown(answer.model_dump(by_alias=True, mode="json", exclude_none=True), tmp_path)
    assert seen["image"][0] > 300
    assert seen["image"][1].startswith("Bar chart, Total by city: 3 bars.")
    assert seen["heads"] == ["city", "total"]
    assert seen["before"] == [[MARKUP, "9"], ["Oslo", "100"], ["Bergen", "null"], ["Rome", "20.5"]]
    assert [row[1] for row in seen["up"]] == ["9", "20.5", "100", "null"]
    assert [row[1] for row in seen["down"]] == ["100", "20.5", "9", "null"]
    assert seen["sort"] == ["none", "descending"]
    assert seen["notes"] == [MARKUP]
    assert seen["text"] is None
    assert seen["hit"] is None
    assert seen["blocked"] == 0
    assert seen["scheme"] == "dark"
    assert seen["color"] == "#123456"
    hello, *rest = seen["said"]
    assert hello["method"] == "ui/initialize"
    assert hello["params"]["protocolVersion"] == "2026-01-26"
    assert rest[0]["method"] == "ui/notifications/initialized"
    replies = {message["id"]: message for message in rest if "method" not in message}
    assert replies[7]["result"] == {}
    assert replies[8]["result"] == {}
    assert replies[9]["error"]["code"] == -32601


async def test_a_browser_shows_text_as_text_when_there_are_no_rows(tmp_path: Path) -> None:
    seen = shown({"content": [{"type": "text", "text": MARKUP}], "isError": True}, tmp_path, theme="light")
    assert seen["text"] == MARKUP
    assert seen["image"] is None
    assert seen["heads"] == []
    assert seen["hit"] is None
    assert seen["scheme"] == "light"


def test_the_page_reaches_for_nothing() -> None:
    (page,) = ChartView().read({})
    assert isinstance(page, str)
    assert not re.search(
        r"(src|href)=|https?:|innerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|fetch\(", page
    )
    assert len(page) < 12_000
