"""Where a conversation may be cut, and about how many tokens its turns are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import dropwhile

from .files import RactoFile
from .vocabulary import Message, MessageRole

PER_MESSAGE = 4
"""Tokens every provider spends on saying whose turn it is."""

_IMAGE = 1_600  # tokens: the most Anthropic and OpenAI count for one that is not too large
_PDF_START = 3_000
_PDF_BYTES = 25  # for each token

# How many quarters of a token a letter is: writing systems with thousands of letters are about a token each.
_HALF = re.compile("[\u0080-\u058f\u0590-\u0dff\u10a0-\u10ff\u1e00-\u1fff]")
_ASCII = re.compile("[\x00-\x7f]+")


def estimate(text: str) -> int:
    """About how many tokens a text is, without any tokenizer: a quarter for each ASCII character, a half for other alphabets, one
    for everything else (Chinese, Japanese, Korean, Thai, emoji)."""
    if text.isascii():
        return len(text) // 4
    ascii_count = sum(map(len, _ASCII.findall(text)))
    halves = len(_HALF.findall(text))
    return (ascii_count + 2 * halves + 4 * (len(text) - ascii_count - halves)) // 4


def message_tokens(message: Message, count: Callable[[str], int] = estimate) -> int:
    """About how many tokens a turn is, with its tool calls and attachments.

    :param count: Counts a text.
    """
    said = count(message.content) + count(message.tool_call_id or "")
    said += sum(
        count(f"{call.id}{call.name}{json.dumps(call.arguments, ensure_ascii=False)}") for call in message.tool_calls
    )
    # What only its provider understands is sent instead of the rest, not beside it.
    native = count(json.dumps(message.native, ensure_ascii=False)) if message.native else 0
    return PER_MESSAGE + max(said, native) + sum(file_tokens(file, count) for file in message.attachments)


def file_tokens(file: RactoFile, count: Callable[[str], int] = estimate) -> int:
    """About how many tokens an attachment is: a text as it is counted, an image as a large one, a PDF by its size in bytes."""
    if file.is_text:
        return count(file.text)
    if file.is_image:
        return _IMAGE
    if file.is_pdf:
        return max(_PDF_START, len(file.data) // _PDF_BYTES)
    return len(file.data)  # as base-64 text, which no tokenizer shortens much


def units(messages: Iterable[Message]) -> list[list[Message]]:
    """The pieces a conversation may be cut into: results of tools stay with the turn that asked for them."""
    pieces: list[list[Message]] = []
    for message in messages:
        if message.role is MessageRole.TOOL and pieces:
            pieces[-1].append(message)
        else:
            pieces.append([message])
    return pieces


def from_a_question(messages: Sequence[Message]) -> list[Message]:
    """What remains of a conversation whose beginning was cut off: a provider wants it to begin with the user."""
    return list(dropwhile(lambda message: message.role not in (MessageRole.USER, MessageRole.SYSTEM), messages))


def transcript(messages: Iterable[Message]) -> str:
    """A conversation as plain text, for people and for models that are to sum it up."""
    return "\n\n".join(f"{message.role.value}: {_said(message)}" for message in messages)


def _said(message: Message) -> str:
    calls = [f"[calls {call.name} {json.dumps(call.arguments, ensure_ascii=False)}]" for call in message.tool_calls]
    files = [f"[attached {file.name or file.mime_type}]" for file in message.attachments]
    return "\n".join([*([message.content] if message.content else []), *calls, *files])
