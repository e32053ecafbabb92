"""What adapters share: errors in every provider's words, waits, keys that do not show, events cut anywhere, JSON wherever it is."""

from __future__ import annotations

import asyncio
import itertools
import json
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from racto.agents.providers import openai, openai_api
from racto.agents.providers.sse import SSEDecoder, events
from racto.agents.providers.wire import (
    PerLoop,
    api_error,
    clean,
    guarded,
    paced,
    request_id,
    retry_after,
)
from racto.knowledge.errors import (
    ConfigError,
    ConnectionLostError,
    ContextLengthError,
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAPIError,
    RactoGatewayError,
    RactoGatewayTimeoutError,
    RateLimitedError,
    UnsupportedParameterError,
)

KEY = "sk-canary-0123456789abcdef"


# Errors


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, "the request exceeds the available context size, try increasing it"),
        (
            422,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
        ),
        (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
        (
            400,
            "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with 4096 tokens.",
        ),
        (400, "This endpoint's maximum context length is 131072 tokens. However, you requested about 200000 tokens"),
    ],
)
def test_an_overflow_is_known_in_each_servers_own_words(status: int, message: str) -> None:
    error = api_error(status, {"error": message}, provider="x", dialect=openai_api.COPIES)
    assert type(error) is ContextLengthError
    assert not error.transient


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"error": {"message": "no", "code": "unsupported_parameter", "param": "max_completion_tokens"}}, "max_tokens"),
        ({"error": {"message": "no", "code": "unknown_parameter", "param": "top_k"}}, "top_k"),
        ({"error": {"message": "Unrecognized request argument supplied: logit_bias", "param": None}}, "logit_bias"),
        (
            {"error": {"message": "Unsupported value", "code": "unsupported_value", "param": "reasoning.effort"}},
            "reasoning",
        ),
        ({"error": {"message": "no", "code": "unsupported_parameter", "param": "text.format"}}, "response_schema"),
    ],
)
def test_a_parameter_is_named_as_the_caller_knows_it(body: Any, parameter: str) -> None:
    error = api_error(400, body, provider="openai", dialect=openai.DIALECT)
    assert isinstance(error, UnsupportedParameterError)
    assert error.parameter == parameter


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, OverloadedError, 529),
        ({"error": {"code": "rate_limit_exceeded", "message": "Slow down"}}, RateLimitedError, 429),
        ({"error": {"code": 502, "message": "Provider disconnected"}}, RactoGatewayAPIError, 502),
        ({"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}, OverloadedError, 503),
        ({"error": {"status": "RESOURCE_EXHAUSTED", "message": "busy"}}, RateLimitedError, 429),
        ({"error": {"type": "not_found_error", "message": "model: nothing"}}, ModelNotAvailableError, 404),
        ("it broke", RactoGatewayAPIError, None),
        (None, RactoGatewayAPIError, None),
    ],
)
def test_an_error_inside_an_answer_has_the_status_it_means(
    body: Any, kind: type[RactoGatewayAPIError], status: int | None
) -> None:
    error = api_error(None, body, provider="x")
    assert type(error) is kind
    assert error.status_code == status
    assert error.transient is (status is not None and status >= 429)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x) | st.dictionaries(st.sampled_from(["error", "code", "type", "message", "param", "detail"]), x)
        ),
    )
)
def test_an_error_of_any_shape_is_one_readable_line(body: Any) -> None:
    for sent in (body, json.dumps(body), json.dumps(body).encode()):
        error = api_error(500, sent, provider="x")
        assert error.transient
        assert "\n" not in str(error)
        assert len(error.message) < 600


def test_no_key_is_in_a_message() -> None:
    for text in (
        f"Incorrect API key: {KEY}",
        f"Authorization: Bearer {KEY}",
        "key=AIzaSyA1234567890abcdef",
        "hf_abcdefghijklmnop is wrong",
    ):
        assert "***" in clean(text)
        assert KEY not in clean(text)
    odd = "not a key by its shape"
    assert odd not in str(api_error(401, f"wrong: {odd}", provider="x", secret=odd))


def test_a_message_is_short() -> None:
    assert len(clean("word " * 1000)) == 500


# Waits and ids


def _date(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def test_a_wait_is_read_in_seconds_in_milliseconds_and_as_a_date() -> None:
    assert retry_after({"retry-after": "2.5"}) == 2.5
    assert retry_after({"retry-after-ms": "1500", "retry-after": "2"}) == 1.5
    wait = retry_after({"retry-after": _date(30)})
    assert wait is not None
    assert 28 < wait <= 30


def test_a_date_is_read_by_the_senders_own_clock() -> None:
    assert retry_after({"date": "Fri, 20 Nov 2020 10:00:00 GMT", "retry-after": "Fri, 20 Nov 2020 10:00:45 GMT"}) == 45
    assert retry_after({"retry-after": "Fri, 20 Nov 2020 10:00:45 GMT"}) == 0


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "inf", "1e999", "Fri, 99 Nov 2020 10:00:00 GMT"])
def test_a_wait_that_cannot_be_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}) is None
    assert retry_after({}) is None
    assert retry_after(None) is None


@given(st.text())
def test_any_wait_is_a_number_of_seconds_or_none(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or 0 <= seconds < float("inf")


def test_the_id_of_a_call_is_found_under_either_name() -> None:
    assert request_id({"x-request-id": "a"}) == "a"
    assert request_id({"request-id": "b"}) == "b"
    assert request_id({}) is None
    assert request_id(None) is None


# guarded


class FakeAPIStatusError(Exception):
    """Stands for an SDK's error, which has the key in it."""

    def __init__(self) -> None:
        super().__init__(f"the SDK says {KEY}")


FakeAPIStatusError.__name__ = "APIStatusError"


def test_an_sdks_error_does_not_show_in_the_traceback() -> None:
    class Response:
        status_code = 401
        content = f'{{"error": "wrong key {KEY}"}}'.encode()
        headers = None

    failure = FakeAPIStatusError()
    failure.response = Response()  # type: ignore[attr-defined]  # as SDKs do
    with pytest.raises(RactoGatewayAPIError) as caught, guarded("x", "m", secret=lambda: KEY):
        raise failure
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert (caught.value.provider, caught.value.model) == ("x", "m")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (TimeoutError(), RactoGatewayTimeoutError),
        (ConnectionResetError("reset"), ConnectionLostError),
        (KeyError("choices"), MalformedResponseError),
        (json.JSONDecodeError("bad", "x", 0), MalformedResponseError),
        (AttributeError("x"), MalformedResponseError),
    ],
)
def test_whatever_is_raised_becomes_one_of_ours(raised: Exception, kind: type[RactoGatewayError]) -> None:
    with pytest.raises(RactoGatewayError) as caught, guarded("x", "m"):
        raise raised
    assert type(caught.value) is kind
    assert (caught.value.provider, caught.value.model) == ("x", "m")


def test_what_is_ours_already_stays() -> None:
    with pytest.raises(ConfigError), guarded("x", "m"):
        raise ConfigError("mine")
    with pytest.raises(RateLimitedError) as caught, guarded("x", "m"):
        raise RateLimitedError("slow", provider="y")
    assert (caught.value.provider, caught.value.model) == ("y", "m")
    with pytest.raises(asyncio.CancelledError), guarded("x", "m"):
        raise asyncio.CancelledError


# Clients


def test_each_loop_has_one_client_of_its_own() -> None:
    made: list[object] = []
    closed: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    async def close(client: object) -> None:
        closed.append(client)

    clients = PerLoop("json", make, close)

    async def use() -> object:
        first, second = await asyncio.gather(clients.get(), clients.get())
        assert first is second
        await clients.aclose()
        await clients.aclose()
        return first

    one, two = asyncio.run(use()), asyncio.run(use())
    assert one is not two
    assert closed == made == [one, two]


# Server-sent events

EVENT = st.tuples(
    st.sampled_from(["", "delta", "é"]),
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), min_size=1, max_size=3),
)


@given(st.lists(EVENT, max_size=5), st.sampled_from(["\n", "\r", "\r\n"]), st.sets(st.integers(0, 200)), st.booleans())
@example([("delta", ["a", "b"])], "\r\n", {7, 8, 13, 14}, True)
def test_events_are_the_same_wherever_their_bytes_are_cut(
    told: list[tuple[str, list[str]]], end: str, cuts: set[int], marked: bool
) -> None:
    text = "\ufeff" if marked else ""
    for name, lines in told:
        text += f": a comment{end}id: 7{end}" + (f"event: {name}{end}" if name else "")
        text += "".join(f"data: {line}{end}" for line in lines) + end
    whole = text.encode()
    at = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    decoder = SSEDecoder()
    heard = [event for first, last in itertools.pairwise(at) for event in decoder.feed(whole[first:last])]
    heard += decoder.feed(b":")  # a final CR waits for what follows
    assert heard == [(name, "\n".join(lines)) for name, lines in told]


def test_an_event_that_did_not_end_is_none() -> None:
    decoder = SSEDecoder()
    assert list(decoder.feed(b"data: one\n\ndata: two")) == [("", "one")]
    assert list(decoder.feed(b"\n")) == []
    assert list(decoder.feed(b"data:three\ndata\n\n")) == [("", "two\nthree\n")]


class Bytes:
    """A body that comes in pieces, and then not any more."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces
        self.closed = False

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                yield piece
            await asyncio.Event().wait()
        finally:
            self.closed = True


def test_a_stall_is_the_time_between_events_and_comments_are_none() -> None:
    async def listen() -> None:
        body = Bytes(b"data: 1\n\n", *[b": still here\n\n"] * 5)
        stream = paced(events(body), 0.05)
        assert await anext(stream) == ("", "1")
        with pytest.raises(TimeoutError):
            await anext(stream)
        assert body.closed

    asyncio.run(asyncio.wait_for(listen(), 10))


async def _nobody() -> None:
    async with httpx2.AsyncClient() as client:
        with guarded("x", "m"):
            await client.get("http://127.0.0.1:1")


def test_an_address_where_nobody_answers_is_not_called_a_broken_line() -> None:
    with pytest.raises(ConnectionLostError, match="x cannot be reached") as caught:
        asyncio.run(_nobody())
    assert "Check the network and the address" in caught.value.hint
