"""Questions and the queries a person approved as their answers, kept in racto's own database."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from ...knowledge.database import Database
from ...knowledge.errors import InputError, LimitError, QueryError, UnknownNameError
from .semantics import Semantics
from .words import WordIndex

LONGEST_QUESTION = 1_000
LONGEST_SQL = 20_000
LONGEST_NOTE = 1_000
MOST = 1_000
"""Queries kept for one database; each question is compared with all of them."""
_SPACING = frozenset("\n\r\t\u200c\u200d")
"""Invisible characters that hide nothing: line breaks, and what joins letters of Persian or parts of an emoji."""
_TRIED = 20  # of the likest: how many are checked until there are enough


class Guarded(Protocol):
    """The database a query is for: `source.Source`."""

    name: str

    def check(self, sql: str) -> None:
        """Raise `QueryError` when a query may not be run."""
        ...

    def semantics(self) -> Semantics:
        """What its owner says about it."""
        ...


@dataclass(frozen=True, slots=True)
class VerifiedQuery:
    """A question and its query.

    :param source: The name of the database.
    :param approved_at: ISO 8601, UTC.
    """

    id: int
    source: str
    question: str
    sql: str
    note: str
    approved_by: str
    approved_at: str


class VerifiedQueries:
    """The approved queries of all databases. Nobody but a person approves: whoever calls `save` has asked one.

    :param database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, source: Guarded, question: str, sql: str, *, approved_by: str, note: str = "") -> VerifiedQuery:
        """Keep a query; another one for the same question is replaced.

        :param approved_by: Who said that it answers the question.
        :raises InputError: something is empty, too long, or not to be seen.
        :raises QueryRefusedError: the guard does not let it through.
        :raises LimitError: there are `MOST` of that database already.
        """
        question = self.check(source, question, sql, note)
        _check_text("approved_by", approved_by, LONGEST_NOTE)
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._database.writing() as connection:
            (others,) = connection.execute(
                "SELECT count(*) FROM verified_queries WHERE source = ? AND question <> ?", (source.name, question)
            ).fetchone()
            if others >= MOST:
                raise LimitError(f"{source.name} has {MOST:,} verified queries already.", "Delete one first.")
            (number,) = connection.execute(
                "INSERT INTO verified_queries (source, question, sql, note, approved_by, approved_at) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (source, question) DO UPDATE SET sql = excluded.sql, note = excluded.note, "
                "approved_by = excluded.approved_by, approved_at = excluded.approved_at RETURNING id",
                (source.name, question, sql.strip(), note.strip(), approved_by.strip(), now),
            ).fetchone()
        return VerifiedQuery(number, source.name, question, sql.strip(), note.strip(), approved_by.strip(), now)

    def check(self, source: Guarded, question: str, sql: str, note: str = "") -> str:
        """Whether these could be kept: what a person is shown before approving is what is kept.

        :returns: The question on one line.
        :raises InputError: something is empty, too long, or not to be seen.
        :raises QueryRefusedError: the guard does not let the query through.
        """
        question = " ".join(question.split())
        _check_text("question", question, LONGEST_QUESTION)
        _check_text("sql", sql, LONGEST_SQL)
        if note.strip():
            _check_text("note", note, LONGEST_NOTE)
        source.check(sql)
        return question

    def listed(self, source: str | None = None) -> list[VerifiedQuery]:
        """Those of one database by its name, or all; the newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, source, question, sql, note, approved_by, approved_at FROM verified_queries "
                "WHERE ?1 IS NULL OR source = ?1 ORDER BY approved_at DESC, id DESC",
                (source,),
            )
            return [VerifiedQuery(*row) for row in rows]

    def examples(self, source: Guarded, question: str, limit: int = 3) -> list[tuple[str, str]]:
        """Questions like this one and their queries, the likest first: approved ones, and those of the database's owner.

        One that the guard refuses today, because a table is gone or hidden, is left out.
        """
        known = [(one.question, one.sql) for one in source.semantics().questions]
        known += [(one.question, one.sql) for one in self.listed(source.name)]
        found: list[tuple[str, str]] = []
        for place, _ in WordIndex([(1.0, asked)] for asked, _ in known).find(question, _TRIED):
            if len(found) == limit:
                break
            try:
                source.check(known[place][1])
            except QueryError:
                continue
            found.append(known[place])
        return found

    def delete(self, number: int) -> VerifiedQuery:
        """Forget one by its id.

        :raises UnknownNameError: there is none with that id.
        """
        with self._database.writing() as connection:
            row = connection.execute(
                "DELETE FROM verified_queries WHERE id = ? "
                "RETURNING id, source, question, sql, note, approved_by, approved_at",
                (number,),
            ).fetchone()
        if row is None:
            raise UnknownNameError(f"There is no verified query {number}.", "List them for their ids.")
        return VerifiedQuery(*row)


def _check_text(what: str, text: str, longest: int) -> None:
    if not text.strip():
        raise InputError(f"{what!r} is empty.", "Give the question, its query, and who approved it.")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cf") and character not in _SPACING:
            raise InputError(f"There is an invisible character (U+{ord(character):04X}) in {what!r}.", "Leave it out.")
    if len(text) > longest:
        raise InputError(f"{what!r} is {len(text):,} characters long.", f"It may be {longest:,}.")
