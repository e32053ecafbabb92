"""Results as files: exact values, no formulas, whole files or none."""

from __future__ import annotations

import csv
import io
import json
import stat
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import openpyxl  # type: ignore[import-untyped] # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.errors import InputError, LimitError, StorageError
from racto.tools.sql.answers import SQLAnalystResult
from racto.tools.sql.exports import csv_text, excel, json_text, jsonable
from racto.tools.sql.results import QueryResult, ResultColumn

KINDS: dict[str, Any] = {
    "whole": 7,
    "huge": 2**70,
    "share": 0.1,
    "money": Decimal("10.50"),
    "precise": Decimal("0.12345678901234567890"),
    "nan": float("nan"),
    "truth": True,
    "text": 'a "quoted", text\nof two lines',
    "formula": "=cmd|'/c calc'!A1",
    "link": "https://example.test",
    "day": date(2024, 2, 29),
    "moment": datetime(2024, 2, 29, 13, 5, 7),
    "elsewhere": datetime(2024, 2, 29, 13, 5, tzinfo=timezone(timedelta(hours=2))),
    "clock": time(23, 59, 1),
    "span": timedelta(hours=30),
    "old": date(1815, 6, 18),
    "bytes": b"\x00\xff",
    "id": UUID(int=5),
    "list": [1, None, Decimal("2.5")],
    "object": {"a": date(2020, 1, 1)},
    "nothing": None,
}


def result(*rows: tuple[Any, ...], names: list[str] | None = None) -> SQLAnalystResult:
    """An answered question with these rows."""
    columns = [ResultColumn(name) for name in (names if names is not None else KINDS)]
    answered = SQLAnalystResult(user_query="?")
    answered.keep(QueryResult(columns, list(rows), sql="SELECT 1"))
    return answered


def cells(path: Path) -> list[list[Any]]:
    """What a spreadsheet program reads, with the type of each cell."""
    sheet = openpyxl.load_workbook(path).worksheets[0]
    return [[(cell.value, cell.data_type) for cell in row] for row in sheet.iter_rows()]


def test_csv_holds_every_value_as_it_is() -> None:
    text = result(tuple(KINDS.values())).to_csv()
    assert text is not None
    header, row = csv.reader(io.StringIO(text))
    assert header == list(KINDS)
    assert dict(zip(header, row, strict=True)) == {
        "whole": "7",
        "huge": str(2**70),
        "share": "0.1",
        "money": "10.5",
        "precise": "0.12345678901234567890",
        "nan": "NaN",
        "truth": "true",
        "text": 'a "quoted", text\nof two lines',
        "formula": "=cmd|'/c calc'!A1",
        "link": "https://example.test",
        "day": "2024-02-29",
        "moment": "2024-02-29T13:05:07",
        "elsewhere": "2024-02-29T13:05:00+02:00",
        "clock": "23:59:01",
        "span": "108000.0",
        "old": "1815-06-18",
        "bytes": "00ff",
        "id": str(UUID(int=5)),
        "list": "[1, null, 2.5]",
        "object": '{"a": "2020-01-01"}',
        "nothing": "",
    }


def test_json_is_json_that_any_reader_takes() -> None:
    text = result(tuple(KINDS.values())).to_json()
    assert text is not None

    def never(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    (row,) = json.loads(text, parse_constant=never)
    assert row["huge"] == 2**70
    assert (row["money"], row["precise"], row["nan"]) == (10.5, "0.12345678901234567890", "NaN")
    assert (row["truth"], row["nothing"], row["list"], row["object"]) == (
        True,
        None,
        [1, None, 2.5],
        {"a": "2020-01-01"},
    )
    assert result((1,), names=["é"]).to_json(indent=None) == '[{"é": 1}]'


def test_excel_has_numbers_dates_and_texts_and_never_a_formula(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    result(tuple(KINDS.values())).to_excel(path, sheet_name="Umsätze")
    assert openpyxl.load_workbook(path).sheetnames == ["Umsätze"]
    header, row = cells(path)
    assert [value for value, _ in header] == list(KINDS)
    read = dict(zip(KINDS, row, strict=True))
    assert read["whole"] == (7, "n")
    assert read["huge"] == (str(2**70), "s")
    assert read["money"] == (10.5, "n")
    assert read["precise"] == ("0.12345678901234567890", "s")
    assert read["truth"] == (True, "b")
    assert read["formula"] == ("=cmd|'/c calc'!A1", "s")
    assert read["day"] == (datetime(2024, 2, 29), "d")
    assert read["moment"] == (datetime(2024, 2, 29, 13, 5, 7), "d")
    assert read["elsewhere"] == (datetime(2024, 2, 29, 11, 5), "d")
    assert read["clock"] == (time(23, 59, 1), "d")
    assert read["span"][0] == timedelta(hours=30)
    assert read["old"] == ("1815-06-18", "s")
    assert read["nothing"][0] is None
    assert all(kind != "f" for _, kind in row)


def test_a_text_that_looks_like_a_formula_is_a_text_in_excel_as_a_column_name_too(tmp_path: Path) -> None:
    tricks = [
        "=1+1",
        "+1",
        "-1+2",
        "@SUM(A1)",
        "{=1}",
        '=HYPERLINK("http://evil.test","x")',
        "\t=1",
        "\x01\x0b",
        "a\ud800b",
    ]
    path = tmp_path / "out.xlsx"
    result(tuple(tricks), names=tricks).to_excel(path)
    header, row = cells(path)
    assert {kind for _, kind in (*header, *row)} == {"s"}
    assert [value for value, _ in row][:6] == tricks[:6]


def test_a_text_too_long_for_a_cell_is_cut_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "out.xlsx"
    result(("x" * 40_000,), names=["a"]).to_excel(path)
    value = cells(path)[1][0][0]
    assert len(value) == 32_767
    assert value.endswith("x … [cut]")


@pytest.mark.parametrize(
    "name", ["", "x" * 32, "a/b", "a\\b", "a[b", "a:b", "a*b", "a?b", "'a", "a'", "History", "a\nb"]
)
def test_a_sheet_name_that_excel_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="Excel takes no sheet"):
        excel(["a"], [[1]], sheet_name=name)
    assert excel(["a"], [[1]], sheet_name="x" * 31).startswith(b"PK")


def test_more_rows_than_a_sheet_has_are_refused_before_they_are_written() -> None:
    class Many(list[list[int]]):
        def __len__(self) -> int:
            return 1_048_576

    with pytest.raises(LimitError, match="CSV"):
        excel(["a"], Many(), sheet_name="a")


def test_files_are_private_and_replace_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    answered = result((1,), (2,), names=["a"])
    assert answered.to_csv(path) is None
    assert path.read_text() == "a\n1\n2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert answered.to_json(str(path)) is None
    assert json.loads(path.read_text()) == [{"a": 1}, {"a": 2}]
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]


def test_a_place_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        result((1,), names=["a"]).to_csv(tmp_path / "nowhere" / "out.csv")


def test_a_result_without_rows_has_its_header() -> None:
    answered = result(names=["a", "b"])
    assert answered.to_csv() == "a,b\n"
    assert answered.to_json() == "[]"
    assert SQLAnalystResult(user_query="?").to_json() == "[]"


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.times()
    | st.timedeltas()
    | st.uuids()
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(st.lists(values, min_size=1, max_size=4))
def test_whatever_a_database_gives_can_be_exported(row: list[Any]) -> None:
    names = [f"c{index}" for index in range(len(row))]
    assert json.loads(json_text(names, [row])) == [dict(zip(names, map(jsonable, row), strict=True))]
    header, line = csv.reader(io.StringIO(csv_text(names, [row]), newline=""))
    assert (header, len(line)) == (names, len(row))
    read = openpyxl.load_workbook(io.BytesIO(excel(names, [row]))).worksheets[0]
    assert read.max_column == len(row)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_is_exact_in_json(value: Decimal) -> None:
    assert Decimal(str(jsonable(value))) == value
