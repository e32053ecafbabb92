"""The older form of Gemini's records, for one question and one answer of text: `text_input` and `output`."""

from __future__ import annotations

from typing import Any

from ....knowledge.errors import InputError
from ..messages import RactoTrainingExample
from .parts import known, wrong


def write(example: RactoTrainingExample) -> dict[str, Any]:
    """The record of an example.

    :raises InputError: it is more than a question and its answer.
    """
    roles = [turn.role for turn in example.messages]
    plain = not (
        example.tools or example.rejected or any(turn.attachments or turn.tool_calls for turn in example.messages)
    )
    if roles != ["user", "assistant"] or not plain:
        raise InputError("gemini_text holds one question and one answer, both text.", "Use the format `gemini`.")
    return {"text_input": example.messages[0].content, "output": example.messages[1].content}


def read(record: dict[str, Any]) -> RactoTrainingExample:
    """The example of a record."""
    known(record, ("text_input", "output"), "it")
    asked, answered = record.get("text_input"), record.get("output")
    if not isinstance(asked, str) or not isinstance(answered, str):
        raise wrong("text_input and output are texts")
    return RactoTrainingExample.from_pair(asked, answered)
