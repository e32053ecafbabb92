"""`racto sql`: a database at the terminal, as a person sees it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import select
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.server.cli import main
from racto.server.sql_shell import ends
from racto.server.tables import columns, table
from racto.tools.sql.results import QueryResult, ResultColumn

from tests import dialects
from tests.analyst import query
from tests.dialects.openai import OpenAI, event
from tests.dialects.server import Line
from tests.test_cli import at_a_terminal

EVIL = "x\x1b[2Jy\u202ez"
REVENUE = "SELECT country, sum(total) AS total FROM orders WHERE id < 4 GROUP BY country ORDER BY 1"
FOREVER = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c;"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a current folder of its own, with one database configured."""
    for name in [name for name in os.environ if name.startswith(("RACTO_", "XDG_")) or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RACTO_DATABASE", str(tmp_path / "data" / "racto.db"))
    monkeypatch.setenv("RACTO_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "config.toml").write_text(
        '[sql_databases.shop]\nurl = "shop.db"\nblocked_columns = ["ssn"]\nmask_columns = ["email"]\nseconds = 60\n'
    )
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, country TEXT, total REAL, email TEXT, ssn TEXT)"
        )
        orders = [(1, "Österreich", 10.5), (2, "日本", 1200.25), (3, "Österreich", 7.0), (4, EVIL, None)]
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, 'CANARYMAIL', 'CANARYSSN')", [tuple(order) for order in orders]
        )
        connection.commit()
    return here


def shell(*lines: str) -> str:
    """What a person sees who types these lines and leaves."""
    code, shown = at_a_terminal("sql", "shop", answer="".join(f"{line}\n" for line in (*lines, "\\q")))
    assert code == 0
    assert "Traceback" not in shown
    return shown


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["sql", *words]) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["sql", *words]) == 2
    shown = capsys.readouterr()
    assert not shown.out
    return shown.err


def test_a_query_ends_at_its_semicolon_on_whichever_line() -> None:
    shown = shell("SELECT country, sum(total) AS total", "FROM orders WHERE id < 4", "GROUP BY country ORDER BY 1;")
    assert "shop> " in shown
    assert "-> " in shown
    assert " 日本       | 1200.25" in shown
    assert " Österreich |    17.5" in shown
    assert "2 rows, 0.0" in shown


def test_what_may_not_be_read_is_neither_listed_nor_shown() -> None:
    shown = shell("\\d", "\\d orders", "SELECT * FROM orders;", "SELECT ssn FROM orders;")
    assert "orders  (table, 4 columns)" in shown
    assert "country" in shown
    assert "***MASKED***" in shown
    assert "CANARY" not in shown
    assert "racto: " in shown.partition("SELECT ssn FROM orders;")[2]


def test_values_cannot_steer_the_terminal() -> None:
    shown = shell("SELECT id, country FROM orders WHERE id = 4;", "\\chart bar")
    assert "x␛[2Jy�z" in shown
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown


def test_the_last_result_is_drawn() -> None:
    ask = "SELECT country, sum(total) AS total FROM orders WHERE id < 4 GROUP BY 1;"
    shown = shell("\\chart", ask, "\\chart", "\\chart pie", "\\chart star")
    assert "There is no result yet" in shown
    assert "█" in shown
    assert "99%" in shown
    assert "there is no chart type 'star'" in shown


def test_a_query_is_explained_without_being_run() -> None:
    shown = shell("\\explain", "\\explain SELECT country FROM orders", "SELECT 1 AS one;", "\\explain")
    assert "Which query?" in shown
    assert "SCAN orders" in shown.replace("TABLE ", "")


def test_a_result_is_exported_whole_into_this_folder_and_nothing_replaced_unasked(folder: Path) -> None:
    (folder / "old.csv").write_text("mine")
    (folder / "out").symlink_to(folder.parent)
    shown = shell(
        "SELECT id, country FROM orders WHERE id < 3;",
        *("\\export new.csv", "\\export new.json", "\\export new.xlsx", "\\export new.exe", "\\export"),
        *("\\export old.csv", "n", "\\export ../up.csv", "\\export /tmp/up.csv", "\\export out/up.csv"),
    )
    assert (folder / "new.csv").read_text(encoding="utf-8") == "id,country\n1,Österreich\n2,日本\n"
    assert json.loads((folder / "new.json").read_text(encoding="utf-8"))[1] == {"id": 2, "country": "日本"}
    assert (folder / "new.xlsx").read_bytes()[:2] == b"PK"
    assert (folder / "old.csv").read_text() == "mine"
    assert shown.count("is not in this folder") == 3
    assert not list(folder.parent.glob("up.csv"))
    shell("SELECT 1 AS a;", "\\export old.csv", "y")
    assert (folder / "old.csv").read_text() == "a\n1\n"


def test_a_refusal_is_told_and_the_sitting_goes_on() -> None:
    shown = shell("DELETE FROM orders;", "SELECT countri FROM orders;", "\\exprt", "\\?", "SELECT 40 + 2 AS answer;")
    assert "Only queries are run" in shown
    assert "country" in shown
    assert "There is no command named 'exprt'. Did you mean 'export'?" in shown.replace("\r\n  →", "")
    assert "leave (so does Ctrl-D)" in shown
    assert "     42" in shown


def test_what_was_typed_is_remembered_for_its_owner_alone(tmp_path: Path) -> None:
    shell("SELECT 'first' AS word;")
    history = tmp_path / "data" / "sql_history"
    assert "SELECT 'first' AS word;" in history.read_text(encoding="utf-8")
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    up_and_up = "\x1b[A\x1b[A"  # past \q
    assert " first" in shell(up_and_up)
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


class Terminal:
    """A shell and a person who waits for what it shows."""

    def __init__(self) -> None:
        self.ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "racto.server.cli", "sql", "shop"]
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.shown = b""

    def until(self, word: bytes, *, interrupting: bool = False) -> None:
        """Wait for a word; meanwhile press Ctrl-C where nothing happens."""
        given_up = time.monotonic() + 30
        while word not in self.shown:
            assert time.monotonic() < given_up, self.shown
            if select.select([self.ours], [], [], 0.2)[0]:
                self.shown += os.read(self.ours, 65536)
            elif interrupting:
                self.process.send_signal(signal.SIGINT)

    def type(self, text: bytes) -> None:
        os.write(self.ours, text)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    one = Terminal()
    yield one
    one.process.kill()
    one.process.wait()
    os.close(one.ours)


def test_leaving_with_the_end_of_input_is_quiet(terminal: Terminal) -> None:
    terminal.until(b"shop> ")
    terminal.type(b"\x04")
    assert terminal.process.wait(timeout=20) == 0
    assert b"racto:" not in terminal.shown


def test_interrupting_a_query_ends_it_and_not_the_sitting(terminal: Terminal) -> None:
    terminal.until(b"shop> ")
    terminal.type(f"{FOREVER}\n".encode())
    terminal.until(b"(interrupted)", interrupting=True)
    terminal.type(b"SELECT 40 + 2 AS answer;\n")
    terminal.until(b" 42")
    terminal.type(b"\\q\n")
    assert terminal.process.wait(timeout=20) == 0
    assert b"Traceback" not in terminal.shown


class Streaming(OpenAI):
    """A server of OpenAI's dialect whose model knows one query."""

    async def respond(self, scenario: str, body: dict[str, Any], line: Line) -> None:
        form = body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        says = (
            json.dumps(query(REVENUE, "All count.") if "sql" in form else {"code": ""}) if form else "Japan paid most."
        )
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": scenario}
        await line.start()
        for delta, finish in (({"role": "assistant", "content": says}, None), ({}, "stop")):
            await line.send(event({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}))
        await line.send(b"data: [DONE]\n\n")
        await line.end()


def test_a_question_is_answered_by_a_model_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def asked() -> str:
        async with Streaming().running() as base:
            monkeypatch.setenv("RACTO_BASE_URLS", f"openai={base}/v1")
            return await asyncio.to_thread(shell, "\\ask", "\\ask Who paid most?", "\\export asked.csv")

    monkeypatch.setenv("RACTO_MODELS", "openai/gpt-4o")
    monkeypatch.setenv("OPENAI_API_KEY", dialects.KEY)
    shown = asyncio.run(asked())
    assert "Nothing is asked." in shown
    assert "Japan paid most." in shown
    assert "FROM orders" in shown
    assert "1200.25" in shown
    assert "█" in shown
    assert "Note: All count." in shown
    assert "2 rows in asked.csv" in shown


def test_without_a_model_a_question_says_how_to_get_one() -> None:
    assert "racto keys set OPENAI_API_KEY" in shell("\\ask Who paid most?")


def test_one_query_and_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    sql = "SELECT id, total FROM orders WHERE id < 3"
    assert printed(capsys, "shop", sql) == " id | total\n ---+--------\n  1 |    10.5\n  2 | 1200.25\n"
    assert printed(capsys, "shop", sql, "--csv") == "id,total\n1,10.5\n2,1200.25\n"
    assert json.loads(printed(capsys, "shop", sql, "--json")) == [{"id": 1, "total": 10.5}, {"id": 2, "total": 1200.25}]
    assert "█" in printed(
        capsys, "shop", "SELECT country, sum(total) AS t FROM orders WHERE id < 4 GROUP BY 1", "--chart"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT 'piped' AS word;\n"))
    assert " piped" in printed(capsys)


def test_one_query_that_cannot_be_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Only queries are run" in refused(capsys, "shop", "DROP TABLE orders")
    assert "Did you mean 'shop'?" in refused(capsys, "shopp", "SELECT 1")
    assert "Leave one of them out" in refused(capsys, "shop", "SELECT 1", "--json", "--chart")
    monkeypatch.setenv("RACTO_SQL_DATABASES", "shop=shop.db,books=books.db")
    assert "one of shop, books" in refused(capsys)
    monkeypatch.delenv("RACTO_SQL_DATABASES")
    monkeypatch.setattr("sys.stdin", io.StringIO(" \n"))
    assert "There is no query" in refused(capsys, "shop")
    monkeypatch.delenv("RACTO_CONFIG")
    assert "RACTO_SQL_DATABASES=sales=" in refused(capsys, "shop", "SELECT 1")


@pytest.mark.parametrize(
    ("text", "dialect", "whole"),
    [
        ("SELECT 1;", "sqlite", True),
        ("SELECT 1", "sqlite", False),
        ("SELECT ';", "sqlite", False),
        ("SELECT ';\n';", "sqlite", True),
        ("SELECT 'it''s;", "sqlite", False),
        ("SELECT 1; -- done", "sqlite", True),
        ("SELECT 1 -- not done;", "sqlite", False),
        ("SELECT /* ; */ 1", "sqlite", False),
        ("SELECT 1 /* ;", "sqlite", False),
        ('SELECT ";', "sqlite", False),
        ("SELECT 'C:\\';", "sqlite", True),
        ("SELECT 'it\\'s;';", "mysql", True),
        ("SELECT 'it\\';", "mysql", False),
        ("SELECT $a$;", "postgres", True),
        ("SELECT $a$;$a$", "postgres", False),
    ],
)
def test_a_semicolon_in_a_text_a_name_or_a_comment_ends_nothing(text: str, dialect: str, whole: bool) -> None:
    assert ends(text, dialect) is whole


def result(names: list[str], rows: list[tuple[Any, ...]]) -> QueryResult:
    return QueryResult([ResultColumn(name) for name in names], rows)


def test_numbers_stand_to_the_right_and_ideographs_take_two_columns() -> None:
    shown = table(result(["name", "n"], [("東京", 1), ("café", Decimal("10.50")), (None, None)]), 10)
    assert shown.split("\n") == [" name | n", " -----+------", " 東京 |     1", " café | 10.50", " NULL |  NULL"]


def test_values_read_as_a_person_writes_them() -> None:
    values = (True, b"\xff\x00", datetime(2026, 1, 2, 3, 4), [1, {"a": None}], "two\nlines", None)
    (_, _, line) = table(result(list("abcdef"), [values]), 1).split("\n")
    assert [cell.strip() for cell in line.split(" | ")] == [
        "true",
        "ff00",
        "2026-01-02 03:04:00",
        '[1, {"a": null}]',
        "two lines",
        "NULL",
    ]


def test_a_text_gives_way_to_the_terminal_and_a_number_does_not() -> None:
    number = 123_456_789_012_345_678_901_234_567
    shown = table(result(["n", "text"], [(number, "word " * 30)]), 1, 60)
    assert str(number) in shown
    assert "word word" in shown
    assert max(map(columns, shown.split("\n"))) <= 60


def test_a_row_too_wide_for_the_terminal_is_one_value_a_line() -> None:
    shown = table(result([f"column_{at}" for at in range(20)], [tuple(range(20))] * 2), 10, 80)
    assert "-- 2" in shown
    assert " column_19 | 19" in shown
    assert "\n" in shown


@given(
    st.lists(st.tuples(st.text(max_size=200), st.integers(), st.floats(), st.text(max_size=20)), max_size=5),
    st.integers(40, 200),
)
def test_no_line_is_wider_than_the_terminal_whatever_the_values(rows: list[tuple[Any, ...]], width: int) -> None:
    lines = table(result(["a", "日本" * 9, "c", "d"], rows), 100, width).split("\n")
    assert max(map(columns, lines)) <= width
    assert len(lines) in (2 + len(rows), 5 * len(rows))
    kinds = {unicodedata.category(char) for line in lines for char in line}
    assert kinds.isdisjoint({"Cc", "Cs", "Co", "Zl", "Zp"})


def test_kept_queries_are_listed_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "call",
                "sql_save_verified",
                "--arg",
                "question=Revenue?",
                "--arg",
                f"sql={REVENUE}",
                "--arg",
                "confirm=true",
            ]
        )
        == 0
    )
    capsys.readouterr()
    shown = shell("\\verified", "\\forget 9", "\\forget it", "\\forget 1", "\\verified")
    assert "1  Revenue?" in shown
    assert REVENUE in shown
    assert "shop has no verified query 9." in shown
    assert "Which one?" in shown
    assert "Forgotten: Revenue?" in shown
    assert "None: the tool sql_save_verified keeps one" in shown


@pytest.mark.parametrize("words", [["sql", "shop", "SELECT 1"], ["doctor"]])
def test_without_the_parser_nothing_runs_and_what_to_install_is_said(words: list[str], folder: Path) -> None:
    code = f"import sys; sys.modules['sqlglot'] = None; from racto.server.cli import main; sys.exit(main({words}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode
    assert "sqlglot is not installed" in done.stdout + done.stderr
    assert "pip install 'racto[sql]'" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
