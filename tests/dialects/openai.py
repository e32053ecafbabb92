"""OpenAI's chat completions, embeddings and models, as the types of its SDK say them."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

from tests import dialects
from tests.dialects.server import DialectServer, Line, Received

_STATUS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class OpenAI(DialectServer):
    """`/v1/chat/completions` and what is beside it."""

    provider = "openai"
    path = "/v1/chat/completions"
    takes = frozenset({"temperature", "top_p", "seed", "stop"})
    extra: tuple[str, Any] = ("service_tier", "flex")
    thinking = ""
    """The field of a message that tells the reasoning."""
    usage_unasked = False
    """Whether a stream ends with usage though nobody asked."""
    cannot: ClassVar[dict[str, str]] = {
        "reasoning is told apart from the answer": "chat completions never show OpenAI's reasoning, only its tokens",
        "an opening event that is missing is not missed": "a stream of chat completions has no opening event",
    }

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"api_key": dialects.KEY, "base_url": f"{base}/v1"}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"error": {message, type, param, code}}`."""
        kind, code = _STATUS.get(status, ("server_error", None))
        message = "Incorrect API key provided: THE-KEY." if status == 401 else f"Told to fail with {status}."
        headers = {"retry-after": "7", "retry-after-ms": "7000"} if status == 429 else {}
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}, headers

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path, then by scenario."""
        if request.path == "/v1/models":
            data = [{"id": name, "object": "model", "created": 1, "owned_by": "system"} for name in dialects.MODELS]
            await line.json({"object": "list", "data": data})
        elif request.path == "/v1/embeddings":
            await line.json(_embeddings(request.body))
        elif request.path != self.path:
            await line.json(
                {"error": {"message": "Invalid URL", "type": "invalid_request_error", "param": None, "code": None}},
                status=404,
            )
        elif scenario in _REFUSED:
            message, kind, param, code = _REFUSED[scenario]
            status = 429 if scenario == "exhausted" else 400
            await line.json({"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status)
        elif scenario == "error-in-200":
            await line.json({"error": OVERLOADED})
        else:
            await self.respond(scenario, request.body, line)

    async def respond(self, scenario: str, body: dict[str, Any], line: Line) -> None:
        """The answer that is neither an error nor an embedding."""
        if body.get("stream"):
            asked = self.usage_unasked or body.get("stream_options", {}).get("include_usage")
            await _stream(scenario, asked, self.thinking, line)
        else:
            await line.json(_completion(scenario, self.thinking))

    # What was sent, for the suite to look at.

    def sent_texts(self, request: Received) -> list[tuple[str, str]]:
        """Role and text of every turn."""
        turns = []
        for message in request.body["messages"]:
            content = message["content"]
            if isinstance(content, list):
                content = "".join(part["text"] for part in content if part["type"] == "text")
            turns.append((message["role"], content or ""))
        return turns

    def sent_files(self, request: Received) -> list[tuple[str, bytes]]:
        """Type and bytes of every file that is not text."""
        files = []
        for part in request.body["messages"][-1]["content"]:
            if part["type"] == "image_url":
                files.append(part["image_url"]["url"])
            elif part["type"] == "file":
                assert part["file"]["filename"]
                files.append(part["file"]["file_data"])
        return [data_uri(uri) for uri in files]

    def sent_tools(self, request: Received) -> list[tuple[str, dict[str, Any]]]:
        """Name and schema of every tool."""
        assert all(tool["type"] == "function" for tool in request.body["tools"])
        return [(tool["function"]["name"], tool["function"]["parameters"]) for tool in request.body["tools"]]

    def sent_choice(self, request: Received) -> Any:
        """`tool_choice`, a named one as its name."""
        choice = request.body["tool_choice"]
        return choice if isinstance(choice, str) else choice["function"]["name"]

    def sent_schema(self, request: Received) -> dict[str, Any] | None:
        """The schema the answer has to follow."""
        form = request.body.get("response_format")
        if form is None:
            return None
        assert form["type"] == "json_schema"
        assert form["json_schema"]["name"]
        return dict(form["json_schema"]["schema"])

    def sent_calls(self, request: Received) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, name and arguments of the calls in the turns of the assistant."""
        return [
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for message in request.body["messages"]
            for call in message.get("tool_calls", [])
        ]

    def sent_results(self, request: Received) -> list[tuple[str, str]]:
        """Id of the call and text of every result."""
        return [
            (message["tool_call_id"], message["content"])
            for message in request.body["messages"]
            if message["role"] == "tool"
        ]

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["max_completion_tokens"])

    def sent_parameters(self, request: Received) -> dict[str, Any]:
        """Sampling parameters, under our names."""
        names = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "stop")
        return {name: request.body[name] for name in names if name in request.body}


OVERLOADED = {
    "message": "The server had an error while processing your request.",
    "type": "server_error",
    "param": None,
    "code": None,
}
_REFUSED = {
    "overflow": (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
        "invalid_request_error",
        "messages",
        "context_length_exceeded",
    ),
    "unsupported-parameter": (
        "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
        "invalid_request_error",
        "temperature",
        "unsupported_value",
    ),
    "exhausted": (
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        None,
        "insufficient_quota",
    ),
}


def data_uri(uri: str) -> tuple[str, bytes]:
    """Type and bytes of a `data:` URI."""
    kind, _, data = uri.removeprefix("data:").partition(";base64,")
    return kind, base64.b64decode(data)


def texts(scenario: str) -> list[str]:
    """The pieces of the text of a scenario, for every dialect of OpenAI."""
    whole = json.dumps(dialects.ANSWER)
    special = {
        "tools": [],
        "cut-arguments": [],
        "broken-arguments": [],
        "empty": [],
        "content-filter": [],
        "refusal": [],
        "schema": [whole[:7], whole[7:]],
        "fenced": ["```json\n", whole, "\n```"],
        "prose": ["Here it is [1]: ", whole, " - I hope {that} helps."],
        "code": [dialects.CODE[:20], dialects.CODE[20:]],
    }
    return special.get(scenario, dialects.PIECES)


def calls(scenario: str) -> list[tuple[str, str, str]]:
    """Id, name and JSON text of the calls of a scenario."""
    if scenario in ("tools", "tools-and-text"):
        return [
            (f"call_{n}x", name, json.dumps(given) if given else "") for n, (name, given) in enumerate(dialects.CALLS)
        ]
    if scenario in ("cut-arguments", "broken-arguments"):
        return [("call_0x", "get_weather", '{"city": "Par')]
    return []


def _usage(scenario: str) -> dict[str, Any]:
    if scenario == "usage":
        return {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 20, "accepted_prediction_tokens": 0},
        }
    return dict(dialects.PLAIN_USAGE)


def _finish(scenario: str) -> str:
    ends = {"tools": "tool_calls", "tools-and-text": "tool_calls", "broken-arguments": "tool_calls", "length": "length"}
    return (ends | {"cut-arguments": "length", "content-filter": "content_filter"}).get(scenario, "stop")


def _completion(scenario: str, thinking: str) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts(scenario)) or None,
        "refusal": None,
        "annotations": [],
    }
    if scenario == "refusal":
        message["refusal"] = dialects.REFUSAL
    if scenario == "reasoning":
        message[thinking] = dialects.THINKING
    if asked := calls(scenario):
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": given}}
            for id_, name, given in asked
        ]
    made: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": f"{scenario}-2026",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(scenario)}],
        "usage": _usage(scenario),
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }
    if scenario == "unknown-fields":
        made |= {"horoscope": {"sign": "leo"}, "error": None}
        made["choices"][0]["mood"] = made["choices"][0]["message"]["mood"] = made["usage"]["mood_tokens"] = 3
    return made


def _chunk(scenario: str, delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    made: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": f"{scenario}-2026",
        "choices": [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        **more,
    }
    if scenario == "unknown-fields":
        made["obfuscation"] = "aB3"
        for choice in made["choices"]:
            choice["delta"]["mood"] = 3
    return event(made)


def event(value: Any, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


async def broken_off(scenario: str, line: Line, error: bytes) -> bool:
    """What is wrong after the first piece, for every dialect of OpenAI; whether something was."""
    if scenario == "mid-stream-error":
        await line.send(error)
        await line.end()
    elif scenario == "cut-stream":
        await line.cut()
    elif scenario == "unfinished-stream":
        await line.end()
    elif scenario == "stalled-stream":
        await line.mutter(b": still here\n\n")
    elif scenario == "malformed-event":
        await line.send(b'data: {"choices": [{\n\n')
        await line.end()
    else:
        return False
    return True


async def _stream(scenario: str, asked: bool, thinking: str, line: Line) -> None:
    await line.start()
    if scenario == "unknown-fields":
        await line.send(b": a comment\nretry: 10\nid: 5\nevent: weather\n" + event({"object": "weather"}))
    await line.send(_chunk(scenario, {"role": "assistant", "content": "", "refusal": None}))
    if scenario == "odd-usage":
        await line.send(_chunk(scenario, None, usage={"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12}))
    if scenario == "reasoning":
        await line.send(_chunk(scenario, {"content": None, thinking: dialects.THINKING[:9]}))
        await line.send(_chunk(scenario, {"content": None, thinking: dialects.THINKING[9:]}))
    pieces = texts(scenario)
    for place, piece in enumerate(pieces):
        sent = _chunk(scenario, {"content": piece})
        middle = len(sent) // 2  # an event, and a character, may be cut anywhere
        await line.send(sent[:middle])
        await line.send(sent[middle:])
        if place == 0 and await broken_off(scenario, line, event({"error": OVERLOADED})):
            return
    if scenario == "refusal":
        await line.send(_chunk(scenario, {"refusal": dialects.REFUSAL[:5]}))
        await line.send(_chunk(scenario, {"refusal": dialects.REFUSAL[5:]}))
    for index, (id_, name, given) in enumerate(calls(scenario)):
        head = {"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}
        await line.send(_chunk(scenario, {"tool_calls": [head]}))
        for at in range(0, len(given), 5):
            await line.send(
                _chunk(scenario, {"tool_calls": [{"index": index, "function": {"arguments": given[at : at + 5]}}]})
            )
    told: dict[str, Any] = {"usage": _usage(scenario)} if asked else {}
    if scenario == "odd-usage":
        await line.send(_chunk(scenario, {}, _finish(scenario), **told))
        await line.send(_chunk(scenario, None, usage=None))
    else:
        await line.send(_chunk(scenario, {}, _finish(scenario)))
        if asked:
            await line.send(_chunk(scenario, None, **told))
    await line.send(b"data: [DONE]\n\n")
    await line.end()


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    assert body["encoding_format"] == "float"
    size = body.get("dimensions", 3)
    data = [
        {"object": "embedding", "index": place, "embedding": dialects.vector_of(text)[:size]}
        for place, text in enumerate(body["input"])
    ]
    spent = sum(len(text) for text in body["input"])
    return {
        "object": "list",
        "data": data[::-1],
        "model": f"{body['model']}-2026",
        "usage": {"prompt_tokens": spent, "total_tokens": spent},
    }
