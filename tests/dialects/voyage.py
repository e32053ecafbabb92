"""Voyage AI's embeddings, as its API reference and the objects of its SDK say them."""

from __future__ import annotations

from typing import Any, ClassVar

from tests import dialects
from tests.dialects.server import DialectServer, Line, Received


class Voyage(DialectServer):
    """`/v1/embeddings`."""

    provider = "voyage"
    cannot: ClassVar[dict[str, str]] = {"the models are listed": "Voyage has no list of its models"}

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"api_key": dialects.KEY, "base_url": f"{base}/v1"}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"detail": text}`."""
        message = "Provided API key THE-KEY is invalid." if status == 401 else f"Told to fail with {status}."
        return {"detail": message}, {"retry-after": "7"} if status == 429 else {}

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """Vectors, or what is wrong."""
        body = request.body
        assert request.path == "/v1/embeddings"
        assert len(body["input"]) <= 1000
        if scenario == "no-such-model":
            message = f"Model {scenario} is not supported. Supported models are ['voyage-3.5', 'voyage-3-large']."
            await line.json({"detail": message}, status=400)
        elif scenario == "unsupported-parameter":
            await line.json({"detail": "Argument 'output_dimension' is not supported by model voyage-2."}, status=400)
        else:
            size = body.get("output_dimension", 3)
            data = [
                {"object": "embedding", "embedding": dialects.vector_of(text)[:size], "index": index}
                for index, text in enumerate(body["input"])
            ]
            spent = sum(len(text) for text in body["input"])
            made = {"object": "list", "data": data[::-1], "model": body["model"], "usage": {"total_tokens": spent}}
            await line.json(made)
