from __future__ import annotations

import asyncio
import http.client
import json
import re
import signal
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from racto.knowledge.errors import ConfigError
from racto.server.http import _listen, build_app, serve_http
from racto.server.mcp import RactoMCPServer
from starlette.applications import Starlette
from starlette.routing import Mount

from .peers import PATIENCE, HttpPeer, envelope, handshake, http_peer, request
from .transport_server import TOKEN, registry

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

JSON = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
MODERN = {**JSON, "MCP-Protocol-Version": "2026-07-28"}
EVERY_PATH = [
    ("GET", "/sse"),
    ("POST", "/messages/?session_id=1"),
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("GET", "/health"),
    ("GET", "/no/such"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpPeer]:
    """One server for all the tests that leave it as they found it."""
    with http_peer(tmp_path_factory.mktemp("http") / "stderr") as started:
        yield started


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpPeer]:
    """A server that listens on every address, with a token."""
    arguments = ["--host", "0.0.0.0", "--token", TOKEN, "--allow", "tools.example"]
    with http_peer(tmp_path_factory.mktemp("guarded") / "stderr", *arguments) as started:
        yield started


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[HttpPeer]:
    with http_peer(tmp_path / "stderr") as started:
        yield started


@contextmanager
def exchange(
    peer: HttpPeer, method: str, path: str, body: Any = None, **headers: str
) -> Generator[http.client.HTTPResponse]:
    """One request and its response, still open; names of headers are written with `_`."""
    connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=PATIENCE)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    connection.request(method, path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    with connection.getresponse() as response:
        yield response
    connection.close()


def post(peer: HttpPeer, message: Any, **headers: str) -> tuple[int, Any]:
    """Status and answer of a message to `/mcp`."""
    with exchange(peer, "POST", "/mcp", message, **{**JSON, **headers}) as response:
        return response.status, answer_in(response.read())


def answer_in(data: bytes) -> Any:
    """The JSON in a response, whether it came as such or as an event."""
    found = re.search(rb"^data: (\{.*)$", data, re.MULTILINE)
    return json.loads(found[1] if found else data or b"null")


def open_session(peer: HttpPeer) -> str:
    """Shake hands at `/mcp`; the session's id."""
    with exchange(peer, "POST", "/mcp", request(1, "initialize", handshake()), **JSON) as response:
        session = response.headers["Mcp-Session-Id"]
        assert "result" in answer_in(response.read())
    assert post(peer, {"jsonrpc": "2.0", "method": "notifications/initialized"}, Mcp_Session_Id=session)[0] == 202
    return str(session)


def raw(peer: HttpPeer, head: str, body: bytes = b"") -> socket.socket:
    """A connection on which a request has been sent as it stands."""
    connection = socket.create_connection(("127.0.0.1", peer.port), timeout=PATIENCE)
    connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
    return connection


def until(connection: socket.socket, text: bytes) -> bytes:
    """What arrives, up to and including `text`."""
    data = b""
    while text not in data:
        more = connection.recv(65536)
        assert more, f"closed after {data!r}"
        data += more
    return data


@contextmanager
def sse_session(peer: HttpPeer) -> Generator[tuple[socket.socket, str]]:
    """An open HTTP+SSE stream and where to post."""
    with raw(peer, "GET /sse HTTP/1.1\nHost: localhost") as stream:
        yield stream, until(stream, b"\r\n\r\n\r\n").split(b"data: ")[1].split()[0].decode()


# --- the official client -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["legacy", "auto", "2026-07-28"])
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_the_official_client_calls_tools_in_every_era_on_both_paths(shared: HttpPeer, path: str, era: str) -> None:
    async def talk() -> None:
        url = shared.base + path
        reports: list[float] = []

        async def report(progress: float, total: float | None, message: str | None) -> None:
            reports.append(progress)

        async with Client(sse_client(url) if path == "/sse" else url, mode=era) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"add", "hang"} <= names
            answers = await asyncio.gather(*(client.call_tool("add", {"a": a, "b": 1}) for a in range(20)))
            assert [answer.content[0].text for answer in answers] == [str(a + 1) for a in range(20)]  # type: ignore[union-attr]  # text, as the comparison shows
            await client.call_tool("count", {"to": 3}, progress_callback=report)
            assert reports[-1] == 3

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))


def test_the_official_client_comes_in_with_the_token(guarded: HttpPeer) -> None:
    async def talk() -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            create_mcp_http_client(headers=headers) as http_client,
            Client(streamable_http_client(f"{guarded.base}/mcp", http_client=http_client)) as client,
        ):
            assert (await client.call_tool("add", {"a": 1, "b": 2})).content[0].text == "3"  # type: ignore[union-attr]  # text, as the comparison shows
        async with Client(sse_client(f"{guarded.base}/sse", headers=headers)) as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).content[0].text == "3"  # type: ignore[union-attr]  # text, as the comparison shows

    asyncio.run(asyncio.wait_for(talk(), PATIENCE))


# --- who may come in ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), EVERY_PATH)
def test_a_foreign_host_is_refused_everywhere_even_when_listening_on_every_address(
    guarded: HttpPeer, method: str, path: str
) -> None:
    headers = {**JSON, "Authorization": f"Bearer {TOKEN}"}
    with exchange(guarded, method, path, Host="evil.example", **headers) as response:
        assert response.status == 421
    with exchange(guarded, method, path, Origin="https://evil.example", **headers) as response:
        assert response.status == 403


@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path in EVERY_PATH if path.startswith(("/sse", "/mess", "/mcp"))]
)
def test_without_the_token_there_is_nothing_but_health(guarded: HttpPeer, method: str, path: str) -> None:
    for given in ({}, {"Authorization": "Bearer wrong"}):
        with exchange(guarded, method, path, **JSON, **given) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    with exchange(guarded, "GET", "/health") as response:
        assert json.load(response) == {"status": "ok", "name": "misbehaving", "version": "1.2.3"}


def test_an_allowed_name_and_its_pages_come_in(guarded: HttpPeer) -> None:
    origin = "https://tools.example"
    with exchange(
        guarded,
        "OPTIONS",
        "/mcp",
        Host="tools.example",
        Origin=origin,
        Access_Control_Request_Method="POST",
        Access_Control_Request_Headers="authorization,content-type",
    ) as response:
        assert response.status == 200  # before any token: browsers send none when they ask
        assert "authorization" in response.headers["Access-Control-Allow-Headers"]
    with exchange(
        guarded,
        "POST",
        "/mcp",
        request(1, "initialize", handshake()),
        Host="tools.example",
        Origin=origin,
        Authorization=f"Bearer {TOKEN}",
        **JSON,
    ) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] in {"*", origin}
        assert "Mcp-Session-Id" in response.headers["Access-Control-Expose-Headers"]


def test_it_does_not_start_where_others_could_call_it_without_a_token() -> None:
    with pytest.raises(ConfigError, match="RACTO_TOKEN"):
        serve_http(RactoMCPServer("nobody").lowlevel, host="0.0.0.0", port=0)


def test_a_port_in_use_and_a_name_from_nowhere_are_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="--port"):
        serve_http(RactoMCPServer("nobody").lowlevel, port=taken.getsockname()[1])
    with pytest.raises(ConfigError, match="no address"):
        serve_http(RactoMCPServer("nobody").lowlevel, host="no-such-host.invalid")


# --- sizes ------------------------------------------------------------------------------------------------------------------


def test_a_request_over_the_limit_is_refused_whether_it_says_its_size_or_not(shared: HttpPeer) -> None:
    big = json.dumps(request(1, "initialize", {"padding": "x" * 1_100_000})).encode()
    with exchange(shared, "POST", "/mcp", big, **JSON) as response:
        assert response.status == 413
    head = f"POST /mcp HTTP/1.1\nHost: localhost\nContent-Type: application/json\nAccept: {JSON['Accept']}\nTransfer-Encoding: chunked"
    with raw(shared, head) as connection:
        chunk = b"%x\r\n%s\r\n" % (100_000, b"x" * 100_000)
        connection.sendall(chunk * 11)
        assert b" 413 " in until(connection, b"\r\n")
    with sse_session(shared) as (_, path), exchange(shared, "POST", path, big, **JSON) as response:
        assert response.status == 413


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b"5", b"null", b'{"jsonrpc":"2.0"}'])
def test_what_is_no_message_is_a_client_error(shared: HttpPeer, body: bytes) -> None:
    session = open_session(shared)
    with sse_session(shared) as (_, path):
        for url, headers in (("/mcp", {**JSON, "Mcp-Session-Id": session}), ("/mcp", MODERN), (path, JSON)):
            with exchange(shared, "POST", url, body, **headers) as response:
                assert 400 <= response.status < 500
                assert json.loads(response.read())["error"]["code"] in {-32700, -32600, -32602}
    assert "Traceback" not in shared.log.read_text()


def test_answers_are_not_held_back() -> None:
    # With Nagle's algorithm the second write of an answer waits for the client to acknowledge the first: 40 ms.
    with socket.create_server(("127.0.0.1", 0)) as plain, _listen("127.0.0.1", 0) as ours:
        assert plain.proto == 0  # what asyncio does not recognise as TCP
        assert ours.proto == socket.IPPROTO_TCP


# --- the end ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_though_streams_are_open_and_calls_running(peer: HttpPeer, number: int) -> None:
    session = open_session(peer)
    with (
        raw(peer, "GET /sse HTTP/1.1\nHost: localhost") as sse,
        raw(
            peer, f"GET /mcp HTTP/1.1\nHost: localhost\nAccept: text/event-stream\nMcp-Session-Id: {session}"
        ) as listening,
    ):
        until(sse, b"session_id=")
        until(listening, b"\r\n\r\n")
        call = json.dumps(request(2, "tools/call", {"name": "hang", "arguments": {}})).encode()
        with raw(
            peer,
            f"POST /mcp HTTP/1.1\nHost: localhost\nContent-Type: application/json\nAccept: {JSON['Accept']}\n"
            f"Mcp-Session-Id: {session}\nContent-Length: {len(call)}",
            call,
        ) as calling:
            peer.wait_for("hang began")
            log = peer.stop(number)
            for connection in (sse, listening, calling):
                while connection.recv(65536):
                    pass
    assert peer.process.returncode == 0
    assert "returned" in log  # serve_http comes back: the caller has its own things to close
    assert "hang ended" in log
    assert "Traceback" not in log
    assert "ERROR" not in log


def test_clients_that_leave_in_the_middle_leave_no_traceback(peer: HttpPeer) -> None:
    session = open_session(peer)
    call = json.dumps(request(2, "tools/call", {"name": "hang", "arguments": {}})).encode()
    modern = json.dumps(request(3, "tools/call", envelope(name="hang", arguments={}))).encode()
    post_head = f"POST /mcp HTTP/1.1\nHost: localhost\nContent-Type: application/json\nAccept: {JSON['Accept']}\n"
    with sse_session(peer) as (_, path):
        for message in (
            request(1, "initialize", handshake()),
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            request(2, "tools/call", {"name": "hang", "arguments": {}}),
        ):
            with exchange(peer, "POST", path, message, **JSON) as response:
                assert response.status == 202
        peer.wait_for("hang began")
    peer.wait_for("hang ended")
    for _ in range(20):
        with sse_session(peer) as (sse, path):
            body = json.dumps(request(1, "initialize", handshake())).encode()
            head = f"POST {path} HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: {len(body)}"
            with raw(peer, head, body) as posting:
                sse.close()  # while the message is on its way
                until(posting, b"\r\n\r\n")
    with raw(
        peer, f"GET /mcp HTTP/1.1\nHost: localhost\nAccept: text/event-stream\nMcp-Session-Id: {session}"
    ) as listening:
        until(listening, b"\r\n\r\n")
    with raw(peer, f"{post_head}Mcp-Session-Id: {session}\nContent-Length: {len(call)}", call) as calling:
        until(calling, b"\r\n\r\n")
        peer.wait_for("hang began", times=2)
    headers = "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: hang"
    with raw(peer, f"{post_head}{headers}\nContent-Length: {len(modern)}", modern):
        peer.wait_for("hang began", times=3)
    peer.wait_for("hang ended", times=2)  # leaving is cancelling in 2026-07-28, and is not in the revisions before
    with raw(peer, f"{post_head}Content-Length: 1000", b"half a body"):
        pass
    assert (
        post(peer, request(4, "tools/call", {"name": "add", "arguments": {"a": 1, "b": 2}}), Mcp_Session_Id=session)[0]
        == 200
    )
    log = peer.stop()
    assert log.count("hang began") == log.count("hang ended") == 3
    assert "Traceback" not in log
    assert "ERROR" not in log
    assert peer.process.returncode == 0


# --- mounted into another application -----------------------------------------------------------------------------------------


@contextmanager
def served(app: Any) -> Generator[str]:
    """Any ASGI application on a free port; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("with_lifespan", [True, False])
@pytest.mark.parametrize("path", ["/mcp", "/sse"])
def test_it_can_be_mounted_into_another_application(path: str, with_lifespan: bool) -> None:
    app = build_app(RactoMCPServer.from_registry(registry).lowlevel)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with app.router.lifespan_context(app):
            yield

    host = Starlette(routes=[Mount("/tools", app)], lifespan=lifespan if with_lifespan else None)

    async def talk(url: str) -> None:
        async with Client(sse_client(url) if path == "/sse" else url) as client:
            assert (await client.call_tool("add", {"a": 1, "b": 2})).content[0].text == "3"  # type: ignore[union-attr]  # text, as the comparison shows

    with served(host) as base:
        asyncio.run(asyncio.wait_for(talk(f"{base}/tools{path}"), PATIENCE))
