"""Servers on this machine that speak as Pinecone and Weaviate do: they keep vectors, really compare them, and refuse what those refuse."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit


class RefusedError(Exception):
    """A request that is answered with an error.

    :param body: The answer.
    """

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Request:
    """One HTTP request.

    :param query: Every value of each name.
    :param headers: By name in lower case.
    :param body: The JSON of its body, `None` when it has none.
    """

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any


class Service(Protocol):
    """What answers, one request at a time."""

    def answer(self, request: Request, base: str) -> tuple[int, Any]:
        """The status and the JSON of the answer.

        :param base: Where this server is, as a URL.
        :raises RefusedError: it is refused.
        """
        ...


@contextmanager
def serving(service: Service, port: int = 0) -> Iterator[str]:
    """The base URL of the service, which lasts as long as the block."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # An answer is written in two parts: without this the second waits for the first to be acknowledged.
        disable_nagle_algorithm = True

        def _respond(self) -> None:
            url = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            try:
                try:
                    body = json.loads(content) if content else None
                except ValueError:
                    raise RefusedError(400, {"message": "the body is not JSON"}) from None
                request = Request(self.command, url.path, parse_qs(url.query), headers, body)
                with lock:
                    status, answer = service.answer(request, f"http://127.0.0.1:{server.server_port}")
            except RefusedError as refused:
                status, answer = refused.status, refused.body
            told = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = do_DELETE = _respond  # noqa: N815 - the names http.server calls

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
