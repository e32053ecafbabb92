"""Which documents a search may look at, said once and translated to SQL."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, TypedDict

from .errors import InputError

_ALWAYS = 2**63 - 1  # nanoseconds: beyond the year 2262 SQLite has no integers, and files no dates


class FilterArguments(TypedDict, total=False):
    """The filters as keyword arguments; see `Filters` for what each means."""

    source: str | None
    type: str | None
    after: date | str | None
    before: date | str | None
    metadata: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a document must be like. What is `None` or empty asks nothing.

    :param source: A path, label, file name or document id; a folder, for all below it; or a pattern with `*`, `?`, `[…]`.
    :param type: MIME type (`application/pdf`), its second half (`pdf`), or a file extension (`md`).
    :param after: Changed at this time or later; a date is its midnight, and what names no time zone is UTC.
    :param before: Changed earlier than this.
    :param metadata: Each named value is equal; a number equals its digits (`2019` and `"2019"`).
    :raises InputError: a date that is none.
    """

    source: str | None = None
    type: str | None = None
    after: date | str | None = None
    before: date | str | None = None
    metadata: Mapping[str, Any] | None = None

    def clause(self) -> tuple[str, list[Any]]:
        """The filter as SQL over `documents`, starting with ` AND ` unless it is empty, and its parameters."""
        parts: list[str] = []
        values: list[Any] = []
        if self.source:
            condition, given = _source(self.source)
            parts.append(condition)
            values += given
        if self.type:
            kind = self.type.strip().lstrip(".").lower()
            parts.append("(type = ? OR substr(type, -length(?)) = ? OR substr(lower(source), -length(?)) = ?)")
            values += [kind, f"/{kind}", f"/{kind}", f".{kind}", f".{kind}"]
        for comparison, moment in ((">=", self.after), ("<", self.before)):
            if moment:
                parts.append(f"modified_ns {comparison} ?")
                values.append(_nanoseconds(moment))
        for key, value in (self.metadata or {}).items():
            condition, given = _equal(key, value)
            parts.append(condition)
            values += given
        return "".join(f" AND {part}" for part in parts), values


def _source(text: str) -> tuple[str, list[str]]:
    if not text.isascii():  # a name may be written with its accents in another form
        condition, values = _source_as_written(unicodedata.normalize("NFC", text))
        return re.sub(r"\b(source|name)\b", r"nfc(\1)", condition), values
    return _source_as_written(text)


def _source_as_written(text: str) -> tuple[str, list[str]]:
    if re.search(r"[*?\[]", text):
        return "(source = ? OR name = ? OR source GLOB ? OR name GLOB ?)", [text] * 4
    folder = text.rstrip("/\\") or text
    # A folder ends at a separator: `/data` is not above `/database/x`.
    below = "(substr(source, 1, length(?) + 1) IN (? || '/', ? || '\\'))"
    within = "(instr(source, '/' || ? || '/') > 0)"
    return f"(source = ? OR name = ? OR doc_id = ? OR {below} OR {within})", [
        text,
        text,
        text,
        folder,
        folder,
        folder,
        folder.strip("/"),
    ]


def _equal(key: str, value: Any) -> tuple[str, list[Any]]:
    found = "EXISTS (SELECT 1 FROM json_each(documents.metadata) AS m WHERE m.key = ? AND {})"
    if value is None or isinstance(value, bool):
        return found.format("m.type = ?"), [key, json.dumps(value)]
    if isinstance(value, int | float):
        return found.format("(m.type IN ('integer', 'real') AND m.atom = ? OR m.atom = ?)"), [key, value, str(value)]
    return found.format("m.type NOT IN ('true', 'false') AND CAST(m.atom AS TEXT) = ?"), [key, str(value)]


def _nanoseconds(moment: date | str) -> int:
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment.strip())
        except ValueError:
            raise InputError(
                f"{moment!r} is not a date.", "Write it as 2026-01-31 or 2026-01-31T14:00:00+01:00."
            ) from None
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(-_ALWAYS, min(_ALWAYS, round(moment.timestamp() * 1_000_000) * 1000))
