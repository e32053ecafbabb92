"""Results as files: CSV, JSON, Excel. A file gets its name when it is whole, so nobody ever sees half of one.

Values are exact. In CSV a text that begins with `=`, `+`, `-` or `@` stays as it is: a spreadsheet that opens the file may take it for a formula,
so whoever opens data of strangers in one should take the Excel file, where every text is a text.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ...knowledge.arriving import arriving
from ...knowledge.errors import ConfigError, InputError, LimitError

Rows = Sequence[Sequence[Any]]

_EXCEL_ROWS = 1_048_576  # with the header
_EXCEL_COLUMNS = 16_384
_EXCEL_TEXT = 32_767
_EXCEL_SHEET = 31
_CUT = " … [cut]"
_EXACT_IN_EXCEL = 10**15  # its numbers have 15 digits
_WIDEST = 60  # characters of a column
_EXCEL_FORMATS: Mapping[type, str] = {
    date: "yyyy-mm-dd",
    datetime: "yyyy-mm-dd hh:mm:ss",
    time: "hh:mm:ss",
    timedelta: "[h]:mm:ss",
}


def jsonable(value: Any) -> Any:
    """A value of a result as JSON has it.

    Dates and times become ISO 8601, durations seconds, bytes hexadecimal digits. A `Decimal` becomes a number where a double is exactly it, otherwise its digits as
    text; what is not a number becomes `"NaN"`, `"Infinity"` or `"-Infinity"`.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _not_finite(value)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(one) for one in value]
    return str(value)


def csv_text(names: Sequence[str], rows: Rows) -> str:
    """The rows below their header as RFC 4180 has it, with `\\n`; what is null is empty, lists and objects are JSON."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def json_text(names: Sequence[str], rows: Rows, *, indent: int | None = 2) -> str:
    """The rows as an array of objects; see `jsonable`."""
    records = [{name: jsonable(value) for name, value in zip(names, row, strict=True)} for row in rows]
    return json.dumps(records, ensure_ascii=False, indent=indent)


def excel(names: Sequence[str], rows: Rows, *, sheet_name: str = "Results") -> bytes:
    """The rows as an `.xlsx` workbook of one sheet: numbers, dates and truth values as such, every text as text and never a formula or link.

    Times with an offset are given in UTC, as Excel has no offsets; integers of more than 15 digits as text, as Excel would round them;
    a text too long for a cell is cut, and ends in `… [cut]`.

    :raises InputError: Excel takes no sheet of this name.
    :raises LimitError: it has more rows or columns than a sheet.
    :raises ConfigError: XlsxWriter is not installed.
    """
    _check_sheet(sheet_name)
    if len(rows) >= _EXCEL_ROWS or len(names) > _EXCEL_COLUMNS:
        raise LimitError(
            f"A sheet of Excel has no room for {len(rows)} rows and {len(names)} columns.",
            f"It takes {_EXCEL_ROWS - 1} and {_EXCEL_COLUMNS}; write CSV instead.",
        )
    try:
        from xlsxwriter import Workbook  # type: ignore[import-untyped] # it has no types
    except ModuleNotFoundError:
        raise ConfigError("XlsxWriter is not installed.", "Install it: pip install 'racto[sql]'.") from None
    content = io.BytesIO()
    # In memory: nothing of the result is ever in a temporary folder.
    with Workbook(content, {"in_memory": True}) as book:
        sheet = book.add_worksheet(sheet_name)
        formats = {kind: book.add_format({"num_format": code}) for kind, code in _EXCEL_FORMATS.items()}
        for column, name in enumerate(names):
            sheet.write_string(0, column, _excel_text(name), book.add_format({"bold": True}))
            sheet.set_column(column, column, _width(name, [row[column] for row in rows[:100]]))
        for line, row in enumerate(rows, 1):
            for column, value in enumerate(row):
                _write(sheet, formats, line, column, value)
        sheet.freeze_panes(1, 0)
    return content.getvalue()


def save(path: str | Path, content: str | bytes) -> None:
    """Write a file, whole or not at all, that only its owner may read; one that is there is replaced.

    :raises StorageError: it cannot be written there.
    """
    with arriving(Path(path).expanduser()) as file:
        # Half a character, which some databases hand out, has no place in a file.
        file.write(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def _cell(value: Any) -> Any:
    """A value as CSV has it."""
    value = jsonable(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else value


def _decimal(value: Decimal) -> Any:
    if not value.is_finite():
        return _not_finite(float(value) if not value.is_snan() else math.nan)
    if value.as_tuple().exponent == 0:
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _check_sheet(name: str) -> None:
    if (
        not 0 < len(name) <= _EXCEL_SHEET
        or re.search(r"[\[\]:*?/\\\x00-\x1f]|^'|'$", name)
        or name.lower() == "history"
    ):
        raise InputError(
            f"Excel takes no sheet named {name!r}.",
            f"Give 1 to {_EXCEL_SHEET} characters, none of []:*?/\\, no quote at either end, and not 'History'.",
        )


def _write(sheet: Any, formats: Mapping[type, Any], line: int, column: int, value: Any) -> None:
    if isinstance(value, bool):
        sheet.write_boolean(line, column, value)
    elif isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        _write_time(sheet, formats[datetime], line, column, naive)
    elif isinstance(value, date | timedelta):
        _write_time(sheet, formats[date if isinstance(value, date) else timedelta], line, column, value)
    elif isinstance(value, time) and value.tzinfo is None:
        sheet.write_datetime(line, column, value, formats[time])
    else:
        plain = jsonable(value)
        if isinstance(plain, float) or (isinstance(plain, int) and abs(plain) < _EXACT_IN_EXCEL):
            sheet.write_number(line, column, plain)
        elif plain is not None:
            sheet.write_string(line, column, _excel_text(_cell(value)))


def _write_time(sheet: Any, form: Any, line: int, column: int, value: date | timedelta) -> None:
    """Excel's time begins in 1900; what was before is text."""
    if value < timedelta(0) if isinstance(value, timedelta) else value.year < 1900:
        sheet.write_string(line, column, str(_cell(value)))
    else:
        sheet.write_datetime(line, column, value, form)


def _excel_text(value: Any) -> str:
    text = str(value).encode("utf-8", "replace").decode()
    return text if len(text) <= _EXCEL_TEXT else text[: _EXCEL_TEXT - len(_CUT)] + _CUT


def _width(name: str, values: Sequence[Any]) -> int:
    return min(_WIDEST, max(8, 2 + max((len(str(one)) for one in (name, *values) if one is not None), default=0)))
