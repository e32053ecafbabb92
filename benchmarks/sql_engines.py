"""What databases in killable processes cost: the first query, the next ones, ten thousand rows, and how soon a limit ends a query."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from racto.knowledge.errors import LimitError
from racto.tools.sql.engines import Target
from racto.tools.sql.policy import Limits, Policy
from racto.tools.sql.workers import Connection

from tests import sql_backends, sql_servers
from tests.sql_backends import BACKENDS

from . import transport

SECONDS = 0.5
"""The time limit that is reached."""
NAMES = "SELECT {i} AS a, {i} * 2 AS b, {i} * 3 AS c, {i} / 7.0 AS d, {i} / 9.0 AS e, 'row' AS f, 'some words of text' AS g, 'x' AS h, NULL AS i, {i} AS j"
COUNTED = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
ROWS = {
    "sqlite": COUNTED + NAMES.format(i="i") + " FROM n",
    "duckdb": NAMES.format(i="range") + " FROM range(10000)",
    "postgresql": NAMES.format(i="i") + " FROM generate_series(1, 10000) AS n(i)",
    "mysql": NAMES.format(i="seq") + " FROM seq_1_to_10000",
}
"""Ten thousand rows of ten columns."""


def engines(repeats: int) -> dict[str, dict[str, float]]:
    """Each engine: milliseconds, and the seconds by which a query outlived its limit at most."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, backend in BACKENDS.items():
            target = backend.make(Path(folder), ["CREATE TABLE t (a INTEGER)"], {"t": [(1,)]})
            found[name] = _engine(name, target, backend, repeats)
            print(f"  {name}: {found[name]}", flush=True)
    return found


def _engine(name: str, target: Target, backend: sql_backends.Backend, repeats: int) -> dict[str, float]:
    def milliseconds(work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1e3

    firsts, late = [], []
    for _ in range(repeats):
        with closing(Connection(target, Policy())) as connection:
            firsts.append(milliseconds(lambda: connection.run("SELECT a FROM t", Limits())))
    bare = bare_query(name, target)
    with closing(Connection(target, Policy())) as connection:
        connection.run("SELECT a FROM t", Limits())
        warm = [milliseconds(lambda: connection.run("SELECT a FROM t", Limits())) for _ in range(repeats * 20)]
        rows = [milliseconds(lambda: connection.run(ROWS[name], Limits())) for _ in range(repeats)]
        bare_rows = [milliseconds(lambda: bare(ROWS[name])) for _ in range(repeats)]
        bare_warm = [milliseconds(lambda: bare("SELECT a FROM t")) for _ in range(repeats * 20)]
        for _ in range(repeats):
            began = time.monotonic()
            try:
                connection.run(backend.never_ends, Limits(seconds=SECONDS))
            except LimitError:
                late.append(time.monotonic() - began - SECONDS)
    assert len(late) == repeats
    return {
        "first_ms": statistics.median(firsts),
        "query_ms": statistics.median(warm),
        "bare_query_ms": statistics.median(bare_warm),
        "rows_ms": statistics.median(rows),
        "bare_rows_ms": statistics.median(bare_rows),
        "late_s": max(late),
    }


def bare_query(name: str, target: Target) -> Callable[[str], Any]:
    """A query of the driver itself, in this process, with all its rows."""
    if name == "sqlite":
        import sqlite3

        lite = sqlite3.connect(target.database)
        return lambda sql: lite.execute(sql).fetchall()
    if name == "duckdb":
        import duckdb

        duck = duckdb.connect(target.database, read_only=True)
        return lambda sql: duck.execute(sql).fetchall()
    if name == "postgresql":
        connection = sql_servers.postgres_as_admin(target.database)
        return lambda sql: connection.execute(sql.encode()).fetchall()
    cursor = sql_servers.mariadb_as_admin(target.database).cursor()

    def run(sql: str) -> Any:
        cursor.execute(sql)
        return cursor.fetchall()

    return run


def starts(repeats: int) -> dict[str, Any]:
    """`racto serve` with a database configured and without, in turns: milliseconds to the list of tools and to the first answer, memory; and the import."""
    command = [str(Path(sys.executable).with_name("racto")), "serve"]
    found: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        shop = f"{folder}/shop.db"
        sql_backends.sqlite_database(Path(folder), ["CREATE TABLE t (a INTEGER)"], {"t": [(1,)]})
        next(Path(folder).glob("*.db")).rename(shop)
        bare = {"RACTO_DATABASE": f"{folder}/racto.db"}
        environments = {"without": bare, "with": {**bare, "RACTO_SQL_DATABASES": f"shop={shop}"}}
        for _ in range(repeats + 1):
            for kind, environment in environments.items():
                found[kind].append(_start(command, environment))
        first = statistics.median(_start(command, environments["with"], ask=True)["first_query_ms"] for _ in range(3))
    code = "import time; begun = time.process_time(); import racto; print((time.process_time() - begun) * 1e3)"
    imports = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(repeats)
    ]
    table: dict[str, Any] = {
        kind: {what: statistics.median(one[what] for one in runs[1:]) for what in runs[0]}
        for kind, runs in found.items()
    }
    for what in ("list_ms", "call_ms", "cpu_ms"):
        pairs = zip(found["with"][1:], found["without"][1:], strict=True)
        table[f"{what}_more"] = statistics.median(one[what] - other[what] for one, other in pairs)
    return {**table, "first_query_ms": first, "import_cpu_ms": statistics.median(imports)}


def _start(command: list[str], environment: dict[str, str], *, ask: bool = False) -> dict[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    client = transport.Raw(command, **environment)
    client.initialize()
    client.ask("tools/list", {})
    listed = time.perf_counter()
    answer = client.ask("tools/call", transport.FIRST_CALLS["racto"])
    called = time.perf_counter()
    found = {"list_ms": (listed - began) * 1e3, "call_ms": (called - began) * 1e3, "rss_mb": client.rss()}
    if ask:
        began = time.perf_counter()
        answer = client.ask("tools/call", {"name": "sql_query", "arguments": {"sql": "SELECT a FROM t"}})
        found["first_query_ms"] = (time.perf_counter() - began) * 1e3
    assert not answer.get("isError"), answer
    client.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["cpu_ms"] = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3
    return found
