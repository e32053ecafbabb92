"""What is asked of every provider when something goes wrong. Each function is one scenario and its name the sentence that must be true."""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import aclosing
from typing import Any

import pytest
from racto.agents.providers import make
from racto.knowledge.errors import (
    ConnectionLostError,
    ContextLengthError,
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAPIError,
    RactoGatewayAuthError,
    RactoGatewayError,
    RactoGatewayTimeoutError,
    RateLimitedError,
    UnsupportedParameterError,
)

from tests import dialects
from tests.dialects.server import REQUEST_ID
from tests.provider_contract import SHORT, Examined, scenario


def _status(status: int, kind: type[RactoGatewayError], *, transient: bool) -> None:
    async def check(x: Examined) -> None:
        error = await x.failure(kind, f"status-{status}")
        assert isinstance(error, RactoGatewayAPIError)
        assert error.status_code == status
        assert error.transient is transient
        assert error.request_id == REQUEST_ID
        assert error.hint or kind is RactoGatewayAPIError

    check.__name__ = f"status_{status}_is_{kind.code}"
    scenario()(check)


_status(400, RactoGatewayAPIError, transient=False)
_status(401, RactoGatewayAuthError, transient=False)
_status(403, RactoGatewayAuthError, transient=False)
_status(404, ModelNotAvailableError, transient=False)
_status(408, RactoGatewayAPIError, transient=True)
_status(429, RateLimitedError, transient=True)
_status(500, RactoGatewayAPIError, transient=True)
_status(503, OverloadedError, transient=True)
_status(529, OverloadedError, transient=True)


@scenario()
async def the_wait_a_provider_asks_for_is_told(x: Examined) -> None:
    error = await x.failure(RateLimitedError, "status-429")
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == dialects.RETRY_AFTER


@scenario()
async def no_key_is_in_the_log(x: Examined) -> None:
    heard = io.StringIO()
    listener = logging.StreamHandler(heard)
    root = logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        await x.ask("plain")
        await x.failure(RactoGatewayAuthError, "status-401")
        await x.failure(ConnectionLostError, "cut-before")
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    assert heard.getvalue(), "nobody logged anything"
    assert dialects.KEY not in heard.getvalue()


@scenario()
async def the_sdk_does_not_try_again_by_itself(x: Examined) -> None:
    await x.failure(RactoGatewayAPIError, "status-500")
    assert len([request for request in x.dialect.received if request.body is not None]) == 1


@scenario()
async def a_quota_that_is_used_up_is_not_worth_another_try(x: Examined) -> None:
    assert not (await x.failure(RactoGatewayAPIError, "exhausted")).transient


@scenario()
async def a_conversation_that_is_too_long_is_called_that(x: Examined) -> None:
    assert not (await x.failure(ContextLengthError, "overflow")).transient


@scenario()
async def a_parameter_the_model_does_not_take_is_named(x: Examined) -> None:
    error = await x.failure(UnsupportedParameterError, "unsupported-parameter", parameters={"temperature": 0.7})
    assert isinstance(error, UnsupportedParameterError)
    assert error.parameter == "temperature"


@scenario()
async def a_proxys_error_page_is_a_failure_of_the_server(x: Examined) -> None:
    error = await x.failure(RactoGatewayAPIError, "gateway-502")
    assert error.transient


@scenario(ways=("chat",))
async def an_error_told_with_status_200_is_an_error(x: Examined) -> None:
    with pytest.raises(RactoGatewayAPIError) as caught:
        await x.ask("error-in-200")
    assert caught.value.transient


@scenario()
async def an_answer_that_is_not_json_is_malformed(x: Examined) -> None:
    if x.way == "chat":
        await x.failure(MalformedResponseError, "malformed-json")
    else:
        await x.failure(MalformedResponseError, "malformed-event")


@scenario(ways=("chat",))
async def an_answer_of_another_shape_is_malformed(x: Examined) -> None:
    await x.failure(MalformedResponseError, "not-an-object")
    await x.failure(MalformedResponseError, "html")


@scenario()
async def a_line_cut_before_the_answer_is_lost(x: Examined) -> None:
    assert (await x.failure(ConnectionLostError, "cut-before")).transient


@scenario()
async def an_address_where_nobody_listens_is_a_lost_line(x: Examined) -> None:
    nowhere = make(x.dialect.provider, **x.dialect.options("http://127.0.0.1:1"))
    try:
        with pytest.raises(ConnectionLostError):
            await Examined(nowhere, x.dialect, x.way).ask("plain")
    finally:
        await nowhere.aclose()


@scenario()
async def a_first_byte_that_does_not_come_is_a_timeout(x: Examined) -> None:
    assert (await x.failure(RactoGatewayTimeoutError, "slow-first-byte", timeout=SHORT)).transient


async def _first_words_then(x: Examined, kind: type[RactoGatewayError], name: str, **changes: Any) -> RactoGatewayError:
    """The error after the first piece, which must have been handed over before."""
    stream = x.provider.stream(x.request(name, **changes))
    first = await anext(stream)
    assert first.delta.text == dialects.PIECES[0]
    with pytest.raises(RactoGatewayError) as caught:
        await anext(stream)
    assert type(caught.value) is kind, repr(caught.value)
    assert (caught.value.provider, caught.value.model) == (x.provider.name, name)
    return caught.value


@scenario(ways=("stream",))
async def an_error_in_the_middle_of_a_stream_is_told_after_its_first_words(x: Examined) -> None:
    stream = x.provider.stream(x.request("mid-stream-error"))
    assert (await anext(stream)).delta.text == dialects.PIECES[0]
    with pytest.raises(RactoGatewayAPIError) as caught:
        await anext(stream)
    assert caught.value.transient
    assert caught.value.status_code in (500, 503, 529)


@scenario(ways=("stream",))
async def a_stream_that_is_cut_is_a_lost_line(x: Examined) -> None:
    await _first_words_then(x, ConnectionLostError, "cut-stream")


@scenario(ways=("stream",))
async def a_stream_that_ends_without_an_end_of_the_answer_is_a_lost_line(x: Examined) -> None:
    await _first_words_then(x, ConnectionLostError, "unfinished-stream")


@scenario(ways=("stream",))
async def a_stream_that_stalls_is_a_timeout(x: Examined) -> None:
    await _first_words_then(x, RactoGatewayTimeoutError, "stalled-stream", timeout=SHORT)
    await x.dialect.gone.wait()


@scenario(ways=("stream",))
async def closing_a_stream_hangs_up(x: Examined) -> None:
    stream: Any = x.provider.stream(x.request("stalled-stream"))
    async with aclosing(stream):
        async for chunk in stream:
            assert chunk.delta.text == dialects.PIECES[0]
            break
    await x.dialect.gone.wait()


@scenario()
async def a_cancelled_caller_hangs_up(x: Examined) -> None:
    task = asyncio.ensure_future(x.ask("slow-first-byte"))
    await x.dialect.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await x.dialect.gone.wait()


@scenario()
async def a_second_call_uses_the_same_line(x: Examined) -> None:
    await x.ask("plain")
    await x.ask("plain")
    asked = [
        line for line, request in zip(x.dialect.lines, x.dialect.received, strict=True) if request.body is not None
    ]
    assert asked[0].writer is asked[-1].writer
