"""Amazon Nova's records on Bedrock: the schema `bedrock-conversation-2024`.

Source: docs.aws.amazon.com/nova/latest/userguide/fine-tune-prepare-data-understanding.html.
"""

from __future__ import annotations

from typing import Any

from ....knowledge.errors import InputError
from ....knowledge.files import RactoFile
from ....knowledge.vocabulary import ToolCallResult
from ..messages import RactoTrainingExample, RactoTrainingMessage
from .parts import from_base64, known, role_of, user_turn, wrong

_SCHEMA = "bedrock-conversation-2024"


def write(example: RactoTrainingExample) -> dict[str, Any]:
    """The record of an example.

    :raises InputError: it is a preference, or holds a file that is neither text, an image nor a PDF.
    """
    if example.rejected is not None:
        raise InputError("Bedrock's records hold no preferences.", "Use the format openai_dpo, together or fireworks.")
    messages: list[dict[str, Any]] = []
    before = ""
    for turn in example.turns:
        if before == turn.role == "tool":
            messages[-1]["content"] += _blocks(turn)  # results of calls made together come together
        else:
            messages.append({"role": "assistant" if turn.role == "assistant" else "user", "content": _blocks(turn)})
        before = turn.role
    record: dict[str, Any] = {"schemaVersion": _SCHEMA}
    if example.system:
        record["system"] = [{"text": example.system}]
    record["messages"] = messages
    if example.tools:
        record["toolConfig"] = {"tools": [_tool(tool) for tool in example.tools]}
    return record


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    spec = {name: value for name, value in tool.items() if name != "parameters"}
    return {"toolSpec": {**spec, **({"inputSchema": {"json": tool["parameters"]}} if "parameters" in tool else {})}}


def _blocks(turn: RactoTrainingMessage) -> list[dict[str, Any]]:
    if turn.role == "tool":
        return [{"toolResult": {"toolUseId": turn.tool_call_id, "content": [{"text": turn.content}]}}]
    blocks = [_file(file) for file in turn.attachments]
    if turn.content or not turn.tool_calls:
        blocks.append({"text": turn.content})
    calls = [
        {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}} for call in turn.tool_calls
    ]
    return blocks + calls


def _file(file: RactoFile) -> dict[str, Any]:
    if file.is_text:
        return {"text": file.text}
    kind, source = file.media_type.rpartition("/")[2], {"bytes": file.base64_data}
    if file.is_image:
        return {"image": {"format": kind, "source": source}}
    if file.is_pdf:
        return {"document": {"format": kind, "name": file.name or "document", "source": source}}
    raise InputError(f"Bedrock takes text, images and PDF, not {file.media_type}.", "Attach its text instead.")


def read(record: dict[str, Any]) -> RactoTrainingExample:
    """The example of a record."""
    known(record, ("schemaVersion", "system", "messages", "toolConfig"), "it")
    messages: list[RactoTrainingMessage] = []
    match record.get("system"):
        case None | []:
            pass
        case [{"text": str(text)}]:
            messages.append(RactoTrainingMessage("system", text))
        case _:
            raise wrong("system is not one text")
    found = record.get("messages")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise wrong("there is no list of messages")
    for each in found:
        messages += _turns(each)
    return RactoTrainingExample(
        messages, [_read_tool(tool) for tool in (record.get("toolConfig") or {}).get("tools", ())]
    )


def _read_tool(found: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(found.get("toolSpec"), dict):
        raise wrong("a tool has no toolSpec")
    spec = dict(found["toolSpec"])
    schema = spec.pop("inputSchema", None)
    return spec if schema is None else {**spec, "parameters": schema["json"]}


def _turns(found: dict[str, Any]) -> list[RactoTrainingMessage]:
    role = role_of(found.get("role"), {"user": "user", "assistant": "assistant"})
    results: list[RactoTrainingMessage] = []
    pieces: list[str | RactoFile] = []
    calls: list[ToolCallResult] = []
    for block in found.get("content") or ():
        match block:
            case {"text": str(text)}:
                pieces.append(text)
            case {"image": {"format": str(kind), "source": {"bytes": str(data)}}}:
                pieces.append(from_base64(f"image/{kind}", data))
            case {"document": {"format": "pdf", "source": {"bytes": str(data)}, **about}}:
                pieces.append(from_base64("application/pdf", data, str(about.get("name", ""))))
            case {"toolUse": {"toolUseId": str(id), "name": str(name), "input": dict(arguments)}}:
                calls.append(ToolCallResult(id, name, arguments))
            case {"toolResult": {"toolUseId": str(id), "content": [{"text": str(text)}]}}:
                results.append(RactoTrainingMessage("tool", text, tool_call_id=id))
            case _:
                raise wrong("a block of a message is none that can be read, or its file is in S3")
    if role == "assistant":
        if any(isinstance(piece, RactoFile) for piece in pieces):
            raise wrong("a file is in the assistant's turn")
        return [RactoTrainingMessage(role, "".join(map(str, pieces)), tool_calls=calls)]
    return [*results, user_turn(pieces)] if pieces or not results else results
