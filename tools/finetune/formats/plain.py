"""Plain JSONL, as local trainers read it: `messages`, or `prompt`, `chosen` and `rejected` (TRL's conversational forms).

`prompt` and `completion`, or `user` and `assistant`, are read too.
"""

from __future__ import annotations

from typing import Any

from ..messages import RactoTrainingExample
from .openai import message, read_messages, read_tools
from .openai import write as write_chat
from .parts import known, wrong

_PAIRS = (("prompt", "completion"), ("user", "assistant"))


def write(example: RactoTrainingExample) -> dict[str, Any]:
    """The record of an example."""
    if example.rejected is None:
        return write_chat(example)
    written = [message(turn) for turn in example.messages]
    functions = [{"type": "function", "function": tool} for tool in example.tools]
    tools = {"tools": functions} if functions else {}
    return {"prompt": written[:-1], "chosen": written[-1:], "rejected": [message(example.rejected)], **tools}


def read(record: dict[str, Any]) -> RactoTrainingExample:
    """The example of a record."""
    if "chosen" in record:
        known(record, ("prompt", "chosen", "rejected", "tools"), "it")
        chosen, rejected = read_messages(record["chosen"]), read_messages(record.get("rejected"))
        if len(chosen) != 1 or len(rejected) != 1:
            raise wrong("chosen and rejected are one message each")
        return RactoTrainingExample([*read_messages(record.get("prompt")), *chosen], read_tools(record), rejected[0])
    for asked, answered in _PAIRS:
        if isinstance(record.get(asked), str) and isinstance(record.get(answered), str):
            known(record, (asked, answered, "system"), "it")
            return RactoTrainingExample.from_pair(record[asked], record[answered], system=record.get("system") or "")
    known(record, ("messages", "tools"), "it")
    return RactoTrainingExample(read_messages(record.get("messages")), read_tools(record))
