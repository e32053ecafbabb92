"""Databases are asked in processes that can be killed: whatever a query does, its caller gets rows or an error, and soon."""

from __future__ import annotations

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.knowledge.errors import LimitError, QueryError, TimeLimitError
from racto.tools.sql.engines import Target
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.results import QueryResult
from racto.tools.sql.wire import pack_rows, unpack_rows
from racto.tools.sql.workers import QUERY_CHARACTERS, SIDE_BY_SIDE, Connection

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory and shows other processes")

LIMITS = Limits(seconds=20)
COUNTING = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n{}) SELECT count(*) FROM n"
FOREVER = COUNTING.format("")
# One call of a function that takes minutes: SQLite looks at no clock in the middle of it.
STUCK = "SELECT instr(replace(hex(zeroblob(4000000)), '00', 'a'), replace(hex(zeroblob(2000000)), '00', 'a') || 'b')"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "some.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (a INTEGER, b TEXT)")
        made.executemany("INSERT INTO t VALUES (?, ?)", [(number, f"row {number}") for number in range(1000)])
        made.commit()
    return path


@pytest.fixture
def connection(file: Path) -> Iterator[Connection]:
    with closing(Connection(Target("sqlite", str(file)), Policy())) as one:
        yield one


@pytest.fixture
def memory() -> Iterator[Connection]:
    with closing(Connection(Target("duckdb", ":memory:"), Policy())) as one:
        yield one


class Asking(threading.Thread):
    """A query in a thread of its own."""

    def __init__(self, connection: Connection, sql: str, limits: Limits = LIMITS, token: object = None) -> None:
        super().__init__(daemon=True)
        self.result: QueryResult | None = None
        self.error: Exception | None = None
        self._ask: Callable[[], QueryResult] = lambda: connection.run(sql, limits, token=token)
        self.start()

    def run(self) -> None:
        try:
            self.result = self._ask()
        except Exception as error:
            self.error = error

    def ended(self) -> Asking:
        self.join(30)
        assert not self.is_alive()
        return self


def _one(connection: Connection, sql: str) -> Any:
    ((value,),) = connection.run(sql, LIMITS).rows
    return value


def test_the_first_question_starts_a_process_that_is_kept_for_the_next_ones(connection: Connection) -> None:
    assert connection.pids == []
    assert _one(connection, "SELECT count(*) FROM t") == 1000
    (pid,) = connection.pids
    assert pid != os.getpid()
    assert connection.catalogue().find("t")
    assert connection.fingerprint()
    assert connection.pids == [pid]


BOMBS = {
    "sqlite": [
        FOREVER,
        STUCK,
        "SELECT count(*) FROM t a, t b, t c, t d",
        "SELECT hex(zeroblob(900000000))",
        "SELECT length(randomblob(900000000))",
        "SELECT length(printf('%.*c', 900000000, 'x')) > 0 OR 1 = (SELECT count(*) FROM t a, t b, t c)",
        "WITH RECURSIVE n(s) AS (SELECT 'abcdefgh' UNION ALL SELECT s || s FROM n) SELECT max(length(s)) FROM n",
        "SELECT a.b || b.b || c.b AS x FROM t a, t b, t c ORDER BY x DESC",
        "SELECT group_concat(a.b || b.b) FROM t a, t b, t c",
    ],
    "duckdb": [
        "SELECT sum(range) FROM range(1000000000000)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = -1",
        "SELECT repeat('x', 3000000000)",
        "SELECT lpad('x', 2000000000, 'y')",
        "SELECT printf('%2000000000d', 1)",
        "SELECT list(range) FROM range(10000000000)",
        "SELECT string_agg(range::VARCHAR, repeat('x', 1000)) FROM range(10000000)",
        "SELECT count(regexp_matches(repeat('a', 30000) || range, '(a|aa)+$')) FROM range(10000000)",
        "SELECT a.range, b.range FROM range(100000) a, range(100000) b ORDER BY 1 DESC, 2",
    ],
}


@linux
@pytest.mark.parametrize("engine", BOMBS)
def test_a_bomb_is_stopped_within_a_second_of_its_limit_and_the_next_query_runs(engine: str, file: Path) -> None:
    limits = Limits(seconds=0.4, memory_bytes=96 * 2**20, result_bytes=8 * 2**20)
    target = Target("sqlite", str(file)) if engine == "sqlite" else Target("duckdb")
    late = {}
    with closing(Connection(target, Policy())) as connection:
        for sql in BOMBS[engine]:
            assert _one(connection, "SELECT 1") == 1
            start = time.monotonic()
            with pytest.raises(LimitError) as caught:
                connection.run(sql, limits)
            late[sql] = time.monotonic() - start - limits.seconds
            assert caught.value.hint
    assert len(late) == len(BOMBS[engine])
    assert max(late.values()) < 1, late


def test_a_query_that_looks_at_no_clock_is_killed_and_its_neighbour_goes_on(connection: Connection) -> None:
    slow = Asking(connection, COUNTING.format(" WHERE i < 2000000"))
    stuck = Asking(connection, STUCK, Limits(seconds=0.2))
    assert isinstance(stuck.ended().error, TimeLimitError)
    result = slow.ended().result
    assert result
    assert result.rows == [(2_000_000,)]
    assert len(connection.pids) == 1


def test_more_callers_than_processes_wait_their_turn(connection: Connection) -> None:
    askings = [Asking(connection, f"SELECT {number} FROM t LIMIT 1") for number in range(12)]
    results = [asking.ended().result for asking in askings]
    assert [result.rows for result in results if result] == [[(number,)] for number in range(12)]
    assert 1 <= len(connection.pids) <= SIDE_BY_SIDE


def test_a_query_is_cancelled_by_its_token_and_no_other(connection: Connection) -> None:
    token = object()
    slow = Asking(connection, COUNTING.format(" WHERE i < 2000000"))
    stuck = Asking(connection, STUCK, token=token)
    while stuck.is_alive():
        connection.cancel(token)
        stuck.join(0.01)
    assert "cancelled" in str(stuck.error)
    result = slow.ended().result
    assert result
    assert result.rows == [(2_000_000,)]


def test_those_that_wait_for_a_process_are_cancelled_too(connection: Connection) -> None:
    askings = [Asking(connection, STUCK) for _ in range(SIDE_BY_SIDE + 2)]
    while any(asking.is_alive() for asking in askings):
        connection.cancel()
        askings[0].join(0.01)
    assert all(isinstance(asking.error, QueryError) for asking in askings)
    assert _one(connection, "SELECT count(*) FROM t") == 1000


def test_a_process_that_was_killed_while_it_waited_is_replaced(connection: Connection) -> None:
    _one(connection, "SELECT 1")
    (pid,) = connection.pids
    os.kill(pid, signal.SIGKILL)
    assert _one(connection, "SELECT count(*) FROM t") == 1000
    assert pid not in connection.pids


@linux
def test_a_process_that_dies_over_a_query_is_an_error_about_that_query(connection: Connection) -> None:
    _one(connection, "SELECT 1")
    (pid,) = connection.pids
    before = _ticks(pid)
    asking = Asking(connection, FOREVER)
    while _ticks(pid) < before + 10:
        asking.join(0.01)
    os.kill(pid, signal.SIGSEGV)
    error = asking.ended().error
    assert isinstance(error, LimitError)
    assert "SIGSEGV" in str(error)
    assert _one(connection, "SELECT 1") == 1


def _ticks(pid: int) -> int:
    """What a process has used of the processor."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11])


def test_closing_ends_every_process_and_a_later_question_starts_another(connection: Connection) -> None:
    _one(connection, "SELECT 1")
    (pid,) = connection.pids
    connection.close()
    connection.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert _one(connection, "SELECT 1") == 1


@linux
@pytest.mark.parametrize("sql", ["SELECT 1", STUCK])
def test_the_process_dies_with_the_server_idle_or_busy(sql: str, file: Path) -> None:
    program = f"""
import threading
from racto.tools.sql.engines import Target
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.workers import Connection
connection = Connection(Target("sqlite", {str(file)!r}), Policy())
connection.run("SELECT 1", Limits())
print(connection.pids[0], flush=True)
connection.run({sql!r}, Limits(seconds=300))
threading.Event().wait()
"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    server = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    with server:
        assert server.stdout
        child = os.pidfd_open(int(server.stdout.readline()))
        server.send_signal(signal.SIGKILL)
        ended, _, _ = select.select([child], [], [], 10)
        os.close(child)
    assert ended, "the process that queries outlived the server"


@linux
def test_neither_our_secrets_nor_the_password_can_be_seen_from_outside(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    target = Target("sqlite", str(file), username="me", password="pw-canary")
    with closing(Connection(target, Policy())) as connection:
        _one(connection, "SELECT 1")
        (pid,) = connection.pids
        seen = Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"PYTHONPATH" in seen
    assert b"canary" not in seen


def test_a_process_that_cannot_start_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(QueryError, match="did not start") as caught:
        Connection(Target("sqlite", str(file)), Policy()).run("SELECT 1", LIMITS)
    assert "/bin/false" in caught.value.hint


def test_a_query_as_long_as_a_book_is_not_even_sent(connection: Connection) -> None:
    with pytest.raises(LimitError, match="longer than"):
        connection.run(f"SELECT '{'x' * QUERY_CHARACTERS}'", LIMITS)
    with pytest.raises(LimitError, match="longer than"):
        connection.explain(f"SELECT '{'x' * QUERY_CHARACTERS}'", LIMITS)
    assert connection.pids == []


def test_rows_that_are_brought_are_there_in_every_process_and_after_a_kill(memory: Connection) -> None:
    memory.load("t", ["a", "b"], [(number, f"row {number}") for number in range(1000)])
    (first,) = memory.pids
    with pytest.raises(LimitError):
        memory.run("SELECT lpad('x', 2000000000, 'y')", Limits(seconds=0.2))
    assert _one(memory, "SELECT count(*) FROM t") == 1000
    assert first not in memory.pids
    askings = [Asking(memory, "SELECT sum(a) FROM t, range(20000)") for _ in range(2)]
    sums = [asking.ended().result for asking in askings]
    assert [result.rows for result in sums if result] == [[(499_500 * 20_000,)]] * 2


def test_rows_that_are_brought_again_replace_the_first_ones(memory: Connection) -> None:
    memory.load("t", ["a"], [(1,)])
    memory.load("t", ["other", "names"], [("x", None), ("y", 2)])
    assert memory.run("SELECT * FROM t", LIMITS).rows == [("x", None), ("y", 2)]
    memory.load("t", ["a"], [])
    assert memory.run("SELECT * FROM t", LIMITS).rows == []


VALUES = [
    (1, -(2**63), 2**70, 1.5, float("inf")),
    (True, Decimal("12.340"), date(2024, 2, 29), datetime(2024, 2, 29, 1, 2, 3, 4), time_of_day(23, 59, 59)),
    ("", "naïve 数 \U0001f600", 'a "quoted"; DROP', b"\x00\xff", UUID(int=7)),
    (
        datetime(2024, 1, 1, tzinfo=UTC),
        timedelta(days=-1, microseconds=5),
        None,
        [1, [2, None]],
        {"a": {"b": date.min}},
    ),
]


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("row", VALUES)
def test_any_value_can_be_brought_and_read_again(row: tuple[Any, ...], place: int, memory: Connection) -> None:
    value = row[place] if place < len(row) else None
    memory.load("t", ["wert €"], [(value,), (None,)])
    ((found,), (nothing,)) = memory.run('SELECT "wert €" FROM t', LIMITS).rows
    assert nothing is None
    if isinstance(value, list | dict):
        assert json.loads(found) == json.loads(json.dumps(value, default=str))
    else:
        assert found == value


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[values] * width), max_size=6)))
def test_rows_cross_the_pipe_as_they_are(rows: list[tuple[Any, ...]]) -> None:
    crossed = unpack_rows(json.loads(json.dumps(pack_rows(rows))))
    assert crossed == rows
    assert [[type(value) for value in row] for row in crossed] == [[type(value) for value in row] for row in rows]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["any", "decimal", "uuid", "dict"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(json_values, max_size=3)
    | st.lists(st.tuples(st.sampled_from(["any", "", "bytes", "date"]), st.lists(json_values)))
)
def test_a_process_that_answers_nonsense_makes_no_other_error_than_that(columns: Any) -> None:
    try:
        rows = unpack_rows(columns)
    except ValueError:
        return
    assert all(isinstance(row, tuple) for row in rows)
