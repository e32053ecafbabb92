"""An exchange that needs no SDK: httpx2, which `mcp` brings along, carries the bytes."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ...knowledge.errors import ConnectionLostError
from .exchange import Exchange, Key, Response
from .wire import Dialect, PerLoop

if TYPE_CHECKING:
    from httpx2 import AsyncClient

CONNECT_SECONDS = 10.0
LONGEST_SECONDS = 600.0


class HTTPExchange(Exchange):
    """An `Exchange` with its own line to one base URL.

    :param base_url: What every path is put behind.
    :param needs_key: Whether a call without a key is not even tried.
    :param direct: Whether a proxy of the environment is passed by, as for a server on this machine.
    """

    def __init__(
        self,
        provider: str,
        dialect: Dialect,
        base_url: str,
        api_key: Key,
        *key_variables: str,
        needs_key: bool = True,
        direct: bool = False,
    ) -> None:
        super().__init__(provider, dialect, api_key, *key_variables)
        self.base_url = base_url.rstrip("/")
        self._needs_key = needs_key
        self._direct = direct
        self._clients: PerLoop[AsyncClient] = PerLoop("httpx2", self._make, lambda client: client.aclose(), self.unlock)

    def _make(self) -> AsyncClient:
        from httpx2 import AsyncClient

        return AsyncClient(trust_env=not self._direct)

    async def open(self) -> None:
        """Be ready to call: until the first client is made, that takes as long as an import."""
        await self._clients.get()

    async def post(self, path: str, body: dict[str, Any], model: str = "", seconds: float | None = None) -> Response:
        """The answer to a JSON body, its own body not yet read; within `guarded`.

        :param seconds: The longest silence.
        :raises RactoGatewayAPIError: its status is an error.
        :raises ConnectionLostError: nobody answers there.
        """
        return await self._send("POST", path, body, model, seconds)

    async def get(self, path: str, seconds: float | None = None) -> Response:
        """What is there, as `post` tells it."""
        return await self._send("GET", path, None, "", seconds)

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None, model: str, seconds: float | None
    ) -> Response:
        client = await self._clients.get()
        from httpx2 import ConnectError, Timeout

        key = self.needed_key() if self._needs_key else self.key
        request = client.build_request(
            method,
            self.base_url + path,
            json=body,
            headers={"authorization": f"Bearer {key}"} if key else None,
            timeout=Timeout(LONGEST_SECONDS if seconds is None else seconds, connect=CONNECT_SECONDS),
        )
        try:
            response = await client.send(request, stream=True)
        except ConnectError:
            raise self.nobody() from None
        if response.status_code >= 400:
            try:
                content = await response.aread()
            finally:
                await response.aclose()
            raise self.refuse(response.status_code, content, response.headers, model)
        return response

    @property
    def shown_url(self) -> str:
        """The base URL without a user and password it may hold."""
        url = urlsplit(self.base_url)
        return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()

    def nobody(self) -> ConnectionLostError:
        """The error of a base URL where nobody answers."""
        return ConnectionLostError(
            f"Nobody answers at {self.shown_url}.", "Check the address and that its server runs, then try again."
        )

    async def value(self, response: Response) -> Any:
        """The JSON value of a body, whatever it is."""
        try:
            return json.loads(await response.aread())
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the running loop's client."""
        await self._clients.aclose()


async def lines_of(response: Response) -> AsyncGenerator[str, None]:
    """The lines of a body of newline-delimited JSON.

    Cut at line feeds alone: httpx's own lines also end at U+2028, which JSON allows within a text.
    """
    rest = b""
    async with aclosing(cast("AsyncGenerator[bytes, None]", response.aiter_bytes())) as chunks:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line.decode("utf-8", errors="replace")
    if rest.strip():
        yield rest.decode("utf-8", errors="replace")
