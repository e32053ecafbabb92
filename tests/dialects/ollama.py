"""Ollama's own API, as its documentation and the types of its SDK say it: newline-delimited JSON, errors as `{"error": text}`."""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

from tests import dialects
from tests.dialects.openai import texts
from tests.dialects.server import DialectServer, Line, Received

_REFUSED = {
    # What the runner says is wrapped as text.
    "overflow": json.dumps(
        {
            "error": {
                "code": 400,
                "message": "request (8889 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 8889,
                "n_ctx": 4096,
            }
        }
    ),
    "cannot-think": '"cannot-think" does not support thinking',
}
_OVERLOADED = "server busy, please try again.  maximum pending requests exceeded"
_SAMPLING = ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed", "stop")


class Ollama(DialectServer):
    """`/api/chat`, `/api/embed`, `/api/tags`, and `/api/show`, whose calls are kept apart: they are questions about a model, not to it."""

    provider = "ollama"
    takes = frozenset(_SAMPLING)
    extra = ("keep_alive", "10m")
    cannot: ClassVar[dict[str, str]] = {
        "an opening event that is missing is not missed": "a stream has no opening event",
        "cached and reasoning tokens are counted once": "Ollama counts neither apart",
        "a filtered answer says so": "Ollama filters nothing",
        "a refusal says so": "a refusal is a text like any other",
        "the choice of a tool is sent": "the API has no tool_choice; what is asked of it is refused (tests/test_ollama.py)",
        "a call cut off by the length is left out and said": "Ollama reads the calls itself and never passes on a part of one",
        "arguments that are not json are a malformed answer": "arguments are an object",
        "a parameter the model does not take is named": "options it does not know are ignored; thinking and tools: tests/test_ollama.py",
    }

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Received] = []
        self.context: int | None = 131_072
        self.capabilities: list[str] | None = ["completion", "tools", "vision", "thinking"]
        self.architecture = "llama"
        self.memory = 1_000_000
        """The largest window there is memory for."""
        self.longest = 1_000_000
        """Characters of a text that the model embeds."""
        self.prompt_tokens = dialects.PLAIN_USAGE["prompt_tokens"]

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {"base_url": base, "api_key": dialects.KEY}

    def error(self, status: int) -> tuple[Any, dict[str, str]]:
        """`{"error": text}`."""
        message = "unauthorized: THE-KEY" if status == 401 else f"told to fail with {status}"
        if status == 404:
            message = "model 'status-404' not found"
        return {"error": message}, {"retry-after": "7"} if status == 429 else {}

    async def _serve(self, scenario: str, request: Received, line: Line) -> None:
        if request.path == "/api/show":
            self.shown.append(self.received.pop())
            self.lines.pop()
            await line.json(self.show())
        else:
            await super()._serve(scenario, request, line)

    def show(self) -> dict[str, Any]:
        """What is known of every model here."""
        info: dict[str, Any] = {"general.architecture": self.architecture, "general.parameter_count": 3_212_749_888}
        if self.context is not None:
            info[f"{self.architecture}.context_length"] = self.context
        told: dict[str, Any] = {
            "modelfile": "FROM ...",
            "parameters": 'stop "<|eot_id|>"',
            "template": "{{ .Prompt }}",
            "details": {"parent_model": "", "format": "gguf", "family": self.architecture, "parameter_size": "3.2B"},
            "model_info": info,
            "modified_at": "2026-11-01T10:00:00Z",
        }
        return told if self.capabilities is None else told | {"capabilities": self.capabilities}

    async def answer(self, scenario: str, request: Received, line: Line) -> None:
        """By path, then by scenario."""
        if request.path == "/api/tags":
            listed = [{"name": name, "model": name, "size": 1, "digest": "d"} for name in dialects.MODELS]
            await line.json({"models": listed})
        elif request.path == "/api/version":
            await line.json({"version": "0.33.3"})
        elif request.path == "/api/ps":
            await line.json({"models": [self.in_memory(name) for name in dialects.MODELS[:1]]})
        elif request.path == "/api/embed":
            await self.embed(request.body, line)
        elif request.path == "/api/pull":
            await _pull(scenario, line)
        elif request.path != "/api/chat":
            await line.whole(b"404 page not found", status=404, content_type="text/plain")
        elif request.body.get("options", {}).get("num_ctx", 0) > self.memory:
            message = "model requires more system memory (40.1 GiB) than is available (7.2 GiB)"
            await line.json({"error": message}, status=500)
        elif scenario in _REFUSED:
            await line.json({"error": _REFUSED[scenario]}, status=400)
        elif scenario == "exhausted":
            await line.json({"error": "you've reached your hourly usage limit, please upgrade to continue"}, status=429)
        elif scenario == "error-in-200":
            await line.json({"error": _OVERLOADED})
        elif not request.body["messages"]:
            await line.json(_event(scenario, {"content": ""}, done=True, done_reason="load"))
        elif request.body["stream"]:
            await _stream(scenario, self.prompt_tokens, line)
        else:
            await line.json(_whole(scenario, self.prompt_tokens))

    async def embed(self, body: dict[str, Any], line: Line) -> None:
        """A model that reads `longest` characters."""
        if body.get("truncate") is False and max(map(len, body["input"])) > self.longest:
            await line.json({"error": "the input length exceeds the context length"}, status=400)
        else:
            await line.json(_embeddings(body | {"input": [text[: self.longest] for text in body["input"]]}))

    def in_memory(self, name: str) -> dict[str, Any]:
        """A line of `/api/ps`."""
        sizes = {"size": 6_591_830_464, "size_vram": 5_333_539_264, "context_length": 4096}
        return {"name": name, "model": name, "digest": "d", "expires_at": "2026-11-20T20:05:00.5+01:00", **sizes}

    # What was sent, for the suites to look at.

    @property
    def window(self) -> int:
        """The window the last question was asked with, in tokens."""
        return int(self.received[-1].body["options"]["num_ctx"])

    def sent_texts(self, request: Received) -> list[tuple[str, str]]:
        """Role and text of every turn."""
        return [(message["role"], message["content"]) for message in request.body["messages"]]

    def sent_files(self, request: Received) -> list[tuple[str, bytes]]:
        """Type and bytes of every file that is not text; Ollama is not told the type."""
        return [("image/png", base64.b64decode(image)) for image in request.body["messages"][-1]["images"]]

    def sent_tools(self, request: Received) -> list[tuple[str, dict[str, Any]]]:
        """Name and schema of every tool."""
        assert all(tool["type"] == "function" for tool in request.body["tools"])
        return [(tool["function"]["name"], tool["function"]["parameters"]) for tool in request.body["tools"]]

    def sent_schema(self, request: Received) -> dict[str, Any] | None:
        """The schema the answer has to follow."""
        form = request.body.get("format")
        return None if form is None else dict(form)

    def sent_calls(self, request: Received) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, name and arguments of the calls in the turns of the assistant."""
        return [
            (call["id"], call["function"]["name"], call["function"]["arguments"])
            for message in request.body["messages"]
            for call in message.get("tool_calls", [])
        ]

    def sent_results(self, request: Received) -> list[tuple[str, str]]:
        """Id of the call and text of every result."""
        results = [message for message in request.body["messages"] if message["role"] == "tool"]
        assert all(message["tool_name"] for message in results)
        return [(message["tool_call_id"], message["content"]) for message in results]

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["options"]["num_predict"])

    def sent_parameters(self, request: Received) -> dict[str, Any]:
        """Sampling parameters, under our names."""
        options = request.body["options"]
        assert set(options) <= {*_SAMPLING, "num_ctx", "num_predict"}
        return {name: options[name] for name in _SAMPLING if name in options}


def _event(scenario: str, message: dict[str, Any], *, done: bool = False, **more: Any) -> dict[str, Any]:
    made = {
        "model": scenario,
        "created_at": "2026-11-20T20:00:00.123456Z",
        "message": {"role": "assistant", **message},
        "done": done,
        **more,
    }
    if scenario == "unknown-fields":
        made |= {"horoscope": "leo", "logprobs": None}
        made["message"]["mood"] = 3
    return made


def _ended(scenario: str, prompt_tokens: int) -> dict[str, Any]:
    """What the last event has more than the others."""
    return {
        "done": True,
        "done_reason": "length" if scenario == "length" else "stop",
        "total_duration": 5_191_566_416,
        "load_duration": 2_154_458,
        "prompt_eval_count": prompt_tokens,
        "prompt_eval_duration": 383_809_000,
        "eval_count": dialects.PLAIN_USAGE["completion_tokens"],
        "eval_duration": 4_799_921_000,
    }


def _calls(scenario: str) -> list[dict[str, Any]]:
    if not scenario.startswith(("tools", "thought-tools")):
        return []
    calls: list[dict[str, Any]] = [{"function": {"name": name, "arguments": given}} for name, given in dialects.CALLS]
    if scenario == "tools-with-ids":
        for index, call in enumerate(calls):
            call["id"] = f"theirs_{index}"
    return calls


def _whole(scenario: str, prompt_tokens: int) -> dict[str, Any]:
    message: dict[str, Any] = {"content": "".join(texts(scenario))}
    if scenario in ("reasoning", "thought-tools"):
        message["thinking"] = dialects.THINKING
    if calls := _calls(scenario):
        message["tool_calls"] = calls
    return _event(scenario, message) | _ended(scenario, prompt_tokens)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


async def _stream(scenario: str, prompt_tokens: int, line: Line) -> None:
    await line.start("application/x-ndjson")
    if scenario == "odd-usage":
        await line.send(_line(_event(scenario, {"content": ""}, prompt_eval_count=11, eval_count=1)))
    if scenario in ("reasoning", "thought-tools"):
        for piece in (dialects.THINKING[:9], dialects.THINKING[9:]):
            await line.send(_line(_event(scenario, {"content": "", "thinking": piece})))
    for place, piece in enumerate(texts(scenario)):
        sent = _line(_event(scenario, {"content": piece}))
        middle = len(sent) // 2  # an event, and a character, may be cut anywhere
        await line.send(sent[:middle])
        await line.send(sent[middle:])
        if place == 0 and await _broken_off(scenario, line):
            return
    for call in _calls(scenario):
        await line.send(_line(_event(scenario, {"content": "", "tool_calls": [call]})))
    last = _line(_event(scenario, {"content": ""}) | _ended(scenario, prompt_tokens))
    await line.send(last.rstrip(b"\n") if scenario == "odd-usage" else last)
    await line.end()


async def _pull(scenario: str, line: Line) -> None:
    """A download of two layers; errors come with status 200."""
    await line.start("application/x-ndjson")
    await line.send(_line({"status": "pulling manifest"}))
    if scenario == "no-such-model":
        await line.send(_line({"error": "pull model manifest: file does not exist"}))
        return await line.end()
    big, small = {"digest": "sha256:a", "total": 100}, {"digest": "sha256:b", "total": 20}
    await line.send(_line({"status": "pulling a", **big}))
    await line.send(_line({"status": "pulling a", **big, "completed": 60}))
    if scenario == "endless":
        return await line.stall()
    if scenario == "half":
        return await line.end()
    await line.send(_line({"status": "pulling a", **big, "completed": 100}))
    await line.send(_line({"status": "pulling b", **small, "completed": 20}))
    await line.send(_line({"status": "verifying sha256 digest"}) + _line({"status": "success"}))
    return await line.end()


async def _broken_off(scenario: str, line: Line) -> bool:
    """What is wrong after the first piece; whether something was."""
    if scenario == "mid-stream-error":
        await line.send(_line({"error": _OVERLOADED}))
        await line.end()
    elif scenario == "cut-stream":
        await line.cut()
    elif scenario == "unfinished-stream":
        await line.end()
    elif scenario == "stalled-stream":
        await line.stall()
    elif scenario == "malformed-event":
        await line.send(b'{"model": "malformed\n')
        await line.end()
    else:
        return False
    return True


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    size = body.get("dimensions", 3)
    return {
        "model": body["model"],
        "embeddings": [dialects.vector_of(text)[:size] for text in body["input"]],
        "total_duration": 14_143_917,
        "load_duration": 1_019_500,
        "prompt_eval_count": sum(len(text) for text in body["input"]),
    }
