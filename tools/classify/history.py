"""The audit log of classifications, what people corrected, and the model trained on both, in racto's own database.

Nothing of a text is kept unless a pipeline is given a `History` as its `audit_logger`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ...knowledge.database import Database
from ...knowledge.errors import InputError, UnknownNameError, unknown_name
from .answers import AuditEntry

if TYPE_CHECKING:
    from .local_model import LocalClassifier

MOST = 100_000
"""Entries kept, and corrections; the oldest go."""


def option_set(labels: Iterable[str]) -> str:
    """The same for the same labels in any order."""
    return hashlib.sha256(json.dumps(sorted(labels)).encode()).hexdigest()


class History:
    """Entries and corrections. Both are only ever added, until the oldest go; what is added survives a crash.

    :param database: Where they are kept.
    :param most: Entries kept, and as many corrections.
    """

    def __init__(self, database: Database, *, most: int = MOST) -> None:
        self._database = database
        self._most = most

    def log(self, entry: AuditEntry) -> int:
        """Keep an entry.

        :returns: Its id.
        """
        with self._database.writing() as connection:
            row = connection.execute(
                "INSERT INTO classifications (options, entry) VALUES (?, ?)",
                (option_set(entry.options_provided), entry.model_dump_json()),
            ).lastrowid
            number = int(row or 0)
            connection.execute("DELETE FROM classifications WHERE id <= ?", (number - self._most,))
        return number

    def correct(self, entry_id: int, label: str, by: str) -> None:
        """Say which label a text has; the last word on an entry counts.

        :param by: Who says so.
        :raises UnknownNameError: there is no such entry, or it had no such label to choose.
        :raises InputError: nobody says so.
        """
        if not by.strip():
            raise InputError("Nobody made this correction.", "Say in `by` who did.")
        with self._database.writing() as connection:
            found = connection.execute(
                "SELECT options, entry FROM classifications WHERE id = ?", (entry_id,)
            ).fetchone()
            if found is None:
                raise UnknownNameError(f"There is no classification {entry_id}.", "Take an id of the audit log.")
            entry = AuditEntry.model_validate_json(found[1])
            if label not in entry.options_provided:
                raise unknown_name("label", label, entry.options_provided)
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            row = connection.execute(
                "INSERT INTO classification_corrections (entry_id, options, query, label, corrected_by, corrected_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (entry_id, found[0], entry.user_query, label, by, now),
            ).lastrowid
            connection.execute("DELETE FROM classification_corrections WHERE id <= ?", (int(row or 0) - self._most,))

    def entries(self, options: Iterable[str]) -> list[tuple[int, AuditEntry]]:
        """Ids and entries of a set of labels, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT id, entry FROM classifications WHERE options = ? ORDER BY id", (option_set(options),)
            ).fetchall()
        return [(number, AuditEntry.model_validate_json(entry)) for number, entry in rows]

    def corrections(self, options: Iterable[str]) -> dict[int, tuple[str, str]]:
        """Id of an entry → text and label, by the last word on it."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT entry_id, query, label FROM classification_corrections WHERE options = ? ORDER BY id",
                (option_set(options),),
            ).fetchall()
        return {number: (query, label) for number, query, label in rows}

    def labelled(self, options: Iterable[str]) -> list[tuple[str, str]]:
        """Texts with their labels, to learn from: what people said, and for other texts what a model said without doubt.

        What a local model answered is left out: it would learn from itself.
        """
        options = list(options)
        corrected = self.corrections(options)
        said = dict(corrected.values())
        learnt = {
            entry.user_query: entry.selected[0]
            for _, entry in self.entries(options)
            if entry.answered_by == "model" and len(entry.selected) == 1 and not entry.uncertain and not entry.error
        }
        return list({**learnt, **said}.items())

    def save(self, options: Iterable[str], model: LocalClassifier) -> None:
        """Keep a trained model; the one before goes."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._database.writing() as connection:
            connection.execute(
                "INSERT INTO classifier_models (options, model, trained_at) VALUES (?, ?, ?) "
                "ON CONFLICT (options) DO UPDATE SET model = excluded.model, trained_at = excluded.trained_at",
                (option_set(options), model.saved(), now),
            )

    def model(self, options: Iterable[str]) -> LocalClassifier | None:
        """The model that was trained for a set of labels.

        :raises CorruptError: it was written by another version.
        """
        from .local_model import loaded

        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT model FROM classifier_models WHERE options = ?", (option_set(options),)
            ).fetchone()
        return loaded(found[0]) if found else None
