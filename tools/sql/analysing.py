"""Analysis code at work on a table, inside the confined process: the table becomes a data frame, the code runs, its result becomes JSON.

Nothing here makes anything safe; `confined.py` has done so before, and whoever reads the answer trusts none of it.
"""

from __future__ import annotations

import ast
import json
import math
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from .wire import unpack_rows

PRINTED_CHARACTERS = 20_000
"""Of what the code prints; the rest is dropped."""
ERROR_CHARACTERS = 1_500
_FILE = "<analysis>"
_given = 0  # rows of `df`; a process answers one request in its life


def analyse(data: bytes, engine: str, most: int) -> bytes:
    """The answer to a request: `{"kind": …, …}` as JSON.

    :param data: `{"code": …, "names": […], "columns": …}`, the columns as `wire.py` packs them.
    :param engine: `pandas` or `polars`, imported already.
    :param most: Rows of a table that comes back; 0 for all of them.
    """
    global _given
    printed = _Printed()
    try:
        request = json.loads(data)
        rows = unpack_rows(request["columns"])
        scope = _scope(engine, request["names"], rows)
        _given = len(rows)
        sys.stdout = sys.stderr = printed
        result = _execute(request["code"], scope)
        if result is None and not printed.text:
            raise ValueError("the code sets no `result`")  # noqa: TRY301 - told as what the code raises is
        answer = _answered(result, most) | {"printed": printed.text}
        return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode("utf-8", errors="replace")
    except MemoryError:
        return b'{"kind": "memory"}'
    except BaseException as error:  # noqa: BLE001 - whatever the code raised, it is told so
        answer = {"kind": "error", "error": type(error).__name__, "message": _told(error)}
        return json.dumps(answer).encode()


class _Printed:
    """What the code prints, as far as it is kept."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text[: PRINTED_CHARACTERS - len(self.text)]
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""


def _scope(engine: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The names the code finds."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    table = {name: [_computable(one) for one in values] for name, values in zip(names, columns, strict=True)}
    scope: dict[str, Any] = {"__name__": "__main__"}
    if engine == "pandas":
        import pandas as pd

        df = pd.DataFrame({name: _series(values) for name, values in table.items()})
        return scope | {"pd": pd, "np": sys.modules["numpy"], "df": df}
    import polars as pl

    return scope | {"pl": pl, "df": pl.DataFrame(table, strict=False)}


def _computable(value: Any) -> Any:
    """A value as the libraries compute with it."""
    return float(value) if type(value) is Decimal else str(value) if type(value) is UUID else value


def _series(values: list[Any]) -> Any:
    import pandas as pd

    kinds = {type(one) for one in values} - {type(None)}
    if kinds == {int} and None in values:
        return pd.array(values, dtype="Int64")  # as floats, large numbers would be others
    if kinds and kinds <= {date, datetime}:
        with suppress(ValueError, TypeError):  # some with a time zone, some without
            return pd.to_datetime(pd.Series(values))
    return pd.Series(values, dtype=None if kinds else object)


def _execute(code: str, scope: dict[str, Any]) -> Any:
    """What the code set `result` to, or else the value of its last line."""
    program = ast.parse(code, _FILE)
    last = program.body[-1] if program.body else None
    if isinstance(last, ast.Expr):
        name = ast.copy_location(ast.Name("_last", ast.Store()), last)
        program.body[-1] = ast.copy_location(ast.Assign([name], last.value), last)
    exec(compile(program, _FILE, "exec"), scope)  # noqa: S102 - what this process is for
    return scope["result"] if "result" in scope else scope.get("_last")


def _answered(result: Any, most: int) -> dict[str, Any]:
    table = _table(result)
    if table is not None:
        names, rows = table
        kept = rows[:most] if most else rows
        cells = [[_plain(cell) for cell in row] for row in kept]
        return {"kind": "table", "names": _different(names), "rows": cells, "truncated": len(kept) < len(rows)}
    if result is None or isinstance(result, str):
        return {"kind": "text", "value": str(result or "")}
    return {"kind": "value", "value": _plain(result)}


def _table(value: Any) -> tuple[list[str], list[Sequence[Any]]] | None:
    """Names and rows of a data frame, a series or an index; `None` for anything else."""
    pd, pl = sys.modules.get("pandas"), sys.modules.get("polars")
    if pl and isinstance(value, pl.LazyFrame):
        value = value.collect()
    if pl and isinstance(value, pl.Series):
        value = value.to_frame(value.name or "value")
    if pl and isinstance(value, pl.DataFrame):
        return value.columns, value.rows()
    if pd and isinstance(value, pd.Index):
        value = value.to_frame(index=False)
    if pd and isinstance(value, pd.Series):
        value = value.to_frame(value.name if value.name is not None else "value")
    if not pd or not isinstance(value, pd.DataFrame):
        return None
    columns = [_heading(one) for one in value.columns]
    cells = [_cells(value.iloc[:, at]) for at in range(len(columns))]
    if _numbers_rows(value.index):
        return columns, list(zip(*cells, strict=True))
    levels = [str(name) if name is not None else "index" for name in value.index.names]
    keys = [_cells(value.index.get_level_values(at)) for at in range(len(levels))]
    return levels + columns, list(zip(*keys, *cells, strict=True))


def _numbers_rows(index: Any) -> bool:
    """Whether an index says no more than which row of `df` it was."""
    if index.nlevels > 1 or index.name is not None or index.dtype.kind != "i":
        return False
    return bool(len(index) == 0 or (index.min() >= 0 and index.max() < max(_given, len(index))))


def _cells(values: Any) -> list[Any]:
    """The values of a pandas column; days where there is no time of day but midnight."""
    if values.dtype.kind == "M" and getattr(values.dtype, "tz", None) is None:
        moments = values.dropna()
        moments = getattr(moments, "dt", moments)
        if len(values.dropna()) and (moments.normalize() == values.dropna()).all():
            values = getattr(values, "dt", values).date
    return list(values.astype(object))


def _heading(name: Any) -> str:
    """One name for a column of several levels: `amount sum`."""
    return " ".join(str(part) for part in name if str(part)) if isinstance(name, tuple) else str(name)


def _different(names: Sequence[str]) -> list[str]:
    """The names, numbered where two are the same: `name`, `name_2`."""
    made: dict[str, None] = {}
    for name in names:
        tries = (name if number == 1 else f"{name}_{number}" for number in count(1))
        made[next(one for one in tries if one not in made)] = None
    return list(made)


def _plain(value: Any) -> Any:
    """A value as JSON has it: missing ones are null, moments are ISO 8601, a table in a value is a list of records.

    :raises TypeError: it is no data.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(one) for key, one in value.items()}
    table = _table(value)
    if table is not None:
        names, rows = _different(table[0]), table[1]
        return [{name: _plain(cell) for name, cell in zip(names, row, strict=True)} for row in rows]
    if isinstance(value, list | tuple | set | frozenset | range):
        return [_plain(one) for one in value]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> Any:
    np, pd = sys.modules.get("numpy"), sys.modules.get("pandas")
    if pd and (value is pd.NA or value is pd.NaT):
        return None
    if np and isinstance(value, np.ndarray | np.generic):
        plain = value.tolist()
        return str(value) if isinstance(plain, type(value)) else _plain(plain)
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", errors="replace")
    if isinstance(value, date | time_of_day):
        return value.isoformat()
    for kind in (int, float, str):  # subclasses: enumerations, strings of a library
        if isinstance(value, kind):
            return _plain(kind(value))
    if isinstance(value, Decimal):
        return _plain(float(value))
    if isinstance(value, timedelta | UUID | complex) or (pd and isinstance(value, pd.Period | pd.Interval)):
        return str(value)
    raise TypeError(f"the result is a {type(value).__name__}, which is no data")


def _told(error: BaseException) -> str:
    """The line of the code an error came from, and its own words; of those the end."""
    about = traceback.TracebackException.from_exception(error, lookup_lines=False, compact=True)
    lines = [frame.lineno for frame in about.stack if frame.filename == _FILE]
    text = "".join(about.format_exception_only()).strip()
    text = text if len(text) <= ERROR_CHARACTERS else f"…{text[-ERROR_CHARACTERS:]}"
    return f"line {lines[-1]}: {text}" if lines else text
