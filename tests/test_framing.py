from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mcp_types import INVALID_REQUEST, PARSE_ERROR, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from racto.server.framing import LineSplitter, Refusal, encode, parse, to_message

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)
near_messages = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | scalars,
        "id": st.integers() | st.text() | scalars,
        "method": st.just("tools/call") | scalars,
        "params": st.dictionaries(st.text(), values, max_size=3) | values,
        "result": st.dictionaries(st.text(), values, max_size=3) | values,
        "error": st.just({"code": 1, "message": "m"}) | values,
    },
)


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_the_same_however_the_bytes_arrive(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    splitter = LineSplitter()
    found: list[bytes | None] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])
    found += splitter.close()
    assert found == (lines[:-1] if lines and not lines[-1] else lines)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 20), st.integers(1, 7))
def test_exactly_the_lines_over_the_limit_are_dropped(lengths: list[int], limit: int, chunk: int) -> None:
    stream = b"".join(b"x" * length + b"\n" for length in lengths)
    splitter = LineSplitter(limit)
    found = [line for start in range(0, len(stream), chunk) for line in splitter.feed(stream[start : start + chunk])]
    assert found == [b"x" * length if length <= limit else None for length in lengths]
    assert splitter.close() == []


def test_a_long_line_is_dropped_while_it_arrives() -> None:
    splitter = LineSplitter(1000)
    for _ in range(100):
        assert splitter.feed(b"x" * 999) == []
        assert len(splitter._rest) <= 1000
    assert splitter.close() == [None]


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused_as_unparseable(line: bytes) -> None:
    value = parse(line)
    if isinstance(value, Refusal):
        assert (value.code, value.id) == (PARSE_ERROR, None)
        assert json.loads(value.encode())["error"]["code"] == PARSE_ERROR
    else:
        assert value == json.loads(line)


@given(values | near_messages)
def test_any_json_value_is_a_message_or_refused_or_ignored(value: Any) -> None:
    message = to_message(value)
    if isinstance(message, Refusal):
        answer = json.loads(message.encode())
        assert answer["error"]["code"] == INVALID_REQUEST
        assert answer["id"] is None or answer["id"] == value["id"]
    elif message is None:
        assert "method" not in value
        assert "result" in value or "error" in value
    else:
        again = to_message(json.loads(encode(message)))
        assert again == message


@given(st.integers() | st.text(), st.text(), st.none() | st.dictionaries(st.text(), values, max_size=3))
def test_every_well_formed_message_is_taken_as_what_it_is(number: int | str, method: str, params: Any) -> None:
    rest = {} if params is None else {"params": params}
    result = {"jsonrpc": "2.0", "id": number, "result": params or {}}
    error = {"jsonrpc": "2.0", "id": number, "error": {"code": 1, "message": "m"}}
    assert isinstance(to_message({"jsonrpc": "2.0", "id": number, "method": method, **rest}), JSONRPCRequest)
    assert isinstance(to_message({"jsonrpc": "2.0", "method": method, **rest}), JSONRPCNotification)
    assert isinstance(to_message(result), JSONRPCResponse)
    assert isinstance(to_message(error), JSONRPCError)


@given(st.lists(st.floats() | values))
def test_what_is_sent_is_json_whatever_numbers_it_holds(numbers: list[Any]) -> None:
    line = encode(JSONRPCResponse(jsonrpc="2.0", id=1, result={"numbers": numbers}))
    assert b"\n" not in line
    assert not isinstance(parse(line), Refusal)  # `NaN` and `Infinity` would be
