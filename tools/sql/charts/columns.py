"""What the columns of a result are to a chart: measures, times, categories, or nothing that can be drawn.

Databases do not always say (SQLite keeps dates as text, a year is an integer), so the values and the name decide:

- a *time* is a date or timestamp, text that is one (`2013-08-29`, `2013-08-29 12:46`, `2013-08`, `8/29/2013`), or a year;
- an *ordinal* is a category with an order of its own: hours, months, weekdays, quarters (`2024-Q1`), ranges (`0-10`, `1990s`);
- an *id* is a number that only names a row or a place (`id`, `*_id`, `zip_code`): it is no measure;
- a *measure* is any other number, or a duration (in seconds);
- a *category* is text or a truth value;
- masked, binary and nested values are *nothing*.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from ..policy import MASK
from .words import Unit, title_of

if TYPE_CHECKING:
    from ..results import QueryResult

Role = Literal["measure", "time", "ordinal", "category", "id", "nothing"]

LARGEST = 1e150
"""No larger number is drawn: sums and differences of such still are numbers."""

_ISO = re.compile(r"\d{4}-\d\d(-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?\s?(Z|[+-]\d\d(:?\d\d)?)?)?)?")
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: (\d{1,2}):(\d\d)(?::(\d\d))?)?")
_RANGE = re.compile(r"[<>≤≥]?=?\s*(-?\d+(?:\.\d+)?)\s*(?:[-–+%].*|to .*|s|)")
_NUMBERED = re.compile(
    r"(?:(\d{4})[-/ ]?)?(?:Q|H|W|D|wk|week|quarter|half|day|month|hour)[- ]?(\d{1,2})(?:[-/ ](\d{4}))?", re.IGNORECASE
)
_ID = re.compile(r"(^|_)(id|key|uuid|guid|code|zip|phone|isbn|sku|ssn|number|no)$|^(zip|postal)", re.IGNORECASE)
_ID_CAMEL = re.compile(r"[a-z](Id|ID|Key|Code|Number)$")
_YEAR = re.compile(r"(^|_)(year|yr|season)(_|$)", re.IGNORECASE)
_PART = re.compile(
    r"(^|_)(month|week|weekday|day|dow|hour|minute|quarter|qtr|decade|century|rank|bucket|bin|decile|quartile)(_|$)",
    re.IGNORECASE,
)
_NOT_ADDED = re.compile(
    r"(^|[^a-z])(avg|average|mean|median|rate|ratio|percent|percentage|pct|share|price|min|max|minimum|maximum|temperature|"
    r"age|score|rank|rating|per|lat|latitude|long|lon|lng|longitude|humidity|pressure|speed|std|stddev|variance|length)([^a-z]|$)"
    r"|^(max|min|avg|mean)|%",
    re.IGNORECASE,
)
_ORDERS = (
    ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"),
    ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A column of a result as a chart sees it.

    :param raw: Its values as the database gave them, a row each.
    """

    name: str
    role: Role
    raw: Sequence[Any]
    times: Sequence[datetime | None] = ()
    aware: bool = False

    @property
    def title(self) -> str:
        """What stands at its axis."""
        suffix = " (s)" if any(isinstance(value, timedelta) for value in self.raw) else " (UTC)" if self.aware else ""
        return title_of(self.name) + suffix

    @cached_property
    def numbers(self) -> list[float | None]:
        """Its values as floats; `None` where there is none, or none that is finite."""
        return [number(value) for value in self.raw]

    @property
    def values(self) -> Sequence[Any]:
        """Its values as they are drawn: times, numbers, or as they are."""
        return self.times or (self.numbers if self.numeric else self.raw)

    @cached_property
    def numeric(self) -> bool:
        """Whether every value is a number or a duration."""
        return self.role != "nothing" and any(each is not None for each in self.raw) and all(map(_is_number, self.raw))

    @cached_property
    def distinct(self) -> int:
        """How many different values."""
        return len({str(value) for value in self.raw})

    @cached_property
    def unit(self) -> Unit:
        """The coarsest unit that tells its times apart."""
        times = {when for when in self.times if when is not None}
        if any(when.second or when.microsecond for when in times):
            return "second"
        if any(when.minute or when.hour for when in times):
            return "minute"
        if len(times) < 2 and not _YEAR.search(self.name):
            return "day"
        if any(when.day > 1 for when in times):
            return "day"
        return "month" if any(when.month > 1 for when in times) else "year"

    @property
    def additive(self) -> bool:
        """Whether adding its values up means something; means and prices are averaged."""
        return self.role != "id" and not _NOT_ADDED.search(self.name)


@dataclass(frozen=True)
class Columns:
    """The columns a chart shows, by what they are to it."""

    x: Field | None
    ys: tuple[Field, ...]
    color: Field | None = None

    @property
    def along(self) -> Field:
        """`x`, which only boxes and violins can do without."""
        assert self.x is not None
        return self.x


def fields(result: QueryResult) -> list[Field]:
    """The columns of a result."""
    return [
        _field(column.name, column.type, [row[at] for row in result.rows]) for at, column in enumerate(result.columns)
    ]


def _field(name: str, kind: str, raw: list[Any]) -> Field:
    if any(value == "" for value in raw) and any(isinstance(value, int | float) for value in raw):
        raw = [None if value == "" else value for value in raw]  # SQLite keeps what a CSV file left empty as text
    values = [value for value in raw if value is not None]
    if not values or any(isinstance(value, bytes | bytearray | list | dict | memoryview) for value in values):
        return Field(name, "nothing", raw)
    if any(value == MASK for value in values if isinstance(value, str)) and all(value == MASK for value in values):
        return Field(name, "nothing", raw)
    times = _times(name, values)
    if times:
        found = iter(times)
        aware = any(getattr(value, "tzinfo", None) for value in values)
        return Field(name, "time", raw, [None if value is None else next(found) for value in raw], aware)
    if all(map(_is_number, values)):
        if not any(number(value) is not None for value in values):
            return Field(name, "nothing", raw)
        if _ID.search(name) or _ID_CAMEL.search(name):
            return Field(name, "id", raw)
        whole = all(value == int(value) for value in values if isinstance(value, int)) and all(
            isinstance(value, int) for value in values
        )
        return Field(name, "ordinal" if whole and _PART.search(name) else "measure", raw)
    if all(isinstance(value, time) for value in values) or order(values) is not None:
        return Field(name, "ordinal", raw)
    return Field(name, "category", raw)


def order(values: Sequence[Any]) -> dict[Any, float] | None:
    """The places of categories that have an order of their own; `None` when they have none."""
    if all(_is_number(value) for value in values):
        return {value: number(value) or 0.0 for value in values}
    if all(isinstance(value, time) for value in values):
        return {value: value.hour * 3600 + value.minute * 60 + value.second for value in values}
    if not all(isinstance(value, str) for value in values):
        return None
    values = list(dict.fromkeys(values))
    for words in _ORDERS:
        if _place(values[0].strip().lower(), words) is None:
            continue
        places = {value: _place(value.strip().lower(), words) for value in values}
        if None not in places.values():
            return {value: float(place) for value, place in places.items() if place is not None}
    numbered = (
        [_NUMBERED.fullmatch(value.strip()) for value in values] if _NUMBERED.fullmatch(values[0].strip()) else []
    )
    if numbered and all(numbered):
        parts = [match.groups(default="0") for match in numbered if match]
        return {
            value: int(year) + int(after) + int(at) / 100
            for value, (year, at, after) in zip(values, parts, strict=True)
        }
    if not _RANGE.fullmatch(values[0].strip()):
        return None
    found = {value: _RANGE.fullmatch(value.strip()) for value in values}
    if len(found) > 1 and all(found.values()):
        return {value: float(match[1]) - value.strip().startswith("<") for value, match in found.items() if match}
    return None


def _place(word: str, among: Sequence[str]) -> int | None:
    if len(word) < 3:
        return None
    return next((at for at, full in enumerate(among) if full.startswith(word.rstrip("."))), None)


def number(value: Any) -> float | None:
    """A value as a float, if it is a number that can be drawn; a duration in seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, int | float | Decimal):
        return None
    try:
        found = float(value)
    except (OverflowError, ValueError):
        return None
    return found if abs(found) <= LARGEST else None


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal | timedelta) and not isinstance(value, bool))


def _times(name: str, values: Sequence[Any]) -> list[datetime] | None:
    """The values as times without a zone (UTC where they had one), when every one of them is a time."""
    first = values[0]
    try:
        if isinstance(first, date):
            return [_plain(value) for value in values]
        if isinstance(first, int) and _YEAR.search(name):
            return [datetime(value, 1, 1) for value in values if 1000 <= value <= 2999 or _no()]
        if isinstance(first, str) and _ISO.fullmatch(first.strip()):
            return [_iso(value.strip()) for value in values]
        if isinstance(first, str) and _SLASHED.fullmatch(first.strip()):
            return _slashed(values)
        if isinstance(first, str) and _YEAR.search(name):
            return [datetime(int(value), 1, 1) for value in values if re.fullmatch(r"[12]\d{3}", value) or _no()]
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    return None


def _no() -> bool:
    raise ValueError("not a time")


def _plain(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _iso(value: str) -> datetime:
    if not _ISO.fullmatch(value):
        raise ValueError(value)
    return _plain(datetime.fromisoformat(value if len(value) > 7 else f"{value}-01"))


def _slashed(values: Sequence[str]) -> list[datetime] | None:
    """Dates with slashes, if one of them tells whether the day or the month comes first."""
    parts = [
        [int(part or 0) for part in match.groups()] for value in values if (match := _SLASHED.fullmatch(value.strip()))
    ]
    if len(parts) != len(values):
        return None
    day_first, month_first = any(part[0] > 12 for part in parts), any(part[1] > 12 for part in parts)
    if day_first == month_first:
        return None
    return [
        datetime(year, second if day_first else first, first if day_first else second, hour, minute, seconds)
        for first, second, year, hour, minute, seconds in parts
    ]
