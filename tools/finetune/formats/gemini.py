"""Gemini's records on Vertex AI: `contents`, with `completions` for a preference.

Source: cloud.google.com/vertex-ai/generative-ai/docs/models/gemini-supervised-tuning-prepare and …/preference-tuning.
"""

from __future__ import annotations

import json
from typing import Any

from ....knowledge.files import RactoFile
from ....knowledge.vocabulary import ToolCallResult
from ..messages import RactoTrainingExample, RactoTrainingMessage
from .parts import from_base64, known, role_of, user_turn, wrong


def parts(turn: RactoTrainingMessage) -> list[dict[str, Any]]:
    """The parts of a turn; the result of a call is named by its id where the call is not at hand."""
    if turn.role == "tool":
        return [_response(turn, turn.tool_call_id or "")]
    written = [_file(file) for file in turn.attachments]
    if turn.content or not turn.tool_calls:
        written.append({"text": turn.content})
    return [*written, *({"functionCall": {"name": call.name, "args": call.arguments}} for call in turn.tool_calls)]


def _file(file: RactoFile) -> dict[str, Any]:
    if file.is_text:
        return {"text": file.text}
    return {"inlineData": {"mimeType": file.media_type, "data": file.base64_data}}


def _response(turn: RactoTrainingMessage, name: str) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": {"result": turn.content}}}


def write(example: RactoTrainingExample) -> dict[str, Any]:
    """The record of an example."""
    names = {call.id: call.name for turn in example.turns for call in turn.tool_calls}
    last = -1 if example.rejected is not None else None
    contents: list[dict[str, Any]] = []
    before = ""
    for turn in example.turns[:last]:
        if turn.role == "tool":
            written = _response(turn, names.get(turn.tool_call_id or "", turn.tool_call_id or ""))
            if before == "tool":
                contents[-1]["parts"].append(written)  # results of calls made together come together
            else:
                contents.append({"role": "user", "parts": [written]})
        else:
            contents.append(_content(turn))
        before = turn.role
    record: dict[str, Any] = {"contents": contents}
    if example.system:
        record = {"systemInstruction": {"role": "system", "parts": [{"text": example.system}]}, **record}
    if example.tools:
        record["tools"] = [{"functionDeclarations": example.tools}]
    if example.rejected is not None:
        pair = ((1.0, example.messages[-1]), (0.0, example.rejected))
        record["completions"] = [{"score": score, "completion": _content(turn)} for score, turn in pair]
    return record


def _content(turn: RactoTrainingMessage) -> dict[str, Any]:
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts(turn)}


def read(record: dict[str, Any]) -> RactoTrainingExample:
    """The example of a record; calls, which have no ids here, are numbered."""
    known(record, ("systemInstruction", "contents", "tools", "completions"), "it")
    messages: list[RactoTrainingMessage] = []
    match record.get("systemInstruction"):
        case {"parts": [{"text": str(text)}]}:
            messages.append(RactoTrainingMessage("system", text))
        case None:
            pass
        case _:
            raise wrong("systemInstruction is not one text")
    reader = _Reader()
    for content in record.get("contents") or ():
        messages += reader.turns(content)
    tools = [tool for group in record.get("tools", ()) for tool in group.get("functionDeclarations", ())]
    match record.get("completions"):
        case None:
            return RactoTrainingExample(messages, tools)
        case [{"score": one, "completion": first}, {"score": other, "completion": second}] if one != other:
            better, worse = (first, second) if one > other else (second, first)
            [preferred], [rejected] = reader.turns(better), reader.turns(worse)
            return RactoTrainingExample([*messages, preferred], tools, rejected)
    raise wrong("completions are not two with different scores")


class _Reader:
    """Gives calls their ids, and finds the call a result belongs to."""

    def __init__(self) -> None:
        self._calls = 0
        self._waiting: list[ToolCallResult] = []

    def turns(self, content: object) -> list[RactoTrainingMessage]:
        """The turns one content holds."""
        if not isinstance(content, dict) or not isinstance(content.get("parts"), list):
            raise wrong("a content has no parts")
        role = role_of(content.get("role", "user"), {"user": "user", "function": "user", "model": "assistant"})
        pieces: list[str | RactoFile] = []
        calls: list[ToolCallResult] = []
        results: list[RactoTrainingMessage] = []
        for part in content["parts"]:
            match part:
                case {"text": str(text)}:
                    pieces.append(text)
                case {"inlineData": {"mimeType": str(kind), "data": str(data)}}:
                    pieces.append(from_base64(kind, data))
                case {"functionCall": {"name": str(name), "args": dict(arguments)}}:
                    calls.append(self._call(name, arguments))
                case {"functionCall": {"name": str(name)}}:
                    calls.append(self._call(name, {}))
                case {"functionResponse": {"name": str(name), "response": response}}:
                    results.append(self._result(name, response))
                case _:
                    raise wrong("a part is neither text, inline data, a call nor its result")
        if role == "assistant":
            if any(isinstance(piece, RactoFile) for piece in pieces) or results:
                raise wrong("the model's turn holds a file or a result")
            return [RactoTrainingMessage("assistant", "".join(map(str, pieces)), tool_calls=calls)]
        return [*results, user_turn(pieces)] if pieces or not results else results

    def _call(self, name: str, arguments: dict[str, Any]) -> ToolCallResult:
        self._calls += 1
        self._waiting.append(ToolCallResult(f"call_{self._calls}", name, arguments))
        return self._waiting[-1]

    def _result(self, name: str, response: object) -> RactoTrainingMessage:
        call = next((each for each in self._waiting if each.name == name), None)
        if call:
            self._waiting.remove(call)
        match response:
            case {"result": str(text), **more} if not more:
                pass
            case _:
                text = json.dumps(response, ensure_ascii=False)
        return RactoTrainingMessage("tool", text, tool_call_id=call.id if call else name)
