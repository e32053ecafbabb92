"""OpenAI's Responses API, as the types of its SDK say it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from tests import dialects
from tests.dialects.openai import OVERLOADED, OpenAI, broken_off, calls, data_uri, event, texts
from tests.dialects.server import Line, Received


class OpenAIResponses(OpenAI):
    """`/v1/responses`."""

    path = "/v1/responses"
    takes = frozenset({"temperature", "top_p"})
    cannot: ClassVar[dict[str, str]] = {
        "usage is found wherever a stream tells it": "only the event that ends a response has usage",
    }

    def options(self, base: str) -> dict[str, Any]:
        """How the adapter is made."""
        return {**super().options(base), "api": "responses"}

    async def respond(self, scenario: str, body: dict[str, Any], line: Line) -> None:
        """The answer that is neither an error nor an embedding."""
        if not body.get("stream"):
            await line.json(_response(scenario))
            return
        await line.start()
        events = _events(scenario)
        for number, made in enumerate(events):
            await line.send(event({**made, "sequence_number": number}, made["type"]))
            if made["type"] == "response.output_text.delta" and made["delta"] == dialects.PIECES[0]:
                failed = {"type": "error", "code": "server_error", "message": OVERLOADED["message"], "param": None}
                if await broken_off(scenario, line, event({**failed, "sequence_number": number + 1}, "error")):
                    return
        await line.end()

    def sent_texts(self, request: Received) -> list[tuple[str, str]]:
        """Role and text of every turn."""
        turns = [("system", request.body["instructions"])] if "instructions" in request.body else []
        for item in request.body["input"]:
            content = item["content"]
            if isinstance(content, list):
                content = "".join(part["text"] for part in content if part["type"] == "input_text")
            turns.append((item["role"], content))
        return turns

    def sent_files(self, request: Received) -> list[tuple[str, bytes]]:
        """Type and bytes of every file that is not text."""
        parts = request.body["input"][-1]["content"]
        uris = [part.get("image_url") or part.get("file_data") for part in parts if part["type"] != "input_text"]
        return [data_uri(uri) for uri in uris]

    def sent_tools(self, request: Received) -> list[tuple[str, dict[str, Any]]]:
        """Name and schema of every tool."""
        assert all(tool["type"] == "function" for tool in request.body["tools"])
        return [(tool["name"], tool["parameters"]) for tool in request.body["tools"]]

    def sent_choice(self, request: Received) -> Any:
        """`tool_choice`, a named one as its name."""
        choice = request.body["tool_choice"]
        return choice if isinstance(choice, str) else choice["name"]

    def sent_schema(self, request: Received) -> dict[str, Any] | None:
        """The schema the answer has to follow."""
        if "text" not in request.body:
            return None
        form = request.body["text"]["format"]
        assert form["type"] == "json_schema"
        return dict(form["schema"])

    def sent_calls(self, request: Received) -> list[tuple[str, str, dict[str, Any]]]:
        """Id, name and arguments of the calls in the turns of the assistant."""
        items = [item for item in request.body["input"] if item.get("type") == "function_call"]
        return [(item["call_id"], item["name"], json.loads(item["arguments"])) for item in items]

    def sent_results(self, request: Received) -> list[tuple[str, str]]:
        """Id of the call and text of every result."""
        items = [item for item in request.body["input"] if item.get("type") == "function_call_output"]
        return [(item["call_id"], item["output"]) for item in items]

    def sent_limit(self, request: Received) -> int:
        """The longest answer, in tokens."""
        return int(request.body["max_output_tokens"])


def _usage(scenario: str) -> dict[str, Any]:
    read, written, cached, reasoning = (100, 50, 40, 20) if scenario == "usage" else (11, 7, None, None)
    made: dict[str, Any] = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    if cached is not None:
        made["input_tokens_details"] = {"cached_tokens": cached}
        made["output_tokens_details"] = {"reasoning_tokens": reasoning}
    return made


def _output(scenario: str) -> list[dict[str, Any]]:
    """The items of a response."""
    items: list[dict[str, Any]] = []
    if scenario == "reasoning":
        summary = [{"type": "summary_text", "text": dialects.THINKING}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": "c2VjcmV0"})
    parts: list[dict[str, Any]] = []
    if text := "".join(texts(scenario)):
        parts.append({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
    if scenario == "refusal":
        parts.append({"type": "refusal", "refusal": dialects.REFUSAL})
    if parts:
        items.append({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": parts})
    for number, (call_id, name, given) in enumerate(calls(scenario)):
        item = {"id": f"fc_{number}", "type": "function_call", "call_id": call_id, "name": name, "arguments": given}
        items.append({**item, "status": "completed"})
    if scenario == "unknown-fields":
        items.insert(0, {"id": "hs_1", "type": "horoscope", "sign": "leo"})
        items[1]["mood"] = items[1]["content"][0]["mood"] = 3
    return items


def _response(scenario: str, output: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    cut = {"length": "max_output_tokens", "cut-arguments": "max_output_tokens", "content-filter": "content_filter"}.get(
        scenario
    )
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_790_000_000,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "model": f"{scenario}-2026",
        "output": _output(scenario) if output is None else output,
        "parallel_tool_calls": True,
        "usage": _usage(scenario),
    }


def _events(scenario: str) -> list[dict[str, Any]]:
    """The events of a streamed response, the first piece of its text as the others tell it."""
    begun = {**_response(scenario, []), "status": "in_progress", "usage": None, "incomplete_details": None}
    made: list[dict[str, Any]] = (
        [] if scenario == "missing-start" else [{"type": "response.created", "response": begun}]
    )
    for index, item in enumerate(_output(scenario)):
        empty = {**item, "content": [], "summary": [], "arguments": ""}
        if scenario != "missing-start" or item["type"] == "function_call":
            made.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        made += _parts_of(item, scenario, {"item_id": item["id"], "output_index": index})
        made.append({"type": "response.output_item.done", "output_index": index, "item": item})
    response = _response(scenario)
    return [*made, {"type": f"response.{response['status']}", "response": response}]


def _parts_of(item: dict[str, Any], scenario: str, where: dict[str, Any]) -> list[dict[str, Any]]:
    """The events between the beginning and the end of an item."""
    if item["type"] == "reasoning":
        deltas = (dialects.THINKING[:9], dialects.THINKING[9:])
        kind = "response.reasoning_summary_text.delta"
        return [{"type": kind, **where, "summary_index": 0, "delta": delta} for delta in deltas]
    if item["type"] == "message":
        place = {**where, "content_index": 0}
        words = [
            {"type": "response.output_text.delta", **place, "delta": piece, "logprobs": []} for piece in texts(scenario)
        ]
        refused = [dialects.REFUSAL[:5], dialects.REFUSAL[5:]] if scenario == "refusal" else []
        noes = [{"type": "response.refusal.delta", **place, "delta": piece} for piece in refused]
        return [
            *words,
            *noes,
            {"type": "response.output_text.done", **place, "text": "".join(texts(scenario)), "logprobs": []},
        ]
    if item["type"] == "function_call":
        given = item["arguments"]
        kind = "response.function_call_arguments.delta"
        pieces = [{"type": kind, **where, "delta": given[at : at + 5]} for at in range(0, len(given), 5)]
        return [
            *pieces,
            {"type": "response.function_call_arguments.done", **where, "arguments": given, "name": item["name"]},
        ]
    return []
