"""How long a host waits: for the first answer of a new process, and for each tool call, beside the SDK's own server in the same run.

    python -m benchmarks.transport [--quick]

Every pair is measured in turns (one, the other, one, …), so that what else the machine does meets both. The raw client is a pipe
and two lines of JSON; the official client is what many hosts are built on. Writes `benchmarks/results/transport.json` and `.md`.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
REPOSITORY = Path(__file__).parents[1]

BARE = """
from mcp.server import MCPServer
server = MCPServer("bare")
@server.tool()
def add(a: int, b: int) -> int:
    return a + b
server.run("stdio")
"""
TOOL = """
import sys
import mcp_types as types
from mcp.server.lowlevel import Server
async def list_tools(context, params):
    return types.ListToolsResult(tools=[types.Tool(name="add", input_schema={"type": "object"})])
async def call_tool(context, params):
    return types.CallToolResult(content=[types.TextContent(type="text", text=str(sum(params.arguments.values())))])
server = Server("one", version="1", on_list_tools=list_tools, on_call_tool=call_tool)
"""
SDK_STDIO = f"""{TOOL}
import anyio
from mcp.server.stdio import stdio_server
async def main():
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
anyio.run(main)
"""
OUR_STDIO = f"{TOOL}\nfrom racto.server.stdio import run_stdio\nrun_stdio(server)"
SDK_HTTP = f"""{TOOL}
import uvicorn
from mcp.server.sse import SseServerTransport
from starlette.routing import Mount, Route
app = server.streamable_http_app(json_response=sys.argv[2] == "json")
sse = SseServerTransport("/messages/")
async def stream(scope, receive, send):
    async with sse.connect_sse(scope, receive, send) as (read, write):
        await server.run(read, write, server.create_initialization_options())
class Endpoint:
    async def __call__(self, *asgi):
        await stream(*asgi)
app.routes.extend([Route("/sse", Endpoint()), Mount("/messages/", sse.handle_post_message)])
uvicorn.run(app, port=int(sys.argv[1]), log_level="error", ws="none")
"""
OUR_HTTP = f"{TOOL}\nfrom racto.server.http import serve_http\nserve_http(server, port=int(sys.argv[1]))"

HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
PROMPT = {"role": "A clerk.", "aim": "Sum up.", "constraints": ["Be brief."], "tone": "Plain", "output_format": "text"}
FIRST_CALLS = {
    "bare": {"name": "add", "arguments": {"a": 1, "b": 2}},
    "racto": {"name": "prompt_compile", "arguments": PROMPT},
}


class Raw:
    """A client of two pipes and no library.

    :param command: The server.
    """

    def __init__(self, command: list[str], **environment: str) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY, env={**os.environ, **environment}
        )
        self._id = 0

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """One request and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._id += 1
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["result"]

    def initialize(self) -> None:
        """Shake hands."""
        self.ask("initialize", HANDSHAKE)
        assert self._process.stdin is not None
        self._process.stdin.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def rss(self) -> float:
        """Resident memory, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def close(self) -> None:
        """End the server, and wait for it."""
        self._process.communicate()


def start(kind: str, command: list[str], database: str) -> dict[str, float]:
    """One start: milliseconds to the list of tools and to the first call's answer, memory then."""
    began = time.perf_counter()
    client = Raw(command, RACTO_DATABASE=database)
    client.initialize()
    client.ask("tools/list", {})
    listed = time.perf_counter()
    answer = client.ask("tools/call", FIRST_CALLS[kind])
    assert not answer.get("isError"), answer
    called = time.perf_counter()
    memory = client.rss()
    client.close()
    return {"list_ms": (listed - began) * 1e3, "call_ms": (called - began) * 1e3, "rss_mb": memory}


def starts(repeats: int) -> dict[str, Any]:
    """Process start, the bare one-tool `MCPServer` and `racto serve` with every tool in turns."""
    racto = str(Path(sys.executable).with_name("racto"))
    commands = {"bare": [sys.executable, "-c", BARE], "racto": [racto, "serve"]}
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in commands}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats + 1):
            for kind, command in commands.items():
                found[kind].append(start(kind, command, f"{folder}/racto.db"))
    table: dict[str, Any] = {
        kind: {what: statistics.median(one[what] for one in runs[1:]) for what in runs[0]}
        for kind, runs in found.items()
    }
    for what in ("list_ms", "call_ms"):
        pairs = zip(found["racto"][1:], found["bare"][1:], strict=True)
        table[f"{what}_ratio"] = statistics.median(ours[what] / bare[what] for ours, bare in pairs)
    table["rss_mb_more"] = table["racto"]["rss_mb"] - table["bare"]["rss_mb"]
    return table


def raw_calls(command: list[str], calls: int) -> list[float]:
    """Milliseconds of each tool call over a pipe, without a client library."""
    client = Raw(command)
    client.initialize()
    times = []
    for number in range(calls):
        began = time.perf_counter()
        answer = client.ask("tools/call", {"name": "add", "arguments": {"a": number, "b": 1}})
        times.append((time.perf_counter() - began) * 1e3)
        assert answer["content"][0]["text"] == str(number + 1)
    client.close()
    return times


def client_calls(target: Callable[[], Any], calls: int) -> list[float]:
    """Milliseconds of each tool call through the official client."""
    from mcp import Client

    async def measure() -> list[float]:
        times = []
        async with Client(target()) as client:
            for number in range(calls):
                began = time.perf_counter()
                answer: Any = await client.call_tool("add", {"a": number, "b": 1})
                times.append((time.perf_counter() - began) * 1e3)
                assert answer.content[0].text == str(number + 1)
        return times

    return asyncio.run(measure())


@contextmanager
def http_server(code: str, answers: str) -> Generator[str]:
    """A server on a free port; its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", code, str(port), answers], cwd=REPOSITORY)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def over_http(code: str, path: str, answers: str, calls: int) -> list[float]:
    """Milliseconds of each tool call through the official client over HTTP."""
    from mcp.client.sse import sse_client

    with http_server(code, answers) as base:
        return client_calls(lambda: sse_client(f"{base}/sse") if path == "/sse" else f"{base}{path}", calls)


def call_latency(rounds: int, calls: int) -> dict[str, dict[str, float]]:
    """p50 and p99 of a tool call, in milliseconds, for every transport, ours and the SDK's in turns."""
    from mcp import StdioServerParameters

    def through_client(code: str) -> Callable[[], list[float]]:
        parameters = StdioServerParameters(command=sys.executable, args=["-c", code])
        return lambda: client_calls(lambda: parameters, calls // 2)

    cases: dict[str, Callable[[], list[float]]] = {
        "stdio, raw client: racto": lambda: raw_calls([sys.executable, "-c", OUR_STDIO], calls),
        "stdio, raw client: SDK": lambda: raw_calls([sys.executable, "-c", SDK_STDIO], calls),
        "stdio, official client: racto": through_client(OUR_STDIO),
        "stdio, official client: SDK": through_client(SDK_STDIO),
        "/mcp, official client: racto": lambda: over_http(OUR_HTTP, "/mcp", "events", calls // 4),
        "/mcp, official client: SDK": lambda: over_http(SDK_HTTP, "/mcp", "events", calls // 4),
        "/mcp, official client: SDK, json_response": lambda: over_http(SDK_HTTP, "/mcp", "json", calls // 4),
        "/sse, official client: racto": lambda: over_http(OUR_HTTP, "/sse", "events", calls // 4),
        "/sse, official client: SDK": lambda: over_http(SDK_HTTP, "/sse", "events", calls // 4),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, measure in cases.items():
            found[name] += measure()[10:]
    return {
        name: {"p50_ms": statistics.median(times), "p99_ms": statistics.quantiles(times, n=100)[98]}
        for name, times in found.items()
    }


def report(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    start, calls = results["start"], results["calls"]
    lines = [
        "| process start | first answer, ms | first tool call, ms | memory, MB |",
        "|---|---|---|---|",
        *(
            f"| {label} | {start[kind]['list_ms']:.0f} | {start[kind]['call_ms']:.0f} | {start[kind]['rss_mb']:.0f} |"
            for kind, label in (("bare", "bare one-tool `MCPServer`"), ("racto", "`racto serve`, every tool"))
        ),
        f"| racto / bare, median of pairs | {start['list_ms_ratio']:.2f}× | {start['call_ms_ratio']:.2f}× | {start['rss_mb_more']:+.1f} |",
        "",
        "| one tool call | p50, ms | p99, ms |",
        "|---|---|---|",
        *(f"| {name} | {times['p50_ms']:.3f} | {times['p99_ms']:.3f} |" for name, times in calls.items()),
        "",
        f"stdio, SDK / racto: {results['stdio_raw_ratio']:.1f}× with a raw client, {results['stdio_client_ratio']:.1f}× with the official one.",
        "",
        f"Python {results['python']}, {results['cpus']} CPUs, load {results['load']:.1f} at the start, {results['repeats']} starts of each.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, keep it."""
    quick = "--quick" in sys.argv
    repeats, rounds, calls = (5, 1, 400) if quick else (21, 3, 2000)
    load = os.getloadavg()[0]
    start_table = starts(repeats)
    latency = call_latency(rounds, calls)
    results = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load": load,
        "repeats": repeats,
        "start": start_table,
        "calls": latency,
        "stdio_raw_ratio": latency["stdio, raw client: SDK"]["p50_ms"] / latency["stdio, raw client: racto"]["p50_ms"],
        "stdio_client_ratio": latency["stdio, official client: SDK"]["p50_ms"]
        / latency["stdio, official client: racto"]["p50_ms"],
    }
    text = report(results)
    print(text)
    if not quick:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "transport.json").write_text(json.dumps(results, indent=1) + "\n")
        (RESULTS / "transport.md").write_text(text + "\n")


if __name__ == "__main__":
    main()
