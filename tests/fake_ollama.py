"""A stand-in for the program `ollama`, for machines without it: `serve` is a real little HTTP server that keeps a list of models and nothing else.

FAKE_OLLAMA says how it behaves: "" as it should, "broken" ends at once, "deaf" never listens, "stubborn" does not end when asked to.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODELS = ["llama3.2:latest"]


class Handler(BaseHTTPRequestHandler):
    """`/api/version`, `/api/tags` and `/api/pull`."""

    def do_GET(self) -> None:
        if self.path == "/api/version":
            self._answer({"version": "0.0.0-fake"})
        else:
            self._answer({"models": [{"name": name, "model": name} for name in MODELS]})

    def do_POST(self) -> None:
        model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
        if model == "no-such-model":
            return self._answer({"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"})
        MODELS.append(model)
        return self._answer({"status": "pulling a", "digest": "a", "total": 10, "completed": 10}, {"status": "success"})

    def _answer(self, *values: dict[str, Any]) -> None:
        content = b"".join(json.dumps(value).encode() + b"\n" for value in values)
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    assert sys.argv[1:] == ["serve"]
    manner = os.environ.get("FAKE_OLLAMA", "")
    if manner == "broken":
        sys.exit("Error: could not find a place for the models")
    if manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if manner == "deaf":
        signal.pause()
    host, _, port = os.environ["OLLAMA_HOST"].rpartition(":")
    ThreadingHTTPServer((host, int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main()
