"""Anthropic's Messages API 2026-10-21, as the types of its SDK say it."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

from tests import dialects
from tests.dialects.openai import event, texts
from tests.dialects.server import DialectServer, Line, Received

_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_REFUSED = {
    "overflow": "prompt is too long: 200251 tokens > 200000 maximum",
    "unsupported-parameter": "temperature: Extra inputs are not permitted",
}
_STOPPED = {
    "tools": "tool_use",
    "tools-and-text": "tool_use",
    "broken-arguments": "tool_use",
    "cut-arguments": "max_tokens",
    "cut-before-arguments": "max_tokens",
    "length": "max_tokens",
    "refusal": "refusal",
    "content-filter": "refusal",
    "paused": "pause_turn",
    "window": "model_context_window_exceeded",
    "stop-sequence": "stop_sequence",
}
_BODY = frozenset(
    {"cache_control", "container", "diagnostics", "inference_geo", "max_tokens", "messages", "metadata", "model"}
    | {
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
    | {"user_profile_id"}
)
"""What `MessageCreateParams` names: anything else is refused, as the API does."""


class Anthropic(DialectServer):
    """`/v1/messages` and `/v1/models`."""

    provider = "anthropic"
    takes = frozenset({"stop"})
    extra = ("service_tier", "standard_only")
    cannot: ClassVar[dict[str, str]] = {}

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"api_key": dialects.KEY, "base_url": base}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"type": "error", "error": {type, message}, "request_id"}`."""
        message = "invalid API key: THE-KEY" if status == 401 else f"Told to fail with {status}."
        headers = {"retry-after": "7"} if status == 429 else {}
        return _error(_STATUS.get(status, "api_error"), message), headers

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path, then by scenario."""
        assert request.headers["anthropic-version"] == "2026-10-21"
        if request.path == "/v1/models":
            await _models(request, line)
            return
        assert request.path == "/v1/messages"
        unknown = sorted(set(request.body) - _BODY)
        if unknown:
            await line.json(
                _error("invalid_request_error", f"{unknown[0]}: Extra inputs are not permitted"), status=400
            )
        elif scenario in _REFUSED:
            await line.json(_error("invalid_request_error", _REFUSED[scenario]), status=400)
        elif scenario == "refuse-with":  # the user's own words
            message = request.body["messages"][-1]["content"]
            await line.json(_error("invalid_request_error", message), status=400)
        elif scenario == "exhausted":
            wrong = _error(
                "rate_limit_error", "This organization has crossed the monthly API usage threshold of its tier."
            )
            wrong["error"]["details"] = {"error_code": "enforced_spend_limit_reached"}
            await line.json(wrong, status=429)
        elif scenario == "error-in-200":
            await line.json(_error("overloaded_error", "Overloaded"))
        elif request.body.get("stream"):
            await _stream(scenario, line)
        else:
            await line.json(_message(scenario))

    # What was sent, for the suite to look at.

    def sent_texts(self, request: Received) -> list[tuple[str, str]]:
        """Role and text of every turn, the system prompt first."""
        turns = [("system", request.body["system"])]
        for message in request.body["messages"]:
            content = message["content"]
            if isinstance(content, list):
                content = "".join(block["text"] for block in content if block["type"] == "text")
            turns.append((message["role"], content))
        return turns

    def sent_files(self, request: Received) -> list[tuple[str, bytes]]:
        """Type and bytes of every file that is not text."""
        files = []
        for block in request.body["messages"][-1]["content"]:
            if block["type"] in ("image", "document"):
                assert block["source"]["type"] == "base64"
                assert (block["type"] == "document") == (block["source"]["media_type"] == "application/pdf")
                files.append((block["source"]["media_type"], base64.b64decode(block["source"]["data"])))
        return files

    def sent_tools(self, request: Received) -> list[tuple[str, dict[str, Any]]]:
        """Name and schema of every tool."""
        return [(tool["name"], tool["input_schema"]) for tool in request.body["tools"]]

    def sent_choice(self, request: Received) -> Any:
        """`tool_choice`, a named one as its name."""
        choice = request.body["tool_choice"]
        return {"any": "required", "tool": choice.get("name")}.get(choice["type"], choice["type"])

    def sent_schema(self, request: Received) -> dict[str, Any] | None:
        """The schema the answer has to follow, which must be closed."""
        form = request.body.get("output_config", {}).get("format")
        if form is None:
            return None
        assert form["type"] == "json_schema"
        assert form["schema"]["additionalProperties"] is False
        return dict(form["schema"])

    def sent_calls(self, request: Received) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, name and arguments of the calls in the turns of the assistant."""
        return [
            (block["id"], block["name"], block["input"]) for block in _blocks(request) if block["type"] == "tool_use"
        ]

    def sent_results(self, request: Received) -> list[tuple[str, str]]:
        """Id of the call and text of every result, all of which must be in the one turn after the calls."""
        turns = [turn for turn in request.body["messages"] if isinstance(turn["content"], list)]
        assert [turn["role"] for turn in turns] == ["assistant", "user"]
        return [(block["tool_use_id"], block["content"]) for block in turns[1]["content"]]

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["max_tokens"])

    def sent_parameters(self, request: Received) -> dict[str, Any]:
        """Sampling parameters, under our names."""
        return {"stop": request.body["stop_sequences"]} if "stop_sequences" in request.body else {}


def _blocks(request: Received) -> list[dict[str, Any]]:
    return [
        block for turn in request.body["messages"] if isinstance(turn["content"], list) for block in turn["content"]
    ]


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}


async def _models(request: Received, line: Line) -> None:
    """One a page, so that the pages have to be turned."""
    after = request.query.get("after_id")
    place = dialects.MODELS.index(after) + 1 if after else 0
    name = dialects.MODELS[place]
    entry = {
        "type": "model",
        "id": name,
        "display_name": name.title(),
        "created_at": "2026-02-04T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
    }
    more = place + 1 < len(dialects.MODELS)
    await line.json({"data": [entry], "has_more": more, "first_id": name, "last_id": name})


def _content(scenario: str) -> list[dict[str, Any]]:
    """The blocks of the answer, whole."""
    blocks: list[dict[str, Any]] = []
    if scenario in ("reasoning", "thinking-and-tools"):
        blocks.append({"type": "thinking", "thinking": dialects.THINKING, "signature": "c2lnbmVk"})
    if scenario == "thinking-and-tools":
        blocks.append({"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"})
    if scenario == "paused":
        blocks.append({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "news"}})
    pieces = [dialects.REFUSAL] if scenario == "refusal" else texts(scenario)
    if pieces and scenario != "thinking-and-tools":
        blocks.append({"type": "text", "text": "".join(pieces), "citations": None})
    if scenario in ("tools", "tools-and-text", "thinking-and-tools"):
        blocks += [
            {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": given}
            for n, (name, given) in enumerate(dialects.CALLS)
        ]
    if scenario == "broken-arguments":
        blocks.append({"type": "tool_use", "id": "toolu_0", "name": "get_weather", "input": '{"city": "Par'})
    if scenario in ("cut-arguments", "cut-before-arguments"):  # what there was of the input, made whole
        blocks.append({"type": "tool_use", "id": "toolu_0", "name": "get_weather", "input": {"city": "Par"}})
        blocks = blocks[-1:]
    return blocks


def _usage(scenario: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "input_tokens": 11,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 7,
        "output_tokens_details": None,
        "service_tier": "standard",
    }
    if scenario == "usage":
        told |= {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 50}
        told |= {"output_tokens_details": {"thinking_tokens": 20}}
    elif scenario == "cache-written":
        told |= {"cache_creation_input_tokens": 30}
    return told


def _message(scenario: str) -> dict[str, Any]:
    reason = "tool_use" if scenario == "thinking-and-tools" else _STOPPED.get(scenario, "end_turn")
    made: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{scenario}-20261021",
        "content": _content(scenario),
        "stop_reason": reason,
        "stop_sequence": "END" if reason == "stop_sequence" else None,
        "stop_details": None,
        "container": None,
        "usage": _usage(scenario),
    }
    if scenario == "explained-refusal":
        made["stop_reason"] = "refusal"
        made["stop_details"] = {"type": "refusal", "category": "bio", "explanation": "It could enable harm."}
    if scenario == "unknown-fields":
        made |= {"horoscope": {"sign": "leo"}}
        made["usage"]["mood_tokens"] = 3
        made["content"] += [{"type": "mood", "mood": "good"}]
        made["content"][0]["mood"] = 3
    return made


def _deltas(scenario: str, block: dict[str, Any]) -> list[dict[str, Any]]:
    """A block's pieces."""
    kind = block["type"]
    if kind == "text":
        pieces = texts(scenario) if scenario != "refusal" else [dialects.REFUSAL[:5], dialects.REFUSAL[5:]]
        return [{"type": "text_delta", "text": piece} for piece in pieces]
    if kind == "thinking":
        half = len(block["thinking"]) // 2
        return [
            {"type": "thinking_delta", "thinking": block["thinking"][:half]},
            {"type": "thinking_delta", "thinking": block["thinking"][half:]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if kind in ("tool_use", "server_tool_use"):
        given = block["input"]
        text = given if isinstance(given, str) else json.dumps(given) if given else ""
        if scenario == "cut-arguments":
            text = text[:-2]
        elif scenario == "cut-before-arguments":
            text = ""
        return [{"type": "input_json_delta", "partial_json": text[at : at + 5]} for at in range(0, len(text) or 1, 5)]
    return []


def _opened(block: dict[str, Any]) -> dict[str, Any]:
    """A block as its first event shows it."""
    empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
    return block | empty.get(block["type"], {"input": {}} if "input" in block else {})


def _told(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)


async def _stream(scenario: str, line: Line) -> None:
    message = _message(scenario)
    start = {"input_tokens": message["usage"]["input_tokens"], "output_tokens": 1}
    if scenario != "odd-usage":
        start |= {name: message["usage"][name] for name in ("cache_creation_input_tokens", "cache_read_input_tokens")}
    await line.start()
    if scenario != "missing-start":
        opening: dict[str, Any] = {
            "content": [],
            "stop_reason": None,
            "usage": {} if scenario == "odd-usage" else start,
        }
        await line.send(_told("message_start", message=message | opening))
    await line.send(_told("ping"))
    if scenario == "unknown-fields":
        await line.send(b": a comment\n" + _told("weather", sky="blue"))
    for index, block in enumerate(message["content"]):
        await line.send(_told("content_block_start", index=index, content_block=_opened(block)))
        for place, delta in enumerate(_deltas(scenario, block)):
            piece = _told("content_block_delta", index=index, delta=delta)
            middle = len(piece) // 2  # an event, and a character, may be cut anywhere
            await line.send(piece[:middle])
            await line.send(piece[middle:])
            if place == 0 and await _broken_off(scenario, line):
                return
        await line.send(_told("content_block_stop", index=index))
    ended = {name: message[name] for name in ("stop_reason", "stop_sequence", "stop_details", "container")}
    if scenario == "odd-usage":
        await line.send(_told("message_delta", delta={}, usage=start))
    spent = message["usage"] if scenario == "odd-usage" else {**message["usage"], "input_tokens": None}
    await line.send(_told("message_delta", delta=ended, usage=spent))
    await line.send(_told("message_stop"))
    if scenario == "never-ends":
        await line.stall()
    await line.end()


async def _broken_off(scenario: str, line: Line) -> bool:
    """What is wrong after the first piece; whether something was."""
    if scenario == "mid-stream-error":
        await line.send(event(_error("overloaded_error", "Overloaded"), "error"))
        await line.end()
    elif scenario == "cut-stream":
        await line.cut()
    elif scenario == "unfinished-stream":
        await line.end()
    elif scenario == "stalled-stream":
        await line.send(_told("ping")[:10])
        await line.stall()
    elif scenario == "malformed-event":
        await line.send(b'event: content_block_delta\ndata: {"type": [{\n\n')
        await line.end()
    else:
        return False
    return True
