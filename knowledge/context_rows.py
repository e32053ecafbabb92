"""The rows conversations are made of: written, read back, and read from the end."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from .errors import UnknownNameError, unknown_name
from .files import RactoFile
from .turns import message_tokens
from .vocabulary import Message, MessageRole, ToolCallResult

UNKNOWN = "und"
"""The language of what cannot be told to be in any (ISO 639-2)."""

_TITLE = 80

INFO = """SELECT c.id, c.name, c.title, c.summary, c.summarised, c.created_at, c.updated_at, c.deleted_at, c.languages,
    (SELECT coalesce(max(m.number), 0) FROM context_messages AS m WHERE m.context_id = c.id) FROM contexts AS c"""
MESSAGES = "SELECT id, number, role, content, details, created_at FROM context_messages WHERE context_id = ?"


@dataclass(frozen=True, slots=True)
class ContextInfo:
    """A conversation, without its messages.

    :param messages: How many there are; they are numbered from 1.
    :param summary: Of the first `summarised` messages, "" when there is none.
    :param created_at: ISO 8601, UTC; so are the others.
    :param deleted_at: `None` when it is not deleted.
    """

    name: str
    title: str
    messages: int
    summary: str
    summarised: int
    created_at: str
    updated_at: str
    deleted_at: str | None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message and its place in the conversation, counted from 1."""

    number: int
    message: Message
    created_at: str


class ContextRow(NamedTuple):
    """A row of `contexts`, and how many messages there are."""

    id: int
    name: str
    title: str
    summary: str
    summarised: int
    created_at: str
    updated_at: str
    deleted_at: str | None
    languages: str
    messages: int

    def info(self) -> ContextInfo:
        """The row as callers see it."""
        return ContextInfo(
            self.name,
            self.title,
            self.messages,
            self.summary,
            self.summarised,
            self.created_at,
            self.updated_at,
            self.deleted_at,
        )


_MessageRow = tuple[int, int, str, str, str, str]


def row_of(connection: sqlite3.Connection, name: str, owner: str) -> ContextRow | None:
    """The owner's context of this name, deleted or not."""
    row = connection.execute(f"{INFO} WHERE c.owner = ? AND c.name = ?", (owner, name)).fetchone()
    return ContextRow(*row) if row else None


def known(connection: sqlite3.Connection, name: str, owner: str) -> ContextRow:
    """The owner's context of this name, deleted or not.

    :raises UnknownNameError: there never was one.
    """
    row = row_of(connection, name, owner)
    if row is None:
        names = connection.execute("SELECT name FROM contexts WHERE owner = ? AND deleted_at IS NULL", (owner,))
        raise unknown_name("context", name, (other for (other,) in names))
    return row


def alive(connection: sqlite3.Connection, name: str, owner: str) -> ContextRow:
    """The owner's context of this name.

    :raises UnknownNameError: there is none, or it was deleted.
    """
    row = known(connection, name, owner)
    if row.deleted_at:
        raise deleted(name)
    return row


def deleted(name: str) -> UnknownNameError:
    """The error for a context that was deleted."""
    return UnknownNameError(f"The context {name!r} was deleted.", "Restore it, or use another name.")


def title_of(messages: Iterable[Message]) -> str:
    """What a conversation is called that was given no title."""
    said = next((each.content for each in messages if each.role is MessageRole.USER and each.content.strip()), "")
    return clean(" ".join(said.split())[:_TITLE])


def clean(text: str) -> str:
    """`text` without the halves of characters that providers sometimes send, which no UTF-8 file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def analysed(texts: Sequence[str], languages: Sequence[str]) -> list[tuple[str, str]]:
    """The language of each text, and its index terms.

    A text too short to tell, as most in a talk are, is in the language of the rest.

    :param languages: Those of the conversation so far.
    """
    from .analyser import detect_language, terms  # 20 ms, and reading needs none of it

    detected = [detect_language(text) for text in texts]
    usual = next((language for language in (*languages, *detected) if language not in ("", UNKNOWN)), UNKNOWN)
    return [
        (language or usual, " ".join(terms(text, language or usual)))
        for text, language in zip(texts, detected, strict=True)
    ]


def details(message: Message) -> dict[str, Any]:
    """What a message has beside its text and its files."""
    found: dict[str, Any] = {}
    if message.tool_calls:
        found["tool_calls"] = [asdict(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        found["tool_call_id"] = message.tool_call_id
    if message.native:
        found["native"] = message.native
    return found


def insert(
    connection: sqlite3.Connection, context: int, number: int, message: Message, language: str, terms: str, now: str
) -> None:
    """Write a message and its files."""
    inserted = connection.execute(
        """INSERT INTO context_messages (context_id, number, role, content, details, language, terms, created_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            context,
            number,
            message.role.value,
            clean(message.content),
            json.dumps(details(message)),
            language,
            terms,
            now,
        ),
    )
    connection.executemany(
        "INSERT INTO context_files (message_id, place, name, mime_type, data) VALUES (?, ?, ?, ?, ?)",
        [
            (inserted.lastrowid, place, clean(file.name), file.mime_type, file.data)
            for place, file in enumerate(message.attachments)
        ],
    )


def stored(connection: sqlite3.Connection, row: _MessageRow) -> StoredMessage:
    """A row of `MESSAGES` as a message, with its files."""
    identity, number, role, content, details, created_at = row
    about = json.loads(details)
    files = connection.execute(
        "SELECT data, mime_type, name FROM context_files WHERE message_id = ? ORDER BY place", (identity,)
    )
    message = Message(
        role=MessageRole(role),
        content=content,
        attachments=[RactoFile(*file) for file in files],
        tool_calls=[ToolCallResult(**call) for call in about.get("tool_calls", ())],
        tool_call_id=about.get("tool_call_id"),
        native=about.get("native", {}),
    )
    return StoredMessage(number, message, created_at)


def newest(
    connection: sqlite3.Connection,
    context: int,
    max_tokens: int | None,
    max_messages: int | None,
    count: Callable[[str], int],
) -> list[Message]:
    """As many whole units from the end as both limits allow, in their order."""
    kept: list[Message] = []
    tokens = 0
    for piece in _units_backwards(connection, context):
        tokens += sum(message_tokens(message, count) for message in piece)
        if max_tokens is not None and tokens > max_tokens:
            break
        if max_messages is not None and len(kept) + len(piece) > max_messages:
            break
        kept[:0] = piece
    return kept


def _units_backwards(connection: sqlite3.Connection, context: int) -> Iterator[list[Message]]:
    """What `turns.units` makes of a conversation, the last one first, read no further than is asked for."""
    piece: list[Message] = []
    for row in connection.execute(f"{MESSAGES} ORDER BY number DESC", (context,)):
        message = stored(connection, row).message
        piece.insert(0, message)
        if message.role is not MessageRole.TOOL:
            yield piece
            piece = []
    if piece:
        yield piece
