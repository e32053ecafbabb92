"""Conversations in the SQLite file: added to, read in windows, searched, summed up, deleted and brought back, exported.

A context belongs to its owner; nobody else sees it or can tell that it is there. Messages are never changed.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal

from . import context_rows as rows
from .context_rows import ContextInfo, StoredMessage
from .database import Database
from .errors import InputError
from .turns import estimate, from_a_question, message_tokens, transcript, units
from .vocabulary import Message, MessageRole

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

_SEARCH = """SELECT c.name, m.number, m.role, m.created_at, m.content, m.language, bm25(context_index) AS badness
    FROM context_index JOIN context_messages AS m ON m.id = context_index.rowid JOIN contexts AS c ON c.id = m.context_id
    WHERE context_index MATCH :query AND c.owner = :owner AND c.deleted_at IS NULL AND :name IN ('', c.name)
    ORDER BY badness, m.id DESC LIMIT :limit"""

Summariser = Callable[[str, Sequence[Message]], Awaitable[str]]
"""Makes a new summary from the one so far ("" at first) and the messages it does not cover yet."""


@dataclass(frozen=True, slots=True)
class ContextHit:
    """A message that was found.

    :param score: Higher is better; comparable within one search.
    :param snippet: The best stretch, with the words looked for marked `**so**`.
    """

    context: str
    number: int
    role: str
    created_at: str
    snippet: str
    score: float


class ContextStore:
    """The conversations of one database.

    :param database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, name: str, *messages: Message, owner: str = "", title: str = "") -> ContextInfo:
        """Add messages to the end of a conversation, which is begun when there is none of this name; all of them or none.

        :param name: 1-128 of letters, digits, `.`, `_` and `-`; "" begins one under a new name.
        :param title: Of a new conversation; by default the beginning of what the user first says.
        :raises InputError: the name is not one.
        :raises UnknownNameError: the conversation was deleted.
        """
        name = name or secrets.token_hex(6)
        if not NAME.fullmatch(name):
            raise InputError(f"{name[:80]!r} cannot name a context.", "Use 1 to 128 of A-Z, a-z, 0-9, ., _ and -.")
        with self._database.reading() as connection:
            before = rows.row_of(connection, name, owner)
        # Before the file is locked: this takes longer than writing.
        analysed = rows.analysed(
            [rows.clean(message.content) for message in messages], before.languages.split() if before else []
        )
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._database.writing() as connection:
            row = rows.row_of(connection, name, owner)
            if row is None:
                connection.execute(
                    """INSERT INTO contexts (owner, name, title, languages, summary, summarised, created_at, updated_at)
                    VALUES (?, ?, ?, '', '', 0, ?, ?)""",
                    (owner, name, title or rows.title_of(messages), now, now),
                )
                row = rows.known(connection, name, owner)
            elif row.deleted_at:
                raise rows.deleted(name)
            for number, (message, (language, terms)) in enumerate(
                zip(messages, analysed, strict=True), row.messages + 1
            ):
                rows.insert(connection, row.id, number, message, language, terms, now)
            languages = " ".join(dict.fromkeys([*row.languages.split(), *(language for language, _ in analysed)]))
            title = row.title or rows.title_of(messages)
            connection.execute(
                "UPDATE contexts SET updated_at = ?, languages = ?, title = ? WHERE id = ?",
                (now, languages, title, row.id),
            )
            return rows.known(connection, name, owner).info()

    def find(self, owner: str = "", *, deleted: bool = False, limit: int = 50, offset: int = 0) -> list[ContextInfo]:
        """The owner's conversations, the one last added to first.

        :param deleted: Those that were deleted, instead of the others.
        """
        where = f"c.owner = ? AND c.deleted_at IS {'NOT NULL' if deleted else 'NULL'}"
        with self._database.reading() as connection:
            found = connection.execute(
                f"{rows.INFO} WHERE {where} ORDER BY c.updated_at DESC, c.id DESC LIMIT ? OFFSET ?",
                (owner, limit, offset),
            )
            return [rows.ContextRow(*row).info() for row in found]

    def get(self, name: str, owner: str = "") -> ContextInfo:
        """One conversation, without its messages.

        :raises UnknownNameError: the owner has none of this name, or it was deleted.
        """
        with self._database.reading() as connection:
            return rows.alive(connection, name, owner).info()

    def read(self, name: str, owner: str = "", *, first: int = 1, limit: int = 100) -> list[StoredMessage]:
        """Messages of a conversation in their order, from number `first` on.

        :raises UnknownNameError: the owner has none of this name, or it was deleted.
        """
        with self._database.reading() as connection:
            context = rows.alive(connection, name, owner).id
            found = connection.execute(
                f"{rows.MESSAGES} AND number >= ? ORDER BY number LIMIT ?", (context, first, limit)
            )
            return [rows.stored(connection, row) for row in found.fetchall()]

    def window(
        self,
        name: str,
        owner: str = "",
        *,
        max_tokens: int | None = None,
        max_messages: int | None = None,
        count: Callable[[str], int] = estimate,
    ) -> list[Message]:
        """The end of a conversation that fits, ready to be a call's `history`.

        It begins with a turn of the user's and never parts a tool's result from the call. Where it leaves out the beginning and there is
        a summary of that, the summary comes first.

        :param max_tokens: As `count` counts them, 4 more for each message; `None` for no limit.
        :param max_messages: `None` for no limit.
        :raises UnknownNameError: the owner has none of this name, or it was deleted.
        """
        with self._database.reading() as connection:
            row = rows.alive(connection, name, owner)
            recent = rows.newest(connection, row.id, max_tokens, max_messages, count)
            if len(recent) == row.messages:
                return recent
            if not row.summary:
                return from_a_question(recent)
            said = f"Summary of the conversation before this:\n{row.summary}"
            # It was made of what users said: it has no more authority than they.
            summary = Message(role=MessageRole.USER, content=said)
            left = None if max_tokens is None else max_tokens - message_tokens(summary, count)
            if left is not None and left < 0:
                return from_a_question(recent)
            room = None if max_messages is None else max_messages - 1
            return [summary, *from_a_question(rows.newest(connection, row.id, left, room, count))]

    def search(self, query: str, owner: str = "", *, name: str = "", limit: int = 10) -> list[ContextHit]:
        """The owner's messages that hold words of `query`, in any of their forms, the best first (Okapi BM25).

        :param name: In this conversation only.
        :raises UnknownNameError: the owner has none of this name, or it was deleted.
        """
        from .analyser import query_terms
        from .snippets import snippet

        with self._database.reading() as connection:
            if name:
                languages = set(rows.alive(connection, name, owner).languages.split())
            else:
                every = connection.execute("SELECT DISTINCT languages FROM contexts WHERE owner = ?", (owner,))
                languages = {language for (several,) in every for language in several.split()}
            wanted = set(query_terms(query, sorted(languages)))
            if not wanted:
                return []
            match = " OR ".join('"{}"'.format(term.replace('"', '""')) for term in sorted(wanted))
            found = connection.execute(
                _SEARCH, {"query": match, "owner": owner, "name": name, "limit": limit}
            ).fetchall()
        return [
            ContextHit(context, number, role, created_at, snippet(content, wanted, language), round(-badness, 4))
            for context, number, role, created_at, content, language, badness in found
        ]

    async def summarise(self, name: str, summariser: Summariser, owner: str = "", *, keep_last: int = 6) -> ContextInfo:
        """Sum up a conversation but for its last messages, going on from the summary there is.

        :param summariser: Is given the summary so far and the messages after it.
        :param keep_last: So many messages at the end are left out, or a few more where a cut would part a tool's result from its call.
        :raises UnknownNameError: the owner has none of this name, or it was deleted.
        """
        info = await asyncio.to_thread(self.get, name, owner)
        limit = info.messages - info.summarised
        stored = await asyncio.to_thread(self.read, name, owner, first=info.summarised + 1, limit=limit)
        pieces = units(each.message for each in stored)
        covered = sum(map(len, pieces))
        while pieces and covered > max(0, len(stored) - keep_last):
            covered -= len(pieces.pop())
        if not pieces:
            return info
        summary = await summariser(info.summary, [message for piece in pieces for message in piece])

        def keep() -> ContextInfo:
            with self._database.writing() as connection:
                # Of two that sum up at the same time the first is kept: the other began from what is no longer so.
                connection.execute(
                    "UPDATE contexts SET summary = ?, summarised = ? WHERE owner = ? AND name = ? AND summarised = ?",
                    (rows.clean(summary), info.summarised + covered, owner, name, info.summarised),
                )
                return rows.alive(connection, name, owner).info()

        return await asyncio.to_thread(keep)

    def delete(self, name: str, owner: str = "") -> ContextInfo:
        """Take a conversation out of sight; `restore` brings it back.

        :raises UnknownNameError: the owner has none of this name, or it was deleted already.
        """
        with self._database.writing() as connection:
            row = rows.alive(connection, name, owner)
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            connection.execute("UPDATE contexts SET deleted_at = ? WHERE id = ?", (now, row.id))
            return rows.known(connection, name, owner).info()

    def restore(self, name: str, owner: str = "") -> ContextInfo:
        """Bring a deleted conversation back; one that is not deleted stays as it is.

        :raises UnknownNameError: the owner never had one of this name.
        """
        with self._database.writing() as connection:
            row = rows.known(connection, name, owner)
            connection.execute("UPDATE contexts SET deleted_at = NULL WHERE id = ?", (row.id,))
            return rows.known(connection, name, owner).info()

    def export(self, name: str, owner: str = "", form: Literal["json", "text"] = "json") -> str:
        """A whole conversation as one text.

        :param form: `json` with everything in it, attachments as base-64; `text` to read.
        :raises UnknownNameError: the owner has none of this name, or it was deleted.
        """
        info = self.get(name, owner)
        stored = self.read(name, owner, limit=info.messages)
        if form == "text":
            return f"{info.title}\n\n{transcript(each.message for each in stored)}\n"
        messages = [
            {
                "number": each.number,
                "role": each.message.role.value,
                "content": each.message.content,
                "created_at": each.created_at,
                **rows.details(each.message),
                "attachments": [
                    {"name": file.name, "mime_type": file.mime_type, "data": file.base64_data}
                    for file in each.message.attachments
                ],
            }
            for each in stored
        ]
        return json.dumps({**asdict(info), "messages": messages}, indent=2, ensure_ascii=False)
