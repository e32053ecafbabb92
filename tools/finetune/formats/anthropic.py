"""Anthropic's records, as Claude is tuned with on Bedrock: `messages`, and `system` when there is one.

Source: docs.aws.amazon.com/bedrock/latest/userguide/model-customization-prepare.html.
"""

from __future__ import annotations

from typing import Any

from ....knowledge.errors import InputError
from ....knowledge.files import RactoFile, anthropic_block
from ....knowledge.vocabulary import ToolCallResult
from ..messages import RactoTrainingExample, RactoTrainingMessage
from .parts import from_base64, known, role_of, user_turn, wrong


def message(turn: RactoTrainingMessage) -> dict[str, Any]:
    """A message of Anthropic's API; the result of a call is a turn of the user there."""
    if turn.role == "tool":
        block = {"type": "tool_result", "tool_use_id": turn.tool_call_id, "content": turn.content}
        return {"role": "user", "content": [block]}
    if not turn.attachments and not turn.tool_calls:
        return {"role": turn.role, "content": turn.content}
    blocks = [anthropic_block(file) for file in turn.attachments]
    if turn.content or turn.attachments:
        blocks.append({"type": "text", "text": turn.content})
    blocks += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in turn.tool_calls
    ]
    return {"role": turn.role, "content": blocks}


def write(example: RactoTrainingExample) -> dict[str, Any]:
    """The record of an example.

    :raises InputError: it is a preference.
    """
    if example.rejected is not None:
        raise InputError(
            "Anthropic's records hold no preferences.", "Use the format openai_dpo, together or fireworks."
        )
    messages: list[dict[str, Any]] = []
    for before, turn in zip([None, *example.turns], example.turns, strict=False):
        written = message(turn)
        if before is not None and before.role == turn.role == "tool":
            messages[-1]["content"] += written["content"]  # results of calls made together come together
        else:
            messages.append(written)
    record: dict[str, Any] = {"system": example.system} if example.system else {}
    if example.tools:
        record["tools"] = [
            {("input_schema" if name == "parameters" else name): value for name, value in tool.items()}
            for tool in example.tools
        ]
    return {**record, "messages": messages}


def read(record: dict[str, Any]) -> RactoTrainingExample:
    """The example of a record."""
    known(record, ("system", "messages", "tools"), "it")
    found = record.get("messages")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise wrong("there is no list of messages")
    system = record.get("system", "")
    messages = [RactoTrainingMessage("system", system)] if system else []
    for each in found:
        messages += _turns(each)
    tools = [
        {("parameters" if name == "input_schema" else name): value for name, value in tool.items()}
        for tool in record.get("tools", ())
    ]
    return RactoTrainingExample(messages, tools)


def _turns(found: dict[str, Any]) -> list[RactoTrainingMessage]:
    known(found, ("role", "content"), "a message")
    role, content = role_of(found.get("role"), {"user": "user", "assistant": "assistant"}), found.get("content")
    if isinstance(content, str):
        return [RactoTrainingMessage(role, content)]
    results: list[RactoTrainingMessage] = []
    pieces: list[str | RactoFile] = []
    calls: list[ToolCallResult] = []
    for block in content or ():
        match block:
            case {"type": "tool_result", "tool_use_id": str(id), "content": str(text)}:
                results.append(RactoTrainingMessage("tool", text, tool_call_id=id))
            case {"type": "tool_use", "id": str(id), "name": str(name), "input": dict(arguments)}:
                calls.append(ToolCallResult(id, name, arguments))
            case {"type": "text", "text": str(text)}:
                pieces.append(text)
            case {
                "type": "image" | "document",
                "source": {"type": "base64", "media_type": str(kind), "data": str(data)},
            }:
                pieces.append(from_base64(kind, data))
            case _:
                raise wrong("a block of a message is none that can be trained on")
    if role == "assistant":
        if any(isinstance(piece, RactoFile) for piece in pieces):
            raise wrong("a file is in the assistant's turn")
        return [RactoTrainingMessage(role, "".join(map(str, pieces)), tool_calls=calls)]
    return [*results, user_turn(pieces)] if pieces or not results else results
