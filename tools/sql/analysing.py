"""Analysis code at work on a table, inside the confined process: the table becomes a data frame, the code runs, its result becomes JSON.

Nothing here makes anything safe; `confined.py` has done so before, and whoever reads the answer trusts none of it.
"""

from __future__ import annotations

import ast
import json
import linecache
import math
import pickle
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

PRINTED_CHARACTERS = 20_000
"""Of what the code prints; the rest is dropped."""
ERROR_CHARACTERS = 1_500
_FILE = "<analysis>"


def analyse(data: bytes, engine: str, most: int) -> bytes:
    """The answer to a request: `{"kind": …, …}` as JSON.

    :param data: Pickled by the server: code, names of columns, rows.
    :param engine: `pandas` or `polars`, imported already.
    :param most: Rows of a table that comes back; 0 for all of them.
    """
    printed = _Printed()
    try:
        code, names, rows = pickle.loads(data)  # noqa: S301 - made by our own server, read where it can do nothing
        sys.stdout = sys.stderr = printed  # type: ignore[assignment] # a stream as far as print goes
        answer = _answered(_execute(code, _scope(engine, names, rows)), printed, most)
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
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    table = {name: _column(values) for name, values in zip(names, columns, strict=True)}
    scope: dict[str, Any] = {"__name__": "__main__"}
    if engine == "pandas":
        import pandas as pd

        return scope | {
            "pd": pd,
            "np": sys.modules["numpy"],
            "df": pd.DataFrame({n: _series(v) for n, v in table.items()}),
        }
    import polars as pl

    return scope | {
        "pl": pl,
        "df": pl.DataFrame({name: pl.Series(values, strict=False) for name, values in table.items()}),
    }


def _column(values: Iterable[Any]) -> list[Any]:
    """Values as the libraries compute with them."""
    return [float(one) if type(one) is Decimal else str(one) if type(one) is UUID else one for one in values]


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
    linecache.cache[_FILE] = (len(code), None, code.splitlines(keepends=True), _FILE)  # for tracebacks
    program = ast.parse(code, _FILE)
    last = program.body[-1] if program.body else None
    if isinstance(last, ast.Expr):
        name = ast.copy_location(ast.Name("_last", ast.Store()), last)
        program.body[-1] = ast.copy_location(ast.Assign([name], last.value), last)
    exec(compile(program, _FILE, "exec"), scope)  # noqa: S102 - what this process is for
    return scope["result"] if "result" in scope else scope.get("_last")


def _answered(result: Any, printed: _Printed, most: int) -> dict[str, Any]:
    table = _table(result)
    if table is not None:
        names, rows = table
        kept = rows[:most] if most else rows
        cells = [[_plain(cell) for cell in row] for row in kept]
        cut = len(kept) < len(rows)
        return {"kind": "table", "names": _different(names), "rows": cells, "truncated": cut, "text": printed.text}
    if result is None and not printed.text:
        raise ValueError("the code sets no `result`")
    if result is None or isinstance(result, str):
        return {"kind": "text", "value": result or printed.text, "text": printed.text}
    return {"kind": "value", "value": _plain(result), "text": printed.text}


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
    if isinstance(value.index, pd.RangeIndex) and value.index.name is None:
        return columns, list(zip(*cells, strict=True))
    levels = [str(name) if name is not None else "index" for name in value.index.names]
    keys = [_cells(value.index.get_level_values(at)) for at in range(len(levels))]
    return levels + columns, list(zip(*keys, *cells, strict=True))


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
    """The lines of the code an error came through, and its own words; of both the end."""
    about = traceback.TracebackException.from_exception(error, compact=True)
    about.stack[:] = [frame for frame in about.stack if frame.filename == _FILE][-3:]
    where = [f"line {frame.lineno}: {frame.line}" for frame in about.stack]
    text = "\n".join([*where, "".join(about.format_exception_only()).strip()])
    return text if len(text) <= ERROR_CHARACTERS else f"…{text[-ERROR_CHARACTERS:]}"
