"""What adapters share between their provider's line and ours: errors, time limits, clients.

Server-sent events are in `sse.py`, what adapters share in reading an answer in `answers.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, Generic, NoReturn, TypeVar, cast
from weakref import WeakKeyDictionary

from ...knowledge.errors import (
    ConnectionLostError,
    ContextLengthError,
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoError,
    RactoGatewayAPIError,
    RactoGatewayAuthError,
    RactoGatewayError,
    RactoGatewayTimeoutError,
    RateLimitedError,
    UnsupportedParameterError,
)

T = TypeVar("T")
_KEY_SHAPES = r"\b(?:sk|pk|hf|pa|gsk|xai|r8)[-_][\w*.-]{8,}|\bAIza[\w*-]{10,}|(?<=Bearer )\S+"
_LONGEST_MESSAGE = 500


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider words its errors: patterns searched in code, type and message, without regard to case; "" is never found.

    They are compiled at the first error, so importing an adapter does not wait for them.

    :param overflow: The conversation is longer than the model reads.
    :param missing: There is no such model (a 404 always means that).
    :param unsupported: The model does not take a parameter; a named group is the provider's name of it.
    :param auth: The key is the trouble, though the status is neither 401 nor 403.
    :param exhausted: A quota or credit is used up: waiting does not help, though the status is 429.
    :param parameters: The provider's name of a parameter → ours, where they differ.
    """

    overflow: str = ""
    missing: str = ""
    unsupported: str = ""
    auth: str = ""
    exhausted: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


IN_BAND = {
    "server_error": 500,
    "internal_server_error": 500,
    "internal_error": 500,
    "internal": 500,
    "api_error": 500,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "resource_exhausted": 429,
    "overloaded_error": 529,
    "unavailable": 503,
    "service_unavailable": 503,
    "timeout_error": 504,
    "deadline_exceeded": 504,
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "not_found": 404,
}
"""The status an error means that came inside an answer whose status was 200, by its code or type in lower case."""


def api_error(
    status: int | None,
    body: Any,
    headers: Mapping[str, str] | None = None,
    *,
    provider: str,
    model: str = "",
    dialect: Dialect | None = None,
    secret: str | None = None,
    retry_after_seconds: float | None = None,
) -> RactoGatewayAPIError:
    """The error for what a provider answered instead of an answer.

    :param status: HTTP status; `None` or 200 for an error inside a stream, whose code then says what it would have been.
    :param body: The answer: parsed JSON, text or bytes.
    :param secret: The key that was sent: some servers repeat it, and no message may.
    :param retry_after_seconds: Where the provider says it in the body; otherwise the headers are read.
    """
    dialect = dialect or Dialect()
    code, message, parameter, told_status = _described(body)
    if status is None or status < 400:
        status = (
            told_status or IN_BAND.get(code.lower().partition(" ")[0]) or IN_BAND.get(code.lower().rpartition(" ")[2])
        )
    said = f"{code} {message}"
    shown = clean(message or code or "no reason given", secret)
    about: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "request_id": request_id(headers),
        "status_code": status,
    }
    where = f"{provider} ({status})" if status else provider
    if _found(dialect.overflow, said):
        return ContextLengthError(f"{where}: {shown}", "Send less, or let the gateway truncate.", **about)
    if status in (401, 403) or _found(dialect.auth, said):
        return RactoGatewayAuthError(
            f"{where}: {shown}", f"Check the API key of {provider} and what it may do.", **about
        )
    if status == 404 or _found(dialect.missing, said):
        return ModelNotAvailableError(f"{where}: {shown}", "Check the name of the model and the base URL.", **about)
    if status in (400, 422) and (match := _found(dialect.unsupported, said)):
        named = parameter or next(filter(None, match.groupdict().values()), "")
        ours = dialect.parameters.get(named, named)
        return UnsupportedParameterError(f"{where}: {shown}", "Leave it out for this model.", parameter=ours, **about)
    if status in (429, 402) and (status == 402 or _found(dialect.exhausted, said)):
        return RactoGatewayAPIError(
            f"{where}: {shown}", "The account is out of credit or quota; waiting does not help.", **about
        )
    about["retry_after"] = retry_after(headers) if retry_after_seconds is None else retry_after_seconds
    if status == 429:
        return RateLimitedError(f"{where}: {shown}", "Wait, then try again.", **about)
    if status in (503, 529):
        return OverloadedError(f"{where}: {shown}", "Try again later, or another model.", **about)
    return RactoGatewayAPIError(f"{where}: {shown}", "Try again." if status and status >= 500 else "", **about)


def _found(pattern: str, said: str) -> re.Match[str] | None:
    return re.search(pattern, said, re.IGNORECASE) if pattern else None


def _described(body: Any) -> tuple[str, str, str, int | None]:
    """Codes, message, parameter and status of an error's body, whatever shape it has."""
    if isinstance(body, bytes | bytearray):
        body = bytes(body).decode("utf-8", errors="replace")
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            return "", body, "", None
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, Mapping) and isinstance(body.get("error"), Mapping):
        body = body["error"]
    if not isinstance(body, Mapping):
        return "", "" if body is None else str(body), "", None
    told = [body[key] for key in ("code", "type", "status", "error_type") if body.get(key)]
    message = next((body[key] for key in ("message", "error", "detail") if body.get(key)), "")
    return (
        " ".join(code for code in told if isinstance(code, str)),
        message if isinstance(message, str) else json.dumps(message),
        str(body.get("param") or ""),
        next((code for code in told if isinstance(code, int) and 400 <= code < 600), None),
    )


def clean(text: str, secret: str | None = None) -> str:
    """A provider's words as one line that is safe to show: no key, at most 500 characters."""
    if secret:
        text = text.replace(secret, "***")
    line = " ".join(re.sub(_KEY_SHAPES, "***", text, flags=re.IGNORECASE).split())
    return line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 1] + "…"


def request_id(headers: Mapping[str, str] | None) -> str | None:
    """The provider's own id of the call."""
    if headers is None:
        return None
    return headers.get("x-request-id") or headers.get("request-id") or None


def retry_after(headers: Mapping[str, str] | None) -> float | None:
    """Seconds the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date (RFC 9110, 10.2.3)."""
    if headers is None:
        return None
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name) or "") * unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        until = parsedate_to_datetime(headers.get("retry-after") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    try:  # the sender's own clock, when it says what it shows
        now = parsedate_to_datetime(headers.get("date") or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        now = time.time()
    return max(0.0, until - now)


@contextmanager
def guarded(
    provider: str, model: str = "", *, dialect: Dialect | None = None, secret: Callable[[], str] = str
) -> Iterator[None]:
    """Within this, whatever the SDK or the reading of an answer raises becomes one of our errors.

    Put the sending and reading inside it, the making of the request outside: there a mistake is ours and must be seen. May enclose the
    `yield`s of a stream.

    :param secret: Says which key was sent.
    """
    try:
        yield
    except RactoGatewayError as error:
        error.provider = error.provider or provider
        error.model = error.model or model
        raise
    except (RactoError, asyncio.CancelledError):
        raise
    except Exception as error:  # noqa: BLE001 - an SDK may raise anything, a caller is told one tree
        # An SDK's error may carry the request with its key, or a body that repeats it: it is not shown as the cause.
        _raise(_translated(error, provider, model, dialect, secret()), error)


def _raise(ours: RactoGatewayError, error: Exception) -> NoReturn:
    if isinstance(ours, MalformedResponseError):
        raise ours from error
    raise ours from None


def _translated(
    error: Exception, provider: str, model: str, dialect: Dialect | None, secret: str | None
) -> RactoGatewayError:
    """Ours for theirs. SDKs are told by the names of their classes, so none needs to be imported: httpx, httpx2, requests, openai,
    anthropic and their kin all use these."""
    about: dict[str, Any] = {"provider": provider, "model": model}
    kinds = {cls.__name__ for cls in type(error).__mro__}
    response = getattr(error, "response", None)
    if kinds & {"TimeoutError", "TimeoutException", "APITimeoutError", "Timeout"}:
        return RactoGatewayTimeoutError(
            f"{provider} did not answer in time.", "Try again, or allow more time.", **about
        )
    if (status := getattr(response, "status_code", None)) is not None and kinds & {
        "APIStatusError",
        "HTTPStatusError",
        "HTTPError",
    }:
        return api_error(
            status,
            _content(response),
            getattr(response, "headers", None),
            provider=provider,
            model=model,
            dialect=dialect,
            secret=secret,
        )
    if kinds & {
        "APIConnectionError",
        "TransportError",
        "RequestError",
        "ConnectionError",
        "OSError",
        "EndOfStream",
        "StreamError",
    }:
        cause = error.__cause__ or error
        why = clean(str(cause), secret)
        if "ConnectError" in {cls.__name__ for cls in type(cause).__mro__}:
            return ConnectionLostError(
                f"{provider} cannot be reached: {why}.", "Check the network and the address, then try again.", **about
            )
        return ConnectionLostError(
            f"The connection to {provider} broke: {why or type(error).__name__}.", "Try again.", **about
        )
    if "APIError" in kinds:
        return api_error(
            None,
            getattr(error, "body", None) or str(error),
            provider=provider,
            model=model,
            dialect=dialect,
            secret=secret,
        )
    return MalformedResponseError(
        f"The answer of {provider} cannot be read ({type(error).__name__}).",
        "Try again, or check the base URL.",
        **about,
    )


def _content(response: Any) -> Any:
    try:
        return response.content
    except Exception:  # noqa: BLE001 - a body that was never read has nothing to say
        return None


class PerLoop(Generic[T]):
    """One client for each event loop that asks, because what a client keeps open belongs to the loop it was opened in.

    :param sdk: The module to import before the first client is made; that takes up to a second and happens in a thread.
    :param make: Makes a client.
    :param close: Closes one.
    :param ready: What is waited for before one is made.
    """

    def __init__(
        self,
        sdk: str,
        make: Callable[[], T],
        close: Callable[[T], Awaitable[None]],
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._sdk = sdk
        self._make = make
        self._close = close
        self._ready = ready
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, T] = WeakKeyDictionary()

    async def get(self) -> T:
        """The client of the running loop.

        :raises ModelNotAvailableError: the SDK is not installed.
        """
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            try:
                await asyncio.to_thread(import_module, self._sdk)
            except ModuleNotFoundError as error:
                package = self._sdk.replace(".", "-").replace("_", "-")
                raise ModelNotAvailableError(
                    f"The package {package} is not installed.", f"Install it: pip install {package}"
                ) from error
            if self._ready is not None:
                await self._ready()
            client = self._clients.get(loop)
            if client is None:
                client = self._clients[loop] = self._make()
        return client

    async def aclose(self) -> None:
        """Close the running loop's client; those of other loops are theirs to close, and go with them."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await self._close(client)


async def paced(items: AsyncIterator[T], seconds: float | None) -> AsyncIterator[T]:
    """The items of a stream, each within `seconds` of being asked for; closing this closes what is under it.

    :raises TimeoutError: the stream stalled; `guarded` makes it ours.
    """
    async with aclosing(cast("AsyncGenerator[T, None]", items)):
        while True:
            try:
                async with asyncio.timeout(seconds):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            yield item
