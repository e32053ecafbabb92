"""What the gateway adds to a call, beside the same SDK used directly, in one run. CPU time of this process, medians of interleaved rounds.

    python -m benchmarks.gateway [--quick]

The model is a server in another process that answers at once with the same bytes. Writes `benchmarks/results/gateway.json` and `.md`.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from racto.agents.budget import Budget
from racto.agents.caches import ExactMatchCache
from racto.agents.gateway import ModelGateway
from racto.agents.limits import BudgetLimit
from racto.agents.providers.openai import OpenAIProvider
from racto.agents.providers.simulated import SimulatedProvider
from racto.agents.retry import RetryConfig
from racto.agents.routing import Endpoint
from racto.agents.semantic_cache import SemanticCache
from racto.agents.telemetry import GatewayMetricsMiddleware, Telemetry
from racto.knowledge.database import Database
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import ChatConfig

RESULTS = Path(__file__).parent / "results"
CHUNKS = 200
ENTRIES = 10_000
DIMENSIONS = 384
DOLLARS = Decimal(100_000)
ASKED = "How is the weather in Paris?"
PROMPT = RactoPrompt(
    role="You are a weather service.",
    aim="Answer questions about the weather.",
    constraints=["Be brief.", "Say when you do not know."],
    tone="Friendly",
    output_format="text",
)


class Weather(BaseModel):
    """What the answer must be."""

    place: str
    degrees: float


CONTENT = '{"place": "Paris", "degrees": 21.5}'
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": CONTENT, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 80,
        "completion_tokens": 12,
        "total_tokens": 92,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
}

SERVER = """
import asyncio, json, sys

completion, chunks = json.loads(sys.argv[1]), int(sys.argv[2])
head = {key: completion[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

def event(choices, **more):
    return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\\n\\n"

def choice(delta, finish=None):
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

events = [event(choice({"role": "assistant", "content": ""}))]
events += [event(choice({"content": " word"})) for _ in range(chunks)]
events += [event(choice({}, "stop")), event([], usage=completion["usage"]), b"data: [DONE]\\n\\n"]
stream = b"".join(b"%x\\r\\n%b\\r\\n" % (len(each), each) for each in events) + b"0\\r\\n\\r\\n"
body = json.dumps(completion).encode()
failure = json.dumps({"error": {"message": "The server had an error.", "type": "server_error", "code": None}}).encode()

def whole(status, content):
    return b"HTTP/1.1 %d Told\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n%b" % (status, len(content), content)

SSE = b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n" + stream

async def serve(reader, writer):
    try:
        while True:
            lines = (await reader.readuntil(b"\\r\\n\\r\\n")).lower().split(b"\\r\\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            asked = json.loads(await reader.readexactly(length))
            if asked["model"] == "fails":
                writer.write(whole(500, failure))
            else:
                writer.write(SSE if asked.get("stream") else whole(200, body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@dataclass(frozen=True)
class Row:
    """One line of the table; `limit` is what was promised, both in microseconds (milliseconds for imports)."""

    name: str
    measured: float
    limit: float
    unit: str = "µs"

    def __str__(self) -> str:
        kept = "kept" if self.measured <= self.limit else "MISSED"
        return f"| {self.name} | {self.measured:,.1f} {self.unit} | ≤ {self.limit:,g} {self.unit} | {kept} |"


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """The model's server, in its own process; the value is the base URL."""
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop yet
        [sys.executable, "-c", SERVER, json.dumps(COMPLETION), str(CHUNKS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.stdin.close()


async def cpu(calls: dict[str, Callable[[], Awaitable[Any]]], rounds: int, number: int) -> dict[str, float]:
    """Microseconds of CPU per call of each, the median of `rounds` in which they take turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        await call()
    for _ in range(rounds):
        for name, call in calls.items():
            begun = time.process_time_ns()
            for _ in range(number):
                await call()
            taken[name].append((time.process_time_ns() - begun) / number / 1_000)
    return {name: statistics.median(each) for name, each in taken.items()}


def _gateway(base: str, *models: str, **stages: Any) -> ModelGateway:
    provider = OpenAIProvider(api_key="none", base_url=base)
    chain = [Endpoint(provider, model) for model in models or ("gpt-4o",)]
    return ModelGateway(
        chain=chain, prompt=PROMPT, retry=RetryConfig(max_attempts=1, breaker_threshold=10**9), **stages
    )


async def over_the_wire(base: str, folder: Path, rounds: int, number: int) -> list[Row]:
    """Plain calls, full calls, streams and a fallback, each beside the SDK."""
    from openai import AsyncOpenAI

    sdk = AsyncOpenAI(api_key="none", base_url=base, max_retries=0)
    messages: Any = [{"role": "system", "content": PROMPT.compile()}, {"role": "user", "content": ASKED}]
    config, shaped = ChatConfig(user_message=ASKED), ChatConfig(user_message=ASKED, response_model=Weather)
    plain = _gateway(base)
    with closing(Database(folder / "bench.db")) as database:
        budget = Budget(
            database,
            "enforce",
            limits=[BudgetLimit("daily", DOLLARS), BudgetLimit("monthly", DOLLARS, "provider", "*")],
        )
        full = _gateway(base, budget=budget, telemetry=Telemetry(GatewayMetricsMiddleware()))
        falling = _gateway(base, "fails", "gpt-4o")

        async def direct_stream() -> None:
            async for _ in await sdk.chat.completions.create(model="gpt-4o", messages=messages, stream=True):
                pass

        async def our_stream() -> None:
            async for _ in plain.stream(config):
                pass

        found = await cpu(
            {
                "sdk": lambda: sdk.chat.completions.create(model="gpt-4o", messages=messages, max_tokens=4096),
                "plain": lambda: plain.chat(config),
                "full": lambda: full.chat(shaped),
                "falling": lambda: falling.chat(config),
            },
            rounds,
            number,
        )
        streams = await cpu({"sdk": direct_stream, "ours": our_stream}, rounds, max(1, number // 20))
    await sdk.close()
    for each in (plain, full, falling):
        await each.aclose()
    print(f"| (the SDK itself, typed) | {found['sdk']:,.0f} µs | | |")
    print(f"| (a stream's chunk: the SDK's) | {streams['sdk'] / CHUNKS:,.1f} µs | | |")
    print(f"| (a stream's chunk: ours, all of it) | {streams['ours'] / CHUNKS:,.1f} µs | | |")
    return [
        Row("plain call, added to the SDK's", found["plain"] - found["sdk"], 0),
        Row("call with an enforced budget, validation and telemetry, added", found["full"] - found["sdk"], 400),
        Row("stream, per chunk, added", (streams["ours"] - streams["sdk"]) / CHUNKS, 40),
        Row("fallback after a received 500, added", found["falling"] - found["plain"], 2_000),
    ]


async def in_process(rounds: int, number: int) -> list[Row]:
    """What needs no server: the simulated model and the caches."""
    simulated = [Endpoint(SimulatedProvider(), "simulated")]
    config = ChatConfig(user_message=ASKED)
    bare = ModelGateway(chain=simulated, prompt=PROMPT)
    exact = ModelGateway(chain=simulated, prompt=PROMPT, exact_cache=ExactMatchCache())
    chance = random.Random(7)
    vectors = {f"question {n}": [chance.gauss(0, 1) for _ in range(DIMENSIONS)] for n in range(ENTRIES)}
    # Asked in other words than it was kept under: the vector is found by search. It is embedded once; the embedder is not what is measured.
    semantic = SemanticCache(embedder=lambda text: vectors[text.removeprefix("Again: ")], max_size=ENTRIES)
    near = ModelGateway(chain=simulated, prompt=PROMPT, semantic_cache=semantic)
    for text in vectors:
        await near.chat(ChatConfig(user_message=text))
    asked = ChatConfig(user_message="Again: question 77")
    assert (await near.chat(asked)).cached == "semantic"
    await exact.chat(config)
    assert (await exact.chat(config)).cached == "exact"
    found = await cpu(
        {
            "simulated": lambda: bare.chat(config),
            "exact": lambda: exact.chat(config),
            "semantic": lambda: near.chat(asked),
        },
        rounds,
        number,
    )
    return [
        Row("simulated model, the whole call", found["simulated"], 100),
        Row("exact cache hit, the whole call", found["exact"], 50),
        Row(f"semantic cache hit at {ENTRIES:,} entries, the whole call", found["semantic"], 1_000),
    ]


def imports(rounds: int) -> Row:
    """What importing the gateway and one provider adds to importing the SDK, both compiled before, as an installer does it."""

    def milliseconds(statement: str, environment: dict[str, str]) -> float:
        code = f"import time; begun = time.process_time(); {statement}; print(time.process_time() - begun)"
        command = [sys.executable, "-c", code]
        return 1_000 * float(
            subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
        )

    statements = ("import openai", "import openai, racto.agents.gateway, racto.agents.providers.openai")
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": compiled}
        for statement in statements:
            milliseconds(statement, environment)
        runs = [[milliseconds(statement, environment) for statement in statements] for _ in range(rounds)]
    added = statistics.median(ours - theirs for theirs, ours in runs)
    return Row("import of the gateway and a provider, added to the SDK's", added, 40, "ms")


async def main(quick: bool) -> list[Row]:
    """Every row."""
    rounds, number = (3, 100) if quick else (15, 300)
    print("| | measured | promised | |\n|---|---|---|---|", flush=True)
    async with server() as base:
        with tempfile.TemporaryDirectory() as folder:
            rows = await over_the_wire(base, Path(folder), rounds, number)
    rows += await in_process(rounds, number)
    rows.append(imports(3 if quick else 15))
    return rows


if __name__ == "__main__":
    rows = asyncio.run(main("--quick" in sys.argv))
    table = "\n".join(map(str, rows))
    print(table)
    RESULTS.mkdir(exist_ok=True)
    about = f"Python {platform.python_version()}, {platform.machine()}, CPU time, medians.\n\n"
    (RESULTS / "gateway.md").write_text(f"{about}| | measured | promised | |\n|---|---|---|---|\n{table}\n")
    (RESULTS / "gateway.json").write_text(json.dumps([vars(row) for row in rows], indent=2, ensure_ascii=False) + "\n")
