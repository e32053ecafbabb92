"""Files made to do harm, through a real server: each ends in an answer, soon and within bounds, and the server goes on answering.

`RACTO_HOSTILE_FILES=500` for all of them.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from .hostile import hostile_files
from .mcp_clients import text_of

COUNT = int(os.environ.get("RACTO_HOSTILE_FILES", "60"))
MOST_BYTES = 256 * 2**20
PATIENCE = 40.0
"""Seconds for one file: 30 without progress are the ceiling, and the machine may be busy."""
PING_PATIENCE = 5.0

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of the reading process"),
    pytest.mark.filterwarnings("ignore:ping is removed"),  # from the newest protocol; handshake clients send it
]


@dataclass
class Watch:
    """What was seen of the server and of the processes it reads in.

    :param peaks: The most memory each kind of process has had, in bytes.
    :param pings: How long the server took to answer, in seconds.
    """

    server: int
    peaks: Counter[str] = field(default_factory=Counter)
    pings: list[float] = field(default_factory=list)

    def look(self) -> None:
        """Note how much memory each process has had at most."""
        for kind, pid in [("server", self.server), *(("reader", child) for child in children(self.server))]:
            self.peaks[kind] = max(self.peaks[kind], peak_bytes(pid))


def children(pid: int) -> list[int]:
    """The processes a process has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found


def peak_bytes(pid: int) -> int:
    """The most resident memory a process has had, less what it shares with files; 0 when it is gone."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    sizes = {name: int(value.split()[0]) * 1024 for name, value in status.items() if name in ("VmHWM", "RssFile")}
    return max(0, sizes.get("VmHWM", 0) - sizes.get("RssFile", 0))


def special_files(folder: Path) -> list[Path]:
    """What has the name of a document and is none, or leads out of the folder."""
    os.mkfifo(folder / "pipe.pdf")
    for name, target in {
        "device.txt": "/dev/zero",
        "loop.pdf": "loop.pdf",
        "host.txt": "/etc/passwd",
        "lost.md": "gone",
    }.items():
        (folder / name).symlink_to(target)
    return [path for path in folder.iterdir() if path.name != "good.html"]


async def ingest(client: Client, watch: Watch, path: Path) -> tuple[bool, str]:
    """Ingest a file, and ping the server the whole time; whether it was an error, and what was said."""
    call = asyncio.ensure_future(client.call_tool("page_ingest", {"path": str(path)}, read_timeout_seconds=PATIENCE))
    while True:
        done, _ = await asyncio.wait({call}, timeout=0.05)
        begun = time.monotonic()
        await asyncio.wait_for(client.send_ping(), PING_PATIENCE)
        watch.pings.append(time.monotonic() - begun)
        watch.look()
        if done:
            result: Any = call.result()
            return bool(result.is_error), text_of(result)


def test_hostile_files_end_in_an_answer_while_the_server_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    environment = {"RACTO_ROOTS": str(folder), "RACTO_DATABASE": str(tmp_path / "racto.db"), "HOME": str(tmp_path)}
    environment |= {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    process = StdioServerParameters(command=sys.executable, args=["-m", "racto.server.cli", "serve"], env=environment)

    async def run() -> tuple[Watch, Counter[str], list[tuple[float, str]]]:
        before = set(children(os.getpid()))
        outcomes: Counter[str] = Counter()
        slow: list[tuple[float, str]] = []
        async with Client(process, mode="legacy") as client:
            (server,) = set(children(os.getpid())) - before
            watch = Watch(server)
            (folder / "good.html").write_text("<p>A good file to begin with.")
            failed, said = await ingest(client, watch, folder / "good.html")
            assert not failed, said
            idle = dict(watch.peaks)
            for name, data in hostile_files(COUNT):
                path = folder / name
                path.write_bytes(data)
                begun = time.monotonic()
                failed, said = await ingest(client, watch, path)
                slow.append((time.monotonic() - begun, name))
                outcomes["refused" if failed or "failed" in said else "read"] += 1
                assert "Traceback" not in said
                assert "root:" not in said, f"{name}: a file of the host was read"
                assert len(said) < 10_000
                path.unlink()
            assert set(idle) == {"server", "reader"}
            for path in special_files(folder):
                failed, said = await ingest(client, watch, path)
                assert failed, f"{path.name}: {said}"
        watch.peaks.subtract(idle)
        return watch, outcomes, sorted(slow, reverse=True)

    watch, outcomes, slow = asyncio.run(run())
    print(f"{dict(outcomes)}; slowest: {[(round(seconds, 1), name) for seconds, name in slow[:5]]}")
    print(
        f"{len(watch.pings)} pings, worst {max(watch.pings):.2f} s; MiB above idle: { {kind: peak >> 20 for kind, peak in watch.peaks.items()} }"
    )
    assert outcomes.total() == COUNT
    assert outcomes["refused"] > COUNT // 5
    assert outcomes["read"] > COUNT // 10
    assert slow[0][0] < PATIENCE
    assert len(watch.pings) > COUNT
    assert max(watch.peaks.values()) <= MOST_BYTES
