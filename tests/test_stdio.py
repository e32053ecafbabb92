from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from .peers import COMMAND, PATIENCE, StdioPeer, envelope, environment, handshake, request, stdio_peer, watched
from .transport_server import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="speaks to POSIX pipes and signals")

ERAS = ["legacy", "auto", "2026-07-28"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "stderr"


@pytest.fixture
def peer(log: Path) -> Iterator[StdioPeer]:
    with stdio_peer(log) as started:
        yield started


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StdioPeer]:
    """One server for all the tests that leave it as they found it, its handshake done."""
    with stdio_peer(tmp_path_factory.mktemp("shared") / "stderr") as started:
        started.initialize()
        yield started


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def rss(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


# --- the official client -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
def test_the_official_client_calls_tools_in_every_era(era: str) -> None:
    async def talk() -> None:
        parameters = StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], "stdio"], cwd=REPOSITORY)
        reports: list[float] = []

        async def report(progress: float, total: float | None, message: str | None) -> None:
            reports.append(progress)

        async with Client(parameters, mode=era) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"add", "hang"} <= names
            answers = await asyncio.gather(*(client.call_tool("add", {"a": a, "b": 1}) for a in range(50)))
            assert [answer.content[0].text for answer in answers] == [str(a + 1) for a in range(50)]  # type: ignore[union-attr]  # text, as the first line of this assert shows
            await client.call_tool("count", {"to": 3}, progress_callback=report)
            assert reports[-1] == 3

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))


# --- nothing but protocol --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["print", "descriptor", "C", "child", "original", "device"])
def test_nothing_but_protocol_reaches_the_client_whatever_prints(log: Path, how: str) -> None:
    # Once before serving, once in a call, once at exit; Python and C both keep some of it in their buffers until the end.
    with stdio_peer(log, "--noise", how) as peer:
        peer.initialize()
        assert peer.text("noise", how=how) == "done"
        assert peer.end() == b""
        assert peer.process.returncode == 0
        assert peer.stderr().count("NOISE") == 3


def test_a_child_of_a_tool_cannot_eat_messages(shared: StdioPeer) -> None:
    first, second = shared.call("child_input"), shared.call("add", a=1, b=2)
    answers = {answer["id"]: answer["result"]["content"][0]["text"] for answer in (shared.receive(), shared.receive())}
    assert answers == {first: "", second: "3"}


def test_pipes_are_given_back_as_they_were(log: Path) -> None:
    ours, theirs = os.pipe()
    answers, out = os.pipe()
    with stdio_peer(log, stdin=ours, stdout=out) as peer:
        os.write(theirs, json.dumps(request(1, "initialize", handshake())).encode() + b"\n")
        assert b'"id":1' in os.read(answers, 65536)
        os.close(theirs)
        peer.process.wait(PATIENCE)
    assert os.get_blocking(ours)  # the flag belongs to the pipe: whoever uses it next would be surprised
    assert os.get_blocking(out)
    for fd in (ours, answers, out):
        os.close(fd)


# --- the end ----------------------------------------------------------------------------------------------------------------


def test_it_ends_when_its_input_ends(peer: StdioPeer) -> None:
    peer.initialize()
    assert peer.end() == b""
    assert peer.process.returncode == 0
    assert "returned" in peer.stderr()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_on_a_signal_though_its_input_is_open(peer: StdioPeer, number: int) -> None:
    peer.initialize()
    hanging = peer.call("hang")
    peer.wait_for("hang began")
    peer.process.send_signal(number)
    answer = peer.receive()
    assert answer["id"] == hanging
    assert answer["error"]["message"] == "Connection closed"
    assert peer.stdout.read() == b""
    assert peer.process.wait(PATIENCE) == 0
    assert "hang ended" in peer.stderr()
    assert "Traceback" not in peer.stderr()


def test_it_ends_with_its_parent(log: Path) -> None:
    launcher = f"import subprocess; subprocess.run({[*COMMAND, 'stdio']!r})"
    requests, ours = os.pipe()
    answers, theirs = os.pipe()
    with log.open("wb") as stderr:
        parent = subprocess.Popen(
            [sys.executable, "-c", launcher],
            stdin=requests,
            stdout=theirs,
            stderr=stderr,
            env=environment(),
            cwd=REPOSITORY,
        )
    os.close(theirs)
    with watched(parent), os.fdopen(answers, "rb") as stdout:
        os.write(ours, json.dumps(request(1, "initialize", handshake())).encode() + b"\n")
        assert json.loads(stdout.readline())["id"] == 1
        parent.kill()
        assert stdout.readline() == b""  # though its input is open: both ends of that pipe are ours
    os.close(ours)
    os.close(requests)


def test_calls_are_answered_though_the_input_has_ended(peer: StdioPeer) -> None:
    peer.send(request(1, "initialize", handshake()))
    peer.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    peer.write(
        json.dumps(request(2, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}})).encode()
    )  # no newline
    answers = lines(peer.end())
    assert [answer["id"] for answer in answers] == [1, 2]
    assert answers[1]["result"]["content"][0]["text"] == "3"


def test_a_call_that_never_ends_does_not_keep_it(peer: StdioPeer) -> None:
    peer.initialize()
    hanging = peer.call("hang")
    peer.wait_for("hang began")
    (answer,) = lines(peer.end())
    assert (answer["id"], answer["error"]["message"]) == (hanging, "Connection closed")
    assert peer.process.returncode == 0
    assert "hang ended" in peer.stderr()


@pytest.mark.parametrize("tool", ["stuck", "stuck_in_the_loops_thread", "stuck_in_its_own_thread"])
def test_a_thread_that_never_ends_does_not_keep_it(peer: StdioPeer, tool: str) -> None:
    peer.initialize()
    blocked = peer.call(tool)
    peer.wait_for("stuck began")
    (answer,) = lines(peer.end())
    assert (answer["id"], answer["error"]["message"]) == (blocked, "Connection closed")
    assert peer.process.returncode == 0


def test_it_ends_when_nobody_reads_its_answers(peer: StdioPeer) -> None:
    peer.initialize()
    peer.stdout.close()
    peer.call("add", a=1, b=2)
    assert peer.process.wait(PATIENCE) == 0
    assert "Traceback" not in peer.stderr()


# --- eras -------------------------------------------------------------------------------------------------------------------


def test_discover_may_be_followed_by_initialize(peer: StdioPeer) -> None:
    discovered = peer.ask("server/discover", envelope())["result"]
    assert "2026-07-28" in discovered["supportedVersions"]
    assert peer.initialize("2025-06-18")["result"]["protocolVersion"] == "2025-06-18"
    assert peer.text("add", a=1, b=2) == "3"
    stateless = peer.ask("tools/call", envelope(name="add", arguments={"a": 3, "b": 4}))["result"]
    assert (stateless["content"][0]["text"], stateless["resultType"]) == ("7", "complete")
    assert "resultType" not in peer.ask("tools/list")["result"]


def test_an_unknown_revision_is_refused_with_the_known_ones(shared: StdioPeer) -> None:
    params = envelope()
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = "2099-01-01"
    error = shared.ask("tools/list", params)["error"]
    assert (error["code"], error["data"]["requested"]) == (-32022, "2099-01-01")


# --- odd input --------------------------------------------------------------------------------------------------------------


def test_a_line_of_64_mib_works_both_ways(shared: StdioPeer) -> None:
    size = 64 * 1024 * 1024
    assert shared.text("length", text="x" * size) == str(size)
    assert len(shared.text("repeat", text="y" * 1024, times=size // 1024)) == size


def test_a_message_may_arrive_in_pieces_and_several_at_once(shared: StdioPeer) -> None:
    one = json.dumps(
        request("a", "tools/call", {"name": "length", "arguments": {"text": "grüße 👋"}}), ensure_ascii=False
    )
    data = one.encode() + b"\r\n\r\n \t\n" + json.dumps(request("b", "ping")).encode() + b"\n"
    for byte in data:
        shared.write(bytes([byte]))
    assert {shared.receive()["id"], shared.receive()["id"]} == {"a", "b"}
    shared.write(data * 500)
    assert sorted(shared.receive()["id"] for _ in range(1000)) == ["a"] * 500 + ["b"] * 500


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"{", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping"}\x00', -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"n":NaN}}', -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"1", -32600, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b'{"foo":"boo"}', -32600, None),
        (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', -32600, 7),
        (b'{"jsonrpc":"2.0","id":"x","method":1,"params":"bar"}', -32600, "x"),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":7,"method":"no/such"}', -32601, 7),
        (b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}}', -32602, 7),
    ],
)
def test_what_is_no_message_is_answered_as_json_rpc_says(
    shared: StdioPeer, line: bytes, code: int, number: Any
) -> None:
    shared.write(line + b"\n")
    answer = shared.receive()
    assert (answer["error"]["code"], answer["id"]) == (code, number)
    assert shared.ask("ping")["result"] == {}


@pytest.mark.parametrize(
    "line",
    [
        b'{"jsonrpc":"2.0","id":1,"result":5}',
        b'{"jsonrpc":"2.0","id":99,"result":{}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"what?"}}',
        b'{"jsonrpc":"2.0","id":1,"error":"no"}',
        b'{"jsonrpc":"2.0","method":"notifications/unheard/of"}',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":12345}}',
        b"\t \r",
    ],
)
def test_answers_and_notifications_are_never_answered(shared: StdioPeer, line: bytes) -> None:
    shared.write(line + b"\n")
    assert shared.ask("ping")["result"] == {}


def test_ten_thousand_malformed_messages_are_each_answered(shared: StdioPeer) -> None:
    dice = random.Random(7)
    good = json.dumps(request(1, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}})).encode()
    sent: list[bytes] = []
    while len(sent) < 10_000:
        broken = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            broken[dice.randrange(len(broken))] = dice.choice(b'\x00\x7f\xff{}[]":,x')
        if dice.random() < 0.3:
            del broken[dice.randrange(1, len(broken)) :]
        try:
            value = json.loads(broken)
        except ValueError:
            sent.append(bytes(broken))
        else:
            assert isinstance(value, dict)  # still a request, perhaps another: not what this test is about
    assert len(set(sent)) > 5_000
    writing = threading.Thread(target=lambda: shared.write(b"\n".join(sent) + b"\n"))
    writing.start()
    answers = [shared.receive() for _ in sent]
    writing.join()
    assert {(answer["id"], answer["error"]["code"]) for answer in answers} == {(None, -32700)}
    assert shared.text("add", a=1, b=2) == "3"


def test_a_line_over_the_limit_is_refused_without_being_held(log: Path) -> None:
    with stdio_peer(log, "--max-line", "1000000") as peer:
        peer.initialize()
        before = rss(peer.process.pid)
        for _ in range(100):
            peer.write(b"x" * 1_000_000)
        peer.write(b"\n")
        answer = peer.receive()
        assert (answer["id"], answer["error"]["code"]) == (None, -32600)
        assert "1000000" in answer["error"]["message"]
        assert rss(peer.process.pid) - before < 8_000_000
        assert peer.text("add", a=1, b=2) == "3"


def test_an_answer_that_is_no_json_is_an_error_and_not_the_end(shared: StdioPeer) -> None:
    number = shared.call("surrogate")
    answer = shared.receive()
    assert answer["id"] == number
    assert answer["error"]["code"] == -32603
    assert shared.text("add", a=1, b=2) == "3"


# --- batches ----------------------------------------------------------------------------------------------------------------


def test_a_batch_is_answered_as_one_in_the_revision_that_has_them(peer: StdioPeer) -> None:
    peer.initialize("2025-03-26")
    peer.send([request("a", "ping"), {"jsonrpc": "2.0", "method": "notifications/x"}, 5, request("b", "no/such")])
    answers = peer.receive()
    assert {answer["id"]: answer.get("error", {}).get("code") for answer in answers} == {
        "a": None,
        None: -32600,
        "b": -32601,
    }
    peer.send([{"jsonrpc": "2.0", "method": "notifications/x"}])
    assert peer.ask("ping")["result"] == {}


def test_a_cancelled_call_leaves_the_rest_of_its_batch(peer: StdioPeer) -> None:
    peer.initialize("2025-03-26")
    peer.send([request("slow", "tools/call", {"name": "hang", "arguments": {}}), request("fast", "ping")])
    peer.wait_for("hang began")
    peer.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "slow"}})
    assert [answer["id"] for answer in peer.receive()] == ["fast"]


def test_a_batch_is_refused_in_every_other_revision(shared: StdioPeer) -> None:
    for version in ("2024-11-05", "2025-06-18", "2025-11-25"):
        assert shared.initialize(version)["result"]["protocolVersion"] == version
        shared.send([request("a", "ping")])
        answer = shared.receive()
        assert (answer["id"], answer["error"]["code"]) == (None, -32600)


# --- slow clients, other pipes ----------------------------------------------------------------------------------------------


def test_a_cancelled_call_stops_and_is_not_answered(shared: StdioPeer) -> None:
    number = shared.call("hang")
    shared.wait_for("hang began")
    shared.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})
    shared.wait_for("hang ended")
    assert shared.ask("ping")["result"] == {}


def test_a_client_that_does_not_read_is_made_to_wait(peer: StdioPeer) -> None:
    peer.initialize()
    before = rss(peer.process.pid)
    call = (
        json.dumps(request(1, "tools/call", {"name": "repeat", "arguments": {"text": "x" * 1000, "times": 100}})) + "\n"
    )
    line = call.encode()
    os.set_blocking(peer.stdin.fileno(), False)
    waiting = select.poll()
    waiting.register(peer.stdin, select.POLLOUT)
    sent = 0
    while waiting.poll(3000):  # nothing for three seconds: the server has stopped reading
        try:
            sent += os.write(peer.stdin.fileno(), line[sent % len(line) :])
        except BlockingIOError:
            continue
        assert sent < 20_000 * len(line), "the server takes everything"
    grown = rss(peer.process.pid) - before
    os.set_blocking(peer.stdin.fileno(), True)

    def finish() -> None:
        peer.write(line[sent % len(line) :])
        peer.stdin.close()

    rest = threading.Thread(target=finish)
    rest.start()
    answers = sum(1 for answer in iter(peer.stdout.readline, b"") if len(answer) > 100_000)
    rest.join()
    assert answers == sent // len(line) + 1  # everything that was asked is answered once somebody reads
    assert grown < 60_000_000
    assert peer.process.wait(PATIENCE) == 0


@contextmanager
def input_from(kind: str, data: bytes, folder: Path) -> Generator[int]:
    """A descriptor of some kind that holds `data` and then ends."""
    with ExitStack() as stack:
        if kind == "file":
            (folder / "requests").write_bytes(data)
            yield stack.enter_context((folder / "requests").open("rb")).fileno()
        else:
            ours, theirs = socket.socketpair()
            stack.enter_context(theirs)
            with ours:
                ours.sendall(data)
            yield theirs.fileno()


@pytest.mark.parametrize("kind", ["file", "socket"])
def test_files_and_sockets_serve_as_pipes_do(log: Path, tmp_path: Path, kind: str) -> None:
    asked = [request(1, "initialize", handshake()), *(request(n, "ping") for n in range(2, 1002))]
    data = b"".join(json.dumps(one).encode() + b"\n" for one in asked)
    answers = tmp_path / "answers"
    with (
        input_from(kind, data, tmp_path) as stdin,
        answers.open("wb") as stdout,
        stdio_peer(log, stdin=stdin, stdout=stdout) as peer,
    ):
        assert peer.process.wait(PATIENCE) == 0
    assert sorted(answer["id"] for answer in lines(answers.read_bytes())) == list(range(1, 1002))


def test_the_transport_for_other_platforms_serves_and_keeps_noise_away(log: Path) -> None:
    with stdio_peer(log, "--without-asyncio-pipes", "--noise", "print") as peer:
        assert "2026-07-28" in peer.ask("server/discover", envelope())["result"]["supportedVersions"]
        peer.initialize()
        assert peer.text("noise", how="print") == "done"
        assert peer.text("length", text="grüße") == "5"
        assert peer.end() == b""
        assert peer.process.returncode == 0
        assert peer.stderr().count("NOISE") == 3


def test_nobody_there_is_the_end(log: Path) -> None:
    with stdio_peer(log, stdin=subprocess.DEVNULL) as peer:
        assert peer.stdout.read() == b""
        assert peer.process.wait(PATIENCE) == 0


def test_closed_standard_descriptors_are_the_end(log: Path) -> None:
    closing = f"exec {' '.join(COMMAND)} stdio <&- >&- 2>&-"
    process = subprocess.Popen(["sh", "-c", closing], env=environment(), cwd=REPOSITORY)
    with watched(process):
        assert process.wait(PATIENCE) == 0
