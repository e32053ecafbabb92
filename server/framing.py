"""JSON-RPC 2.0 on a byte stream: bytes to lines, a line to a message or to the error that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)
from pydantic import ValidationError
from pydantic_core import from_json, to_json

MAX_LINE = 128 * 1024 * 1024
"""The longest line taken, in bytes."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to something that is no message.

    :param code: A JSON-RPC error code.
    :param message: What is wrong with it, in one sentence.
    :param id: Of the request meant; `None` when it could not be told.
    """

    code: int
    message: str
    id: RequestId | None = None

    def encode(self) -> bytes:
        """The answer as JSON, without a newline."""
        return to_json({"jsonrpc": "2.0", "id": self.id, "error": {"code": self.code, "message": self.message}})


class LineSplitter:
    """Cuts a stream of bytes into lines, holding at most one unfinished line.

    :param max_line: A longer line is dropped as it arrives, and `None` stands for it.
    """

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._rest = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """The lines that `data` finishes, without their newlines."""
        *ends, rest = data.split(b"\n")
        lines = [self._finish(end) for end in ends]
        if self._dropping or len(self._rest) + len(rest) > self._max_line:
            self._dropping = True
            self._rest.clear()
        else:
            self._rest += rest
        return lines

    def close(self) -> list[bytes | None]:
        """The last line, when the stream ended without a newline after it."""
        return [self._finish(b"")] if self._rest or self._dropping else []

    def _finish(self, end: bytes) -> bytes | None:
        too_long = self._dropping or len(self._rest) + len(end) > self._max_line
        line = None if too_long else bytes(self._rest + end) if self._rest else end
        self._rest.clear()
        self._dropping = False
        return line


def parse(line: bytes) -> Any:
    """The JSON value of a line, or a `Refusal`. Strict: UTF-8 only, no `NaN`, at most 200 levels deep."""
    try:
        return from_json(line, allow_inf_nan=False)
    except ValueError as error:
        return Refusal(PARSE_ERROR, f"Not JSON: {error}.")


def to_message(value: Any) -> JSONRPCMessage | Refusal | None:
    """The message a JSON value stands for; the `Refusal` that answers it; or `None` when it is to be ignored.

    A malformed answer is ignored: answering answers could go round for ever.
    """
    if not isinstance(value, dict):
        return Refusal(INVALID_REQUEST, f"A message is a JSON object, not {type(value).__name__}.")
    if "method" not in value and ("result" in value or "error" in value):
        try:
            return (JSONRPCResponse if "result" in value else JSONRPCError).model_validate(value, by_name=False)
        except ValidationError:
            return None
    try:
        return (JSONRPCRequest if "id" in value else JSONRPCNotification).model_validate(value, by_name=False)
    except ValidationError as error:
        given = value.get("id")
        known = given if isinstance(given, str | int) and not isinstance(given, bool) else None
        where = " and ".join(dict.fromkeys(f"`{problem['loc'][0]}`" for problem in error.errors(include_input=False)))
        return Refusal(INVALID_REQUEST, f"Not a JSON-RPC 2.0 request: see {where}.", known)


def encode(message: JSONRPCMessage) -> bytes:
    """A message as one line of JSON, without the newline.

    :raises ValueError: it holds what JSON in UTF-8 cannot say (half of a surrogate pair).
    """
    if isinstance(message, JSONRPCResponse):
        return to_json({"jsonrpc": "2.0", "id": message.id, "result": message.result}, inf_nan_mode="null")
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
