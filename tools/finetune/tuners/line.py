"""The line to a provider that is tuned over plain HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....agents.providers.http_exchange import CONNECT_SECONDS, LONGEST_SECONDS, HTTPExchange
from ....knowledge.errors import MalformedResponseError

if TYPE_CHECKING:
    from httpx2 import Request

_PIECE = 2**20


class Line(HTTPExchange):
    """One base URL, its key, and whole JSON answers."""

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, model: str = "", **sent: Any
    ) -> dict[str, Any]:
        """The JSON object that is answered; an empty answer is an empty one.

        :param path: Behind the base URL; a whole URL goes there without the key.
        :param sent: What httpx2 takes: `files`, `data`, `content`, `headers`, `params`.
        :raises RactoGatewayError: the provider refused, failed, or is not there.
        """
        with self.guarded(model):
            client = await self._clients.get()
            from httpx2 import ConnectError, Timeout

            own = not path.startswith(("http://", "https://"))
            limits = Timeout(LONGEST_SECONDS, connect=CONNECT_SECONDS)
            url = self.base_url + path if own else path
            request = client.build_request(method, url, json=body, timeout=limits, **sent)
            if own:
                await self.authorize(request)
            try:
                response = await client.send(request)
            except ConnectError:
                raise self.nobody() from None
            if response.status_code >= 300:
                raise self.refuse(response.status_code, response.content, response.headers, model)
            return told(response.content, self.provider)

    async def authorize(self, request: Request) -> None:
        """Put the key on a request."""
        request.headers["authorization"] = f"Bearer {self.needed_key()}"


def told(content: bytes, provider: str) -> dict[str, Any]:
    """The JSON object of an answer whose status was good; an empty answer is an empty one.

    A job that failed has an `error`, which is no error of the call.

    :raises MalformedResponseError: it is no object.
    """
    data = json.loads(content) if content.strip() else {}
    if not isinstance(data, dict):
        raise MalformedResponseError(f"The answer of {provider} is not a JSON object.", "Try again.")
    return data


async def pieces(path: Path) -> AsyncGenerator[bytes, None]:
    """A file, piece by piece: it may be larger than memory."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _PIECE):
            yield piece
    finally:
        file.close()


def sized(path: Path) -> dict[str, Any]:
    """A file as the content of a request whose length is known."""
    headers = {"content-length": str(path.stat().st_size), "content-type": "application/octet-stream"}
    return {"content": pieces(path), "headers": headers}
