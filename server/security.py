"""Who may talk to the HTTP port, and how much: which Host, which web page (Origin), which bearer token, which size.

A web page in a local browser can reach a loopback port, by its address or by a name of its own made to point there (DNS rebinding).
Its requests carry that name as Host and its own address as Origin, and the lists here refuse both. They are always on.
"""

from __future__ import annotations

import hmac
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..knowledge.errors import AccessError, ConfigError, LimitError, RactoError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
LOOPBACK_ORIGINS = tuple(f"http://{name}" for name in LOOPBACK_NAMES)
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not bound to


def is_loopback(host: str) -> bool:
    """Whether an address or name to listen on can be reached from this machine only.

    :raises ConfigError: the name leads nowhere.
    """
    if host in ANY_ADDRESS:
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"There is no address {host!r} to listen on ({error}).", "Use 127.0.0.1, or an address of this machine."
        ) from None
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)


def check_exposure(host: str, token: str | None) -> None:
    """Refuse to be reachable by others without a token.

    :raises ConfigError: `host` is more than loopback and there is no token.
    """
    if not token and not is_loopback(host):
        raise ConfigError(
            f"Listening on {host or 'every address'} would let anybody on the network call the tools.",
            "Set RACTO_TOKEN to a long random string (python -c 'import secrets; print(secrets.token_urlsafe(32))'), "
            "or listen on 127.0.0.1.",
        )


def listening_names(host: str) -> tuple[str, ...]:
    """The Host headers of requests that mean the address we listen on."""
    if host in ANY_ADDRESS:
        return LOOPBACK_NAMES
    return (*LOOPBACK_NAMES, f"[{host}]" if ":" in host else host)


class Place:
    """A host with an optional port, as in a Host header, to compare with others.

    :param text: `name`, `name:port` or `[IPv6]:port`.
    """

    def __init__(self, text: str) -> None:
        name, separator, port = text.strip().lower().rpartition(":")
        if not separator or not port.isdigit():  # no port, or the inside of an IPv6 address
            name, port = text.strip().lower(), ""
        self.name = name.rstrip(".")
        self.port = port

    def admits(self, other: Place) -> bool:
        """Whether `other` is this place; without a port this is every port there."""
        return self.name == other.name and (not self.port or self.port == other.port)


class Page:
    """A web origin, to compare with others.

    :param text: `scheme://name` or `scheme://name:port`.
    """

    def __init__(self, text: str) -> None:
        scheme, _, place = text.strip().lower().rstrip("/").partition("://")
        self.scheme = scheme
        self.place = Place(place)

    def admits(self, other: Page) -> bool:
        """Whether `other` is this origin; without a port this is every port there."""
        return self.scheme == other.scheme and self.place.admits(other.place)


class AddressGuard:
    """Lets requests pass that are meant for us and come from no foreign web page.

    :param app: What is guarded.
    :param hosts: Host headers to accept: `name` (every port) or `name:port`.
    :param origins: Origins to accept: `https://name` or `https://name:port`. Requests without an Origin come from no page.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str], origins: Iterable[str]) -> None:
        self._app = app
        self._hosts = [Place(host) for host in hosts]
        self._origins = [Page(_checked_origin(origin)) for origin in origins]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(Headers(scope=scope))):
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        hosts = headers.getlist("host")
        if not hosts or not all(any(known.admits(Place(host)) for known in self._hosts) for host in hosts):
            named = ", ".join(hosts)[:200] or "nobody"
            return _refuse(
                421,
                AccessError(
                    f"This request is addressed to {named}.",
                    "To serve that name, put it in RACTO_ALLOWED_HOSTS (`allowed_hosts` in code).",
                ),
            )
        for origin in headers.getlist("origin"):
            if not any(known.admits(Page(origin)) for known in self._origins):
                return _refuse(
                    403,
                    AccessError(
                        f"Pages of {origin[:200]} may not call this server.",
                        "To let them, put their origin in RACTO_ALLOWED_ORIGINS (`allowed_origins` in code).",
                    ),
                )
        return None


class TokenGuard:
    """Lets requests pass that bring the bearer token.

    :param app: What is guarded.
    :param token: The token; `None` lets everybody pass.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._expected = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._expected is not None and (refusal := self._refusal(Headers(scope=scope).get("authorization"))):
            await refusal(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, given: str | None) -> JSONResponse | None:
        assert self._expected is not None
        scheme, _, token = (given or "").partition(" ")
        # The scheme's case is free (RFC 9110); the comparison takes as long whatever was given. Headers reads bytes as Latin-1.
        right = hmac.compare_digest(token.strip(" \t").encode("latin-1"), self._expected)
        if right and scheme.lower() == "bearer":
            return None
        problem = "A bearer token is needed." if given is None else "The bearer token is not the right one."
        refusal = _refuse(401, AccessError(problem, "Send `Authorization: Bearer …` with the value of RACTO_TOKEN."))
        invalid = "" if given is None else ', error="invalid_token"'
        refusal.headers["WWW-Authenticate"] = f'Bearer realm="racto"{invalid}'
        return refusal


class SizeGuard:
    """Lets whole requests pass, up to a size. A client that leaves before its request is complete has asked nothing.

    :param app: What is guarded.
    :param max_bytes: The longest body.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        body: bytearray | None = bytearray()
        if declared.isdigit() and int(declared) > self._max_bytes:
            body = None
        more = True
        while more and body is not None:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_bytes:
                body = None
        if body is None:
            error = LimitError(f"The request is longer than {self._max_bytes} bytes.", "Raise RACTO_MAX_REQUEST_BYTES.")
            await _refuse(413, error)(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, replay, send)


def _refuse(status: int, error: RactoError) -> JSONResponse:
    return JSONResponse(error.as_dict(), status_code=status)


def _checked_origin(origin: str) -> str:
    parts = urlsplit(origin)
    if not parts.scheme or not parts.netloc:
        raise ConfigError(f"{origin!r} is not a web origin.", "Write it as https://name or https://name:port.")
    return origin
