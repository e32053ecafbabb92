"""OpenAI's chat records, which Together and Fireworks take too.

Source: platform.openai.com/docs/guides/supervised-fine-tuning and …/direct-preference-optimization.
"""

from __future__ import annotations

import json
from typing import Any

from ....knowledge.files import RactoFile, openai_block
from ....knowledge.vocabulary import ToolCallResult
from ..messages import RactoTrainingExample, RactoTrainingMessage
from .parts import from_data_uri, known, role_of, user_turn, wrong


def message(turn: RactoTrainingMessage) -> dict[str, Any]:
    """A message of chat completions."""
    written: dict[str, Any] = {"role": turn.role}
    if turn.attachments:
        written["content"] = [*map(openai_block, turn.attachments), {"type": "text", "text": turn.content}]
    elif turn.content or not turn.tool_calls:
        written["content"] = turn.content
    if turn.tool_calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in turn.tool_calls
        ]
    if turn.tool_call_id is not None:
        written["tool_call_id"] = turn.tool_call_id
    return written


def write(example: RactoTrainingExample) -> dict[str, Any]:
    """`messages`, or `input` with two outputs when one answer is rejected."""
    functions = [{"type": "function", "function": tool} for tool in example.tools]
    tools = {"tools": functions} if functions else {}
    written = [message(turn) for turn in example.messages]
    if example.rejected is None:
        return {"messages": written, **tools}
    return {
        "input": {"messages": written[:-1], **tools},
        "preferred_output": written[-1:],
        "non_preferred_output": [message(example.rejected)],
    }


def read(record: dict[str, Any]) -> RactoTrainingExample:
    """The example of a record of either kind."""
    if "input" not in record:
        known(record, ("messages", "tools"), "it")
        return RactoTrainingExample(read_messages(record.get("messages")), read_tools(record))
    known(record, ("input", "preferred_output", "non_preferred_output"), "it")
    asked, better, worse = record["input"], record.get("preferred_output"), record.get("non_preferred_output")
    if not isinstance(asked, dict):
        raise wrong("input is no object")
    known(asked, ("messages", "tools"), "input")
    preferred, rejected = read_messages(better), read_messages(worse)
    if len(preferred) != 1 or len(rejected) != 1:
        raise wrong("each of the two outputs is one message")
    return RactoTrainingExample([*read_messages(asked.get("messages")), *preferred], read_tools(asked), rejected[0])


def read_messages(found: object) -> list[RactoTrainingMessage]:
    """The messages of a list."""
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise wrong("there is no list of messages")
    return [_message(each) for each in found]


def _message(found: dict[str, Any]) -> RactoTrainingMessage:
    known(found, ("role", "content", "tool_calls", "tool_call_id"), "a message")
    role, content = role_of(found.get("role")), found.get("content")
    if isinstance(content, list):
        if role == "user":
            return user_turn([_piece(part) for part in content])
        content = "".join(str(_piece(part)) for part in content)
    calls = [_call(each) for each in found.get("tool_calls") or ()]
    return RactoTrainingMessage(role, "" if content is None else content, [], calls, found.get("tool_call_id"))


def _piece(part: dict[str, Any]) -> str | RactoFile:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image_url", "image_url": {"url": str(uri)}}:
            return from_data_uri(uri)
        case {"type": "file", "file": {"file_data": str(uri), **about}}:
            return from_data_uri(uri, str(about.get("filename", "")))
    raise wrong("a part of a message is neither text, an image nor a file")


def _call(found: object) -> ToolCallResult:
    match found:
        case {"id": str(id), "function": {"name": str(name), "arguments": str(arguments)}}:
            try:
                given = json.loads(arguments)
            except ValueError:
                given = None
            if isinstance(given, dict):
                return ToolCallResult(id, name, given)
    raise wrong("a call of a tool has no id, name and arguments")


def read_tools(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The functions of a record."""
    tools = record.get("tools") or []
    if not all(isinstance(tool, dict) and isinstance(tool.get("function"), dict) for tool in tools):
        raise wrong("a tool is no function")
    return [tool["function"] for tool in tools]
